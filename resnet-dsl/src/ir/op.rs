//! The closed set of operators. A new one is an arm here, and the compiler lists what else it needs.

use std::ops::RangeInclusive;

use resnet_plan::BatchNorm;

use crate::ops::{
    Activation, Attributes, AveragePool, Blur, ChannelConv, Conv2d, Dense, Dims, GemPool, GroupNorm, Padding,
    Pool, ShapeError, Sides, StatisticsPool, Subsample, Text, shape, within,
};

/// The largest size that shapes are computed with, and the most elements of a value or kernel (1 GiB of f32): no sum or product of them
/// overflows.
pub(crate) const LARGEST: usize = 1 << 28;

/// An operator with its attributes.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // most are convolutions
pub enum Op {
    /// The network's input.
    Input(Dims),
    /// Zeros around each image.
    ZeroPad(Sides),
    /// Convolution, with all that can be fused into it.
    Conv2d(Conv2d),
    /// Batch normalization, and an activation that is fused into it.
    BatchNorm {
        /// Its tensors.
        norm: BatchNorm,
        /// What follows.
        activation: Activation,
    },
    /// Group or instance normalization.
    GroupNorm(GroupNorm),
    /// A function of each element.
    Activation(Activation),
    /// Sum of two values of one shape, and an activation that is fused into it.
    Add {
        /// What becomes of the sums.
        activation: Activation,
    },
    /// Product of two values of one shape, or with one value for each channel of an image, and an activation that is fused into it.
    Multiply {
        /// What becomes of the products.
        activation: Activation,
    },
    /// Maximum of a window.
    MaxPool(Pool),
    /// Mean of a window.
    AveragePool(AveragePool),
    /// A low-pass filter.
    Blur(Blur),
    /// Means and standard deviations.
    StatisticsPool(StatisticsPool),
    /// A generalized mean of the whole image.
    GemPool(GemPool),
    /// Each pixel so many times in height and width.
    Upsample([usize; 2]),
    /// Every n-th pixel, with zero channels put around.
    Subsample(Subsample),
    /// `[N, H, W, C]` to `[N, 1, 1, H*W*C]`.
    Flatten,
    /// Fully connected layer.
    Dense(Dense),
    /// Softmax over channels.
    Softmax,
    /// Each pixel over its Euclidean norm, or over this, if that is larger.
    L2Normalize {
        /// The least that a pixel is divided by.
        epsilon: f64,
    },
    /// A convolution along channels.
    ChannelConv(ChannelConv),
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
            Op::BatchNorm { .. } => "batch_norm",
            Op::GroupNorm(_) => "group_norm",
            Op::Activation(activation) => activation.name(),
            Op::Add { .. } => "add",
            Op::Multiply { .. } => "multiply",
            Op::MaxPool(_) => "max_pool",
            Op::AveragePool(_) => "average_pool",
            Op::Blur(_) => "blur",
            Op::StatisticsPool(_) => "statistics_pool",
            Op::GemPool(_) => "gem_pool",
            Op::Upsample(_) => "upsample",
            Op::Subsample(_) => "subsample",
            Op::Flatten => "flatten",
            Op::Dense(_) => "dense",
            Op::Softmax => "softmax",
            Op::L2Normalize { .. } => "l2_normalize",
            Op::ChannelConv(_) => "channel_conv",
            Op::Convert => "convert",
        }
    }

    /// How many operands it takes. A convolution's second one is the residual that is added to its sums.
    pub fn arity(&self) -> RangeInclusive<usize> {
        match self {
            Op::Input(_) => 0..=0,
            Op::Add { .. } | Op::Multiply { .. } => 2..=2,
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
            (Op::Activation(_) | Op::Softmax | Op::L2Normalize { .. } | Op::Convert, &[x]) => Ok(x),
            (Op::BatchNorm { norm, .. }, &[x]) => within(norm.channels, x[3]).map(|()| x),
            (Op::GroupNorm(norm), &[x]) => norm.infer(x),
            (Op::Add { .. }, &[x, y]) => shape::add(x, y),
            (Op::Multiply { .. }, &[x, y]) => shape::multiply(x, y),
            (Op::Blur(blur), &[x]) => blur.infer(x),
            (Op::StatisticsPool(pool), &[x]) => pool.infer(x),
            (Op::GemPool(pool), &[x]) => Ok(pool.infer(x)),
            (Op::Upsample(times), &[x]) => shape::upsample(*times, x),
            (Op::ChannelConv(conv), &[x]) => conv.infer(x),
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
            Op::Conv2d(conv) => [
                window(conv.window(), conv.stride, &conv.padding),
                conv.dilation.to_vec(),
                vec![conv.filters],
            ]
            .concat(),
            Op::MaxPool(pool) | Op::AveragePool(AveragePool { pool: Some(pool), .. }) => {
                window(pool.window, pool.stride, &pool.padding)
            }
            Op::Subsample(Subsample { stride, front, back }) => [&stride[..], &[*front, *back]].concat(),
            Op::Dense(dense) => vec![dense.units],
            Op::Blur(blur) => vec![blur.size, blur.stride[0], blur.stride[1]],
            Op::Upsample(times) => times.to_vec(),
            Op::Input(_)
            | Op::BatchNorm { .. }
            | Op::GroupNorm(_)
            | Op::Activation(_)
            | Op::Add { .. }
            | Op::Multiply { .. }
            | Op::StatisticsPool(_)
            | Op::GemPool(_)
            | Op::L2Normalize { .. }
            | Op::ChannelConv(_)
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
            (Op::ChannelConv(conv), _) => conv.macs(output),
            _ => 0,
        }
    }

    /// Learned parameters, given the shapes of the operands. A batch norm has a scale and an offset a channel; its mean
    /// and variance are not learned.
    pub fn parameters(&self, inputs: &[Dims]) -> u64 {
        match (self, inputs) {
            (Op::Conv2d(conv), [x, ..]) => conv.parameters(*x),
            (Op::Dense(dense), [x, ..]) => dense.parameters(*x),
            (Op::BatchNorm { norm, activation }, [[.., channels], ..]) => {
                norm.normalized(*channels) as u64 * 2 + activation.parameters(*channels)
            }
            (Op::GroupNorm(norm), [[.., channels], ..]) => norm.parameters(*channels),
            (
                Op::Activation(activation) | Op::Add { activation } | Op::Multiply { activation },
                [[.., channels], ..],
            ) => activation.parameters(*channels),
            (Op::GemPool(pool), _) => pool.parameters(),
            (Op::ChannelConv(conv), _) => conv.kernel as u64,
            _ => 0,
        }
    }

    /// The activation that it ends with, if it can have one.
    pub fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Op::Conv2d(conv) => Some(&mut conv.activation),
            Op::Dense(dense) => Some(&mut dense.activation),
            Op::GroupNorm(norm) => Some(&mut norm.activation),
            Op::BatchNorm { activation, .. } | Op::Add { activation } | Op::Multiply { activation } => {
                Some(activation)
            }
            _ => None,
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
            Op::BatchNorm { norm, activation } => {
                to.put("w", norm);
                activation.print(to);
            }
            Op::GroupNorm(norm) => norm.print(to),
            Op::Activation(activation) => activation.attributes(to),
            Op::Add { activation } | Op::Multiply { activation } => activation.print(to),
            Op::Blur(blur) => blur.print(to),
            Op::StatisticsPool(pool) => pool.print(to),
            Op::GemPool(pool) => pool.print(to),
            Op::Upsample(times) => to.put("times", Text(*times)),
            Op::L2Normalize { epsilon } => to.put("eps", format_args!("{epsilon:e}")),
            Op::ChannelConv(conv) => conv.print(to),
            Op::MaxPool(pool) => pool.print(to),
            Op::AveragePool(pool) => pool.print(to),
            Op::Subsample(subsample) => subsample.print(to),
            Op::Dense(dense) => dense.print(to),
            Op::Flatten | Op::Softmax | Op::Convert => {}
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
            "batch_norm" => Op::BatchNorm { norm: from.take("w")?, activation: Activation::read(from)? },
            "group_norm" => Op::GroupNorm(GroupNorm::read(from)?),
            "add" => Op::Add { activation: Activation::read(from)? },
            "multiply" => Op::Multiply { activation: Activation::read(from)? },
            "blur" => Op::Blur(Blur::read(from)?),
            "statistics_pool" => Op::StatisticsPool(StatisticsPool::read(from)?),
            "gem_pool" => Op::GemPool(GemPool::read(from)?),
            "upsample" => Op::Upsample(from.take::<Text<_>>("times")?.0),
            "l2_normalize" => Op::L2Normalize { epsilon: from.take("eps")? },
            "channel_conv" => Op::ChannelConv(ChannelConv::read(from)?),
            "max_pool" => Op::MaxPool(Pool::read(from)?),
            "average_pool" => Op::AveragePool(AveragePool::read(from)?),
            "subsample" => Op::Subsample(Subsample::read(from)?),
            "flatten" => Op::Flatten,
            "dense" => Op::Dense(Dense::read(from)?),
            "softmax" => Op::Softmax,
            "convert" => Op::Convert,
            _ => match Activation::of_name(name, from) {
                Some(activation) => Op::Activation(activation?),
                None => return Err(format!("`{name}` is not an operator")),
            },
        };
        from.finish()?;
        Ok(op)
    }
}
