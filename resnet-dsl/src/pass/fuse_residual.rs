//! `add(conv(x), shortcut)` becomes `conv(x, shortcut)`: the sums start where the shortcut ends, and no tensor is
//! written only to be read again by an add.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::{Graph, Value};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::Add { activation } = graph.node(value).op.clone() else { continue };
        if !activation.is_none() {
            continue;
        }
        let operands = graph.operands(value);
        let (main, shortcut) = (operands[0], operands[1]);
        // The main branch is the first operand; its last convolution runs after the shortcut.
        let Some((branch, other)) = [(main, shortcut), (shortcut, main)]
            .into_iter()
            .find(|(branch, _)| can_add(graph, *branch, value))
        else {
            continue;
        };
        let op = graph.node(branch).op.clone();
        graph.replace(value, op, branch);
        let operands = graph.operands(value).into_iter().chain([other]);
        graph.set_operands(value, &operands.collect::<Vec<_>>());
    }
    Ok(())
}

fn can_add(graph: &Graph, branch: Value, add: Value) -> bool {
    let Op::Conv2d(conv) = &graph.node(branch).op else { return false };
    conv.activation.is_none()
        && conv.gate_and_residual(&graph.operands(branch))[1].is_none()
        && graph.only_user(branch) == Some(add)
}
