//! Folds a batch norm into the convolution before it: `norm(conv(x, w, b))` becomes `conv(x, fold(w), fold(b))`.
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
        let Op::Conv2d(conv) = &graph.node(source).op else { continue };
        if !conv.activation.is_none() || graph.only_user(source) != Some(value) {
            continue;
        }
        let (KernelParam::Load(kernel), None | Some(BiasParam::Load(_))) = (&conv.weights, &conv.bias) else {
            continue;
        };
        let mut folded = conv.clone();
        folded.weights = KernelParam::Folded(kernel.clone(), norm.clone());
        folded.bias = Some(BiasParam::Folded(conv.bias.as_ref().and_then(BiasParam::tensor).cloned(), norm));
        folded.activation = activation;
        graph.replace(value, Op::Conv2d(folded), source);
    }
    Ok(())
}
