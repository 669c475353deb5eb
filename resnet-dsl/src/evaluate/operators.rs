//! The operators over arrays, by plain loops in f64.
//!
//! A convolution goes through its kernel once for each output row, so that the part of the kernel of one window position
//! stays in the cache for a row of pixels; the inner loop runs over contiguous output channels.

use crate::evaluate::Array;
use crate::ops::{Conv2d, Dims, Padding, Pool, ShapeError, Sides, resolve};
use resnet_plan::Activation;

/// Where a window stands over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the window.
    size: [usize; 2],
    /// From one of them to the next, in pixels.
    dilation: [usize; 2],
    /// Vertical and horizontal stride.
    stride: [usize; 2],
    /// Padding around the image.
    sides: Sides,
    /// Height and width of the image.
    input: [usize; 2],
    /// Height and width of the output.
    output: [usize; 2],
}

impl Window {
    /// A window over images of this shape.
    ///
    /// # Errors
    /// If it is larger than the padded image, or a size is zero.
    pub fn new(
        x: Dims,
        size: [usize; 2],
        stride: [usize; 2],
        padding: Padding,
        ceil: bool,
    ) -> Result<Self, ShapeError> {
        let (sides, output) = resolve(x, size, stride, padding, ceil)?;
        Ok(Window { size, dilation: [1, 1], stride, sides, input: [x[1], x[2]], output })
    }

    /// The window of a pooling layer.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn of_pool(x: Dims, pool: &Pool) -> Result<Self, ShapeError> {
        Self::new(x, pool.window, pool.stride, pool.padding, pool.ceil)
    }

    /// The window of a convolution over images of this shape.
    ///
    /// # Errors
    /// If it is larger than the padded image, or a size is zero.
    pub fn of_conv(x: Dims, conv: &Conv2d) -> Result<Self, ShapeError> {
        let window = Window::new(x, conv.window(), conv.stride, conv.padding, false)?;
        Ok(Window { size: conv.kernel, dilation: conv.dilation, ..window })
    }

    /// A window as large as images of this shape.
    pub fn whole([_, height, width, _]: Dims) -> Self {
        let size = [height, width];
        Window {
            size,
            dilation: [1, 1],
            stride: [1, 1],
            sides: Sides::default(),
            input: size,
            output: [1, 1],
        }
    }

    /// Positions in the window, row by row.
    fn positions(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [height, width] = self.size;
        (0..height).flat_map(move |i| (0..width).map(move |j| [i, j]))
    }

    /// The row (axis 0) or column (1) of the image at position `k` of the window of an output row or column; `None`: padding.
    fn source(&self, axis: usize, output: usize, k: usize) -> Option<usize> {
        let before = [self.sides.top, self.sides.left][axis];
        (output * self.stride[axis] + k * self.dilation[axis])
            .checked_sub(before)
            .filter(|source| *source < self.input[axis])
    }

    /// Rows (axis 0) or columns (1) in the window of an output row or column, padding included.
    fn covered(&self, axis: usize, output: usize) -> usize {
        let Sides { top, bottom, left, right } = self.sides;
        let padded = self.input[axis] + [top + bottom, left + right][axis];
        self.size[axis].min(padded - output * self.stride[axis])
    }
}

/// Convolution in groups of channels: `kernel` is `[height, width, inputs of a group, outputs]`, `bias` `[outputs]`.
///
/// # Panics
/// If the array or the kernel is empty, or sizes do not fit.
pub fn convolve(x: &Array, kernel: &[f64], bias: &[f64], groups: usize, window: &Window) -> Array {
    let [batch, _, _, channels] = x.dims;
    let inputs = channels / groups;
    let ([height, width], outputs) = (window.output, bias.len());
    let dims = [batch, height, width, outputs];
    let mut y = Array { dims, data: bias.repeat(batch * height * width) };
    for (index, sums) in y.data.chunks_exact_mut(width * outputs).enumerate() {
        let (n, row) = (index / height, index % height);
        for ([i, j], weights) in window.positions().zip(kernel.chunks_exact(inputs * outputs)) {
            let Some(from_row) = window.source(0, row, i) else { continue };
            for (column, sums) in sums.chunks_exact_mut(outputs).enumerate() {
                let Some(from_column) = window.source(1, column, j) else { continue };
                let pixel = x.pixel(n, from_row, from_column);
                let groups =
                    pixel.chunks_exact(inputs).zip(sums.chunks_exact_mut(outputs / groups)).enumerate();
                for (group, (pixel, sums)) in groups {
                    for (x, weights) in pixel.iter().zip(weights.chunks_exact(outputs)) {
                        accumulate(sums, *x, &weights[group * sums.len()..]);
                    }
                }
            }
        }
    }
    y
}

/// An activation. `slopes` are those of PReLU, by channel.
pub fn activate(function: Activation, slopes: &[f64], x: &mut Array) {
    let channels = x.dims[3];
    for pixel in x.data.chunks_exact_mut(channels) {
        for (channel, x) in pixel.iter_mut().enumerate() {
            *x = function.apply(*x, slopes.get(channel).copied().unwrap_or_default());
        }
    }
}

/// The sum of a value and others of its shape.
pub fn sum(mut y: Array, others: &[&Array]) -> Array {
    for other in others {
        y.data.iter_mut().zip(&other.data).for_each(|(y, other)| *y += other);
    }
    y
}

/// The product of each element with one of the same place, or of the same channel if the other image is one pixel.
pub fn multiply(x: &Array, by: &Array) -> Array {
    let [_, height, width, channels] = x.dims;
    let times = if by.dims[1..3] == x.dims[1..3] { 1 } else { height * width };
    let mut y = x.clone();
    for (pixel, y) in y.data.chunks_exact_mut(channels).enumerate() {
        let by = &by.data[pixel / times * channels..];
        y.iter_mut().zip(by).for_each(|(y, by)| *y *= by);
    }
    y
}

/// Each pixel so many times in height and width.
pub fn upsample(x: &Array, times: [usize; 2]) -> Array {
    let [batch, height, width, channels] = x.dims;
    let dims = [batch, height * times[0], width * times[1], channels];
    let mut data = Vec::with_capacity(dims.iter().product());
    for n in 0..batch {
        for row in 0..dims[1] {
            for column in 0..dims[2] {
                data.extend_from_slice(x.pixel(n, row / times[0], column / times[1]));
            }
        }
    }
    Array { dims, data }
}

/// The maximum of the pixels of the image in each window; NaN if one is among them.
///
/// # Panics
/// If the array is empty, or the window is for another one.
pub fn max_pool(x: &Array, window: &Window) -> Array {
    pool(x, window, f64::NEG_INFINITY, |y, x| if x.is_nan() || x > y { x } else { y })
}

/// The mean of each window: of the pixels of the image, or of those and of the padding's zeros.
///
/// # Panics
/// If the array is empty, or the window is for another one.
pub fn average_pool(x: &Array, window: &Window, count_padding: bool) -> Array {
    let mut y = sum_pool(x, window);
    let channels = x.dims[3];
    for (pixel, count) in y.data.chunks_exact_mut(channels).zip(counts(x.dims, window, count_padding)) {
        pixel.iter_mut().for_each(|sum| *sum /= count as f64);
    }
    y
}

/// The sum of the pixels of the image in each window.
///
/// # Panics
/// If the array is empty, or the window is for another one.
pub fn sum_pool(x: &Array, window: &Window) -> Array {
    pool(x, window, 0.0, |sum, x| sum + x)
}

/// How many pixels each window of the batch holds, in the order of the output: of the image, or with the padding.
pub fn counts(x: Dims, window: &Window, count_padding: bool) -> impl Iterator<Item = usize> {
    let count = |axis: usize, output: usize| match count_padding {
        true => window.covered(axis, output),
        false => (0..window.size[axis]).filter(|k| window.source(axis, output, *k).is_some()).count(),
    };
    let [height, width] = window.output;
    let columns: Vec<usize> = (0..width).map(|column| count(1, column)).collect();
    let image: Vec<usize> =
        (0..height).flat_map(|row| columns.iter().map(move |column| count(0, row) * column)).collect();
    image.repeat(x[0]).into_iter()
}

/// Zeros around each image.
pub fn zero_pad(x: &Array, Sides { top, bottom, left, right }: Sides) -> Array {
    let [batch, height, width, channels] = x.dims;
    let dims = [batch, top + height + bottom, left + width + right, channels];
    let mut y = Array { dims, data: vec![0.0; dims.iter().product()] };
    for n in 0..batch {
        for row in 0..height {
            let to = ((n * dims[1] + top + row) * dims[2] + left) * channels;
            let from = (n * height + row) * width * channels;
            let length = width * channels;
            y.data[to..to + length].copy_from_slice(&x.data[from..from + length]);
        }
    }
    y
}

/// Softmax over the channels of each pixel; all NaN if one of them is.
///
/// # Panics
/// If the array is empty.
pub fn softmax(x: &Array) -> Array {
    let mut y = x.clone();
    for pixel in y.data.chunks_exact_mut(x.dims[3]) {
        let largest = pixel.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        pixel.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f64 = pixel.iter().sum();
        pixel.iter_mut().for_each(|x| *x /= sum);
    }
    y
}

impl Array {
    /// The channels of a pixel.
    pub(crate) fn pixel(&self, n: usize, row: usize, column: usize) -> &[f64] {
        let [_, height, width, channels] = self.dims;
        &self.data[((n * height + row) * width + column) * channels..][..channels]
    }
}

/// Folds the pixels of the image in each window, channel by channel.
fn pool(x: &Array, window: &Window, start: f64, fold: impl Fn(f64, f64) -> f64) -> Array {
    let [batch, _, _, channels] = x.dims;
    let [height, width] = window.output;
    let dims = [batch, height, width, channels];
    let mut y = Array { dims, data: vec![start; dims.iter().product()] };
    for (index, y) in y.data.chunks_exact_mut(channels).enumerate() {
        let (n, row, column) = (index / width / height, index / width % height, index % width);
        for [i, j] in window.positions() {
            if let (Some(row), Some(column)) = (window.source(0, row, i), window.source(1, column, j)) {
                y.iter_mut().zip(x.pixel(n, row, column)).for_each(|(y, x)| *y = fold(*y, *x));
            }
        }
    }
    y
}

/// `sums += x * weights`, with an index: tests run this without optimization, where iterators take four times as long.
fn accumulate(sums: &mut [f64], x: f64, weights: &[f64]) {
    let outputs = sums.len();
    let weights = &weights[..outputs];
    let mut output = 0;
    while output < outputs {
        sums[output] += x * weights[output];
        output += 1;
    }
}
