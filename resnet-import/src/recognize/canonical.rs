//! Graphs in a form in which networks that compute the same are the same.
//!
//! ```text
//! dense layer                  -> convolution as large as its input
//! batch norm behind these      -> part of it, or of its weights already: both are the same
//! activation                   -> the end of what is before it
//! zeros before a convolution   -> its padding
//! flatten of one pixel         -> nothing
//! mean of the whole image      -> `mean`, whatever window says it
//! ```
//! Then each value has a number, by its operator and the numbers of its operands: equal numbers compute the same, but for their weights.

use std::collections::HashMap;

use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::ops::{Exponent, Padding, Pool, Sides};
use resnet_plan::Dims;

use crate::error::Error;
use crate::passes;

/// The numbers that were given.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<(String, Vec<u32>), u32>);

/// A graph, and the number of each value.
#[derive(Debug)]
pub(crate) struct Canonical {
    pub(crate) graph: Graph,
    /// By value; that of a flatten of one pixel is missing.
    pub(crate) numbers: HashMap<Value, u32>,
    operands: HashMap<Value, Vec<Value>>,
    /// The outputs, behind all that changes nothing.
    pub(crate) outputs: Vec<Value>,
}

impl Canonical {
    /// Numbers a graph's values.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub(crate) fn of(graph: &Graph, known: &mut Numbers) -> Result<Self, Error> {
        let mut graph = graph.clone();
        passes::run(
            &mut graph,
            &["infer-shapes", "skip-identities", "lower-dense", "fold-batch-norm", "fuse-activation"],
        )?;
        let mut numbers: HashMap<Value, u32> = HashMap::new();
        let mut operands_of: HashMap<Value, Vec<Value>> = HashMap::new();
        // What stands for a value that changes nothing.
        let mut same: HashMap<Value, Value> = HashMap::new();
        for value in graph.topological() {
            let mut operands: Vec<Value> = graph
                .operands(value)
                .iter()
                .map(|operand| same.get(operand).copied().unwrap_or(*operand))
                .collect();
            let dims = |value: Value| graph.node(value).ty.map_or([0; 4], |ty| ty.dims);
            let op = &graph.node(value).op;
            if let (Op::Flatten, [image]) = (op, &operands[..])
                && let [_, 1, 1, _] = dims(*image)
            {
                same.insert(value, *image);
                continue;
            }
            let mut zeros = Sides::default();
            if let Op::Conv2d(_) = op {
                while let Some(Op::ZeroPad(sides)) = operands.first().map(|operand| &graph.node(*operand).op)
                {
                    zeros = plus(zeros, *sides);
                    let Some(source) = operands_of.get(&operands[0]).and_then(|source| source.first()) else {
                        break;
                    };
                    operands[0] = *source;
                }
            }
            let inputs: Vec<Dims> = operands.iter().map(|operand| dims(*operand)).collect();
            let key = key(op, &inputs, dims(value), zeros);
            let mut ids: Vec<u32> =
                operands.iter().filter_map(|operand| numbers.get(operand).copied()).collect();
            if commutes(op, &inputs) {
                ids.sort_unstable();
            }
            let next = known.0.len() as u32;
            numbers.insert(value, *known.0.entry((key, ids)).or_insert(next));
            operands_of.insert(value, operands);
        }
        let outputs =
            graph.outputs().iter().map(|output| same.get(&output.value).copied().unwrap_or(output.value));
        let outputs = outputs.collect();
        Ok(Canonical { graph, numbers, operands: operands_of, outputs })
    }

    /// The values of another graph that correspond to those that `outputs` need, in pairs of that one's and this one's. `outputs` are
    /// such pairs, of equal numbers. `None` if a value corresponds to several.
    pub(crate) fn pairs(&self, other: &Canonical, outputs: &[(Value, Value)]) -> Option<Vec<(Value, Value)>> {
        let mut found: HashMap<Value, Value> = HashMap::new();
        let mut pairs = Vec::new();
        let mut waiting = outputs.to_vec();
        while let Some((theirs, ours)) = waiting.pop() {
            match found.insert(ours, theirs) {
                Some(before) if before != theirs => return None,
                Some(_) => continue,
                None => pairs.push((theirs, ours)),
            }
            let (of_theirs, of_ours) = (other.operands.get(&theirs)?, self.operands.get(&ours)?);
            let number = |canonical: &Canonical, value: &Value| canonical.numbers.get(value).copied();
            let straight = of_theirs
                .iter()
                .zip(of_ours)
                .all(|(theirs, ours)| number(other, theirs) == number(self, ours));
            let mut of_theirs = of_theirs.clone();
            if !straight {
                of_theirs.reverse();
            }
            waiting.extend(of_theirs.into_iter().zip(of_ours.iter().copied()));
        }
        Some(pairs)
    }

    /// What a value is computed from.
    pub(crate) fn operands(&self, value: Value) -> &[Value] {
        self.operands.get(&value).map_or(&[], Vec::as_slice)
    }

    /// The channels of what a value is computed from, and its own.
    pub(crate) fn channels(&self, value: Value) -> [usize; 2] {
        let of = |value: Value| self.graph.node(value).ty.map_or(0, |ty| ty.dims[3]);
        [self.operands(value).first().map_or(0, |operand| of(*operand)), of(value)]
    }
}

/// Everything that a value depends on but its weights, and what these can make up for: the epsilons of batch norms, the scale and
/// offset of group norms.
fn key(op: &Op, inputs: &[Dims], [_, height, width, channels]: Dims, zeros: Sides) -> String {
    let window = |Pool { window, stride, padding, .. }: &Pool| {
        format!("{window:?} {stride:?} {:?} to {height}x{width}", sides(*padding))
    };
    let name = op.name();
    let own = match op {
        Op::Input(_) => format!("{height}x{width}x{channels}"),
        Op::Conv2d(conv) => format!(
            "{:?} {:?} {:?} {:?} {} {} {:?} {:?}",
            conv.kernel,
            stride(conv.stride, height, width),
            plus(sides(conv.padding), zeros),
            conv.dilation,
            conv.groups,
            conv.filters,
            conv.standardized.map(single),
            conv.activation.function
        ),
        Op::BatchNorm { norm, activation } => format!("{:?} {:?}", norm.channels, activation.function),
        Op::GroupNorm(norm) => format!(
            "{} {:?} {} {:?}",
            norm.groups(channels),
            norm.channels,
            single(norm.epsilon),
            norm.activation.function
        ),
        Op::Activation(activation) | Op::Add { activation } | Op::Multiply { activation } => {
            format!("{:?}", activation.function)
        }
        Op::AveragePool(pool) => match (pool.pool, inputs) {
            (None, _) => return "mean".to_owned(),
            (Some(pool), &[[_, rows, columns, _], ..])
                if pool.window == [rows, columns] && sides(pool.padding) == Sides::default() =>
            {
                return "mean".to_owned();
            }
            (Some(pool), _) if sides(pool.padding) == Sides::default() => window(&pool),
            (Some(own), _) => format!("{} {}", window(&own), pool.count_padding),
        },
        Op::MaxPool(pool) => window(pool),
        Op::GemPool(pool) => match &pool.exponent {
            Exponent::Fixed(exponent) => format!("{exponent} {}", single(pool.epsilon)),
            Exponent::Load(_) => format!("learned {}", single(pool.epsilon)),
        },
        Op::ChannelConv(conv) => conv.kernel.to_string(),
        Op::L2Normalize { epsilon } => single(*epsilon).to_string(),
        Op::StatisticsPool(pool) => format!("{:?} {}", pool.over, single(pool.epsilon)),
        Op::ZeroPad(_)
        | Op::Blur(_)
        | Op::Upsample(_)
        | Op::Subsample(_)
        | Op::Flatten
        | Op::Dense(_)
        | Op::Softmax
        | Op::Convert => format!("{op:?}"),
    };
    format!("{name} {own}")
}

/// An epsilon as files have it, in f32.
fn single(epsilon: f64) -> f32 {
    epsilon as f32
}

/// A stride, as far as it matters: of one row or column it does not.
fn stride(stride: [usize; 2], height: usize, width: usize) -> [usize; 2] {
    [if height == 1 { 1 } else { stride[0] }, if width == 1 { 1 } else { stride[1] }]
}

/// Whether the order of the operands does not matter.
fn commutes(op: &Op, inputs: &[Dims]) -> bool {
    match op {
        Op::Add { .. } => true,
        Op::Multiply { .. } => inputs.windows(2).all(|pair| pair[0] == pair[1]),
        _ => false,
    }
}

/// Padding in numbers, as it is once shapes are inferred.
fn sides(padding: Padding) -> Sides {
    match padding {
        Padding::Sides(sides) => sides,
        Padding::Valid | Padding::Same => Sides::default(),
    }
}

fn plus(a: Sides, b: Sides) -> Sides {
    Sides { top: a.top + b.top, bottom: a.bottom + b.bottom, left: a.left + b.left, right: a.right + b.right }
}
