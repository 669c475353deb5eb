//! Values that are copied pixel by pixel.

use crate::pixels::{Area, Fault, Pixels, plus, same_batch, times, try_const};

/// A copy as kernels take it: all of a value, every n-th pixel between channels of zeros, or each pixel several times.
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
    /// How often each pixel is copied, to pixels below and beside each other.
    pub times: [usize; 2],
    /// Where the pixels lie that are copied.
    pub x: Pixels,
    /// Where they go.
    pub y: Pixels,
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
            times: [1, 1],
            x: x.pixels(x.at, stride),
            y: y.interior(),
        })
    }

    /// Each pixel so many times in height and width.
    ///
    /// # Errors
    /// If batches or channels differ, sizes are not so many times larger, or a value reaches outside its tensor.
    pub const fn upsample(factor: [usize; 2], x: Area, y: Area) -> Result<Self, Fault> {
        if times(x.size[0], factor[0]) != y.size[0] || times(x.size[1], factor[1]) != y.size[1] {
            return Err(Fault::new("the sizes are not so many times larger"));
        }
        if x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        let one = Area { size: x.size, ..y };
        let copy = try_const!(Self::subsample([1, 1], 0, x.dims[3], x, one));
        try_const!(y.check());
        Ok(CopyGeometry { size: y.size, times: factor, ..copy })
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
        if self.times[0] == 0 || self.times[1] == 0 {
            return Err(Fault::new("pixels are copied not once"));
        }
        let size = [self.size[0].div_ceil(self.times[0]), self.size[1].div_ceil(self.times[1])];
        if self.x.end(self.batch, size, self.channels) > x_elements {
            return Err(Fault::new("pixels lie outside the input"));
        }
        hold(&self.y, self.batch, self.size, self.width(), y_elements)
    }
}

/// Whether pixels with so many channels each have elements of their own among so many of what is written.
pub(crate) const fn hold(
    y: &Pixels,
    batch: usize,
    size: [usize; 2],
    channels: usize,
    elements: usize,
) -> Result<(), Fault> {
    if y.hold(batch, size, channels, elements) {
        Ok(())
    } else {
        Err(Fault::new("pixels lie outside the output, or overlap"))
    }
}
