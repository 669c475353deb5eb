//! `Display` of a graph is its text form, which [`read`](crate::ir::read) parses:
//!
//! ```text
//! network resnet18
//! input:
//!   %input = input {dims=1x224x224x3} : f32[1,224,224,3] halo=3,2,3,2
//! stem:
//!   %relu = conv2d %input {k=7x7 s=2 p=3 filters=64 w=@conv1.weight:oihw relu} : f32[1,112,112,64]
//! return %fc
//! ```
//!
//! Several outputs are written `return layer2=%layer2.1, %fc`, those with a name that is not their value's with it.
//!
//! The network's name is in quotes if it is not made of letters, digits and `_ . / -`. A line `name:` opens a block of the spec. Types are there from shape inference on, halos from layout assignment on.

use std::fmt;

use crate::ir::graph::{Graph, Output, Value};
use crate::ops::{Sides, Text};
use crate::quoted;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network {}", quoted::network(&self.name))?;
        let mut block = "";
        for value in self.topological() {
            let node = self.node(value);
            if block != node.block {
                writeln!(f, "{}:", node.block)?;
                block = &node.block;
            }
            writeln!(f, "  {}", line(self, value))?;
        }
        let output = |output: &Output| {
            let value = &self.node(output.value).name;
            match self.output_name(output) {
                name if name == value => format!("%{value}"),
                name => format!("{name}=%{value}"),
            }
        };
        let outputs: Vec<String> = self.outputs().iter().map(output).collect();
        if outputs.is_empty() { Ok(()) } else { writeln!(f, "return {}", outputs.join(", ")) }
    }
}

/// The line of one value, without indentation.
pub fn line(graph: &Graph, value: Value) -> String {
    let node = graph.node(value);
    let mut line = format!("%{} = {}", node.name, node.op.name());
    for (position, operand) in graph.operands(value).iter().enumerate() {
        line += if position == 0 { " %" } else { ", %" };
        line += &graph.node(*operand).name;
    }
    let attributes = node.op.attributes();
    if !attributes.is_empty() {
        line += &format!(" {attributes}");
    }
    if let Some(ty) = node.ty {
        line += &format!(" : {ty}");
    }
    if node.halo != Sides::default() {
        line += &format!(" halo={}", Text(node.halo));
    }
    line
}
