//! Adds nodes to a graph, with names and shapes, and the tensors that they use.

use std::collections::HashSet;
use std::fmt::Display;

use resnet_dsl::diag::Span;
use resnet_dsl::ir::{Graph, Node, Op, Value};
use resnet_dsl::ops::{Dims, Sides};
use resnet_plan::Text;

use crate::budget::Budget;
use crate::checkpoint::{Element, Tensor};
use crate::error::Error;
use crate::keras::config::Layer;
use crate::names::Names;

/// A value of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// The value.
    pub(super) value: Value,
    /// Its shape.
    pub(super) dims: Dims,
    /// Whether Keras sees only channels, no height and width.
    pub(super) flat: bool,
}

/// What is made of a model.
pub(super) struct Builder {
    /// Nodes so far.
    pub(super) graph: Graph,
    /// Tensors so far.
    pub(super) tensors: Vec<Tensor>,
    nodes: Names,
    held: HashSet<String>,
    budget: Budget,
}

impl Builder {
    /// A graph without nodes. Tensors that the file does not hold are taken from the budget.
    pub(super) fn new(name: &str, budget: Budget) -> Self {
        Builder {
            graph: Graph::new(name),
            tensors: Vec::new(),
            nodes: Names::default(),
            held: HashSet::new(),
            budget,
        }
    }

    /// Adds an operator of a layer under a name, or this with a number.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub(super) fn add(
        &mut self,
        layer: &Layer<'_>,
        name: &str,
        op: Op,
        inputs: &[Flow],
    ) -> Result<Flow, Error> {
        let dims: Vec<Dims> = inputs.iter().map(|input| input.dims).collect();
        let dims = op.clone().infer(&dims).map_err(|error| {
            let help = error.help.map(|help| format!(": {help}")).unwrap_or_default();
            layer.unsupported(format!("cannot be computed: {}{help}", error.message))
        })?;
        if dims.contains(&0) {
            return Err(layer.unsupported("gives an empty image: use a larger input"));
        }
        let flat = inputs.first().is_some_and(|input| input.flat);
        let name = self.nodes.give(name);
        let block = if inputs.is_empty() { "" } else { "stem" };
        let (ty, halo, span) = (None, Sides::default(), Span::default());
        let node = Node { name, op, ty, halo, block: block.to_owned(), span, used: None };
        let operands: Vec<Value> = inputs.iter().map(|input| input.value).collect();
        Ok(Flow { value: self.graph.add(node, &operands), dims, flat })
    }

    /// A tensor of a layer under this name, seen in these sizes. A layer that is used several times gives its tensors once.
    ///
    /// # Errors
    /// If it has another number of elements.
    pub(super) fn tensor(
        &mut self,
        layer: &Layer<'_>,
        name: impl Display,
        tensor: &Tensor,
        dims: &[usize],
    ) -> Result<Text, Error> {
        let name = name.to_string();
        if Tensor::len(&tensor.dims) != Tensor::len(dims) {
            let Tensor { name: place, dims: found, .. } = tensor;
            return Err(Error::Malformed(format!(
                "the weights `{place}` of the layer `{}` are {found:?}, its configuration needs {dims:?}",
                layer.name
            )));
        }
        if self.held.insert(name.clone()) {
            self.tensors.push(Tensor { name: name.clone(), dims: dims.to_vec(), ..tensor.clone() });
        }
        Ok(name.into())
    }

    /// One number for each channel: as many, or one for all.
    ///
    /// # Errors
    /// If they would take too much memory. The inner `None`: there are others.
    pub(super) fn spread(&mut self, numbers: Vec<f64>, channels: usize) -> Result<Option<Vec<f64>>, Error> {
        let [one] = numbers[..] else { return Ok((numbers.len() == channels).then_some(numbers)) };
        self.room(channels)?;
        Ok(Some(vec![one; channels]))
    }

    /// Takes memory for elements that the file does not hold, before there are any.
    ///
    /// # Errors
    /// If less is left.
    pub(super) fn room(&mut self, elements: usize) -> Result<(), Error> {
        let what = || format!("tensors of {elements} elements that the layers' configuration says");
        self.take(elements.saturating_mul(size_of::<f64>()), what)
    }

    /// Takes memory for what is made of the model.
    ///
    /// # Errors
    /// If less is left.
    pub(super) fn take(&mut self, bytes: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.budget.take(bytes, what)
    }

    /// A tensor that the file does not hold, since the layer's configuration says its elements.
    ///
    /// # Errors
    /// If it would take too much memory.
    pub(super) fn made(&mut self, name: impl Display, elements: &[f64]) -> Result<Text, Error> {
        let name = name.to_string();
        if self.held.insert(name.clone()) {
            self.room(elements.len())?;
            let numbers = elements.iter().copied();
            self.tensors.push(Tensor::new(&name, vec![elements.len()], Element::F64, numbers));
        }
        Ok(name.into())
    }
}
