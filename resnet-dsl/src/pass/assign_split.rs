//! Chooses what the threads of a convolution share out: its pixels, or, where weights far outnumber the input, its output
//! channels, so that each thread reads only its own part of them.

use resnet_plan::{Algorithm, Split};

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ops::cost::Layer;

/// By how much. Threads share an L3 cache, so that weights read by all of them cost little; a split by channels leaves
/// half of each pixel in another core's cache. (Measured: anything from 8 to 40 is within
/// 1 % of ResNet-50's time.)
const READ: usize = 10;
/// The same, for weights that each thread would transform for itself.
const MADE: usize = 4;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let input = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(x), Some(y)) = (input, graph.node(value).ty) else { continue };
        if let Op::Conv2d(conv) = &mut graph.node_mut(value).op {
            // One split for all classes: the algorithm for wide elements transforms most.
            let algorithm = conv.algorithms.map_or(Algorithm::Direct, |algorithms| algorithms.wide);
            let layer = Layer { conv, precision: x.element.precision(), x: x.dims, y: y.dims };
            // By pixels, each thread transforms all weights; by channels, the inputs of each block of channels that it has a part of: at
            // least one block's.
            let inputs = layer.made_inputs(algorithm) / layer.blocks();
            let made = layer.made_weights(algorithm) > MADE * inputs;
            let read = layer.weights(algorithm) > READ * x.len();
            conv.split = Some(if made || read { Split::Channels } else { Split::Pixels });
        }
    }
    Ok(())
}
