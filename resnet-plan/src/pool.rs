//! Pooling: windows that are cut to the image, so that no padding is ever read, or find the image mirrored there.

use crate::constant::constant;
use crate::copy::hold;
use crate::pixels::{Area, Fault, Pixels, plus, same_batch, times, try_const};

/// A pooling layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which way.
    pub kind: PoolKind,
    /// Window height and width.
    pub window: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub padding: [usize; 4],
}

/// The ways of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The maximum of the pixels of the image in the window.
    Max,
    /// Their mean.
    Average,
    /// The mean of them and of the padding in the window, which counts as zeros (PyTorch's `count_include_pad`).
    AverageWithPadding,
    /// Their sum with binomial weights (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", section 3.2); around the image
    /// lie its own pixels, mirrored at the edge.
    Blur,
}

/// The largest window of a blur: its weights are exact in f32.
pub const LARGEST_BLUR: usize = 9;

/// Pooling as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolGeometry {
    /// Which way.
    pub kind: PoolKind,
    /// What a mean is multiplied with: int8, the input's scale in units of the output's; else 1.
    pub scale: f32,
    /// Images.
    pub batch: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Window height and width.
    pub window: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Where the input's pixels lie.
    pub x: Pixels,
    /// Where the output's pixels lie.
    pub y: Pixels,
}

constant!(struct Pool { kind, window, stride, padding });
constant!(
    enum PoolKind {
        Max,
        Average,
        AverageWithPadding,
        Blur,
    }
);

impl PoolGeometry {
    /// Pooling from `x` to `y`; a mean is multiplied with `scale`.
    ///
    /// # Errors
    /// If batches or channels differ, a value reaches outside its tensor, or a window holds nothing of the image.
    pub const fn new(pool: Pool, x: Area, y: Area, scale: f32) -> Result<Self, Fault> {
        let Pool { kind, window, stride, padding } = pool;
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        if x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        let geometry = PoolGeometry {
            kind,
            scale,
            batch: y.dims[0],
            input: x.size,
            output: y.size,
            channels: y.dims[3],
            window,
            stride,
            padding,
            x: x.interior(),
            y: y.interior(),
        };
        try_const!(geometry.windows());
        Ok(geometry)
    }

    /// Whether nothing is computed.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.output[0] == 0 || self.output[1] == 0 || self.channels == 0
    }

    /// Whether the image lies in an input of so many elements, each window holds a pixel of it, and each output pixel has elements
    /// of its own among so many.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        if self.x.end(self.batch, self.input, self.channels) > x_elements {
            return Err(Fault::new("pixels lie outside the input"));
        }
        try_const!(hold(&self.y, self.batch, self.output, self.channels, y_elements));
        self.windows()
    }

    /// Each window holds a pixel of the image.
    const fn windows(&self) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let mut axis = 0;
        while axis < 2 {
            let (before, behind) = (self.padding[2 * axis], self.padding[2 * axis + 1]);
            let image = plus(before, self.input[axis]);
            let last = times(self.output[axis] - 1, self.stride[axis]);
            let mirrored = matches!(self.kind, PoolKind::Blur);
            if self.input[axis] == 0 || !mirrored && (before >= self.window[axis] || last >= image) {
                return Err(Fault::new("a window holds nothing of the image"));
            }
            if plus(image, behind) == usize::MAX {
                return Err(Fault::new("the padding is too large"));
            }
            if mirrored {
                let (window, end) = (self.window[axis], plus(last, self.window[axis]));
                if window == 0
                    || window > LARGEST_BLUR
                    || before >= self.input[axis]
                    || behind >= self.input[axis]
                {
                    return Err(Fault::new("the window of a blur is too large"));
                }
                if end > plus(image, behind) {
                    return Err(Fault::new("the window of a blur reaches beyond the mirrored image"));
                }
            }
            axis += 1;
        }
        Ok(())
    }
}
