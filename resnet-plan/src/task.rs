//! What a step asks of a kernel: its geometry, checked, and that there is a kernel for its elements.

use crate::activation::Activation;
use crate::conv::{Convolution, Residual};
use crate::copy::{AddGeometry, CopyGeometry};
use crate::element::Element;
use crate::pixels::{Area, Dims, Fault};
use crate::plan::{Action, Step};
use crate::pool::{PoolGeometry, PoolKind};

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
    /// If shapes do not fit, a window or value reaches outside its tensor, or there is no kernel for the elements.
    pub fn task(&self, input: Dims) -> Result<Task, Fault> {
        let to = self.write;
        let y = to.area();
        let (x, from) = match (&self.read, self.action) {
            (None, Action::Input) => (Area::dense(input), Element::F32),
            (None, Action::Clear) => return y.check().map(|()| Task::Clear(y)),
            (Some(_), Action::Input | Action::Clear) => {
                return Err(Fault::new("it reads nothing of the arena"));
            }
            (None, _) => return Err(Fault::new("it reads nothing")),
            (Some(read), _) => (read.area(), read.element),
        };
        let scale = from.ratio(to.element);
        let alike = from.is_stored_as(to.element);
        let task = match self.action {
            Action::Conv { layer, conv } => {
                let kernel = match (from, to.element) {
                    (Element::F32, Element::F32) | (Element::Bf16, Element::Bf16 | Element::F32) => {
                        !matches!(conv.residual, Residual::Quantized { .. })
                    }
                    (Element::U8(_) | Element::I8(_), Element::F32) => !conv.residual.is_some(),
                    (Element::U8(_) | Element::I8(_), Element::U8(_) | Element::I8(_)) => {
                        conv.residual != Residual::Same
                    }
                    _ => false,
                };
                require(kernel)?;
                Task::Conv(Convolution::new(conv, x, from.precision(), y, to.element.scale())?, layer)
            }
            Action::Pool(pool) => {
                require(alike && (pool.kind != PoolKind::Max || from == to.element))?;
                Task::Pool(PoolGeometry::new(pool, x, y, scale)?)
            }
            Action::Subsample { stride, front, channels } => {
                require(from == to.element)?;
                Task::Copy(CopyGeometry::subsample(stride, front, channels, x, y)?, scale)
            }
            Action::Copy | Action::Input => {
                require(from == to.element || from == Element::F32 || to.element == Element::F32)?;
                Task::Copy(CopyGeometry::whole(x, y, alike)?, scale)
            }
            Action::Add { residual, activation } => {
                let int8 = from.is_quantized() && to.element.is_quantized() && residual.is_quantized();
                let activated = activation.is_homogeneous() || !int8;
                require(activated && activation != Activation::Prelu)?;
                require(int8 || from == to.element && residual == to.element)?;
                let residual = Residual::of(Some(residual), to.element);
                Task::Add(AddGeometry::new(x, y, scale, residual)?, activation)
            }
            Action::Softmax => {
                require(from == Element::F32 && to.element == Element::F32)?;
                if x.dims != y.dims || !x.is_dense() || !y.is_dense() {
                    return Err(Fault::new("the shapes differ"));
                }
                y.check()?;
                Task::Softmax(y.dims[3])
            }
            Action::Clear => return Err(Fault::new("it reads nothing of the arena")),
        };
        Ok(task)
    }
}

fn require(has_kernel: bool) -> Result<(), Fault> {
    if has_kernel { Ok(()) } else { Err(Fault::new("there is no kernel for these elements")) }
}
