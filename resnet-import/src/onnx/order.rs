//! The order of nodes, and how messages call them.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Error;
use crate::onnx::malformed;
use crate::onnx::proto::{Graph, Node};

/// The nodes that an output needs, each after those whose values it reads.
pub(super) fn sorted(file: &Graph) -> Result<Vec<&Node>, Error> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in file.nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, index).is_some() {
                return Err(at(node, malformed(format!("gives `{name}`, which another node gives too"))));
            }
        }
    }
    let operands = |node: &Node| -> usize {
        node.inputs.iter().filter(|name| makers.contains_key(name.as_str())).count()
    };
    let mut waiting: Vec<usize> = file.nodes.iter().map(operands).collect();
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in file.nodes.iter().enumerate() {
        for maker in node.inputs.iter().filter_map(|name| makers.get(name.as_str())) {
            readers.entry(*maker).or_default().push(index);
        }
    }
    // The first of the nodes that are ready comes first, as it does in the file.
    let ready = waiting.iter().enumerate().filter(|(_, waiting)| **waiting == 0);
    let mut ready: BTreeSet<usize> = ready.map(|(index, _)| index).collect();
    let mut order = Vec::with_capacity(file.nodes.len());
    while let Some(index) = ready.pop_first() {
        order.extend(file.nodes.get(index));
        for reader in readers.get(&index).into_iter().flatten() {
            if let Some(waiting) = waiting.get_mut(*reader) {
                *waiting -= 1;
                if *waiting == 0 {
                    ready.insert(*reader);
                }
            }
        }
    }
    match file.nodes.iter().zip(&waiting).find(|(_, waiting)| **waiting > 0) {
        Some((node, _)) => Err(at(node, malformed("waits for its own result: the graph has a cycle"))),
        None => Ok(needed(file, order)),
    }
}

/// Without the nodes whose values no output needs: they may be of any kind.
fn needed<'a>(file: &Graph, order: Vec<&'a Node>) -> Vec<&'a Node> {
    let mut read: HashSet<&str> = file.outputs.iter().map(|output| output.name.as_str()).collect();
    let mut needed: Vec<&Node> = Vec::with_capacity(order.len());
    for node in order.into_iter().rev() {
        if node.outputs.iter().any(|name| !name.is_empty() && read.contains(name.as_str())) {
            read.extend(node.inputs.iter().map(String::as_str));
            needed.push(node);
        }
    }
    needed.reverse();
    needed
}

/// The error with its node in front: "`Resize` (node 84, `/up/Resize`) ..".
pub(super) fn at(node: &Node, error: Error) -> Error {
    let name = [&node.name].into_iter().chain(&node.outputs).find(|name| !name.is_empty());
    let place = match name {
        Some(name) => format!("`{}` (node {}, `{name}`)", node.op, node.index),
        None => format!("`{}` (node {})", node.op, node.index),
    };
    match error {
        Error::Malformed(message) => Error::Malformed(format!("{place} {message}")),
        Error::Unsupported(message) => Error::Unsupported(format!("{place} {message}")),
        other => other,
    }
}
