//! What a step does, and what it asks of a kernel: its geometry, checked, and that there is a kernel for its elements.

use std::fmt;

use crate::activation::Activation;
use crate::conv::{Conv, Convolution, Residual};
use crate::copy::{AddGeometry, CopyGeometry};
use crate::element::Element;
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
    },
    /// Softmax over channels.
    Softmax,
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
    /// A sum, and what becomes of it.
    Add(AddGeometry, Activation),
    /// A copy, and what elements are multiplied with if they are converted.
    Copy(CopyGeometry, f32),
    /// Softmax over so many channels.
    Softmax(usize),
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
        Task::new(self.action, read, self.write.operand())
    }
}

impl View {
    /// The value, without its place in the arena.
    pub const fn operand(&self) -> Operand {
        Operand { area: self.area(), element: self.element }
    }
}

impl Task {
    /// What `action` asks of a kernel, from `x` to `y`.
    ///
    /// # Errors
    /// If something is read where nothing is to be, or the other way round; if shapes do not fit, a window or value reaches outside
    /// its tensor, or there is no kernel for the elements.
    pub const fn new(action: Action, x: Option<Operand>, y: Operand) -> Result<Task, Fault> {
        let Operand { area: y, element: to } = y;
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
        let (has_kernel, task) = match action {
            Action::Conv { layer, conv } => {
                let has_kernel = match (from, to) {
                    (Element::F32, Element::F32) | (Element::Bf16, Element::Bf16 | Element::F32) => {
                        !matches!(conv.residual, Residual::Quantized { .. })
                    }
                    (Element::U8(_) | Element::I8(_), Element::F32) => !conv.residual.is_some(),
                    _ => int8 && !matches!(conv.residual, Residual::Same),
                };
                let convolution = try_const!(Convolution::new(conv, x, from.precision(), y));
                (has_kernel, Task::Conv(convolution, layer))
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
            Action::Add { residual, activation } => {
                let has_kernel = int8 && residual.is_quantized() || equal && residual.equals(to);
                let residual = Residual::of(Some(residual), to);
                (has_kernel, Task::Add(try_const!(AddGeometry::new(x, y, scale, residual)), activation))
            }
            Action::Softmax => {
                try_const!(same_dense(&x, &y));
                (matches!((from, to), (Element::F32, Element::F32)), Task::Softmax(y.dims[3]))
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
                let Conv { residual, activation, algorithms, split, .. } = conv;
                write!(
                    f,
                    "conv w{layer} {h}x{w}/{down}x{right} from ({y},{x}), {algorithms}, split {split}"
                )?;
                f.write_str(if residual.is_some() { ", accumulate" } else { "" })?;
                write_activation(f, *activation)
            }
            Action::Pool(Pool { kind, window: [h, w], stride: [down, right], .. }) => {
                write!(f, "{kind:?} pool {h}x{w}/{down}x{right}")
            }
            Action::Subsample { stride: [down, right], front, .. } => {
                write!(f, "subsample /{down}x{right}, {front} zero channels in front")
            }
            Action::Add { activation, .. } => {
                f.write_str("add")?;
                write_activation(f, *activation)
            }
            Action::Softmax => f.write_str("softmax"),
        }
    }
}

/// `, relu`, if there is one.
fn write_activation(f: &mut fmt::Formatter<'_>, activation: Activation) -> fmt::Result {
    match activation {
        Activation::None => Ok(()),
        _ => write!(f, ", {activation}"),
    }
}
