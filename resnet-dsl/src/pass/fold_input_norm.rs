//! Folds a batch norm into the convolution behind it: `conv(norm(x), w, b)` becomes `conv(x, fold(norm, w), fold(norm, b))`.
//!
//! What is padded is zero behind the norm, and not before it: a convolution with padding cannot take the norm, which stays,
//! and is computed by itself. Dense layers are convolutions by now.
//!
//! Only the expressions change; `fold` is computed once, in double precision, when weights are loaded.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ir::param::Param;
use crate::ops::{Padding, Sides};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::BatchNorm { norm, activation } = graph.node(value).op.clone() else { continue };
        let Some(user) = graph.only_user(value) else { continue };
        let Op::Conv2d(mut conv) = graph.node(user).op.clone() else { continue };
        let pads = conv.padding != Padding::Sides(Sides::default());
        let folds = activation.is_none() && !pads && graph.operands(user) == [value];
        if !folds || conv.weights.input_norm.is_some() {
            continue;
        }
        let (weights, bias) = (conv.weights, conv.bias.unwrap_or(Param::load(None)));
        conv.weights = Param { input_norm: Some(norm.clone()), ..weights };
        conv.bias = Some(Param { input_norm: Some(norm), ..bias });
        graph.replace(user, Op::Conv2d(conv), value);
    }
    Ok(())
}
