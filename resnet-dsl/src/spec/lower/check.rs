//! What names must be: different, and such that the text form of a graph can hold them.

use std::collections::{HashMap, HashSet};

use resnet_plan::BatchNorm;
use resnet_plan::text::is_name;

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Graph, Node, Op};
use crate::ops;

/// Values have names of their own, and all names can be written in the text form.
pub(super) fn names(graph: &Graph, errors: &mut Diagnostics) {
    let mut seen: HashMap<&str, &Node> = HashMap::new();
    let mut told = HashSet::new();
    let nodes = || graph.topological().into_iter().map(|value| graph.node(value));
    for node in nodes() {
        let Some(first) = seen.insert(&node.name, node) else { continue };
        // Blocks of one name have layers of one name: that is one mistake.
        if !told.insert((first.span.start, node.span.start)) {
            continue;
        }
        let message = format!("the name `{}` is used twice", node.name);
        let diagnostic = Diagnostic::new(message, node.span).help("give one of the two another `name`");
        errors.push(match first.op {
            Op::Input(_) => diagnostic,
            _ if first.span == node.span && node.used.is_some() => {
                diagnostic.help("names in a definition hold `{stage}` and `{block}`")
            }
            _ => diagnostic.also(first.span, "first here"),
        });
    }
    for node in nodes() {
        for name in std::iter::once(node.name.as_str()).chain(tensors(&node.op)) {
            if !is_name(name) {
                errors.push(
                    Diagnostic::new(format!("`{name}` cannot be a name"), node.span)
                        .help("names are made of letters, digits and _ . / -"),
                );
            }
        }
    }
}

/// The tensor names of an operator, before anything is folded into it.
fn tensors(op: &Op) -> Vec<&str> {
    match op {
        Op::Conv2d(ops::Conv2d { weights, bias, .. }) | Op::Dense(ops::Dense { weights, bias, .. }) => {
            let bias = bias.as_ref().and_then(|bias| bias.tensor.as_deref());
            std::iter::once(&*weights.tensor.name).chain(bias).collect()
        }
        Op::BatchNorm { norm: BatchNorm { gamma, beta, mean, variance, .. }, .. } => {
            vec![gamma, beta, mean, variance]
        }
        Op::GroupNorm(norm) => norm.affine.iter().flatten().map(|name| &**name).collect(),
        Op::GemPool(ops::GemPool { exponent: ops::Exponent::Load(name), .. }) => vec![name],
        Op::ChannelConv(conv) => vec![&conv.weights],
        Op::Activation(ops::Activation { slope: Some(slope), .. }) => vec![&slope.name],
        _ => Vec::new(),
    }
}
