//! Values that are copied or added pixel by pixel.

use crate::conv::Residual;
use crate::pixels::{Area, Fault, Pixels, plus, same_batch, times, try_const};

/// A copy as kernels take it: all of a value, or every n-th pixel between channels of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyGeometry {
    /// Images.
    pub batch: usize,
    /// Height and width of what is written.
    pub size: [usize; 2],
    /// Channels that are copied.
    pub channels: usize,
    /// Zero channels before them.
    pub front: usize,
    /// Zero channels behind them.
    pub back: usize,
    /// Where the pixels lie that are copied.
    pub x: Pixels,
    /// Where they go.
    pub y: Pixels,
}

/// A sum of two values as kernels take it, in place of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddGeometry {
    /// Images.
    pub batch: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Where the pixels lie that are added.
    pub x: Pixels,
    /// Where the pixels lie that they are added to.
    pub y: Pixels,
    /// What is multiplied with `x`: int8, its scale in units of the output's; else 1.
    pub scale: f32,
    /// What the output holds before.
    pub residual: Residual,
}

impl CopyGeometry {
    /// All of a value. Where elements are of one size, channels must be equal; else both have as many as the narrower one, and
    /// what `y` has beyond that becomes zero: channels are filled up to whole words.
    ///
    /// # Errors
    /// If batches, sizes or channels differ, or a value reaches outside its tensor.
    pub const fn whole(x: Area, y: Area, same_size: bool) -> Result<Self, Fault> {
        if x.size[0] != y.size[0] || x.size[1] != y.size[1] {
            return Err(Fault::new("the sizes differ"));
        }
        if same_size && x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        let channels = if x.dims[3] < y.dims[3] { x.dims[3] } else { y.dims[3] };
        Self::subsample([1, 1], 0, channels, x, y)
    }

    /// Every n-th pixel of the first `channels` channels; `front` zero channels before them, and behind them what is left of
    /// `y`'s.
    ///
    /// # Errors
    /// If batches differ, sizes or channels do not fit, or a value reaches outside its tensor.
    pub const fn subsample(
        stride: [usize; 2],
        front: usize,
        channels: usize,
        x: Area,
        y: Area,
    ) -> Result<Self, Fault> {
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        if channels > x.dims[3] || plus(front, channels) > y.dims[3] {
            return Err(Fault::new("the channels do not fit"));
        }
        if times(y.size[0] - 1, stride[0]) >= x.size[0] || times(y.size[1] - 1, stride[1]) >= x.size[1] {
            return Err(Fault::new("the rows or columns do not fit"));
        }
        Ok(CopyGeometry {
            batch: y.dims[0],
            size: y.size,
            channels,
            front,
            back: y.dims[3] - channels - front,
            x: x.pixels(x.at, stride),
            y: y.interior(),
        })
    }

    /// Channels of a pixel that is written, or [`usize::MAX`].
    pub const fn width(&self) -> usize {
        plus(plus(self.front, self.channels), self.back)
    }

    /// Whether nothing is copied.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.size[0] == 0 || self.size[1] == 0 || self.width() == 0
    }

    /// Whether all pixels lie in an input of so many elements, and each has elements of its own among those of the output.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        fits(self.batch, self.size, [self.x, self.y], [self.channels, self.width()], [x_elements, y_elements])
    }
}

impl AddGeometry {
    /// `y += x`; `x` is multiplied with `scale`, `y` holds `residual`.
    ///
    /// # Errors
    /// If batches, sizes or channels differ, or a value reaches outside its tensor.
    pub const fn new(x: Area, y: Area, scale: f32, residual: Residual) -> Result<Self, Fault> {
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        if x.size[0] != y.size[0] || x.size[1] != y.size[1] {
            return Err(Fault::new("the sizes differ"));
        }
        if x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        Ok(AddGeometry {
            batch: y.dims[0],
            size: y.size,
            channels: y.dims[3],
            x: x.interior(),
            y: y.interior(),
            scale,
            residual,
        })
    }

    /// Whether nothing is added.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.size[0] == 0 || self.size[1] == 0 || self.channels == 0
    }

    /// As [`CopyGeometry::fits`].
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        fits(self.batch, self.size, [self.x, self.y], [self.channels; 2], [x_elements, y_elements])
    }
}

/// Whether pixels with so many channels each, of what is read and what is written, lie among so many elements.
const fn fits(
    batch: usize,
    size: [usize; 2],
    [x, y]: [Pixels; 2],
    channels: [usize; 2],
    elements: [usize; 2],
) -> Result<(), Fault> {
    if x.end(batch, size, channels[0]) > elements[0] {
        return Err(Fault::new("pixels lie outside the input"));
    }
    if !y.hold(batch, size, channels[1], elements[1]) {
        return Err(Fault::new("pixels lie outside the output, or overlap"));
    }
    Ok(())
}
