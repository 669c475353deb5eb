//! Gives every buffer a halo: the zeros that its users' padding asks for are there in memory, so that no kernel has
//! code for edges.
//!
//! ```text
//! repeat until nothing changes:
//!     convolution:       its input's halo covers the rows and columns that its windows touch outside
//!     residual and sum, gated image and product:  have one halo, since they are one buffer
//!     zero_pad:          its input's halo is its own and the padding, since the padded image is a larger view
//! ```
//! Halos only grow, and no further than the sum of all paddings, so this ends.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::{Graph, Value};
use crate::ops::{Conv2d, Dims, Padding, Sides};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let values = graph.topological();
    loop {
        let mut changed = false;
        for value in values.iter().rev() {
            let operands = graph.operands(*value);
            match graph.node(*value).op.clone() {
                Op::Conv2d(conv) => {
                    if let (Some(x), Some(y)) = (graph.node(operands[0]).ty, graph.node(*value).ty) {
                        changed |= grow(graph, operands[0], reach(&conv, x.dims, y.dims));
                    }
                    if let Some(residual) = operands.get(1) {
                        changed |= equal(graph, *residual, *value);
                    }
                }
                Op::Add { .. } => changed |= equal(graph, operands[1], *value),
                Op::Multiply { .. } => changed |= equal(graph, operands[0], *value),
                Op::ZeroPad(pad) => {
                    let halo = graph.node(*value).halo;
                    changed |= grow(graph, operands[0], zip(halo, pad, |halo, pad| halo + pad));
                    let outer = graph.node(operands[0]).halo;
                    changed |= grow(graph, *value, zip(outer, pad, |outer, pad| outer - pad));
                }
                _ => {}
            }
        }
        if !changed {
            return Ok(());
        }
    }
}

/// How far the windows of a convolution reach outside the image. Padding behind that no window touches is no part of it.
fn reach(conv: &Conv2d, x: Dims, y: Dims) -> Sides {
    let Padding::Sides(sides) = conv.padding else { return Sides::default() };
    let window = conv.window();
    let behind = |axis: usize, before: usize| {
        ((y[1 + axis] - 1) * conv.stride[axis] + window[axis]).saturating_sub(before + x[1 + axis])
    };
    Sides { bottom: behind(0, sides.top), right: behind(1, sides.left), ..sides }
}

fn grow(graph: &mut Graph, value: Value, need: Sides) -> bool {
    let halo = &mut graph.node_mut(value).halo;
    let grown = zip(*halo, need, usize::max);
    std::mem::replace(halo, grown) != grown
}

fn equal(graph: &mut Graph, a: Value, b: Value) -> bool {
    let halo = graph.node(b).halo;
    let changed = grow(graph, a, halo);
    let halo = graph.node(a).halo;
    grow(graph, b, halo) || changed
}

fn zip(a: Sides, b: Sides, f: impl Fn(usize, usize) -> usize) -> Sides {
    Sides {
        top: f(a.top, b.top),
        bottom: f(a.bottom, b.bottom),
        left: f(a.left, b.left),
        right: f(a.right, b.right),
    }
}
