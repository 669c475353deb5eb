//! The closed set of operators: attributes, shape rule, cost, text, definition and step of each side by side.
//!
//! A new one is a file here and its arms in [`Op`]; the compiler lists those that it cannot do without.

mod activation;
mod attributes;
mod blur;
mod candidates;
mod channel_conv;
mod conv;
pub(crate) mod cost;
mod dense;
mod norm;
mod pool;
mod reduce;
pub mod shape;
mod subsample;
mod window;

pub use activation::Activation;
pub use attributes::{Attributes, Text};
pub use blur::Blur;
pub use candidates::Refusal;
pub use channel_conv::ChannelConv;
pub use conv::Conv2d;
pub use dense::Dense;
pub use norm::{GroupNorm, within};
pub use pool::{AveragePool, Pool};
pub use reduce::{Exponent, GemPool, Over, StatisticsPool};
pub use shape::ShapeError;
pub use subsample::Subsample;
pub use window::{Padding, Sides, resolve};

pub use resnet_plan::Dims;

use std::ops::RangeInclusive;

use resnet_plan::{Action, BatchNorm, ListKind, PoolKind, Text as TensorName};

use crate::diag::Diagnostic;
use crate::evaluate::operators::{self, Window};
use crate::evaluate::weights::{self, Filters};
use crate::evaluate::{Array, EvaluateError, Load, statistics};
use crate::plan::step::{Place, Planning};
use crate::spec::names::Name;

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

    /// What it is, in words, where its name does not say all.
    pub(crate) fn words(&self) -> String {
        match self {
            Op::ChannelConv(conv) => conv.words(),
            _ => self.name().to_owned(),
        }
    }

    /// How many operands it takes: see [`Conv2d`] for those of a convolution.
    pub fn arity(&self) -> RangeInclusive<usize> {
        match self {
            Op::Input(_) => 0..=0,
            Op::Add { .. } | Op::Multiply { .. } => 2..=2,
            Op::Conv2d(conv) => 1 + usize::from(conv.gated)..=2 + usize::from(conv.gated),
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
            (Op::Conv2d(conv), &[x, ref others @ ..]) => conv.infer(x, others),
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
            Op::Input(dims) => dims.to_vec(),
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
            Op::BatchNorm { .. }
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

    /// The names of its tensors before anything is folded into it.
    pub fn tensors(&self) -> Vec<String> {
        self.clone().tensors_mut().into_iter().map(|(_, name)| name.to_string()).collect()
    }

    /// Its tensors before anything is folded into it: what a naming scheme has a pattern for, and their names.
    pub(crate) fn tensors_mut(&mut self) -> Vec<(Name, &mut TensorName)> {
        match self {
            Op::Conv2d(Conv2d { weights, bias, .. }) | Op::Dense(Dense { weights, bias, .. }) => {
                let bias = bias.as_mut().and_then(|bias| bias.tensor.as_mut());
                let kernel = (Name::Kernel, &mut weights.tensor.name);
                std::iter::once(kernel).chain(bias.map(|bias| (Name::Bias, bias))).collect()
            }
            Op::BatchNorm { norm, .. } => vec![
                (Name::Gamma, &mut norm.gamma),
                (Name::Beta, &mut norm.beta),
                (Name::Mean, &mut norm.mean),
                (Name::Variance, &mut norm.variance),
            ],
            Op::GroupNorm(GroupNorm { affine: Some([gamma, beta]), .. }) => {
                vec![(Name::Gamma, gamma), (Name::Beta, beta)]
            }
            Op::GemPool(GemPool { exponent: Exponent::Load(name), .. }) => vec![(Name::Exponent, name)],
            Op::ChannelConv(conv) => vec![(Name::Kernel, &mut conv.weights)],
            Op::Activation(Activation { slope: Some(slope), .. }) => vec![(Name::Slope, &mut slope.name)],
            _ => Vec::new(),
        }
    }

    /// The channels of the result, if they are known before shapes are: those of the operand are given.
    pub(crate) fn channels(&self, operand: Option<usize>) -> Option<usize> {
        match self {
            Op::StatisticsPool(_) => operand?.checked_mul(2),
            Op::Flatten => None,
            _ => operand,
        }
    }

    /// The stride of the result on the operand; `None` if it has none that a shortcut could have.
    pub(crate) fn stride(&self) -> Option<[usize; 2]> {
        match self {
            Op::MaxPool(pool) => Some(pool.stride),
            Op::AveragePool(average) => average.pool.map(|pool| pool.stride),
            Op::Blur(blur) => Some(blur.stride),
            Op::StatisticsPool(_) | Op::GemPool(_) | Op::Upsample(_) | Op::Flatten => None,
            _ => Some([1, 1]),
        }
    }

    /// Whether it leaves every image as it is: windows of one pixel, without a stride.
    pub(crate) fn is_nothing(&self) -> bool {
        match self {
            Op::MaxPool(pool) | Op::AveragePool(AveragePool { pool: Some(pool), .. }) => {
                let padded = !matches!(pool.padding, Padding::Valid | Padding::Same)
                    && pool.padding != Padding::Sides(Sides::default());
                pool.window == [1, 1] && pool.stride == [1, 1] && !padded
            }
            Op::Blur(blur) => blur.size == 1 && blur.stride == [1, 1],
            _ => false,
        }
    }

    /// Whether there are kernels for f32 only.
    pub(crate) fn is_only_f32(&self) -> bool {
        matches!(
            self,
            Op::Softmax
                | Op::L2Normalize { .. }
                | Op::GroupNorm(_)
                | Op::StatisticsPool(_)
                | Op::GemPool(_)
                | Op::ChannelConv(_)
        )
    }

    /// Whether the result cannot be negative, given that of the operands.
    pub(crate) fn is_positive(&self, operands: &[bool]) -> bool {
        let all = || operands.iter().all(|positive| *positive);
        match self {
            Op::Multiply { activation } => activation.function.is_positive() || activation.is_none() && all(),
            Op::Conv2d(Conv2d { activation, .. })
            | Op::Dense(Dense { activation, .. })
            | Op::GroupNorm(GroupNorm { activation, .. })
            | Op::BatchNorm { activation, .. }
            | Op::Activation(activation)
            | Op::Add { activation } => activation.function.is_positive(),
            Op::Softmax | Op::GemPool(_) => true,
            Op::MaxPool(_)
            | Op::Blur(_)
            | Op::Upsample(_)
            | Op::L2Normalize { .. }
            | Op::AveragePool(_)
            | Op::Subsample(_)
            | Op::ZeroPad(_)
            | Op::Flatten
            | Op::Convert => all(),
            Op::Input(_) | Op::StatisticsPool(_) | Op::ChannelConv(_) => false,
        }
    }

    /// What its step does, and where that writes.
    ///
    /// # Errors
    /// If there is no such step: the planner lays some out by itself, passes make others of the rest.
    pub(crate) fn step(&self, planning: &mut Planning<'_>) -> Result<(Action, Place), Diagnostic> {
        Ok(match self {
            Op::BatchNorm { norm, activation } => {
                let list = planning.list(ListKind::BatchNorm(norm.clone()), activation);
                (Action::Affine { activation: activation.function, list }, Place::Own)
            }
            Op::GroupNorm(norm) => (norm.action(planning), Place::Own),
            Op::Activation(of) => {
                (Action::Activate { activation: of.function, list: planning.slopes(of) }, Place::Own)
            }
            Op::Add { activation: of } => {
                let (residual, list) = (planning.element(1), planning.slopes(of));
                (Action::Add { residual, activation: of.function, list }, Place::Over(1))
            }
            Op::Multiply { activation: of } => {
                let (held, list) = (planning.element(0), planning.slopes(of));
                (Action::Multiply { held, activation: of.function, list }, Place::Over(0))
            }
            Op::MaxPool(pool) => (pool.action(PoolKind::Max, planning)?, Place::Own),
            Op::AveragePool(pool) => (pool.action(planning)?, Place::Own),
            Op::Blur(blur) => (blur.action(), Place::Own),
            Op::StatisticsPool(pool) => (Action::Statistics { epsilon: pool.epsilon }, Place::Own),
            Op::GemPool(pool) => (pool.action(planning), Place::Own),
            Op::Upsample(times) => (Action::Upsample { times: *times }, Place::Own),
            Op::Subsample(subsample) => (subsample.action(planning.channels(0)), Place::Own),
            Op::Softmax => (Action::Softmax, Place::Dense),
            Op::L2Normalize { epsilon } => (Action::L2Normalize { epsilon: *epsilon }, Place::Dense),
            Op::ChannelConv(conv) => (conv.action(planning), Place::Dense),
            Op::Convert => (Action::Copy, Place::Own),
            Op::Input(_) | Op::ZeroPad(_) | Op::Flatten | Op::Conv2d(_) | Op::Dense(_) => {
                return Err(planning.without_kernel());
            }
        })
    }

    /// The result by its definition, without the activation that it ends with. The operands fit; `image` is what the operand was
    /// before it was flattened.
    ///
    /// # Errors
    /// If the loader fails.
    ///
    /// # Panics
    /// If there are no operands.
    pub(crate) fn evaluate(
        &self,
        operands: &[&Array],
        image: Dims,
        load: Load<'_>,
    ) -> Result<Array, EvaluateError> {
        let (x, others) = (operands[0], &operands[1..]);
        Ok(match self {
            Op::Input(_) | Op::Activation(_) | Op::Convert => x.clone(),
            Op::Add { .. } => operators::sum(x.clone(), others),
            Op::Multiply { .. } => others.iter().fold(x.clone(), |x, other| operators::multiply(&x, other)),
            Op::ZeroPad(sides) => operators::zero_pad(x, *sides),
            Op::Conv2d(conv) => {
                let [kernel, bias] = Filters::of_conv(conv, x.dims[3]).load(load)?;
                let window = Window::of_conv(x.dims, conv)?;
                let sums = operators::convolve(x, &kernel, &bias, conv.groups, &window);
                let (gate, residual) = others.split_at(usize::from(conv.gated));
                let gated = gate.iter().fold(sums, |sums, gate| operators::multiply(&sums, gate));
                operators::sum(gated, residual)
            }
            Op::BatchNorm { norm, .. } => weights::Affine::of(norm, x.dims[3], load)?.applied(x),
            Op::GroupNorm(norm) => {
                let affine = weights::Affine::of_group_norm(norm, norm.normalized(x.dims[3]), load)?;
                statistics::group_norm(x, norm, &affine)
            }
            Op::Blur(blur) => blur.evaluate(x)?,
            Op::StatisticsPool(pool) => statistics::statistics_pool(x, pool),
            Op::GemPool(pool) => {
                statistics::gem_pool(x, weights::exponent(&pool.exponent, load)?, pool.epsilon)
            }
            Op::Upsample(times) => operators::upsample(x, *times),
            Op::L2Normalize { epsilon } => statistics::l2_normalize(x, *epsilon),
            Op::ChannelConv(conv) => conv.evaluate(x, load)?,
            Op::MaxPool(pool) => operators::max_pool(x, &Window::of_pool(x.dims, pool)?),
            Op::AveragePool(AveragePool { pool, count_padding }) => {
                let window = pool.map_or(Ok(Window::whole(x.dims)), |pool| Window::of_pool(x.dims, &pool))?;
                operators::average_pool(x, &window, *count_padding)
            }
            Op::Subsample(subsample) => subsample.evaluate(x)?,
            Op::Flatten => Array { dims: shape::flatten(x.dims), data: x.data.clone() },
            Op::Dense(dense) => {
                let [kernel, bias] = Filters::of_dense(dense, image).load(load)?;
                operators::convolve(x, &kernel, &bias, 1, &Window::whole(x.dims))
            }
            Op::Softmax => operators::softmax(x),
        })
    }
}
