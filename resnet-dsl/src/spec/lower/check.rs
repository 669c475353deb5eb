//! Names must be different, those of values and those of tensors.

use std::collections::{HashMap, HashSet};

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::{Graph, Node, Op, Value};
use crate::spec::names::Name;

/// Values and tensors have names of their own.
pub(super) fn names(graph: &Graph, errors: &mut Diagnostics) {
    values(graph, errors);
    tensors(graph, errors);
}

fn values(graph: &Graph, errors: &mut Diagnostics) {
    let mut seen: HashMap<&str, &Node> = HashMap::new();
    let mut told = HashSet::new();
    for node in graph.topological().into_iter().map(|value| graph.node(value)) {
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
}

/// A weight file has one tensor of a name, so two layers would share it.
fn tensors(graph: &Graph, errors: &mut Diagnostics) {
    let mut seen: HashMap<String, (Value, Name)> = HashMap::new();
    let mut told = HashSet::new();
    for value in graph.topological() {
        let node = graph.node(value);
        for (pattern, tensor) in node.op.clone().tensors_mut() {
            let (first, first_pattern) = *seen.entry(tensor.to_string()).or_insert((value, pattern));
            let (other, [key, first_key]) = (graph.node(first), [pattern.key(), first_pattern.key()]);
            let itself = (first, first_pattern) == (value, pattern);
            // Layers of one name are another mistake, and that of a pattern is one, whatever layers it names.
            if itself || first != value && other.name == node.name || !told.insert([key, first_key]) {
                continue;
            }
            let (name, first_name) = (&node.name, &other.name);
            let message = format!(
                "the {first_key} of `{first_name}` and the {key} of `{name}` are both called `{tensor}`"
            );
            let error = Diagnostic::new(message, node.span).help(match key == first_key {
                true => format!("the pattern `{key}` of `names` must hold `{{layer}}`"),
                false => {
                    format!("the patterns `{first_key}` and `{key}` of `names` must name different tensors")
                }
            });
            errors.push(if other.span == node.span { error } else { error.also(other.span, "first here") });
        }
    }
}
