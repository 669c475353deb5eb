//! The order of the steps: depth first from each output, operands in order, each value after what it needs.
//!
//! A sum's first operand is its main branch and its second the shortcut, so a shortcut's projection runs after the
//! branch but for the convolution that adds to it. That is the cheap order: the projection's output, the largest
//! tensor of the block, is not alive while the branch is computed.

use std::collections::HashSet;

use crate::ir::graph::{Graph, Value};

/// The values that the outputs need, in the order in which they are computed.
pub(super) fn schedule(graph: &Graph) -> Vec<Value> {
    enum Visit {
        Enter(Value),
        Leave(Value),
    }
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    let mut stack: Vec<Visit> =
        graph.outputs().iter().rev().map(|output| Visit::Enter(output.value)).collect();
    while let Some(visit) = stack.pop() {
        match visit {
            Visit::Leave(value) => order.push(value),
            Visit::Enter(value) if seen.insert(value) => {
                stack.push(Visit::Leave(value));
                stack.extend(graph.operands(value).into_iter().rev().map(Visit::Enter));
            }
            Visit::Enter(_) => {}
        }
    }
    order
}
