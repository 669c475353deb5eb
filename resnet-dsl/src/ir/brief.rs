//! A graph as people read it: a line a value, in columns, what is usual left out, and weights by name.
//!
//! ```text
//! layer1.0:
//!   %.relu1   = conv2d %maxpool {1x1 filters=64 relu direct}             : 56x56x64 halo=1  .conv1.weight, fold .bn1
//!   %layer1.0 = conv2d %.relu1, %maxpool {3x3 p=1 filters=64 relu direct} : 56x56x64        .conv2.weight, fold .bn2
//! ```
//! A name that begins with a dot continues the block's. Strides of 1, paddings of 0, batches of 1 and f32 are left out. It is not
//! read back: [`Display`](crate::ir::print) of a graph is the whole of it.

use std::fmt;

use resnet_plan::{BatchNorm, Element};

use crate::ir::graph::{Graph, Node, Value};
use crate::ir::param::Param;
use crate::ops::{Conv2d, Dense, Op, Sides, Text};
use crate::quoted;

/// `Display` is the text.
#[derive(Clone, Copy, Debug)]
pub struct Brief<'a>(pub &'a Graph);

/// The columns of a value's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The value's whole name.
    pub name: String,
    /// The block that it belongs to.
    pub block: String,
    /// The operator's name.
    pub operator: &'static str,
    /// `%.relu1`, `conv2d %maxpool {3x3 relu}`, `56x56x64 halo=1` and `.conv1.weight, fold .bn1`; the last two may be empty.
    pub columns: [String; 4],
}

/// The lines of all values.
pub fn rows(graph: &Graph) -> Vec<Row> {
    graph.topological().into_iter().map(|value| row(graph, value)).collect()
}

/// Without padding between the columns.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [value, computed, ty, weights] = &self.columns;
        write!(f, "{value} = {computed}")?;
        if !ty.is_empty() {
            write!(f, " : {ty}")?;
        }
        if weights.is_empty() { Ok(()) } else { write!(f, "  {weights}") }
    }
}

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network {}", quoted::network(&self.0.name))?;
        for block in rows(self.0).chunk_by(|a, b| a.block == b.block) {
            if let Some(Row { block, .. }) = block.first() {
                writeln!(f, "{block}:")?;
            }
            let width = |column: usize| block.iter().map(|row| row.columns[column].len()).max().unwrap_or(0);
            let [a, b, c] = [0, 1, 2].map(width);
            for Row { columns: [value, computed, ty, weights], .. } in block {
                let colon = if c == 0 { " " } else { ":" };
                let line = format!("  {value:a$} = {computed:b$} {colon} {ty:c$}  {weights}");
                writeln!(f, "{}", line.trim_end_matches([' ', ':']))?;
            }
        }
        let outputs: Vec<&str> = self.0.outputs().iter().map(|output| self.0.output_name(output)).collect();
        if outputs.is_empty() { Ok(()) } else { writeln!(f, "return %{}", outputs.join(", %")) }
    }
}

fn row(graph: &Graph, value: Value) -> Row {
    let node = graph.node(value);
    let short = |name: &str| relative(name, &node.block);
    let operands: Vec<String> = graph
        .operands(value)
        .into_iter()
        .map(|operand| format!("%{}", short(&graph.node(operand).name)))
        .collect();
    let mut computed = node.op.name().to_owned();
    if !operands.is_empty() {
        computed += &format!(" {}", operands.join(", "));
    }
    let attributes = attributes(node);
    if !attributes.is_empty() {
        computed += &format!(" {{{}}}", attributes.join(" "));
    }
    let weights: Vec<String> = weights(&node.op).iter().map(|weight| weight.text(&node.block)).collect();
    Row {
        name: node.name.clone(),
        block: node.block.clone(),
        operator: node.op.name(),
        columns: [format!("%{}", short(&node.name)), computed, typed(node), weights.join(", ")],
    }
}

/// The attributes that are neither weights nor usual, without the keys that everybody guesses.
fn attributes(node: &Node) -> Vec<String> {
    let shown = |(key, value): (&str, Option<&str>)| match (key, value) {
        ("w" | "b" | "slope", _) | ("s", Some("1")) | ("p", Some("0")) | ("split", Some("pixels")) => None,
        (_, Some(value)) if value.contains('@') => None,
        ("k" | "act" | "algorithm" | "dims", Some(value)) => Some(value.to_owned()),
        (key, Some(value)) => Some(format!("{key}={value}")),
        (key, None) => Some(key.to_owned()),
    };
    node.op.attributes().iter().filter_map(shown).collect()
}

/// `bf16 8x56x56x64 halo=1`
fn typed(node: &Node) -> String {
    let Some(ty) = node.ty else { return String::new() };
    let [batch, height, width, channels] = ty.dims;
    let mut text = match ty.element {
        Element::F32 => String::new(),
        element => format!("{element} "),
    };
    if batch != 1 {
        text += &format!("{batch}x");
    }
    text += &format!("{height}x{width}x{channels}");
    if node.halo != Sides::default() {
        text += &format!(" halo={}", Text(node.halo));
    }
    text
}

/// What an operator loads.
enum Weight {
    Tensor(String),
    /// A batch norm that is an operator of its own.
    Norm(String),
    /// A batch norm that is folded into the tensors.
    Folded(String),
}

impl Weight {
    fn text(&self, block: &str) -> String {
        match self {
            Weight::Tensor(name) | Weight::Norm(name) => relative(name, block),
            Weight::Folded(norm) => format!("fold {}", relative(norm, block)),
        }
    }
}

/// In the order in which they are applied.
fn weights(op: &Op) -> Vec<Weight> {
    let mut all: Vec<Weight> = match op {
        Op::Conv2d(Conv2d { weights, bias, .. }) | Op::Dense(Dense { weights, bias, .. }) => {
            let Param { input_norm, tensor, batch_norm } = weights;
            let fold = |norm: &Option<BatchNorm>| norm.as_ref().map(|norm| Weight::Folded(base(norm)));
            let bias = bias.as_ref().and_then(|bias| bias.tensor.as_ref());
            let tensors = [Some(&tensor.name), bias].into_iter().flatten();
            let tensors = tensors.map(|name| Weight::Tensor(name.to_string()));
            fold(input_norm).into_iter().chain(tensors).chain(fold(batch_norm)).collect()
        }
        Op::BatchNorm { norm, .. } => vec![Weight::Norm(base(norm))],
        op => op.tensors().into_iter().map(Weight::Tensor).collect(),
    };
    let slope = op.clone().activation_mut().and_then(|activation| activation.slope.clone());
    all.extend(slope.map(|slope| Weight::Tensor(slope.name.to_string())));
    all
}

/// What the names of a batch norm's tensors begin with: `bn1` of `bn1.weight` and `bn1.bias`.
pub fn base(norm: &BatchNorm) -> String {
    let same = norm.gamma.bytes().zip(norm.beta.bytes()).take_while(|(a, b)| a == b).count();
    let common = norm.gamma.get(..same).unwrap_or_default();
    match common.rfind(['.', '/']) {
        Some(end) => common[..end].to_owned(),
        None => norm.gamma.to_string(),
    }
}

/// `.relu1` of `layer1.0.relu1` in the block `layer1.0`.
fn relative(name: &str, block: &str) -> String {
    match name.strip_prefix(block) {
        Some(rest) if rest.starts_with(['.', '/']) => rest.to_owned(),
        _ => name.to_owned(),
    }
}
