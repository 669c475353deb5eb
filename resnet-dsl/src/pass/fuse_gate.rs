//! A gate (squeeze and excitation) costs no pass over the image: `multiply(conv(x), gate)` becomes `conv(x, gate)`, which multiplies sums
//! before they are written, and so can add a shortcut, too.
//!
//! That asks for the gate before the convolution is computed. What it is made of, the mean of the image, is computed of the mean of what
//! the convolution reads, if that has no more channels: a 1x1 convolution of a mean is the mean of the convolution.
//!
//! ```text
//! y = conv(x)                            m = average_pool(x)
//! g = f(average_pool(y))      becomes    g = f(conv(m))
//! z = multiply(y, g)                     z = conv(x, g)
//! a = add(z, s)                          a = conv(x, g, s)
//! ```
//! In f32 only: narrower elements would be rounded in between. The weights are read twice, so that it does not pay for few pixels. It runs
//! after the passes that a calibration table's fingerprint is made by, so that tables do not depend on it.

use crate::diag::Diagnostics;
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::{Op, Type};
use crate::ops::{AveragePool, Conv2d, Padding, Sides};
use crate::pass::fuse_residual;

/// The most input channels for each pixel. With more, to read the weights a second time takes longer than the three passes over the image
/// that it saves.
const CHANNELS: usize = 2;

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::Multiply { activation } = graph.node(value).op.clone() else { continue };
        let [image, gate] = graph.operands(value)[..] else { continue };
        let Some((conv, mean)) = gated(graph, image, value) else { continue };
        let x = graph.operands(image)[0];
        let (Some(x_type), Some(gate_type)) = (graph.node(x).ty, graph.node(gate).ty) else { continue };
        // Slopes are a part of the layer's weights, which the mean's convolution could then not share.
        if gate_type.dims[1..3] != [1, 1] || activation.slope.is_some() {
            continue;
        }
        let [batch, .., channels] = x_type.dims;
        let node = graph.node(mean).clone();
        let mut name = format!("{}.mean-of-input", node.name);
        while graph.topological().iter().any(|value| graph.node(*value).name == name) {
            name.push('-');
        }
        let before = Node { name, ty: Some(Type::f32([batch, 1, 1, channels])), ..node };
        let before = graph.add(before, &[x]);
        graph.node_mut(mean).op = Op::Conv2d(conv.clone());
        graph.set_operands(mean, &[before]);
        graph.node_mut(value).op = Op::Conv2d(Conv2d { gated: true, activation, ..conv });
        graph.set_operands(value, &[x, gate]);
        graph.remove(image);
        // What is added is overwritten, so it cannot be what the convolution reads.
        let adds = |sum: &Value| {
            let has_slopes =
                matches!(&graph.node(*sum).op, Op::Add { activation } if activation.slope.is_some());
            !has_slopes && !graph.operands(*sum).contains(&x)
        };
        if let Some(sum) = graph.only_user(value).filter(adds) {
            fuse_residual::fuse(graph, sum);
        }
    }
    Ok(())
}

/// The 1x1 convolution that computes an image, and the mean of that: all that reads it beside `product`.
fn gated(graph: &Graph, image: Value, product: Value) -> Option<(Conv2d, Value)> {
    let Op::Conv2d(conv) = &graph.node(image).op else { return None };
    let alone = graph.operands(image).len() == 1 && !graph.is_output(image);
    let pointwise = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.groups == 1;
    let whole = conv.padding == Padding::Sides(Sides::default()) && conv.activation.is_none();
    let gates = conv.algorithms.is_none_or(|algorithms| algorithms.gate());
    if !alone || !pointwise || !whole || !gates {
        return None;
    }
    let mean = match graph.users(image)[..] {
        [a, b] if a == product => b,
        [a, b] if b == product => a,
        _ => return None,
    };
    let Op::AveragePool(AveragePool { pool: Some(pool), .. }) = &graph.node(mean).op else { return None };
    let [_, height, width, _] = graph.node(image).ty?.dims;
    let channels = graph.node(graph.operands(image)[0]).ty?.dims[3];
    let mean_is_whole = pool.window == [height, width] && pool.padding == Padding::Sides(Sides::default());
    let pays = channels <= conv.filters && channels <= CHANNELS * height * width;
    (mean_is_whole && pays).then(|| (conv.clone(), mean))
}
