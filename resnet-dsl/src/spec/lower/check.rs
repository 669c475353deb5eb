//! What names must be: different, and such that the text form of a graph can hold them.

use std::collections::{HashMap, HashSet};

use resnet_plan::text::is_name;

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Graph, Node, Op};

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
        let mut op = node.op.clone();
        let tensors = op.tensors_mut().into_iter().map(|(_, name)| &**name);
        for name in std::iter::once(node.name.as_str()).chain(tensors) {
            if !is_name(name) {
                errors.push(
                    Diagnostic::new(format!("`{name}` cannot be a name"), node.span)
                        .help("names are made of letters, digits and _ . / -"),
                );
            }
        }
    }
}
