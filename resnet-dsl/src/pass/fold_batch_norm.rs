//! Folds a batch norm into the convolution before it: `norm(conv(x, w, b))` becomes `conv(x, fold(w), fold(b))`.
//!
//! Only the expressions change; `fold` is computed once, in double precision, when weights are loaded.

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::Op;
use crate::ir::graph::Graph;
use crate::ir::param::{BiasParam, KernelParam};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    for value in graph.topological() {
        let node = graph.node(value);
        let Op::BatchNorm(batch_norm) = &node.op else { continue };
        let norm = batch_norm.clone();
        let source = graph.operands(value)[0];
        let folded = match &graph.node(source).op {
            Op::Conv2d(conv) if !conv.relu && graph.only_user(source) == Some(value) => {
                match (&conv.weights, &conv.bias) {
                    (KernelParam::Load(kernel), None) => Some((conv, kernel, None)),
                    (KernelParam::Load(kernel), Some(BiasParam::Load(bias))) => {
                        Some((conv, kernel, Some(bias.clone())))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let Some((conv, kernel, bias)) = folded else {
            errors.push(
                Diagnostic::new(format!("the batch norm `{}` cannot be folded", node.name), node.span)
                    .help("a batch norm stands directly behind a convolution that nothing else reads"),
            );
            continue;
        };
        let mut conv = conv.clone();
        conv.weights = KernelParam::Folded(kernel.clone(), norm.clone());
        conv.bias = Some(BiasParam::Folded(bias, norm));
        graph.replace(value, Op::Conv2d(conv), source);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
