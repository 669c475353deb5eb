//! What a step does, and what it asks of a kernel: its geometry, checked, and that there is a kernel for its elements.

use std::fmt;

use crate::activation::Activation;
use crate::constant::constant;
use crate::conv::{Conv, Convolution, Residual};
use crate::copy::CopyGeometry;
use crate::element::Element;
use crate::elementwise::{Elementwise, Operator};
use crate::moments::{GroupNorm, Reduce, Reduction};
use crate::pixels::{Area, Dims, Fault, try_const};
use crate::plan::{Step, View};
use crate::pool::{Pool, PoolGeometry, PoolKind};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Copies the network's input into the arena.
    Input,
    /// Writes zeros around the value.
    Clear,
    /// Copies a value.
    Copy,
    /// Convolves with the weights of a layer.
    Conv {
        /// Index of the layer.
        layer: usize,
        /// The convolution.
        conv: Conv,
    },
    /// Pools.
    Pool(Pool),
    /// Takes every n-th pixel, with `front` zero channels in front.
    Subsample {
        /// Stride.
        stride: [usize; 2],
        /// Zero channels in front.
        front: usize,
        /// Channels that are taken.
        channels: usize,
    },
    /// Adds to what is already there.
    Add {
        /// What is already there.
        residual: Element,
        /// What becomes of the sums.
        activation: Activation,
        /// Index of the list of the activation's slopes, if it has any.
        list: Option<usize>,
    },
    /// Multiplies what is already there, with a value of the same shape, or with one of a pixel an image.
    Multiply {
        /// What is already there.
        held: Element,
        /// What becomes of the products.
        activation: Activation,
        /// Index of the list of the activation's slopes, if it has any.
        list: Option<usize>,
    },
    /// `x * scale + shift`, a scale and a shift for each channel: a batch norm that stands alone.
    Affine {
        /// What becomes of that.
        activation: Activation,
        /// Index of the list of its weights.
        list: usize,
    },
    /// Applies a function to each element.
    Activate {
        /// The function.
        activation: Activation,
        /// Index of the list of its slopes, if it has any.
        list: Option<usize>,
    },
    /// Takes away the mean of each image's groups of channels and divides by their standard deviation. Channels outside the range
    /// are copied.
    GroupNorm {
        /// Groups of channels.
        groups: usize,
        /// The first channel that is normalized and the end.
        channels: [usize; 2],
        /// Added to the variance.
        epsilon: f64,
        /// What becomes of all channels.
        activation: Activation,
        /// Whether there are gamma and beta.
        affine: bool,
        /// Index of the list of its weights, if it has any: gamma and beta, slopes.
        list: Option<usize>,
    },
    /// The mean of each channel, and behind all means the standard deviations, `sqrt(variance + epsilon)` of the variance without
    /// bias: of each row or of the whole image, as the output has rows.
    Statistics {
        /// Added to the variance.
        epsilon: f64,
    },
    /// `mean(max(x, epsilon)^p)^(1/p)` of each channel of an image.
    Gem {
        /// The least that an element counts as.
        epsilon: f64,
        /// p, if it is no weight.
        exponent: f64,
        /// Index of the list that has p, if it is a weight.
        list: Option<usize>,
    },
    /// Each pixel so many times in height and width.
    Upsample {
        /// How often.
        times: [usize; 2],
    },
    /// Softmax over channels.
    Softmax,
    /// Each pixel over its Euclidean norm, or over epsilon, if that is larger.
    L2Normalize {
        /// The least that a pixel is divided by.
        epsilon: f64,
    },
    /// A convolution along the channels of a pixel, with zeros on both sides.
    ChannelConv {
        /// Elements of the kernel, an odd number.
        kernel: usize,
        /// Index of the list that has it.
        list: usize,
    },
}

constant!(enum Action {
    Input,
    Clear,
    Copy,
    Conv { layer, conv },
    Pool(pool),
    Subsample { stride, front, channels },
    Add { residual, activation, list },
    Multiply { held, activation, list },
    Affine { activation, list },
    Activate { activation, list },
    GroupNorm { groups, channels, epsilon, activation, affine, list },
    Statistics { epsilon },
    Gem { epsilon, exponent, list },
    Upsample { times },
    Softmax,
    L2Normalize { epsilon },
    ChannelConv { kernel, list },
});

impl Action {
    /// Index of the layer whose weights it takes.
    pub const fn layer(self) -> Option<usize> {
        match self {
            Action::Conv { layer, .. } => Some(layer),
            _ => None,
        }
    }

    /// Index of the list whose weights it takes.
    pub const fn list(self) -> Option<usize> {
        match self {
            Action::Add { list, .. }
            | Action::Multiply { list, .. }
            | Action::Activate { list, .. }
            | Action::GroupNorm { list, .. }
            | Action::Gem { list, .. } => list,
            Action::Affine { list, .. } | Action::ChannelConv { list, .. } => Some(list),
            _ => None,
        }
    }

    /// Elements of the tensor that it takes as it is.
    pub const fn tensor(self) -> Option<usize> {
        match self {
            Action::Gem { list: Some(_), .. } => Some(1),
            Action::ChannelConv { kernel, .. } => Some(kernel),
            _ => None,
        }
    }

    /// The same, its weights counted from this layer and this list on.
    pub const fn counted_from(mut self, [first_layer, first_list]: [usize; 2]) -> Self {
        match &mut self {
            Action::Conv { layer, .. } => *layer = layer.saturating_sub(first_layer),
            Action::Add { list: Some(list), .. }
            | Action::Multiply { list: Some(list), .. }
            | Action::Activate { list: Some(list), .. }
            | Action::GroupNorm { list: Some(list), .. }
            | Action::Gem { list: Some(list), .. }
            | Action::Affine { list, .. }
            | Action::ChannelConv { list, .. } => *list = list.saturating_sub(first_list),
            _ => {}
        }
        self
    }

    /// The function that is applied to its results.
    pub const fn activation(self) -> Activation {
        match self {
            Action::Conv { conv, .. } => conv.activation,
            Action::Add { activation, .. }
            | Action::Multiply { activation, .. }
            | Action::Affine { activation, .. }
            | Action::Activate { activation, .. }
            | Action::GroupNorm { activation, .. } => activation,
            _ => Activation::None,
        }
    }

    /// What is there already, where it writes.
    pub const fn held(self) -> Option<Element> {
        match self {
            Action::Add { residual: held, .. } | Action::Multiply { held, .. } => Some(held),
            _ => None,
        }
    }
}

/// A value that a step reads or writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operand {
    /// Where it lies in its tensor.
    pub area: Area,
    /// What it holds.
    pub element: Element,
}

/// A step as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// A convolution, and the index of its layer.
    Conv(Convolution, usize),
    /// A pooling layer.
    Pool(PoolGeometry),
    /// A step on elements, and the index of its list, if it has one.
    Elementwise(Elementwise, Option<usize>),
    /// A copy, and what elements are multiplied with if they are converted.
    Copy(CopyGeometry, f32),
    /// A group norm, and the index of its list, if it has one.
    GroupNorm(GroupNorm, Option<usize>),
    /// Many pixels that become one, and the index of the list that has the exponent of a generalized mean.
    Reduce(Reduce, Option<usize>),
    /// Softmax over so many channels.
    Softmax(usize),
    /// Pixels of so many channels over their norm, or over what is the least.
    L2Normalize(usize, f64),
    /// A convolution along channels.
    ChannelConv {
        /// Channels.
        channels: usize,
        /// Elements of the kernel.
        kernel: usize,
        /// Index of the list that has it.
        list: usize,
    },
    /// Zeros around a value.
    Clear(Area),
}

impl Step {
    /// The step as kernels take it. `input` is the shape of the network's input, of a pass.
    ///
    /// # Errors
    /// As [`Task::new`].
    pub fn task(&self, input: Dims) -> Result<Task, Fault> {
        let read = match (&self.read, self.action) {
            (None, Action::Input) => Some(Operand { area: Area::dense(input), element: Element::F32 }),
            (Some(_), Action::Input) => return Err(Fault::new("it reads nothing of the arena")),
            (read, _) => read.as_ref().map(View::operand),
        };
        Task::new(self.action, read, self.gate.as_ref().map(View::operand), self.write.operand())
    }
}

impl View {
    /// The value, without its place in the arena.
    pub const fn operand(&self) -> Operand {
        Operand { area: self.area(), element: self.element }
    }
}

impl Task {
    /// What `action` asks of a kernel, from `x` to `y`. `gate` is what a convolution multiplies its sums with, if anything.
    ///
    /// # Errors
    /// If anything but a convolution has a gate; if something is read where nothing is to be, or the other way round; if shapes do not fit, a window or value reaches outside
    /// its tensor, or there is no kernel for the elements.
    pub const fn new(
        action: Action,
        x: Option<Operand>,
        gate: Option<Operand>,
        y: Operand,
    ) -> Result<Task, Fault> {
        let Operand { area: y, element: to } = y;
        if gate.is_some() && !matches!(action, Action::Conv { .. }) {
            return Err(Fault::new("only convolutions have gates"));
        }
        let (x, from) = match (x, action) {
            (None, Action::Clear) => {
                try_const!(y.check());
                return Ok(Task::Clear(y));
            }
            (Some(_), Action::Clear) => return Err(Fault::new("it reads nothing of the arena")),
            (None, _) => return Err(Fault::new("it reads nothing")),
            (Some(x), _) => (x.area, x.element),
        };
        let scale = from.ratio(to);
        let (alike, equal) = (from.is_stored_as(to), from.equals(to));
        let int8 = from.is_quantized() && to.is_quantized();
        let floats = matches!((from, to), (Element::F32, Element::F32));
        let (has_kernel, task) = match action {
            Action::Conv { layer, conv } => {
                let has_kernel = match (from, to) {
                    (Element::F32, Element::F32) | (Element::Bf16, Element::Bf16 | Element::F32) => {
                        !matches!(conv.residual, Residual::Quantized { .. })
                    }
                    (Element::U8(_) | Element::I8(_), Element::F32) => {
                        !matches!(conv.residual, Residual::Quantized { .. })
                    }
                    _ => int8 && !matches!(conv.residual, Residual::Same),
                };
                let convolution = try_const!(Convolution::new(conv, x, from.precision(), y, to.scale()));
                let (convolution, takes_gate) = match gate {
                    None => (convolution, true),
                    Some(gate) => (
                        try_const!(convolution.gated(gate.area, y)),
                        floats && gate.element.equals(Element::F32),
                    ),
                };
                (has_kernel && takes_gate, Task::Conv(convolution, layer))
            }
            Action::Pool(pool) => {
                let geometry = try_const!(PoolGeometry::new(pool, x, y, scale));
                (alike && (equal || !matches!(pool.kind, PoolKind::Max)), Task::Pool(geometry))
            }
            Action::Subsample { stride, front, channels } => {
                (equal, Task::Copy(try_const!(CopyGeometry::subsample(stride, front, channels, x, y)), scale))
            }
            Action::Copy | Action::Input => {
                let has_kernel = equal || matches!(from, Element::F32) || matches!(to, Element::F32);
                (has_kernel, Task::Copy(try_const!(CopyGeometry::whole(x, y, alike)), scale))
            }
            Action::Upsample { times } => {
                (equal, Task::Copy(try_const!(CopyGeometry::upsample(times, x, y)), scale))
            }
            Action::Add { .. }
            | Action::Multiply { .. }
            | Action::Affine { .. }
            | Action::Activate { .. } => {
                let operator = match action {
                    Action::Add { .. } => Operator::Add,
                    Action::Multiply { .. } => Operator::Multiply,
                    Action::Affine { .. } => Operator::Affine,
                    _ => Operator::Identity,
                };
                let activation = action.activation();
                let (held, list) = (action.held(), action.list());
                if matches!(activation, Activation::Prelu) && list.is_none() {
                    return Err(Fault::new("there are no slopes"));
                }
                let made = Elementwise::new(operator, activation, [x, y], [from, to], held);
                (true, Task::Elementwise(try_const!(made), list))
            }
            Action::GroupNorm { groups, channels, epsilon, activation, affine, list } => {
                if (affine || matches!(activation, Activation::Prelu)) != list.is_some() {
                    return Err(Fault::new("there are no weights, or more than it takes"));
                }
                let norm = GroupNorm::new(groups, channels, epsilon, activation, affine, x, y);
                (floats, Task::GroupNorm(try_const!(norm), list))
            }
            Action::Statistics { epsilon } => {
                let reduce = Reduce::new(Reduction::Statistics { epsilon }, x, y);
                (floats, Task::Reduce(try_const!(reduce), None))
            }
            Action::Gem { epsilon, exponent, list } => {
                let exponent = if list.is_none() { Some(exponent) } else { None };
                let reduce = Reduce::new(Reduction::Gem { epsilon, exponent }, x, y);
                (floats, Task::Reduce(try_const!(reduce), list))
            }
            Action::Softmax => {
                try_const!(same_dense(&x, &y));
                (floats, Task::Softmax(y.dims[3]))
            }
            Action::L2Normalize { epsilon } => {
                try_const!(same_dense(&x, &y));
                (floats, Task::L2Normalize(y.dims[3], epsilon))
            }
            Action::ChannelConv { kernel, list } => {
                try_const!(same_dense(&x, &y));
                if y.size[0] != 1 || y.size[1] != 1 {
                    return Err(Fault::new("the image has more than one pixel"));
                }
                if kernel.is_multiple_of(2) {
                    return Err(Fault::new("the kernel has an even number of elements"));
                }
                (floats, Task::ChannelConv { channels: y.dims[3], kernel, list })
            }
            Action::Clear => return Err(Fault::new("it reads nothing of the arena")),
        };
        if has_kernel { Ok(task) } else { Err(Fault::new("there is no kernel for these elements")) }
    }
}

/// Both values fill their tensors, which have one shape.
const fn same_dense(x: &Area, y: &Area) -> Result<(), Fault> {
    let mut same = x.is_dense() && y.is_dense();
    let mut axis = 0;
    while axis < 4 {
        same &= x.dims[axis] == y.dims[axis];
        axis += 1;
    }
    if same { y.check() } else { Err(Fault::new("the shapes differ")) }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Input => f.write_str("input"),
            Action::Clear => f.write_str("clear"),
            Action::Copy => f.write_str("copy"),
            Action::Conv { layer, conv } => {
                let Conv { kernel: [h, w], stride: [down, right], from: [y, x], .. } = conv;
                let Conv { dilation: [below, beside], blocks, residual, algorithms, split, .. } = conv;
                write!(f, "conv w{layer} {h}x{w}/{down}x{right} from ({y},{x})")?;
                if conv.dilation != [1, 1] {
                    write!(f, ", dilation {below}x{beside}")?;
                }
                if *blocks != 1 {
                    write!(f, ", {blocks} blocks")?;
                }
                write!(f, ", {algorithms}, split {split}")?;
                f.write_str(if residual.is_some() { ", accumulate" } else { "" })
            }
            Action::Pool(Pool { kind, window: [h, w], stride: [down, right], .. }) => {
                write!(f, "{kind:?} pool {h}x{w}/{down}x{right}")
            }
            Action::Subsample { stride: [down, right], front, .. } => {
                write!(f, "subsample /{down}x{right}, {front} zero channels in front")
            }
            Action::Add { .. } => f.write_str("add"),
            Action::Multiply { .. } => f.write_str("multiply"),
            Action::Affine { list, .. } => write!(f, "affine l{list}"),
            Action::Activate { .. } => f.write_str("activate"),
            Action::GroupNorm { groups, channels: [first, end], epsilon, .. } => {
                write!(f, "group norm of {groups} groups of channels {first}..{end}, epsilon {epsilon:e}")
            }
            Action::Statistics { epsilon } => write!(f, "statistics, epsilon {epsilon:e}"),
            Action::Gem { epsilon, exponent, list: None } => {
                write!(f, "generalized mean, p {exponent}, epsilon {epsilon:e}")
            }
            Action::Gem { epsilon, list: Some(list), .. } => {
                write!(f, "generalized mean l{list}, epsilon {epsilon:e}")
            }
            Action::Upsample { times: [down, right] } => write!(f, "upsample x{down}x{right}"),
            Action::Softmax => f.write_str("softmax"),
            Action::L2Normalize { epsilon } => write!(f, "l2 normalize, epsilon {epsilon:e}"),
            Action::ChannelConv { kernel, list } => write!(f, "channel conv l{list} of {kernel}"),
        }?;
        match self.activation() {
            Activation::None => Ok(()),
            activation => write!(f, ", {activation}"),
        }
    }
}
