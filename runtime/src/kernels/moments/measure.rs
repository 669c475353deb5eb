//! The mean of each channel and the squared differences to it, in one pass.
//!
//! ```text
//! for each block of pixels, about the mean of all blocks before (the first: about its own, for which it is read twice):
//!     in f32: sum x - mean and (x - mean)^2 of each channel
//!     in f64: the mean and the squared differences to it, now with this block
//! ```
//! How moments of two sets become those of both: Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (The American
//! Statistician 37, 1983). A block of `n` pixels whose mean is off by `d` from that of the `N` before adds `d d n N / (N + n)` to the squared
//! differences, and `d d n` to those about the mean before: at most twice as much, since `n <= N` (the first block is as large as any). So
//! squares are not much larger than what they come to, however large the mean.

use resnet_plan::Pixels;

use crate::kernels::blocks;
use crate::simd::Integers;

/// The most pixels of a block.
const BLOCK: usize = 32;
/// The most channels of a span: pixels are read 1 KB at a time, a block is 32 KB.
pub(super) const SPAN: usize = 256;

/// Of a group: elements, their mean, and the sum of their squared differences to it.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
}

impl Moments {
    /// Of no elements.
    pub(super) const NONE: Self = Moments { count: 0.0, mean: 0.0, squares: 0.0 };

    /// `sqrt(variance + epsilon)`, of squared differences over `count`. (Rounded, those of equal elements may be below zero.)
    pub(super) fn deviation(squares: f64, count: f64, epsilon: f64) -> f64 {
        (if squares < 0.0 { 0.0 } else { squares / count } + epsilon).sqrt()
    }
}

/// The moments of each channel of a span.
pub(super) struct OfChannels {
    channels: usize,
    /// Elements of a channel.
    pub(super) count: f64,
    pub(super) mean: [f64; SPAN],
    pub(super) squares: [f64; SPAN],
}

impl OfChannels {
    /// Adds a block of pixels: the sums of `x - shift` and of its square, where `shift` is the mean as f32.
    #[inline(always)]
    fn add(&mut self, pixels: f64, shift: &[f32; SPAN], [sums, squares]: &[[f32; SPAN]; 2]) {
        self.count += pixels;
        let part = 1.0 / self.count;
        for channel in 0..self.channels.min(SPAN) {
            let (sum, square) = (f64::from(sums[channel]), f64::from(squares[channel]));
            let rest = self.mean[channel] - f64::from(shift[channel]);
            // Of x - mean.
            let difference = sum - pixels * rest;
            self.mean[channel] += difference * part;
            self.squares[channel] += square - rest * (sum + difference) - difference * difference * part;
        }
    }

    /// Adds the channels to their groups.
    #[inline(always)]
    pub(super) fn add_to(&self, groups: &mut [Moments; SPAN], width: usize) {
        let of_groups = (0..self.channels).step_by(width);
        for (first, group) in of_groups.zip(groups) {
            let end = (first + width).min(self.channels);
            let (means, squares) = (&self.mean[first..end], &self.squares[first..end]);
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            let mut sum = 0.0;
            for (of_channel, square) in means.iter().zip(squares) {
                sum += square + self.count * (of_channel - mean) * (of_channel - mean);
            }
            let count = self.count * means.len() as f64;
            let (before, difference) = (group.count, mean - group.mean);
            group.count += count;
            let part = count / group.count;
            group.mean += difference * part;
            group.squares += sum + difference * difference * part * before;
        }
    }
}

/// The moments of `channels <= SPAN` channels.
///
/// # Safety
/// `from` is valid for reads of so many channels at each pixel of the size, as far apart as `x` says, and `channels <= SPAN`. The machine
/// has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn measure<S: Integers>(
    simd: S,
    from: *const f32,
    x: &Pixels,
    [height, width]: [usize; 2],
    channels: usize,
) -> OfChannels {
    let mut moments = OfChannels { channels, count: 0.0, mean: [0.0; SPAN], squares: [0.0; SPAN] };
    let (mut shift, mut sums) = ([0.0; SPAN], [[0.0; SPAN]; 2]);
    for rows in blocks(0..height, (BLOCK / width).max(1), 1) {
        for columns in blocks(0..width, BLOCK, 1) {
            let (size, is_first) = ([rows.len(), columns.len()], moments.count == 0.0);
            // Before the first block there is no mean: its own is measured, and then counts for nothing.
            for is_guess in [true, false].into_iter().skip(usize::from(!is_first)) {
                for (shift, mean) in shift.iter_mut().zip(&moments.mean).take(channels) {
                    *shift = *mean as f32;
                }
                // SAFETY: the caller's contract.
                unsafe {
                    let from = from.add(rows.start * x.row + columns.start * x.pixel);
                    add_up(simd, from, x, size, channels, &shift, &mut sums);
                }
                moments.add((size[0] * size[1]) as f64, &shift, &sums);
                if is_guess {
                    (moments.count, moments.squares) = (0.0, [0.0; SPAN]);
                }
            }
        }
    }
    moments
}

/// The sums of `x - shift` and of its square, of each channel of a block.
///
/// # Safety
/// As [`measure`], for a block of that size.
#[inline(always)]
unsafe fn add_up<S: Integers>(
    simd: S,
    from: *const f32,
    x: &Pixels,
    size: [usize; 2],
    channels: usize,
    shift: &[f32; SPAN],
    sums: &mut [[f32; SPAN]; 2],
) {
    let four = channels - channels % (4 * S::LANES);
    // SAFETY: the caller's contract; arrays have whole vectors.
    unsafe {
        for channel in (0..four).step_by(4 * S::LANES) {
            add_vectors::<S, 4>(simd, from.add(channel), x, size, S::LANES, channel, shift, sums);
        }
        for channel in (four..channels).step_by(S::LANES) {
            let lanes = (channels - channel).min(S::LANES);
            add_vectors::<S, 1>(simd, from.add(channel), x, size, lanes, channel, shift, sums);
        }
    }
}

/// As [`add_up`], of `V` vectors of channels, whose sums are independent of each other; of one vector, `lanes` are there.
///
/// # Safety
/// As [`add_up`], for these channels, which fit the arrays as whole vectors; `lanes` are at most a vector's, and a whole one's if `V > 1`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a part of `add_up`")]
unsafe fn add_vectors<S: Integers, const V: usize>(
    simd: S,
    from: *const f32,
    x: &Pixels,
    [height, width]: [usize; 2],
    lanes: usize,
    channel: usize,
    shift: &[f32; SPAN],
    [sums, squares]: &mut [[f32; SPAN]; 2],
) {
    let mut shifts = [simd.splat(0.0); V];
    let (mut sum, mut square) = (shifts, shifts);
    // SAFETY: the caller's contract; arrays have whole vectors.
    unsafe {
        for (v, to) in shifts.iter_mut().enumerate() {
            *to = simd.load(shift.as_ptr().add(channel + v * S::LANES));
        }
        for row in 0..height {
            for column in 0..width {
                let from = from.add(row * x.row + column * x.pixel);
                for v in 0..V {
                    let value = simd.sub(load(simd, from.add(v * S::LANES), lanes), shifts[v]);
                    sum[v] = simd.add(sum[v], value);
                    square[v] = simd.mul_add(value, value, square[v]);
                }
            }
        }
        for v in 0..V {
            simd.store(sums.as_mut_ptr().add(channel + v * S::LANES), sum[v]);
            simd.store(squares.as_mut_ptr().add(channel + v * S::LANES), square[v]);
        }
    }
}

/// The first `count` elements, and zeros.
///
/// # Safety
/// `from` must be valid for reads of `count <= S::LANES` elements.
#[inline(always)]
unsafe fn load<S: Integers>(simd: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe { if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) } }
}
