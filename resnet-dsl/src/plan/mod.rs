//! The plan: a network as a list of steps over buffers of known places. Code is generated from the plan alone.
//!
//! `Graph -> schedule -> lower -> sections -> memory -> check`, one file each.

pub mod choices;
mod lower;
mod memory;
pub mod predict;
mod schedule;
mod sections;
pub(crate) mod step;

use resnet_plan::{Action, LayerWeights, ListWeights, Plan, Precision, Section, Step, check};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::Graph;

/// The most bytes of activations that a pass works on, if it takes more than one image: a part of an L3 cache.
pub const LARGEST_ACTIVATIONS: usize = 8 << 20;

/// The most bytes of an image that may lie between two sections. All images of a batch are written there and read again, from
/// memory if they are many: a hundredth of what computing an image takes, and less than larger passes save.
pub const LARGEST_BOUNDARY: usize = 1 << 20;

/// Plans a network for a batch. `graph` gives the network for so many images, after all passes of the compiler.
///
/// # Errors
/// What `graph` fails with; an operator that has no kernel on its own; or a fault of the planner, found by the checker.
pub fn plan(batch: usize, graph: impl Fn(usize) -> Result<Graph, Diagnostics>) -> Result<Plan, Diagnostics> {
    let one = draft(&graph(1)?)?;
    let sections = sections::choose(&one, batch);
    let draft = |section: &Section| match batch / section.passes {
        1 => Ok(one.clone()),
        images => draft(&graph(images)?),
    };
    let drafts = sections.iter().map(draft).collect::<Result<Vec<Plan>, _>>()?;
    let mut plan = sections::join(sections, &drafts, one, batch)?;
    let precision = plan.description.precision;
    let scratch_bytes = plan.steps.iter().map(|step| scratch_bytes(step, precision)).max().unwrap_or(0);
    plan.description.scratch_bytes = scratch_bytes;
    plan.description.peak_bytes = memory::place(&mut plan.buffers);
    let (layers, lists) = (&plan.description.layers, &plan.description.lists);
    let sum = |of_layer: fn(&LayerWeights) -> usize, of_list: fn(&ListWeights) -> usize| -> usize {
        layers.iter().map(of_layer).chain(lists.iter().map(of_list)).sum()
    };
    let (parameters, weight_bytes) = (
        sum(LayerWeights::parameters, ListWeights::parameters),
        sum(LayerWeights::bytes, ListWeights::bytes),
    );
    (plan.description.parameters, plan.description.weight_bytes) = (parameters, weight_bytes);
    let mut errors = Diagnostics::default();
    for fault in check(&plan) {
        errors.push(Diagnostic::new(format!("the plan is wrong: {fault}"), Span::default()));
    }
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

/// The plan of a graph for all of its images at once, without places.
fn draft(graph: &Graph) -> Result<Plan, Diagnostics> {
    let mut errors = Diagnostics::default();
    let order = schedule::schedule(graph);
    for value in order.iter().map(|value| graph.node(*value)).filter(|node| node.ty.is_none()) {
        errors.push(Diagnostic::new(format!("`{}` has no type: infer shapes first", value.name), value.span));
    }
    if errors.is_empty() { lower::lower(graph, &order) } else { Err(errors) }
}

/// Memory that each thread works in.
fn scratch_bytes(step: &Step, precision: Precision) -> usize {
    match (step.action, &step.read) {
        (Action::Conv { conv, .. }, Some(read)) => {
            size_of::<f32>() * conv.scratch_len(precision, [read.dims[3], step.write.dims[3]])
        }
        _ => 0,
    }
}
