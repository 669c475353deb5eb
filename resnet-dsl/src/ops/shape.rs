//! Shape rules of the operators that have nothing else to tell, and what they find wrong.

use crate::ops::window::image;
use crate::ops::{Dims, Sides};

/// Why operands do not fit an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ShapeError {
    /// What does not fit.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ShapeError {
    /// An error without advice.
    pub fn new(message: impl Into<String>) -> Self {
        ShapeError { message: message.into(), help: None }
    }

    /// The same with advice.
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help = Some(advice.into());
        self
    }
}

/// The image grows by its sides.
pub fn zero_pad(sides: &Sides, [n, h, w, c]: Dims) -> Dims {
    [n, h + sides.top + sides.bottom, w + sides.left + sides.right, c]
}

/// Both sides of a sum have one shape.
///
/// # Errors
/// If they do not.
pub fn add(x: Dims, y: Dims) -> Result<Dims, ShapeError> {
    if x == y {
        return Ok(x);
    }
    Err(ShapeError::new(format!("the two sides of a sum differ: {} and {}", image(x), image(y))).help(
        "a shortcut has the stride and the number of filters of its branch; `add` takes values of one shape",
    ))
}

/// One row of all elements of an image.
pub fn flatten([n, h, w, c]: Dims) -> Dims {
    [n, 1, 1, h * w * c]
}

/// A value and one of its shape, or of one pixel with as many channels.
///
/// # Errors
/// If the second has another shape.
pub fn multiply(x: Dims, y: Dims) -> Result<Dims, ShapeError> {
    if x == y || y == [x[0], 1, 1, x[3]] {
        return Ok(x);
    }
    Err(ShapeError::new(format!("an image of {} cannot be multiplied with one of {}", image(x), image(y)))
        .help("a gate gives an image of the same shape, or one value for each channel"))
}

/// An image that is so many times as high and wide.
///
/// # Errors
/// If it would be empty.
pub fn upsample(times: [usize; 2], [n, h, w, c]: Dims) -> Result<Dims, ShapeError> {
    if times.contains(&0) {
        return Err(ShapeError::new("an image is enlarged at least once"));
    }
    Ok([n, h * times[0], w * times[1], c])
}
