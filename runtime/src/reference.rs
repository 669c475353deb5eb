//! Naive kernels over arrays of any shape: the oracle of every test. Sums are kept in double precision.
//!
//! Clear rather than fast; a convolution's inner loop runs over output channels, so that a whole ResNet-50 takes seconds.

use resnet_plan::Activation;

/// An NHWC array.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Batch, height, width, channels.
    pub dims: [usize; 4],
    /// Elements, channels next to each other.
    pub data: Vec<f32>,
}

/// A window's step and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// From a row or column of the window to the next: 1 where it has no gaps.
    pub dilation: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Output height and width.
    pub output: [usize; 2],
}

impl Image {
    /// An array of these sizes whose elements `f` gives: `f(image, row, column, channel)`.
    pub fn from_fn(dims: [usize; 4], f: impl Fn(usize, usize, usize, usize) -> f32) -> Self {
        let [batch, height, width, channels] = dims;
        let mut data = Vec::with_capacity(dims.iter().product());
        for n in 0..batch {
            for y in 0..height {
                for x in 0..width {
                    data.extend((0..channels).map(|c| f(n, y, x, c)));
                }
            }
        }
        Image { dims, data }
    }

    /// The channels of a pixel.
    ///
    /// # Panics
    /// If there is no such pixel.
    pub fn pixel(&self, n: usize, y: usize, x: usize) -> &[f32] {
        let [_, height, width, channels] = self.dims;
        &self.data[((n * height + y) * width + x) * channels..][..channels]
    }

    /// The pixels of the image in the window of an output pixel, each with its place in the window.
    fn window<'a>(
        &'a self,
        window: &'a Window,
        [n, y, x]: [usize; 3],
    ) -> impl Iterator<Item = ([usize; 2], &'a [f32])> {
        let [_, height, width, _] = self.dims;
        let Window { size, stride, dilation, padding, .. } = *window;
        (0..size[0]).flat_map(move |i| (0..size[1]).map(move |j| [i, j])).filter_map(move |[i, j]| {
            let row =
                (y * stride[0] + i * dilation[0]).checked_sub(padding[0]).filter(|row| *row < height)?;
            let column =
                (x * stride[1] + j * dilation[1]).checked_sub(padding[2]).filter(|column| *column < width)?;
            Some(([i, j], self.pixel(n, row, column)))
        })
    }

    /// Each output pixel's channels from its window.
    fn windows(&self, window: &Window, channels: usize, f: impl Fn([usize; 3], &mut [f32])) -> Image {
        let dims = [self.dims[0], window.output[0], window.output[1], channels];
        let mut data = vec![0.0; dims.iter().product()];
        for (index, pixel) in data.chunks_exact_mut(channels.max(1)).enumerate() {
            let [height, width] = window.output;
            f([index / width / height, index / width % height, index % width], pixel);
        }
        Image { dims, data }
    }
}

/// Convolution in groups of channels: `kernel` is `[KH, KW, C / groups, OC]`, `bias` `[OC]` or empty.
///
/// # Panics
/// If the kernel has another size, or there are no groups.
pub fn conv2d(
    x: &Image,
    kernel: &[f32],
    bias: &[f32],
    filters: usize,
    groups: usize,
    window: &Window,
) -> Image {
    let (channels, outputs) = (x.dims[3] / groups, filters / groups);
    assert_eq!(kernel.len(), window.size[0] * window.size[1] * channels * filters);
    let kernel: Vec<f64> = kernel.iter().map(|weight| f64::from(*weight)).collect();
    x.windows(window, filters, |place, y| {
        let mut sums: Vec<f64> = match bias {
            [] => vec![0.0; filters],
            _ => bias.iter().map(|bias| f64::from(*bias)).collect(),
        };
        for ([i, j], pixel) in x.window(window, place) {
            let rows = &kernel[(i * window.size[1] + j) * channels * filters..];
            for (index, x) in pixel.iter().enumerate() {
                let (group, input) = (index / channels, index % channels);
                let (x, first) = (f64::from(*x), group * outputs);
                let row = &rows[input * filters + first..][..outputs];
                for (sum, weight) in sums[first..].iter_mut().zip(row) {
                    *sum += x * weight;
                }
            }
        }
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = sum as f32;
        }
    })
}

/// Fully connected: `kernel` is `[inputs, units]`, `bias` `[units]` or empty.
///
/// # Panics
/// If the kernel has another size.
pub fn dense(x: &Image, kernel: &[f32], bias: &[f32], units: usize) -> Image {
    let [_, height, width, _] = x.dims;
    let window =
        Window { size: [height, width], stride: [1, 1], dilation: [1, 1], padding: [0; 4], output: [1, 1] };
    conv2d(x, kernel, bias, units, 1, &window)
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, a channel at a time.
pub fn batch_norm(x: &Image, [gamma, beta, mean, variance]: [&[f32]; 4], epsilon: f64) -> Image {
    let channels = x.dims[3];
    let data = x.data.iter().enumerate().map(|(index, number)| {
        let c = index % channels;
        let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt();
        ((f64::from(*number) - f64::from(mean[c])) * scale + f64::from(beta[c])) as f32
    });
    Image { dims: x.dims, data: data.collect() }
}

/// Each element activated. `slopes`: one for each channel, for [`Activation::Prelu`]; else empty.
///
/// # Panics
/// If there are no slopes for a PReLU.
pub fn activate(x: &Image, activation: Activation, slopes: &[f32]) -> Image {
    let slope = |channel: usize| if activation == Activation::Prelu { slopes[channel] } else { 0.0 };
    let data = x.data.iter().enumerate().map(|(index, number)| {
        activation.apply(f64::from(*number), f64::from(slope(index % x.dims[3]))) as f32
    });
    Image { dims: x.dims, data: data.collect() }
}

/// `x + y`
///
/// # Panics
/// If the shapes differ.
pub fn add(x: &Image, y: &Image) -> Image {
    assert_eq!(x.dims, y.dims);
    Image { dims: x.dims, data: x.data.iter().zip(&y.data).map(|(x, y)| x + y).collect() }
}

/// `x[n, .., c] * gate[n, c]`, a gate of as many channels for each image.
pub fn gate(x: &Image, gate: &[f32]) -> Image {
    let [_, _, _, channels] = x.dims;
    Image::from_fn(x.dims, |n, row, column, channel| {
        x.pixel(n, row, column)[channel] * gate[n * channels + channel]
    })
}

/// The maximum of the pixels of the image in each window; NaN if one is among them.
pub fn max_pool(x: &Image, window: &Window) -> Image {
    x.windows(window, x.dims[3], |place, y| {
        y.fill(f32::NEG_INFINITY);
        for (_, pixel) in x.window(window, place) {
            for (y, x) in y.iter_mut().zip(pixel) {
                if x.is_nan() || *x > *y {
                    *y = *x;
                }
            }
        }
    })
}

/// The mean of each window: of the pixels of the image, or of those and of the padding's zeros.
pub fn average_pool(x: &Image, window: &Window, count_padding: bool) -> Image {
    let covered = |axis: usize, position: usize| {
        let start = position * window.stride[axis];
        let padded = window.padding[2 * axis] + x.dims[1 + axis] + window.padding[2 * axis + 1];
        (start + window.size[axis]).min(padded) - start
    };
    x.windows(window, x.dims[3], |place, y| {
        let mut sums = vec![0.0; y.len()];
        let mut count = 0;
        for (_, pixel) in x.window(window, place) {
            count += 1;
            for (sum, x) in sums.iter_mut().zip(pixel) {
                *sum += f64::from(*x);
            }
        }
        if count_padding {
            count = covered(0, place[1]) * covered(1, place[2]);
        }
        for (y, sum) in y.iter_mut().zip(sums) {
            *y = (sum / count as f64) as f32;
        }
    })
}

/// Every n-th pixel, with `front` zero channels before and `back` behind.
pub fn subsample(x: &Image, stride: [usize; 2], front: usize, back: usize) -> Image {
    let [batch, height, width, channels] = x.dims;
    let dims = [batch, height.div_ceil(stride[0]), width.div_ceil(stride[1]), front + channels + back];
    Image::from_fn(dims, |n, y, column, c| match c.checked_sub(front) {
        Some(c) if c < channels => x.pixel(n, y * stride[0], column * stride[1])[c],
        _ => 0.0,
    })
}

/// Zeros around each image: top, bottom, left, right.
pub fn zero_pad(x: &Image, [top, bottom, left, right]: [usize; 4]) -> Image {
    let [batch, height, width, channels] = x.dims;
    Image::from_fn([batch, top + height + bottom, left + width + right, channels], |n, y, column, c| {
        match (y.checked_sub(top), column.checked_sub(left)) {
            (Some(y), Some(column)) if y < height && column < width => x.pixel(n, y, column)[c],
            _ => 0.0,
        }
    })
}

/// Softmax over channels.
pub fn softmax(x: &Image) -> Image {
    let mut y = x.clone();
    for pixel in y.data.chunks_exact_mut(x.dims[3].max(1)) {
        let largest = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = pixel.iter().map(|x| f64::from(x - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (y, power) in pixel.iter_mut().zip(powers) {
            *y = (power / sum) as f32;
        }
    }
    y
}
