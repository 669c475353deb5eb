//! Resizing as Pillow does it (`Image.resize` with `BILINEAR`, `src/libImaging/Resample.c`), to the bit: the triangle filter,
//! widened where the image shrinks (so it is antialiased), in fixed point, columns first, 8 bits in between.
//!
//! ```text
//! for each column of the window:  its taps: first input column, weights
//! for each row of the window:     its taps
//! for each input row that the window needs:  row of the window's columns = taps of the columns over the input row
//! for each row of the window:                taps of the rows over those
//! ```
//! (An image with far more rows than columns needs less memory the other way round: see [`MOST_BETWEEN`].)
//! Training code resizes with this filter (torchvision's `Resize` on PIL images), and a network's scores change with the filter. Only
//! a window of the result is computed: what a crop leaves.

use std::ops::Range;

/// The most bytes between columns and rows. Where there would be more, as for an image of one column and millions of rows, rows come
/// first if that is less: a byte may then differ by 1 (it is the order that Pillow has for such images from version 13 on).
const MOST_BETWEEN: usize = 1 << 26;

/// Bits behind the binary point of a weight.
const PRECISION: u32 = 22;

/// Resizes images of one size. After the first image it allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Resize {
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

impl Resize {
    /// For images of `from` (height, width), of whose result at `to` the window of these rows and columns is wanted.
    pub(super) fn prepare(&mut self, from: [usize; 2], to: [usize; 2], window: [Range<usize>; 2]) {
        let [rows, columns] = window;
        self.rows.prepare(from[0], to[0], rows);
        self.columns.prepare(from[1], to[1], columns);
    }

    /// Pixels of a row of the window.
    pub(super) fn width(&self) -> usize {
        self.columns.inputs.len()
    }

    /// The window of the resized image, of the bytes of an image with rows of `width` pixels.
    pub(super) fn apply<const CHANNELS: usize>(&mut self, image: &[u8], width: usize) -> &[u8] {
        let Resize { columns, rows, between, output } = self;
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
    /// Taps of the outputs `window` of `to`, over `from` inputs.
    fn prepare(&mut self, from: usize, to: usize, window: Range<usize>) {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        self.most = stretch.ceil() as usize * 2 + 1;
        self.inputs.clear();
        self.weights.clear();
        self.weights.resize(self.most * window.len(), 0);
        for (output, weights) in window.zip(self.weights.chunks_exact_mut(self.most)) {
            let center = (output as f64 + 0.5) * scale;
            // (`as` cuts off, and is 0 for what is negative.)
            let first = ((center - stretch + 0.5) as usize).min(from.saturating_sub(1));
            let end = ((center + stretch + 0.5) as usize).min(from).max(first);
            let triangle =
                |input: usize| (1.0 - ((input as f64 - center + 0.5) * (1.0 / stretch)).abs()).max(0.0);
            let sum: f64 = (first..end).map(triangle).sum();
            for (weight, input) in weights.iter_mut().zip(first..end) {
                *weight = (0.5 + triangle(input) / sum * f64::from(1 << PRECISION)) as i32;
            }
            self.inputs.push(first..end);
        }
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

/// A sum of weights, which sum to about 1, times bytes; rounded. (Sums wrap only for more inputs than there are bytes of
/// memory for.)
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
