//! Pooling. Windows are cut to the image, so that no padding is ever read.

use resnet_plan::{Action, PoolKind};

use crate::diag::Diagnostic;
use crate::ops::{Attributes, Dims, Padding, ShapeError, Sides, Text, window};
use crate::plan::step::{Planning, numbers};

/// A pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window height and width.
    pub window: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Pixels around the input that a window may cover; numbers from shape inference on.
    pub padding: Padding,
    /// Round the output size up.
    pub ceil: bool,
}

/// The mean of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// The window; `None`: the whole image, a window of that size from shape inference on.
    pub pool: Option<Pool>,
    /// Whether padding counts as zeros.
    pub count_padding: bool,
}

impl Pool {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the window is larger than the padded input, or so much padding is asked for that a window holds nothing else.
    pub fn infer(&mut self, x: Dims) -> Result<Dims, ShapeError> {
        let (sides, [height, width]) = window::resolve(x, self.window, self.stride, self.padding, self.ceil)?;
        let [h, w] = self.window;
        if sides.top >= h || sides.bottom >= h || sides.left >= w || sides.right >= w {
            return Err(ShapeError::new(format!(
                "the padding of a {h}x{w} pooling window must be smaller than the window"
            )));
        }
        self.padding = Padding::Sides(sides);
        Ok([x[0], height, width, x[3]])
    }

    pub(crate) fn action(&self, kind: PoolKind, planning: &Planning<'_>) -> Result<Action, Diagnostic> {
        let Sides { top, bottom, left, right } = numbers(planning.node, self.padding)?;
        let padding = [top, bottom, left, right];
        Ok(Action::Pool(resnet_plan::Pool { kind, window: self.window, stride: self.stride, padding }))
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        window::print(self.window, self.stride, self.padding, to);
        to.flag("ceil", self.ceil);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        Ok(Pool {
            window: from.take::<Text<_>>("k")?.0,
            stride: from.take::<Text<_>>("s")?.0,
            padding: from.take::<Text<_>>("p")?.0,
            ceil: from.take_flag("ceil"),
        })
    }
}

impl AveragePool {
    /// Shape of the result.
    ///
    /// # Errors
    /// As [`Pool::infer`].
    pub fn infer(&mut self, x: Dims) -> Result<Dims, ShapeError> {
        let [_, height, width, _] = x;
        self.pool
            .get_or_insert(Pool {
                window: [height, width],
                stride: [1, 1],
                padding: Padding::Valid,
                ceil: false,
            })
            .infer(x)
    }

    pub(crate) fn action(&self, planning: &Planning<'_>) -> Result<Action, Diagnostic> {
        let kind = if self.count_padding { PoolKind::AverageWithPadding } else { PoolKind::Average };
        self.pool.ok_or_else(|| planning.without_kernel())?.action(kind, planning)
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        match &self.pool {
            Some(pool) => pool.print(to),
            None => to.flag("global", true),
        }
        to.flag("count_padding", self.count_padding);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let pool = if from.take_flag("global") { None } else { Some(Pool::read(from)?) };
        Ok(AveragePool { pool, count_padding: from.take_flag("count_padding") })
    }
}
