//! Means and deviations of many pixels, and what is normalized by them, as kernels take them.

use crate::activation::Activation;
use crate::copy::hold;
use crate::pixels::{Area, Fault, Pixels, same_batch, times, try_const};

/// Group normalization as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups of channels, of one size.
    pub groups: usize,
    /// The first channel that is normalized and the end. The others are copied.
    pub range: [usize; 2],
    /// Added to the variance.
    pub epsilon: f64,
    /// What becomes of all channels.
    pub activation: Activation,
    /// Whether there are gamma and beta.
    pub affine: bool,
    /// Images.
    pub batch: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Where the pixels lie that are read.
    pub x: Pixels,
    /// Where the pixels lie that are written.
    pub y: Pixels,
}

/// Pixels that become one, as kernels take them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduce {
    /// What they become.
    pub reduction: Reduction,
    /// Images.
    pub batch: usize,
    /// Parts of an image, one below the other.
    pub parts: usize,
    /// Height and width of a part.
    pub size: [usize; 2],
    /// Channels of what is read.
    pub channels: usize,
    /// Where the pixels lie that are read.
    pub x: Pixels,
    /// Where the pixels lie that are written, one a part, one below the other.
    pub y: Pixels,
}

/// What becomes of many pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reduction {
    /// The means of all channels, and behind them `sqrt(variance + epsilon)`, of the variance without bias.
    Statistics {
        /// Added to the variance.
        epsilon: f64,
    },
    /// `mean(max(x, epsilon)^p)^(1/p)`
    Gem {
        /// The least that an element counts as.
        epsilon: f64,
        /// p, if it is no weight.
        exponent: Option<f64>,
    },
}

impl GroupNorm {
    /// From `x` to `y`.
    ///
    /// # Errors
    /// If batches, sizes or channels differ, a value reaches outside its tensor, or groups do not divide the range of channels.
    pub const fn new(
        groups: usize,
        range: [usize; 2],
        epsilon: f64,
        activation: Activation,
        affine: bool,
        x: Area,
        y: Area,
    ) -> Result<Self, Fault> {
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        if x.size[0] != y.size[0] || x.size[1] != y.size[1] {
            return Err(Fault::new("the sizes differ"));
        }
        if x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        let norm = GroupNorm {
            groups,
            range,
            epsilon,
            activation,
            affine,
            batch: y.dims[0],
            size: y.size,
            channels: y.dims[3],
            x: x.interior(),
            y: y.interior(),
        };
        try_const!(norm.groups_fit());
        Ok(norm)
    }

    /// Channels of a group.
    pub const fn width(&self) -> usize {
        (self.range[1] - self.range[0]) / self.groups
    }

    /// Whether nothing is computed.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.size[0] == 0 || self.size[1] == 0 || self.channels == 0
    }

    /// Rows of weights that it needs, an element a channel: gamma and beta, slopes.
    pub const fn rows(&self) -> usize {
        let affine = if self.affine { 2 } else { 0 };
        if matches!(self.activation, Activation::Prelu) { affine + 1 } else { affine }
    }

    /// Whether groups divide the channels, and all pixels lie in an input of so many elements, and each has elements of its own among
    /// those of the output.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        try_const!(self.groups_fit());
        if self.x.end(self.batch, self.size, self.channels) > x_elements {
            return Err(Fault::new("pixels lie outside the input"));
        }
        hold(&self.y, self.batch, self.size, self.channels, y_elements)
    }

    const fn groups_fit(&self) -> Result<(), Fault> {
        let [first, end] = self.range;
        if first >= end || end > self.channels {
            return Err(Fault::new("the normalized channels are none of its channels"));
        }
        if self.groups == 0 || !(end - first).is_multiple_of(self.groups) {
            return Err(Fault::new("the groups do not divide the channels"));
        }
        Ok(())
    }
}

impl Reduce {
    /// From `x` to `y`, which is one pixel of the image, or one of each of its rows.
    ///
    /// # Errors
    /// If batches differ, sizes or channels do not fit, or a value reaches outside its tensor.
    pub const fn new(reduction: Reduction, x: Area, y: Area) -> Result<Self, Fault> {
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        let (parts, size) = match (reduction, y.size) {
            (_, [1, 1]) => (1, x.size),
            (Reduction::Statistics { .. }, [rows, 1]) if rows == x.size[0] => (rows, [1, x.size[1]]),
            _ => return Err(Fault::new("the output is neither a pixel nor one of each row")),
        };
        let reduce = Reduce {
            reduction,
            batch: y.dims[0],
            parts,
            size,
            channels: x.dims[3],
            x: x.interior(),
            y: y.interior(),
        };
        if reduce.width() != y.dims[3] {
            return Err(Fault::new("the channels do not fit"));
        }
        try_const!(reduce.defined());
        Ok(reduce)
    }

    /// Channels of what is written, or [`usize::MAX`].
    pub const fn width(&self) -> usize {
        match self.reduction {
            Reduction::Statistics { .. } => times(2, self.channels),
            Reduction::Gem { .. } => self.channels,
        }
    }

    /// Whether nothing is computed.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.parts == 0 || self.channels == 0
    }

    /// Whether all pixels lie in an input of so many elements, and each that is written has elements of its own among so many.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        try_const!(self.defined());
        let size = [times(self.parts, self.size[0]), self.size[1]];
        if self.x.end(self.batch, size, self.channels) > x_elements {
            return Err(Fault::new("pixels lie outside the input"));
        }
        hold(&self.y, self.batch, [self.parts, 1], self.width(), y_elements)
    }

    const fn defined(&self) -> Result<(), Fault> {
        match (self.reduction, times(self.size[0], self.size[1])) {
            (_, 0) => Err(Fault::new("a part of the image is empty")),
            (Reduction::Statistics { .. }, 1) => {
                Err(Fault::new("the standard deviation of one pixel is not defined"))
            }
            _ => Ok(()),
        }
    }
}
