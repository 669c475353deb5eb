//! Folds a batch norm into the convolution or dense layer before it: `norm(conv(x, w, b))` becomes `conv(x, fold(w), fold(b))`.
//!
//! A batch norm behind anything else stays, and is computed by itself.
//!
//! Only the expressions change; `fold` is computed once, in double precision, when weights are loaded.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ir::param::{BiasParam, KernelParam};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let Op::BatchNorm { norm, activation } = graph.node(value).op.clone() else { continue };
        let source = graph.operands(value)[0];
        if graph.only_user(source) != Some(value) {
            continue;
        }
        let mut op = graph.node(source).op.clone();
        let (weights, bias, end) = match &mut op {
            Op::Conv2d(conv) => (&mut conv.weights, &mut conv.bias, &mut conv.activation),
            Op::Dense(dense) => (&mut dense.weights, &mut dense.bias, &mut dense.activation),
            _ => continue,
        };
        let (KernelParam::Load(kernel), None | Some(BiasParam::Load(_)), true) =
            (&*weights, &*bias, end.is_none())
        else {
            continue;
        };
        let tensor = bias.as_ref().and_then(BiasParam::tensor).cloned();
        (*weights, *bias, *end) = (
            KernelParam::Folded(kernel.clone(), norm.clone()),
            Some(BiasParam::Folded(tensor, norm)),
            activation,
        );
        graph.replace(value, op, source);
    }
    Ok(())
}
