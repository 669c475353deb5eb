//! Where values lie in tensors, and where pixels lie in memory.
//!
//! Sizes come from outside, so arithmetic saturates. A saturated result is larger than any tensor, so every check here refuses it.
//! Offsets that a check accepted cannot overflow.

use std::fmt;

/// Batch, height, width, channels (NHWC).
pub type Dims = [usize; 4];

/// What is wrong with a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(&'static str);

impl Fault {
    /// A fault with this message.
    pub const fn new(message: &'static str) -> Self {
        Fault(message)
    }

    /// The message.
    pub const fn message(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Fault {}

/// A tensor, and the part of each of its images that is a value; around that lies the halo, room for the padding of what reads
/// the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Shape of the tensor, halo included.
    pub dims: Dims,
    /// The value's first row and column.
    pub at: [usize; 2],
    /// The value's height and width.
    pub size: [usize; 2],
}

/// Where the pixels of a value lie in a tensor, in elements: pixel `(n, y, x)` begins at
/// `start + n * image + y * row + x * pixel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// The first pixel.
    pub start: usize,
    /// From one image to the next.
    pub image: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one pixel to the next.
    pub pixel: usize,
}

impl Area {
    /// A value that fills its tensor.
    pub const fn dense(dims: Dims) -> Self {
        Area { dims, at: [0, 0], size: [dims[1], dims[2]] }
    }

    /// Whether the value fills its tensor.
    pub const fn is_dense(&self) -> bool {
        self.size[0] == self.dims[1] && self.size[1] == self.dims[2]
    }

    /// Elements of the tensor, or [`usize::MAX`] if there are more than that.
    pub const fn len(&self) -> usize {
        times(times(self.dims[0], self.dims[1]), times(self.dims[2], self.dims[3]))
    }

    /// Whether the tensor has no elements.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value lies in its tensor.
    ///
    /// # Errors
    /// If the value is empty or reaches outside.
    pub const fn check(&self) -> Result<(), Fault> {
        let Area { dims, at, size } = *self;
        if self.is_empty() || size[0] == 0 || size[1] == 0 {
            return Err(Fault("a value is empty"));
        }
        if plus(at[0], size[0]) > dims[1] || plus(at[1], size[1]) > dims[2] {
            return Err(Fault("a value reaches outside its tensor"));
        }
        Ok(())
    }

    /// Where pixels lie that begin at a row and column of the tensor and are `stride` apart.
    pub const fn pixels(&self, from: [usize; 2], stride: [usize; 2]) -> Pixels {
        let [_, height, width, channels] = self.dims;
        let row = times(width, channels);
        Pixels {
            start: plus(times(from[0], row), times(from[1], channels)),
            image: times(height, row),
            row: times(stride[0], row),
            pixel: times(stride[1], channels),
        }
    }

    /// Where the value's own pixels lie.
    pub const fn interior(&self) -> Pixels {
        self.pixels(self.at, [1, 1])
    }
}

impl Pixels {
    /// Where a pixel begins. For pixels before [`Pixels::end`] nothing overflows.
    #[inline(always)]
    pub const fn at(&self, image: usize, row: usize, column: usize) -> usize {
        self.start + image * self.image + row * self.row + column * self.pixel
    }

    /// The end of a run of `length` elements from the last pixel on; 0 if there are no pixels.
    pub const fn end(&self, batch: usize, size: [usize; 2], length: usize) -> usize {
        if batch == 0 || size[0] == 0 || size[1] == 0 {
            return 0;
        }
        let image = plus(self.start, times(batch - 1, self.image));
        let row = plus(image, times(size[0] - 1, self.row));
        plus(plus(row, times(size[1] - 1, self.pixel)), length)
    }

    /// Whether each pixel has `length` elements of its own, among so many.
    pub const fn hold(&self, batch: usize, size: [usize; 2], length: usize, elements: usize) -> bool {
        if batch == 0 || size[0] == 0 || size[1] == 0 {
            return true;
        }
        let row = plus(times(size[1] - 1, self.pixel), length);
        let image = plus(times(size[0] - 1, self.row), row);
        let pixels_apart = size[1] == 1 || self.pixel >= length;
        let rows_apart = size[0] == 1 || self.row >= row;
        let images_apart = batch == 1 || self.image >= image;
        pixels_apart && rows_apart && images_apart && self.end(batch, size, length) <= elements
    }

    /// Pixels of elements as pixels of words of so many elements.
    pub(crate) const fn words(self, per_word: usize) -> Self {
        let Pixels { start, image, row, pixel } = self;
        Pixels {
            start: start / per_word,
            image: image / per_word,
            row: row / per_word,
            pixel: pixel / per_word,
        }
    }
}

/// The product, or [`usize::MAX`].
pub(crate) const fn times(a: usize, b: usize) -> usize {
    a.saturating_mul(b)
}

/// The sum, or [`usize::MAX`].
pub(crate) const fn plus(a: usize, b: usize) -> usize {
    a.saturating_add(b)
}

/// Both values have as many images.
pub(crate) const fn same_batch(x: &Area, y: &Area) -> Result<(), Fault> {
    if x.dims[0] == y.dims[0] { Ok(()) } else { Err(Fault("the batches differ")) }
}

/// `?` of constant functions.
macro_rules! try_const {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(fault) => return Err(fault),
        }
    };
}
pub(crate) use try_const;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wraps_is_too_large() {
        let far = Pixels { start: usize::MAX - 15, image: 16, row: 16, pixel: 16 };
        assert_eq!(far.end(1, [1, 1], 16), usize::MAX);
        assert!(!far.hold(1, [1, 1], 16, usize::MAX - 1));
        let rows = Pixels { start: 0, image: 0, row: 1 << 63, pixel: 1 };
        assert!(!rows.hold(1, [3, 1], 1, usize::MAX - 1));
        let below = Area { dims: [1, 1, 1, 16], at: [usize::MAX, 0], size: [1, 1] };
        assert_eq!(below.check(), Err(Fault("a value reaches outside its tensor")));
    }

    #[test]
    fn pixels_have_their_own_elements() {
        let dense = Area::dense([2, 3, 4, 5]).interior();
        assert!(dense.hold(2, [3, 4], 5, 120));
        assert!(!dense.hold(2, [3, 4], 5, 119) && !dense.hold(2, [3, 4], 6, 121));
        assert!(!Pixels { row: 19, ..dense }.hold(2, [3, 4], 5, 120));
        assert!(!Pixels { image: 59, ..dense }.hold(2, [3, 4], 5, 120));
    }
}
