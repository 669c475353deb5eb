//! Resizing as Pillow does it (`Image.resize`, `src/libImaging/Resample.c`), to the bit: a triangle or a cubic spline, widened where
//! the image shrinks (so it is antialiased), in fixed point, columns first, 8 bits in between; or the nearest pixel, a filter of one tap.
//!
//! ```text
//! for each column of the window:  its taps: first input column, weights
//! for each row of the window:     its taps
//! for each input row that the window needs:  row of the window's columns = taps of the columns over the input row
//! for each row of the window:                taps of the rows over those
//! ```
//! (An image with far more rows than columns needs less memory the other way round: see [`MOST_BETWEEN`].)
//! Training code resizes with these filters (torchvision's `Resize` on PIL images), and a network's scores change with the filter. Only
//! a window of the result is computed: what a crop leaves.

use std::ops::Range;

use resnet_plan::Interpolation;

/// The most bytes between columns and rows. Where there would be more, as for an image of one column and millions of rows, rows come
/// first if that is less: a byte may then differ by 1 (it is the order that Pillow has for such images from version 13 on).
const MOST_BETWEEN: usize = 1 << 26;

/// Bits behind the binary point of a weight.
const PRECISION: u32 = 22;

/// The most positions that are added up to the window's first, as Pillow does for the nearest pixel; only what is
/// resized to millions of pixels a side has more, and they would take too long.
const MOST_ADDED: usize = 1 << 20;

/// Resizes images of one size. After the first image it allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Resizer {
    columns: Axis,
    rows: Axis,
    /// The input's rows, resized.
    between: Vec<u8>,
    output: Vec<u8>,
}

/// The taps of one direction.
#[derive(Clone, Debug, Default)]
struct Axis {
    /// For each output: its inputs.
    inputs: Vec<Range<usize>>,
    /// Weights of each output, `most` places each.
    weights: Vec<i32>,
    most: usize,
}

impl Resizer {
    /// For images of `from` (height, width), of whose result at `to` the window of these rows and columns is wanted.
    pub(super) fn prepare(
        &mut self,
        from: [usize; 2],
        to: [usize; 2],
        window: [Range<usize>; 2],
        interpolation: Interpolation,
    ) {
        let [rows, columns] = window;
        for (axis, direction, window) in [(&mut self.rows, 0, rows), (&mut self.columns, 1, columns)] {
            let (from, to) = (from[direction], to[direction]);
            match interpolation {
                Interpolation::Nearest => axis.nearest(from, to, window),
                Interpolation::Bilinear => axis.filter(from, to, window, 1.0, triangle),
                Interpolation::Bicubic => axis.filter(from, to, window, 2.0, cubic),
            }
        }
    }

    /// Pixels of a row of the window.
    pub(super) fn width(&self) -> usize {
        self.columns.inputs.len()
    }

    /// The window of the resized image, of the bytes of an image with rows of `width` pixels.
    pub(super) fn apply<const CHANNELS: usize>(&mut self, image: &[u8], width: usize) -> &[u8] {
        let Resizer { columns, rows, between, output } = self;
        let needed = rows.needed();
        let row = columns.inputs.len() * CHANNELS;
        let image_row = width * CHANNELS;
        between.clear();
        output.clear();
        output.resize(rows.inputs.len() * row, 0);
        if needed.len() * row > MOST_BETWEEN && rows.inputs.len() * image_row < needed.len() * row {
            between.resize(rows.inputs.len() * image_row, 0);
            let from = &image[needed.start * image_row..];
            rows.across(from, needed.start, between.chunks_exact_mut(image_row));
            for (output, input) in output.chunks_exact_mut(row.max(1)).zip(between.chunks_exact(image_row)) {
                columns.along::<CHANNELS>(input.as_chunks().0, output.as_chunks_mut().0);
            }
            return output;
        }
        between.resize(needed.len() * row, 0);
        let input_rows = image[needed.start * image_row..].chunks_exact(image_row);
        for (output, input) in between.chunks_exact_mut(row.max(1)).zip(input_rows) {
            columns.along::<CHANNELS>(input.as_chunks().0, output.as_chunks_mut().0);
        }
        rows.across(between, needed.start, output.chunks_exact_mut(row.max(1)));
        output
    }
}

impl Axis {
    /// Taps of the outputs `window` of `to`, over `from` inputs, by a filter that is 0 from `support` on.
    fn filter(
        &mut self,
        from: usize,
        to: usize,
        window: Range<usize>,
        support: f64,
        filter: impl Fn(f64) -> f64,
    ) {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = support * stretch;
        self.clear(support.ceil() as usize * 2 + 1, window.len());
        for (output, weights) in window.zip(self.weights.chunks_exact_mut(self.most)) {
            let center = (output as f64 + 0.5) * scale;
            // (`as` cuts off, and is 0 for what is negative.)
            let first = ((center - support + 0.5) as usize).min(from.saturating_sub(1));
            let end = ((center + support + 0.5) as usize).min(from).max(first);
            let filter = |input: usize| filter((input as f64 - center + 0.5) * (1.0 / stretch));
            let sum: f64 = (first..end).map(&filter).sum();
            for (weight, input) in weights.iter_mut().zip(first..end) {
                let share = filter(input) / sum;
                *weight = (0.5_f64.copysign(share) + share * f64::from(1 << PRECISION)) as i32;
            }
            self.inputs.push(first..end);
        }
    }

    /// The nearest input is all that each output is made of.
    fn nearest(&mut self, from: usize, to: usize, window: Range<usize>) {
        let scale = from as f64 / to as f64;
        self.clear(1, window.len());
        self.weights.fill(1 << PRECISION);
        // Pillow adds up positions, and their rounding with them.
        let mut center = match window.start {
            start @ ..=MOST_ADDED => (0..start).fold(0.5 * scale, |center, _| center + scale),
            start => (start as f64 + 0.5) * scale,
        };
        for _ in window {
            let input = (center as usize).min(from.saturating_sub(1));
            self.inputs.push(input..input + 1);
            center += scale;
        }
    }

    /// No outputs, and weights of 0 for so many.
    fn clear(&mut self, most: usize, outputs: usize) {
        self.most = most;
        self.inputs.clear();
        self.weights.clear();
        self.weights.resize(most * outputs, 0);
    }

    /// All inputs of its outputs.
    fn needed(&self) -> Range<usize> {
        let first = self.inputs.iter().map(|inputs| inputs.start).min().unwrap_or(0);
        first..self.inputs.iter().map(|inputs| inputs.end).max().unwrap_or(first)
    }

    /// Outputs of one row, from its pixels.
    fn along<const CHANNELS: usize>(&self, pixels: &[[u8; CHANNELS]], to: &mut [[u8; CHANNELS]]) {
        let outputs = self.inputs.iter().zip(self.weights.chunks_exact(self.most));
        for (to, (inputs, weights)) in to.iter_mut().zip(outputs) {
            let mut sums = [1i32 << (PRECISION - 1); CHANNELS];
            for (pixel, weight) in pixels[inputs.clone()].iter().zip(weights) {
                for (sum, byte) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(*byte).wrapping_mul(*weight));
                }
            }
            *to = sums.map(byte);
        }
    }

    /// Output rows, from the rows that begin at `first`.
    fn across<'a>(&self, from: &[u8], first: usize, to: impl Iterator<Item = &'a mut [u8]>) {
        /// Bytes of a row at a time, whose sums stay in registers.
        const BLOCK: usize = 32;
        let outputs = self.inputs.iter().zip(self.weights.chunks_exact(self.most));
        for (to, (inputs, weights)) in to.zip(outputs) {
            let length = to.len();
            for (index, to) in to.chunks_mut(BLOCK).enumerate() {
                let mut sums = [1i32 << (PRECISION - 1); BLOCK];
                for (input, weight) in inputs.clone().zip(weights) {
                    let start = (input - first) * length + index * BLOCK;
                    for (sum, byte) in sums.iter_mut().zip(&from[start..start + to.len()]) {
                        *sum = sum.wrapping_add(i32::from(*byte).wrapping_mul(*weight));
                    }
                }
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = byte(sum);
                }
            }
        }
    }
}

/// Linear interpolation, so far from the middle.
fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Cubic interpolation (Keys 1981, a = -0.5), so far from the middle; each sum in Pillow's order.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// A sum of weights, which sum to about 1, times bytes; rounded. (Sums wrap only for more inputs than there are bytes of
/// memory for.)
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
