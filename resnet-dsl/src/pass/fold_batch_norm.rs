//! Folds a batch norm into the convolution or dense layer before it: `norm(conv(x, w, b))` becomes `conv(x, fold(w), fold(b))`.
//!
//! A batch norm behind anything else stays, until the convolution behind it may take it (`fold_input_norm.rs`).
//!
//! Only the expressions change; `fold` is computed once, in double precision, when weights are loaded.

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ir::param::Param;

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
        if weights.batch_norm.is_some() || !end.is_none() {
            continue;
        }
        weights.batch_norm = Some(norm.clone());
        bias.get_or_insert(Param::load(None)).batch_norm = Some(norm);
        *end = activation;
        graph.replace(value, op, source);
    }
    Ok(())
}
