//! `add(conv(x), shortcut)` becomes `conv(x, shortcut)`: the sums start where the shortcut ends, and no tensor is
//! written only to be read again by an add.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::{Graph, Value};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        fuse(graph, value);
    }
    Ok(())
}

/// Lets a convolution do the sum `add`, and what is done with that, if it is one.
pub(super) fn fuse(graph: &mut Graph, add: Value) {
    let Op::Add { activation } = graph.node(add).op.clone() else { return };
    let operands = graph.operands(add);
    let (main, shortcut) = (operands[0], operands[1]);
    // The main branch is the first operand; its last convolution runs after the shortcut.
    let branches = [(main, shortcut), (shortcut, main)];
    let Some((branch, other)) = branches.into_iter().find(|(branch, _)| can_add(graph, *branch, add)) else {
        return;
    };
    let Op::Conv2d(mut conv) = graph.node(branch).op.clone() else { return };
    conv.activation = activation;
    graph.replace(add, Op::Conv2d(conv), branch);
    let operands = graph.operands(add).into_iter().chain([other]);
    graph.set_operands(add, &operands.collect::<Vec<_>>());
}

fn can_add(graph: &Graph, branch: Value, add: Value) -> bool {
    let Op::Conv2d(conv) = &graph.node(branch).op else { return false };
    conv.activation.is_none()
        && conv.gate_and_residual(&graph.operands(branch))[1].is_none()
        && graph.only_user(branch) == Some(add)
}
