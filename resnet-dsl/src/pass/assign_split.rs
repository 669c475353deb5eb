//! Chooses what the threads of a convolution share out: whichever of weights and input is larger is read only once.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ops::{Algorithm, Split};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Some(input) = graph.operands(value).first().and_then(|x| graph.node(*x).ty) else { continue };
        if let Op::Conv2d(conv) = &mut graph.node_mut(value).op {
            let weights = conv.algorithm.unwrap_or(Algorithm::Direct).weights(conv, input.dims);
            conv.split = Some(if weights > input.len() { Split::Channels } else { Split::Pixels });
        }
    }
    Ok(())
}
