//! The parameter-free shortcut: every n-th pixel, and zero channels for those that the branch has more of (shortcut A
//! of He et al. 2015, "Deep Residual Learning for Image Recognition", section 3.3).

use resnet_plan::Action;

use crate::evaluate::Array;
use crate::ops::{Attributes, Dims, ShapeError, Text};

/// Every `stride`-th pixel from the first on, with zero channels before and behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Stride.
    pub stride: [usize; 2],
    /// Zero channels in front.
    pub front: usize,
    /// Zero channels behind.
    pub back: usize,
}

impl Subsample {
    /// Shape of the result.
    ///
    /// # Errors
    /// If a stride is zero.
    pub fn infer(&self, [n, h, w, c]: Dims) -> Result<Dims, ShapeError> {
        let [down, right] = self.stride;
        if down == 0 || right == 0 {
            return Err(ShapeError::new("strides are at least 1"));
        }
        Ok([n, h.div_ceil(down), w.div_ceil(right), self.front + c + self.back])
    }

    /// Every `stride`-th pixel from the first on, with zero channels before and behind.
    pub(crate) fn evaluate(&self, x: &Array) -> Result<Array, ShapeError> {
        let [batch, height, width, _] = x.dims;
        let dims = self.infer(x.dims)?;
        let mut data = Vec::with_capacity(dims.iter().product());
        for n in 0..batch {
            for row in (0..height).step_by(self.stride[0]) {
                for column in (0..width).step_by(self.stride[1]) {
                    data.resize(data.len() + self.front, 0.0);
                    data.extend_from_slice(x.pixel(n, row, column));
                    data.resize(data.len() + self.back, 0.0);
                }
            }
        }
        Ok(Array { dims, data })
    }

    pub(crate) fn action(&self, channels: usize) -> Action {
        Action::Subsample { stride: self.stride, front: self.front, channels }
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("s", Text(self.stride));
        to.put("front", self.front);
        to.put("back", self.back);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        Ok(Subsample {
            stride: from.take::<Text<_>>("s")?.0,
            front: from.take_size("front")?,
            back: from.take_size("back")?,
        })
    }
}
