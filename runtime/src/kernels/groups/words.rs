//! The sums of bf16 and int8 in groups: words of two or four inputs.
//!
//! ```text
//! for each vector of the panel's channels, for each tile of neighbours in a row:       all sums in registers
//!     for k in 0 .. words of a group, for each position of the window:
//!         sums[p][lane] += dot(x[p][first word of the lane's group + k], w[lane])
//! ```
//! As many inputs as a vector has outputs are a half or a quarter of one, whose lanes are picked. The words of bf16 are widened to two f32
//! then, and multiplied one after the other.
//!
//! Terms are added up word by word of a group. The last tile begins earlier, and computes some pixels of the one before again, to the same
//! bits, so that there is code for one size of tile.

use super::{GroupTask, TILE};
use crate::simd::{FEW_LANES, Integers};

/// What words hold, and how they are multiplied.
pub(crate) trait Words<S: Integers> {
    /// Elements of a word.
    const EACH: usize;

    /// The words of as many channels as there are lanes; of int8, with the bits of `moved` inverted.
    ///
    /// # Safety
    /// `from` must be valid for reads of as many words.
    unsafe fn load(simd: S, from: *const f32, moved: S::Vector) -> S::Vector;

    /// For each lane, the word that `from` names.
    fn pick(simd: S, words: S::Vector, from: S::Vector) -> S::Vector;

    /// `sum` and the products of the elements of `x` and `w`, lane by lane.
    fn add_products(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector;
}

/// Words of two bf16, whose sums are f32.
pub(crate) struct Bf16;

/// Words of four int8, whose sums are int32.
pub(crate) struct Int8;

impl<S: Integers> Words<S> for Bf16 {
    const EACH: usize = 2;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, _: S::Vector) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_partial(from, S::LANES / 2) }
    }

    #[inline(always)]
    fn pick(simd: S, words: S::Vector, from: S::Vector) -> S::Vector {
        simd.pick(words, from)
    }

    #[inline(always)]
    fn add_products(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector {
        let sum = simd.mul_add(simd.lower_bf16(x), simd.lower_bf16(w), sum);
        simd.mul_add(simd.upper_bf16(x), simd.upper_bf16(w), sum)
    }
}

impl<S: Integers> Words<S> for Int8 {
    const EACH: usize = 4;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, moved: S::Vector) -> S::Vector {
        // SAFETY: the caller's contract.
        simd.xor(unsafe { simd.load_quarter(from) }, moved)
    }

    #[inline(always)]
    fn pick(simd: S, words: S::Vector, from: S::Vector) -> S::Vector {
        simd.pick_near(words, from)
    }

    #[inline(always)]
    fn add_products(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector {
        simd.add_quads(x, w, sum)
    }
}

/// Writes the sums of all pixels, vector by vector.
///
/// # Safety
/// As [`compute`](super::floats::compute), of words: channels are whole ones. `y` is valid for writes of `width` words of each pixel.
#[inline(always)]
pub(crate) unsafe fn compute<S: Integers, W: Words<S>>(simd: S, task: &GroupTask<'_>) {
    let few = const { S::LANES <= FEW_LANES };
    if few && W::EACH == 2 {
        // Less code: see `panel`.
        unreachable!("short vectors do not pick words of bf16");
    }
    let three = !few && task.taps == 3 && task.x_step == task.tap;
    for channel in (0..task.channels).step_by(S::LANES) {
        let mut done = 0;
        while done < task.pixels {
            // SAFETY: the caller's contract; all tiles lie among the pixels.
            unsafe {
                if task.pixels < TILE {
                    tile::<S, W, 1, false>(simd, task, done, channel);
                    done += 1;
                    continue;
                }
                let first = done.min(task.pixels - TILE);
                if three {
                    tile::<S, W, TILE, true>(simd, task, first, channel);
                } else {
                    tile::<S, W, TILE, false>(simd, task, first, channel);
                }
                done = first + TILE;
            }
        }
    }
}

/// Sums up `P` pixels from the `first` on, a vector of channels; if `THREE`, by three columns of the window, which are neighbours in the
/// output, too, at a time.
///
/// The sums stay in registers only if every loop over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`compute`], for these pixels and channels. If `THREE`, the window has three columns, as far apart as pixels.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<S: Integers, W: Words<S>, const P: usize, const THREE: bool>(
    simd: S,
    task: &GroupTask<'_>,
    first: usize,
    channel: usize,
) {
    let GroupTask { x_step, y_step, rows, taps, pitch, tap, run, width, .. } = *task;
    // A vector of inputs ends with the panel's last channel, though there may be fewer than fill one: other channels lie before.
    let before = S::LANES - (task.channels - channel).min(S::LANES);
    debug_assert!(task.channels.is_multiple_of(W::EACH), "channels are whole words");
    let word = |bits: u32| simd.splat(f32::from_bits(bits));
    let moved = word(if task.signed { 0x8080_8080 } else { 0 });
    // SAFETY: the caller's contract: a vector's words of inputs end with the panel's last channel or before it, and the width has whole
    // vectors.
    unsafe {
        let start = task.x.add(first * x_step + channel / W::EACH).sub(before / W::EACH);
        let lanes = simd.load(task.lanes.as_ptr().cast());
        let mut from = simd.add_i32(lanes, word((before / W::EACH) as u32));
        let mut sums = [simd.load(task.bias.add(channel)); P];
        macro_rules! input {
            ($x:expr) => {
                W::pick(simd, W::load(simd, $x, moved), from)
            };
        }
        for k in 0..run {
            let mut weights = task.weights.add(k * width + channel);
            let mut row = start;
            for _ in 0..rows {
                if THREE {
                    let w = [0, 1, 2].map(|next| weights.add(next * run * width));
                    let w = [simd.load(w[0]), simd.load(w[1]), simd.load(w[2])];
                    let (mut a, mut b) = (input!(row), input!(row.add(x_step)));
                    for p in 0..P {
                        let c = input!(row.add((p + 2) * x_step));
                        sums[p] = W::add_products(simd, a, w[0], sums[p]);
                        sums[p] = W::add_products(simd, b, w[1], sums[p]);
                        sums[p] = W::add_products(simd, c, w[2], sums[p]);
                        (a, b) = (b, c);
                    }
                    weights = weights.wrapping_add(3 * run * width);
                } else {
                    let mut x = row;
                    for _ in 0..taps {
                        let w = simd.load(weights);
                        for p in 0..P {
                            sums[p] = W::add_products(simd, input!(x.add(p * x_step)), w, sums[p]);
                        }
                        weights = weights.wrapping_add(run * width);
                        x = x.wrapping_add(tap);
                    }
                }
                row = row.wrapping_add(pitch);
            }
            from = simd.add_i32(from, word(1));
        }
        let y = task.y.add(first * y_step + channel);
        for p in 0..P {
            simd.store(y.add(p * y_step), sums[p]);
        }
    }
}
