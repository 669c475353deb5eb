//! `relu(conv(..))` and `relu(add(..))` become one operator each.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        if graph.node(value).op != Op::Relu {
            continue;
        }
        let source = graph.operands(value)[0];
        if graph.only_user(source) != Some(value) {
            continue;
        }
        let mut op = graph.node(source).op.clone();
        match &mut op {
            Op::Conv2d(conv) => conv.relu = true,
            Op::Add { relu } => *relu = true,
            _ => continue,
        }
        graph.replace(value, op, source);
    }
    Ok(())
}
