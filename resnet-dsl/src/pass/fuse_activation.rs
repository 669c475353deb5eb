//! An activation becomes the end of the operator before it: `silu(conv(..))` is one convolution.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::Activation(activation) = graph.node(value).op.clone() else { continue };
        let source = graph.operands(value)[0];
        if graph.only_user(source) != Some(value) {
            continue;
        }
        let mut op = graph.node(source).op.clone();
        if let Some(end) = op.activation_mut().filter(|end| end.is_none()) {
            *end = activation;
            graph.replace(value, op, source);
        }
    }
    Ok(())
}
