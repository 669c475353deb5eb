//! The closed set of operators. A new one is an arm here, and the compiler lists what else it needs.

use std::ops::RangeInclusive;

use resnet_plan::BatchNorm;

use crate::ops::{
    Attributes, AveragePool, Conv2d, Dense, Dims, Padding, Pool, ShapeError, Sides, Subsample, Text, shape,
};

/// The largest size that shapes are computed with, and the most elements of an operand: no sum or product of them overflows.
const LARGEST: usize = 1 << 28;

/// An operator with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The network's input.
    Input(Dims),
    /// Zeros around each image.
    ZeroPad(Sides),
    /// Convolution, with all that can be fused into it.
    Conv2d(Conv2d),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Rectified linear unit.
    Relu,
    /// Sum of two values of one type, and a ReLU that is fused into it.
    Add {
        /// Whether negative sums become zero.
        relu: bool,
    },
    /// Maximum of a window.
    MaxPool(Pool),
    /// Mean of a window.
    AveragePool(AveragePool),
    /// Every n-th pixel, with zero channels put around.
    Subsample(Subsample),
    /// `[N, H, W, C]` to `[N, 1, 1, H*W*C]`.
    Flatten,
    /// Fully connected layer.
    Dense(Dense),
    /// Softmax over channels.
    Softmax,
    /// The same value as another element.
    Convert,
}

impl Op {
    /// The operator's name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::ZeroPad(_) => "zero_pad",
            Op::Conv2d(_) => "conv2d",
            Op::BatchNorm(_) => "batch_norm",
            Op::Relu => "relu",
            Op::Add { .. } => "add",
            Op::MaxPool(_) => "max_pool",
            Op::AveragePool(_) => "average_pool",
            Op::Subsample(_) => "subsample",
            Op::Flatten => "flatten",
            Op::Dense(_) => "dense",
            Op::Softmax => "softmax",
            Op::Convert => "convert",
        }
    }

    /// How many operands it takes. A convolution's second one is the residual that is added to its sums.
    pub fn arity(&self) -> RangeInclusive<usize> {
        match self {
            Op::Input(_) => 0..=0,
            Op::Add { .. } => 2..=2,
            Op::Conv2d(_) => 1..=2,
            _ => 1..=1,
        }
    }

    /// The shape of the result, given those of the operands. What depends on them (`same` padding, a global window) is
    /// put in numbers on the way.
    ///
    /// # Errors
    /// Why the operands do not fit, or a size or an operand is larger than 2^28.
    pub fn infer(&mut self, inputs: &[Dims]) -> Result<Dims, ShapeError> {
        let elements =
            |dims: &Dims| dims.iter().try_fold(1, |count: usize, size| count.checked_mul(*size.max(&1)));
        let fits = |dims: &Dims| elements(dims).is_some_and(|count| count <= LARGEST);
        if !inputs.iter().all(fits) || self.sizes().iter().any(|size| *size > LARGEST) {
            let message = format!("a size or an operand of `{}` is larger than 2^28", self.name());
            return Err(ShapeError::new(message));
        }
        match (self, inputs) {
            (Op::Input(dims), []) => Ok(*dims),
            (Op::ZeroPad(sides), &[x]) => Ok(shape::zero_pad(sides, x)),
            (Op::Conv2d(conv), &[x]) => conv.infer(x, None),
            (Op::Conv2d(conv), &[x, residual]) => conv.infer(x, Some(residual)),
            (Op::BatchNorm(_) | Op::Relu | Op::Softmax | Op::Convert, &[x]) => Ok(x),
            (Op::Add { .. }, &[x, y]) => shape::add(x, y),
            (Op::MaxPool(pool), &[x]) => pool.infer(x),
            (Op::AveragePool(pool), &[x]) => pool.infer(x),
            (Op::Subsample(subsample), &[x]) => subsample.infer(x),
            (Op::Flatten, &[x]) => Ok(shape::flatten(x)),
            (Op::Dense(dense), &[x]) => dense.infer(x),
            (op, inputs) => {
                Err(ShapeError::new(format!("`{}` does not take {} operands", op.name(), inputs.len())))
            }
        }
    }

    /// The sizes among the attributes that the shape of the result depends on.
    fn sizes(&self) -> Vec<usize> {
        let sides = |sides: &Sides| [sides.top, sides.bottom, sides.left, sides.right].to_vec();
        let window = |size: [usize; 2], stride: [usize; 2], padding: &Padding| match padding {
            Padding::Sides(padding) => [&size[..], &stride, &sides(padding)].concat(),
            Padding::Valid | Padding::Same => [size, stride].concat(),
        };
        match self {
            Op::ZeroPad(padding) => sides(padding),
            Op::Conv2d(conv) => {
                [window(conv.kernel, conv.stride, &conv.padding), vec![conv.filters]].concat()
            }
            Op::MaxPool(pool) | Op::AveragePool(AveragePool { pool: Some(pool), .. }) => {
                window(pool.window, pool.stride, &pool.padding)
            }
            Op::Subsample(Subsample { stride, front, back }) => [&stride[..], &[*front, *back]].concat(),
            Op::Dense(dense) => vec![dense.units],
            Op::Input(_)
            | Op::BatchNorm(_)
            | Op::Relu
            | Op::Add { .. }
            | Op::AveragePool(AveragePool { pool: None, .. })
            | Op::Flatten
            | Op::Softmax
            | Op::Convert => Vec::new(),
        }
    }

    /// Multiply-adds to compute a result of this shape from operands of those shapes.
    pub fn macs(&self, inputs: &[Dims], output: Dims) -> u64 {
        match (self, inputs) {
            (Op::Conv2d(conv), [x, ..]) => conv.macs(*x, output),
            (Op::Dense(dense), [x, ..]) => dense.macs(*x),
            _ => 0,
        }
    }

    /// Learned parameters, given the shapes of the operands. A batch norm has a scale and an offset a channel; its mean
    /// and variance are not learned.
    pub fn parameters(&self, inputs: &[Dims]) -> u64 {
        match (self, inputs) {
            (Op::Conv2d(conv), [x, ..]) => conv.parameters(*x),
            (Op::Dense(dense), [x, ..]) => dense.parameters(*x),
            (Op::BatchNorm(_), [[.., channels], ..]) => 2 * *channels as u64,
            _ => 0,
        }
    }

    /// Attributes as they are printed.
    pub fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        let to = &mut attributes;
        match self {
            Op::Input(dims) => to.put("dims", Text(*dims)),
            Op::ZeroPad(sides) => to.put("p", Text(*sides)),
            Op::Conv2d(conv) => conv.print(to),
            Op::BatchNorm(norm) => to.put("w", norm),
            Op::Add { relu } => to.flag("relu", *relu),
            Op::MaxPool(pool) => pool.print(to),
            Op::AveragePool(pool) => pool.print(to),
            Op::Subsample(subsample) => subsample.print(to),
            Op::Dense(dense) => dense.print(to),
            Op::Relu | Op::Flatten | Op::Softmax | Op::Convert => {}
        }
        attributes
    }

    /// The operator of this name with these attributes.
    ///
    /// # Errors
    /// What is unknown, missing, left over or malformed.
    pub fn read(name: &str, mut from: Attributes) -> Result<Op, String> {
        let from = &mut from;
        let op = match name {
            "input" => Op::Input(from.take::<Text<Dims>>("dims")?.0),
            "zero_pad" => Op::ZeroPad(from.take::<Text<Sides>>("p")?.0),
            "conv2d" => Op::Conv2d(Conv2d::read(from)?),
            "batch_norm" => Op::BatchNorm(from.take("w")?),
            "relu" => Op::Relu,
            "add" => Op::Add { relu: from.take_flag("relu") },
            "max_pool" => Op::MaxPool(Pool::read(from)?),
            "average_pool" => Op::AveragePool(AveragePool::read(from)?),
            "subsample" => Op::Subsample(Subsample::read(from)?),
            "flatten" => Op::Flatten,
            "dense" => Op::Dense(Dense::read(from)?),
            "softmax" => Op::Softmax,
            "convert" => Op::Convert,
            _ => return Err(format!("`{name}` is not an operator")),
        };
        from.finish()?;
        Ok(op)
    }
}
