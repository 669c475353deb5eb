//! Chooses how each convolution is computed: whatever costs least on each class of instruction sets, unless the spec has chosen.

use resnet_plan::{Algorithm, Algorithms, Class, Precision};

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ops::cost::Layer;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let input = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(x), Some(y)) = (input, graph.node(value).ty) else { continue };
        if let Op::Conv2d(conv) = &mut graph.node_mut(value).op
            && conv.algorithms.is_none()
        {
            let precision = x.element.precision();
            let layer = Layer { conv, precision, x: x.dims, y: y.dims };
            let candidates = layer.candidates();
            let best = |class: Class| {
                let cost = |algorithm: &Algorithm| layer.cost(*algorithm, class);
                candidates.iter().copied().min_by_key(cost).unwrap_or(Algorithm::Direct)
            };
            // Tiles compute direct sums only.
            conv.algorithms = Some(match precision {
                Precision::F32 => Algorithms::all(best(Class::Wide)),
                _ => {
                    Algorithms { wide: best(Class::Wide), dots: best(Class::Dots), tiles: Algorithm::Direct }
                }
            });
        }
    }
    Ok(())
}
