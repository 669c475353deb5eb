//! What `resnet verify` compares with.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread::Builder;

use anyhow::{Context, bail};
use resnet::runtime::{Isa, Plan, Precision, Program};
use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::Graph;

use super::bounds;
use super::distance::{Distance, largest};
use super::{Arguments, ReferenceName};
use crate::inputs;
use crate::model::Model;
use crate::weights::WeightArguments;

/// What is compared with.
pub(crate) enum Reference {
    /// The network in f32.
    Executed(Box<Program>),
    /// The spec's graph, before all passes, in float64.
    Evaluated(Box<Graph>),
}

/// A value of the reference: the whole batch.
#[derive(Default)]
pub(crate) struct Value {
    pub(crate) elements: Vec<f64>,
    /// Elements of a pixel.
    pub(crate) channels: usize,
    /// The largest element, sign apart.
    pub(crate) largest: f64,
}

impl Reference {
    /// What is asked for.
    pub(crate) fn new(arguments: &Arguments, model: &Model, plan: &Plan) -> anyhow::Result<Self> {
        match (arguments.reference, plan.description.precision) {
            (ReferenceName::F64, _) => {
                let graph = model.with(|spec, read| spec.parse(read))?.graph;
                Ok(Reference::Evaluated(Box::new(graph)))
            }
            (ReferenceName::F32, Precision::F32) => {
                bail!("--reference f32 is for bf16 and int8: f32 itself is compared with float64")
            }
            (ReferenceName::F32, _) => {
                let plan = model.clone().precision(Precision::F32).compile_unfused()?.plan;
                let weights = arguments.weights.load(plan.description(), Isa::best())?;
                Ok(Reference::Executed(Box::new(Program::new(plan, weights, arguments.machine.threads()?)?)))
            }
        }
    }

    /// All values for an input, and the scores. If they are evaluated, how far the plan's are expected to be is added up.
    pub(crate) fn values(
        &mut self,
        input: &[f32],
        weights: &WeightArguments,
        plan: &Plan,
        expected: &mut HashMap<String, Distance>,
    ) -> anyhow::Result<(HashMap<String, Value>, Vec<f64>)> {
        let mut values: HashMap<String, Value> = HashMap::new();
        let scores = match self {
            Reference::Executed(program) => {
                let scores = inputs::observe(program, input, |name, elements, channels| {
                    let value = values.entry(name.to_owned()).or_default();
                    value.channels = channels;
                    value.elements.extend(wide(elements));
                })?;
                wide(&scores)
            }
            Reference::Evaluated(graph) => {
                let (graph, input) = (&**graph, wide(input));
                let disturb = || Ok(bounds::disturbed(graph, plan, &mut *weights.tensors()?, &input)?);
                let (exact, disturbed) = std::thread::scope(|scope| -> anyhow::Result<_> {
                    let disturbed = Builder::new().spawn_scoped(scope, disturb);
                    let disturbed = disturbed.context("no thread can be started")?;
                    let exact = evaluate(graph, &mut *weights.tensors()?, &input)?;
                    let disturbed: anyhow::Result<_> =
                        disturbed.join().unwrap_or_else(|panic| resume_unwind(panic));
                    Ok((exact, disturbed?))
                })?;
                for (name, array) in disturbed {
                    expected.entry(name.clone()).or_default().add_all(&exact[&name].data, &array.data);
                }
                let output = graph.output().map(|output| exact[&graph.node(output).name].data.clone());
                values.extend(exact.into_iter().map(|(name, array)| {
                    (name, Value { elements: array.data, channels: array.dims[3], largest: 0.0 })
                }));
                output.unwrap_or_default()
            }
        };
        values.values_mut().for_each(|value| value.largest = largest(&value.elements));
        Ok((values, scores))
    }
}

/// The same elements in f64.
pub(crate) fn wide(elements: &[f32]) -> Vec<f64> {
    elements.iter().copied().map(f64::from).collect()
}
