//! Shape rules of the operators that have nothing else to tell.

use crate::ops::window::image;
use crate::ops::{Dims, ShapeError, Sides};

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
    Err(ShapeError::new(format!("the sides of a residual add disagree: {} and {}", image(x), image(y)))
        .help("the shortcut must have the stride and the number of filters of its branch"))
}

/// One row of all elements of an image.
pub fn flatten([n, h, w, c]: Dims) -> Dims {
    [n, 1, 1, h * w * c]
}
