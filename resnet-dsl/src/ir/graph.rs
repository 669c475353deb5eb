//! The graph of a network: the only file that knows petgraph.
//!
//! Nodes are values; an edge runs from an operand to its user and carries the operand's position, since petgraph
//! promises no order among neighbours.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

use crate::diag::Span;
use crate::ir::{Op, Type};
use crate::ops::Sides;
use crate::spec::metadata::Precision;

/// A network as a graph of operators.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The network's name.
    pub name: String,
    /// What its layers are to compute in.
    pub precision: Precision,
    nodes: StableDiGraph<Node, usize>,
    outputs: Vec<Output>,
}

/// What a network gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is called; `None`: as its value is.
    pub name: Option<String>,
    /// The value.
    pub value: Value,
}

/// A value: the result of one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(NodeIndex);

/// An operator and the value that it computes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value's name, by its place in the spec. It stays as long as the value computes the same thing.
    pub name: String,
    /// What computes it.
    pub op: Op,
    /// Its type, from shape inference on.
    pub ty: Option<Type>,
    /// Room that its buffer keeps around each image for the padding of its users, from layout assignment on.
    pub halo: Sides,
    /// The block of the spec that it belongs to.
    pub block: String,
    /// Where the spec asks for it.
    pub span: Span,
    /// Where the spec uses the definition that asks for it.
    pub used: Option<Span>,
}

impl Graph {
    /// A graph without nodes.
    pub fn new(name: impl Into<String>) -> Self {
        Graph {
            name: name.into(),
            precision: Precision::F32,
            nodes: StableDiGraph::new(),
            outputs: Vec::new(),
        }
    }

    /// Adds a node with its operands in order.
    pub fn add(&mut self, node: Node, operands: &[Value]) -> Value {
        let value = Value(self.nodes.add_node(node));
        self.set_operands(value, operands);
        value
    }

    /// The node of a value.
    pub fn node(&self, value: Value) -> &Node {
        &self.nodes[value.0]
    }

    /// The node of a value, to be changed.
    pub fn node_mut(&mut self, value: Value) -> &mut Node {
        &mut self.nodes[value.0]
    }

    /// Lets the network take this many images at once. Types are not changed, so there must be none yet.
    pub fn set_batch(&mut self, images: usize) {
        for node in self.nodes.node_weights_mut() {
            debug_assert!(node.ty.is_none(), "%{} has a type already", node.name);
            if let Op::Input([batch, ..]) = &mut node.op {
                *batch = images;
            }
        }
    }

    /// The network's outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The last of the network's outputs: the only one, unless the spec names several.
    pub fn output(&self) -> Option<Value> {
        self.outputs.last().map(|output| output.value)
    }

    /// Makes `value` the network's only output.
    pub fn set_output(&mut self, value: Value) {
        self.outputs = vec![Output { name: None, value }];
    }

    /// Replaces the network's outputs.
    pub fn set_outputs(&mut self, outputs: Vec<Output>) {
        self.outputs = outputs;
    }

    /// Whether a value is one of the network's outputs.
    pub fn is_output(&self, value: Value) -> bool {
        self.outputs.iter().any(|output| output.value == value)
    }

    /// What an output is called.
    pub fn output_name<'a>(&'a self, output: &'a Output) -> &'a str {
        output.name.as_deref().unwrap_or(&self.node(output.value).name)
    }

    /// Operands in order.
    pub fn operands(&self, value: Value) -> Vec<Value> {
        let mut edges: Vec<_> =
            self.nodes.edges_directed(value.0, Incoming).map(|e| (*e.weight(), Value(e.source()))).collect();
        edges.sort_unstable();
        edges.into_iter().map(|(_, operand)| operand).collect()
    }

    /// Replaces the operands.
    pub fn set_operands(&mut self, value: Value, operands: &[Value]) {
        let old: Vec<_> = self.nodes.edges_directed(value.0, Incoming).map(|e| e.id()).collect();
        for edge in old {
            self.nodes.remove_edge(edge);
        }
        for (position, operand) in operands.iter().enumerate() {
            self.nodes.add_edge(operand.0, value.0, position);
        }
    }

    /// Everything that reads a value, once for each operand place, in the order of the text.
    pub fn users(&self, value: Value) -> Vec<Value> {
        let mut users: Vec<_> =
            self.nodes.edges_directed(value.0, Outgoing).map(|e| Value(e.target())).collect();
        users.sort_unstable();
        users
    }

    /// The one user of a value; `None` if there are more, or none, or if the value is an output of the network.
    pub fn only_user(&self, value: Value) -> Option<Value> {
        match self.users(value)[..] {
            [user] if !self.is_output(value) => Some(user),
            _ => None,
        }
    }

    /// Lets `value` compute `op` from what `source`, its operand that nothing else reads, was computed from.
    pub fn replace(&mut self, value: Value, op: Op, source: Value) {
        let operands = self.operands(source);
        self.set_operands(value, &operands);
        self.node_mut(value).op = op;
        self.remove(source);
    }

    /// Takes a value out of the graph. It must have no users.
    pub fn remove(&mut self, value: Value) {
        debug_assert!(self.users(value).is_empty(), "%{} is in use", self.node(value).name);
        self.nodes.remove_node(value.0);
    }

    /// All values, each after its operands, otherwise in the order in which they were added.
    ///
    /// Values on a cycle are missing; the verifier looks for them.
    pub fn topological(&self) -> Vec<Value> {
        // Kahn's algorithm; the heap yields the oldest of the values that are ready.
        let mut waiting: HashMap<NodeIndex, usize> =
            self.nodes.node_indices().map(|n| (n, self.nodes.edges_directed(n, Incoming).count())).collect();
        let mut ready: BinaryHeap<_> =
            waiting.iter().filter(|(_, count)| **count == 0).map(|(n, _)| Reverse(*n)).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(Value(node));
            for edge in self.nodes.edges_directed(node, Outgoing) {
                if let Some(count) = waiting.get_mut(&edge.target()) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(Reverse(edge.target()));
                    }
                }
            }
        }
        order
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions that the operands of a value claim, as they are stored.
    pub(crate) fn operand_positions(&self, value: Value) -> Vec<usize> {
        let mut positions: Vec<_> =
            self.nodes.edges_directed(value.0, Incoming).map(|e| *e.weight()).collect();
        positions.sort_unstable();
        positions
    }
}
