//! Removes values that no output depends on.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological().into_iter().rev() {
        let needed = graph.is_output(value) || matches!(graph.node(value).op, Op::Input(_));
        if !needed && graph.users(value).is_empty() {
            graph.remove(value);
        }
    }
    Ok(())
}
