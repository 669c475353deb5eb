//! Chooses how each convolution is computed: whatever costs least on each class of instruction sets, unless the spec has chosen. Those that
//! have the same weights are computed alike, as the one of the most pixels is best, since f32 are packed for their algorithm.

use std::collections::HashMap;

use resnet_plan::{Algorithm, Algorithms, Class, Precision};

use crate::diag::Diagnostics;
use crate::ir::graph::{Graph, Value};
use crate::ir::{Op, Type};
use crate::ops::cost::Layer;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    choose(graph);
    share(graph);
    Ok(())
}

fn choose(graph: &mut Graph) {
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
}

/// Computes convolutions of the same weights alike.
fn share(graph: &mut Graph) {
    let mut largest: HashMap<String, (usize, Option<Algorithms>)> = HashMap::new();
    let convolution = |graph: &Graph, value: Value| match (&graph.node(value).op, graph.node(value).ty) {
        (Op::Conv2d(conv), Some(Type { dims: [n, h, w, _], .. })) => {
            Some((conv.weights.to_string(), n * h * w, conv.algorithms))
        }
        _ => None,
    };
    for value in graph.topological() {
        let Some((weights, pixels, algorithms)) = convolution(graph, value) else { continue };
        let known = largest.entry(weights).or_insert((pixels, algorithms));
        if pixels > known.0 {
            *known = (pixels, algorithms);
        }
    }
    for value in graph.topological() {
        let Some((weights, ..)) = convolution(graph, value) else { continue };
        let input = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(Type { dims: [.., inputs], element }), Op::Conv2d(conv)) = (input, &mut graph.node_mut(value).op)
        else {
            continue;
        };
        let Some((_, Some(algorithms))) = largest.get(&weights) else { continue };
        let precision = element.precision();
        let allowed = algorithms.each().into_iter().all(|algorithm| conv.allows(algorithm));
        if allowed && algorithms.compute(precision, conv.kernel, conv.stride, [inputs, conv.filters]) {
            conv.algorithms = Some(*algorithms);
        }
    }
}
