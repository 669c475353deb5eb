//! A dense layer is a convolution whose window is its whole input: `dense(flatten(x))` becomes `conv2d(x)`.
//!
//! No kernel of its own is needed, and the order in which a weight file flattens an image (channels last or first) is
//! the order of a convolution's kernel (`hwio` or `oihw`). Flattening again changes nothing, so the image is what is before
//! all flattens. Flattens that nothing reads any more are removed.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ops::{Conv2d, Padding, Sides};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::Dense(dense) = &graph.node(value).op else { continue };
        let dense = dense.clone();
        let flat = graph.operands(value)[0];
        let mut image = flat;
        while graph.node(image).op == Op::Flatten {
            image = graph.operands(image)[0];
        }
        let Some(ty) = graph.node(image).ty else { continue };
        let conv = Conv2d {
            filters: dense.units,
            kernel: [ty.dims[1], ty.dims[2]],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: Padding::Sides(Sides::default()),
            weights: dense.weights,
            bias: dense.bias,
            standardized: None,
            gated: false,
            activation: dense.activation,
            algorithms: None,
            split: None,
        };
        graph.node_mut(value).op = Op::Conv2d(conv);
        graph.set_operands(value, &[image]);
        let mut unread = flat;
        while unread != image && graph.users(unread).is_empty() && !graph.is_output(unread) {
            let before = graph.operands(unread)[0];
            graph.remove(unread);
            unread = before;
        }
    }
    Ok(())
}
