//! The arithmetic of sliding windows, shared by convolution and pooling.

use crate::ops::{Dims, ShapeError, Text};

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None.
    Valid,
    /// TensorFlow's: output size is `ceil(input / stride)`, the odd zero goes behind.
    Same,
    /// Numbers.
    Sides(Sides),
}

/// Pixels on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

/// Padding in numbers, and the output's height and width.
///
/// Per axis, with `n` input pixels, a window of `k` and a stride of `s`:
/// ```text
/// valid, numbers:  floor((n + before + behind - k) / s) + 1
/// ceil:            the same rounded up, so that a window may be larger than the padded input by less than its stride; but none may start
///                  behind the input and its padding in front (PyTorch)
/// same:            ceil(n / s); the zeros that needs are halved, the odd one goes behind (TensorFlow)
/// ```
///
/// # Errors
/// If the window is larger than the padded input, with `ceil` by a stride or more.
pub fn resolve(
    input: Dims,
    window: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    ceil: bool,
) -> Result<(Sides, [usize; 2]), ShapeError> {
    let [_, height, width, _] = input;
    if window.contains(&0) || stride.contains(&0) {
        return Err(ShapeError::new("windows and strides are at least 1"));
    }
    let sides = match padding {
        Padding::Valid => Sides::default(),
        Padding::Sides(sides) => sides,
        Padding::Same => {
            let [top, bottom] = same(height, window[0], stride[0]);
            let [left, right] = same(width, window[1], stride[1]);
            Sides { top, bottom, left, right }
        }
    };
    let padded = [height + sides.top + sides.bottom, width + sides.left + sides.right];
    let size = |axis: usize, before: usize, unpadded: usize| {
        let room = if ceil { padded[axis] + stride[axis] - 1 } else { padded[axis] };
        let size = room.checked_sub(window[axis])? / stride[axis] + 1;
        let behind = ceil && (size - 1) * stride[axis] >= unpadded + before;
        Some(if behind { size - 1 } else { size })
    };
    let sizes = size(0, sides.top, height).zip(size(1, sides.left, width));
    let (rows, columns) = sizes.ok_or_else(|| {
        let [h, w] = padded;
        ShapeError::new(format!(
            "a window of {}x{} is larger than its input of {height}x{width}{}",
            window[0],
            window[1],
            if padded == [height, width] { String::new() } else { format!(" (padded: {h}x{w})") }
        ))
        .help("use a smaller window, more padding, a larger input or fewer strides before it")
    })?;
    Ok((sides, [rows, columns]))
}

/// TensorFlow's `same` zeros before and behind.
fn same(input: usize, window: usize, stride: usize) -> [usize; 2] {
    let output = input.div_ceil(stride);
    let total = ((output.max(1) - 1) * stride + window).saturating_sub(input);
    [total / 2, total - total / 2]
}

/// `56x56x64`, as errors show a shape; the batch is no concern of theirs.
pub(crate) fn image(dims: Dims) -> String {
    let [_, height, width, channels] = dims;
    format!("{height}x{width}x{channels}")
}

/// The four attributes of a window in the text form.
pub(crate) fn print(
    window: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    to: &mut crate::ops::Attributes,
) {
    to.put("k", format_args!("{}x{}", window[0], window[1]));
    to.put("s", Text(stride));
    to.put("p", Text(padding));
}
