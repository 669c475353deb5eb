//! Layers in the order in which they are computed; models within models become their layers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::budget::Budget;
use crate::error::{Error, shown};
use crate::keras::builder::{Builder, Flow};
use crate::keras::config::{Layer, Network, Reference};
use crate::keras::layers;
use crate::keras::snake::snake_case;
use crate::keras::weights::{Place, Weights};
use crate::names::{Names, legal};

/// Walks through a model.
pub(super) struct Walk<'a> {
    /// What is made of it.
    pub(super) builder: Builder,
    /// Its weights.
    pub(super) weights: &'a Weights,
    /// Keras' version: 1, 2 or 3.
    pub(super) version: u32,
    labels: HashMap<String, String>,
    steps: usize,
    taken: Names,
}

/// A layer at its place in the whole model.
pub(super) struct Item<'a> {
    /// The layer.
    pub(super) layer: &'a Layer<'a>,
    /// The name of its node, and the beginning of the names of its tensors: its own, made unique.
    pub(super) label: String,
    /// Where its weights are.
    pub(super) place: Place,
}

/// Where a model lies in the whole one.
#[derive(Clone, Default)]
struct Scope {
    /// Names of the models around it, each with a slash.
    path: String,
    /// The keys of numbered weights begin so.
    numbered: String,
    /// The layer of the whole model that it is, or is a part of.
    outer: Option<String>,
}

/// A layer, by its index, and one of its calls.
type Call = (usize, usize);

/// The most layers, calls of them and values that these read: models within models can be called by each other.
const STEPS: usize = 1 << 16;

impl<'a> Walk<'a> {
    /// Begins one.
    pub(super) fn new(name: &str, weights: &'a Weights, version: u32, budget: Budget) -> Self {
        let builder = Builder::new(name, budget);
        Walk { builder, weights, version, labels: HashMap::new(), steps: STEPS, taken: Names::default() }
    }

    /// The outputs of a model that is the whole one.
    ///
    /// # Errors
    /// If layers are unknown, have no weights, read each other in a circle, or do not fit.
    pub(super) fn whole(&mut self, network: &Network<'_>, input: Flow) -> Result<Vec<Flow>, Error> {
        let scope = Scope { numbered: "layers/".to_owned(), ..Scope::default() };
        self.model(network, &[input], &scope)
    }

    fn model(&mut self, network: &Network<'_>, inputs: &[Flow], scope: &Scope) -> Result<Vec<Flow>, Error> {
        self.count(network)?;
        let numbers = numbers(&network.layers);
        let by_name: HashMap<&str, usize> =
            network.layers.iter().enumerate().map(|(index, layer)| (layer.name, index)).collect();
        if by_name.len() != network.layers.len() {
            return Err(Error::Malformed(format!("two layers of `{}` have one name", network.name)));
        }
        // What each input layer gives. A sequential model has one input, which its first layer may be or read.
        let mut values: HashMap<Call, Vec<Flow>> = HashMap::new();
        let find = |reference: &Reference<'_>| {
            let missing = || {
                Error::Malformed(format!("the model `{}` has no layer `{}`", network.name, reference.layer))
            };
            by_name.get(reference.layer).copied().ok_or_else(missing)
        };
        if network.inputs.is_empty() {
            if let ([layer, ..], [input]) = (network.layers.as_slice(), inputs) {
                let first = match layer.class {
                    "InputLayer" => vec![*input],
                    _ => self.layer(layer, &[*input], scope, numbers.first().map_or("", String::as_str))?,
                };
                values.insert((0, 0), first);
            }
        } else if network.inputs.len() != inputs.len() {
            return Err(Error::Malformed(format!(
                "the model `{}` has {} inputs, {} are given",
                network.name,
                network.inputs.len(),
                inputs.len()
            )));
        }
        for (reference, input) in network.inputs.iter().zip(inputs) {
            values.insert((find(reference)?, 0), vec![*input]);
        }
        // Each call of a layer waits for what it reads; of those that are ready, the first is computed.
        let mut calls: HashMap<Call, (usize, Vec<Call>)> = HashMap::new();
        let mut readers: HashMap<Call, Vec<Call>> = HashMap::new();
        for (index, layer) in network.layers.iter().enumerate() {
            for (call, references) in layer.calls.iter().enumerate() {
                if values.contains_key(&(index, call)) {
                    continue; // an input
                }
                let sources: Vec<_> = references
                    .iter()
                    .map(|reference| Ok((find(reference)?, reference.call)))
                    .collect::<Result<_, Error>>()?;
                let waiting = sources.iter().filter(|source| !values.contains_key(source)).count();
                for source in sources.iter().filter(|source| !values.contains_key(source)) {
                    readers.entry(*source).or_default().push((index, call));
                }
                calls.insert((index, call), (waiting, sources));
            }
        }
        let mut ready: BinaryHeap<_> =
            calls.iter().filter(|(_, (waiting, _))| *waiting == 0).map(|(key, _)| Reverse(*key)).collect();
        while let Some(Reverse(key)) = ready.pop() {
            let Some((_, sources)) = calls.remove(&key) else { continue };
            let Some(layer) = network.layers.get(key.0) else { continue };
            let references = layer.calls.get(key.1).map(Vec::as_slice).unwrap_or_default();
            let operands =
                sources.iter().zip(references).map(|(source, reference)| output(&values, *source, reference));
            let operands = operands.collect::<Result<Vec<_>, _>>()?;
            let number = numbers.get(key.0).map_or("", String::as_str);
            let outputs = self.layer(layer, &operands, scope, number)?;
            values.insert(key, outputs);
            for reader in readers.remove(&key).unwrap_or_default() {
                if let Some((waiting, _)) = calls.get_mut(&reader) {
                    *waiting = waiting.saturating_sub(1);
                    if *waiting == 0 {
                        ready.push(Reverse(reader));
                    }
                }
            }
        }
        if let Some(((index, _), _)) = calls.iter().min_by_key(|(key, _)| **key)
            && let Some(layer) = network.layers.get(*index)
        {
            return Err(Error::Malformed(format!(
                "the layer `{}` reads its own output, or what no layer gives: the model is not complete",
                layer.name
            )));
        }
        network
            .outputs
            .iter()
            .map(|reference| output(&values, (find(reference)?, reference.call), reference))
            .collect()
    }

    /// Counts what a call of a model does.
    ///
    /// # Errors
    /// If it is too much, with what was done before.
    fn count(&mut self, network: &Network<'_>) -> Result<(), Error> {
        let of_layer = |layer: &Layer<'_>| 1 + layer.calls.iter().map(|call| 1 + call.len()).sum::<usize>();
        let steps = network.layers.iter().map(of_layer).sum::<usize>() + network.outputs.len();
        self.steps = self.steps.checked_sub(steps).ok_or_else(|| {
            Error::Unsupported(format!(
                "the model has more than {STEPS} layers and calls of them: models within it are called too often"
            ))
        })?;
        Ok(())
    }

    fn layer(
        &mut self,
        layer: &Layer<'_>,
        inputs: &[Flow],
        scope: &Scope,
        number: &str,
    ) -> Result<Vec<Flow>, Error> {
        let path = format!("{}{}", scope.path, layer.name);
        let numbered = format!("{}{number}", scope.numbered);
        if let Some(network) = &layer.model {
            let inner = Scope {
                path: format!("{path}/"),
                numbered: format!("{numbered}/layers/"),
                outer: Some(scope.outer.clone().unwrap_or_else(|| layer.name.to_owned())),
            };
            return self.model(network, inputs, &inner);
        }
        let label = match self.labels.get(&path) {
            Some(label) => label.clone(),
            None => {
                // In a model within a model, the name of the layer alone is enough, if no other has it.
                let own = legal(layer.name);
                let free = scope.outer.is_none() || !self.taken.contains(&own);
                let bytes = path.len().saturating_mul(4);
                self.builder
                    .take(bytes, || format!("the names of layers, as that of `{}`,", shown(&path)))?;
                let label = self.taken.give(&if free { own } else { legal(&path) });
                self.labels.insert(path, label.clone());
                label
            }
        };
        let (outer, inner) = match &scope.outer {
            Some(outer) => (outer.clone(), Some(layer.name.to_owned())),
            None => (layer.name.to_owned(), None),
        };
        let item = Item { layer, label, place: Place { numbered, outer, inner } };
        Ok(vec![layers::layer(self, &item, inputs)?])
    }
}

/// What layers are called where names are made of classes: `conv2d`, `conv2d_1`.
fn numbers(layers: &[Layer<'_>]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut number = |layer: &Layer<'_>| {
        let class = snake_case(layer.class);
        let count = counts.entry(class.clone()).or_default();
        *count += 1;
        if *count == 1 { class } else { format!("{class}_{}", *count - 1) }
    };
    // Operations are no layers, and are not counted.
    layers.iter().map(|layer| if layer.is_operation { String::new() } else { number(layer) }).collect()
}

/// One of the values that a call of a layer gave.
fn output(values: &HashMap<Call, Vec<Flow>>, call: Call, reference: &Reference<'_>) -> Result<Flow, Error> {
    let value = values.get(&call).and_then(|outputs| outputs.get(reference.tensor)).copied();
    value.ok_or_else(|| {
        Error::Malformed(format!(
            "the layer `{}` does not give the value that is read of it",
            reference.layer
        ))
    })
}
