//! Chooses how each convolution is computed: whatever costs least on each class of instruction sets, unless the spec has chosen.
//!
//! Convolutions of f32 that have the same weights have the same algorithm, since weights are packed for it: the one that is best for the
//! largest output.

use std::cmp::Reverse;
use std::collections::HashMap;

use resnet_plan::{Algorithm, Algorithms, Class, Precision};

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ops::cost::Layer;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let mut values = graph.topological();
    values.sort_by_key(|value| {
        Reverse(graph.node(*value).ty.map_or(0, |ty| ty.dims[..3].iter().product::<usize>()))
    });
    let mut of_weights: HashMap<String, Algorithms> = HashMap::new();
    for value in values {
        let input = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(x), Some(y)) = (input, graph.node(value).ty) else { continue };
        let Op::Conv2d(conv) = &mut graph.node_mut(value).op else { continue };
        let precision = x.element.precision();
        let weights = conv.weights.to_string();
        let computes = |algorithms: &Algorithms| {
            algorithms.each().into_iter().all(|algorithm| conv.allows(algorithm, x.dims[3]))
                && algorithms.compute(
                    precision,
                    conv.kernel,
                    conv.stride,
                    conv.channels(x.dims[3], precision),
                )
        };
        let known = of_weights.get(&weights).copied().filter(computes);
        let chosen = conv.algorithms.or(known).unwrap_or_else(|| {
            let layer = Layer { conv, precision, x: x.dims, y: y.dims };
            let candidates = layer.candidates();
            let best = |class: Class| {
                let cost = |algorithm: &Algorithm| layer.cost(*algorithm, class);
                candidates.iter().copied().min_by_key(cost).unwrap_or(Algorithm::Direct)
            };
            // Tiles compute direct sums only.
            match precision {
                Precision::F32 => Algorithms::all(best(Class::Wide)),
                _ => {
                    Algorithms { wide: best(Class::Wide), dots: best(Class::Dots), tiles: Algorithm::Direct }
                }
            }
        });
        conv.algorithms = Some(chosen);
        if precision == Precision::F32 {
            of_weights.entry(weights).or_insert(chosen);
        }
    }
    Ok(())
}
