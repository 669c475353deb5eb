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

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::Op;
use crate::ir::graph::{Graph, Value};
use crate::ops::{Conv2d, Dims, LARGEST, Padding, Sides};

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
                    if let [_, Some(residual)] = conv.gate_and_residual(&operands) {
                        changed |= equal(graph, residual, *value);
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
            break;
        }
    }
    let errors = too_large(graph, &values);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Buffers that are larger than any value may be, by the padding of those that read them.
fn too_large(graph: &Graph, values: &[Value]) -> Diagnostics {
    let mut errors = Diagnostics::default();
    for value in values {
        let node = graph.node(*value);
        let Some([batch, height, width, channels]) = node.ty.map(|ty| ty.dims) else { continue };
        let Sides { top, bottom, left, right } = node.halo;
        let sizes = [batch, height + top + bottom, width + left + right, channels];
        let elements = sizes.iter().fold(1usize, |product, size| product.saturating_mul(*size));
        if elements <= LARGEST {
            continue;
        }
        let pads = |user: &&Value| matches!(graph.node(**user).op, Op::Conv2d(_) | Op::ZeroPad(_));
        let users = graph.users(*value);
        let reader = users.iter().find(pads).map_or(node, |user| graph.node(*user));
        if errors.mentions(reader.span) {
            continue;
        }
        let [_, height, width, _] = sizes;
        let message = format!("`{}` is too large with its padding: {height}x{width} pixels", node.name);
        let error = Diagnostic::new(message, reader.span).label(format!(
            "no value may have more than 2^28 elements, its padding among them: here are {elements}"
        ));
        errors.push(match reader.used {
            Some(used) => error.also(used, "used here"),
            None => error,
        });
    }
    errors
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
