//! The micro-kernel of instructions that multiply words of bf16 or int8: as [`product`](crate::kernels::product), in words of four bytes.
//!
//! ```text
//! sums[p][:] = start
//! for each run, for k in 0 .. run:  sums[p][:] += dot(x[p][run][k], w[run][k][:])          all sums in registers
//! sums -> memory -> epilogue                                                               a tile, in the nearest cache
//! ```
//! A word is two bf16 or four int8, neighbours in a row run. Elements are multiplied and added up exactly (int8), or in single
//! precision (bf16). What is done with the sums is the same for all instruction sets: see
//! [`epilogue`](crate::kernels::epilogue).

use std::hint::black_box;
use std::mem::MaybeUninit;

use crate::kernels::conv::ConvTask;
use crate::kernels::epilogue::{self, Epilogue};
use crate::kernels::product::{LINE, fetch_with_row, is_large, lines_of_four, next_tile, unrolled};
use crate::simd::{Integers, Simd};

/// Tiles to be computed, one after the other: any number of pixels, at most a panel's channels.
pub(crate) struct DotTask<'a> {
    /// What pixel offsets count from.
    pub(crate) x: *const u32,
    /// Where each pixel's first run begins, in words.
    pub(crate) x_offsets: &'a [usize],
    /// Whether the input's int8 are signed.
    pub(crate) signed: bool,
    /// Rows of runs, and runs of a row.
    pub(crate) rows: usize,
    pub(crate) taps: usize,
    /// Words of a run.
    pub(crate) run: usize,
    /// Words from one row to the next, and from a run to the next.
    pub(crate) pitch: usize,
    pub(crate) tap: usize,
    /// `rows * taps * run` times a word for each of the panel's channels, filled up to whole vectors.
    pub(crate) weights: *const u32,
    /// What is needed next: for each tile, a line of it is fetched for each row of the weights.
    pub(crate) prefetch: *const u32,
    /// What the sums begin with, a word for each of the panel's channels, filled up to whole vectors.
    pub(crate) start: *const u32,
    /// What is done with the sums.
    pub(crate) epilogue: Epilogue<'a>,
}

/// A kernel for one type of elements, and the shapes that it works in.
pub(crate) struct DotKernel {
    /// The name of the instruction set that it is made for.
    pub(crate) isa: &'static str,
    /// Words in a vector.
    pub(crate) lanes: usize,
    /// Output channels in a panel of packed weights, a multiple of `lanes`.
    pub(crate) panel: usize,
    /// Whether signed int8 inputs are moved by 128 to be multiplied, so that sums begin with -128 times the sum of their weights.
    pub(crate) moves_signed: bool,
    /// How it computes.
    pub(crate) method: Method,
    /// Dots on registers, and nothing else: so many rounds.
    pub(crate) peak: unsafe fn(usize) -> u32,
    /// Words that are multiplied in a round of `peak`.
    pub(crate) peak_words: usize,
}

/// How a thread's part of a convolution is computed.
#[derive(Clone, Copy)]
pub(crate) enum Method {
    /// Vector by vector: tiles of so many pixels, wherever those lie, each computed by this function.
    Vectors(usize, unsafe fn(&DotTask<'_>)),
    /// On tile registers: the whole part. See [`tiles`](crate::kernels::tiles).
    Tiles(unsafe fn(&ConvTask<'_>)),
}

/// The vector operations of dot products. A value of the type shows that the machine has them.
pub(crate) trait Dot: Copy {
    /// The same machine's operations on f32.
    type Simd: Simd;
    /// Sums, one in each lane: f32 or i32.
    type Sum: Copy;
    /// Words of weights, one in each lane.
    type Weight: Copy;
    /// A word of the input, in every lane.
    type Input: Copy;
    /// For signed inputs: the same, if [`Dot::INTEGER`] is false.
    type Signed: Dot<Simd = Self::Simd>;
    /// Whether sums are integers.
    const INTEGER: bool;
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn assume() -> Self;

    /// The operations on f32.
    fn simd(self) -> Self::Simd;

    /// # Safety
    /// `from` must be valid for reads of a vector of words.
    unsafe fn load(self, from: *const u32) -> Self::Sum;

    /// # Safety
    /// `to` must be valid for writes of a vector of words.
    unsafe fn store(self, to: *mut u32, sum: Self::Sum);

    /// # Safety
    /// `from` must be valid for reads of a vector of words.
    unsafe fn weight(self, from: *const u32) -> Self::Weight;

    /// # Safety
    /// `from` must be valid for reads of a word; it need not be aligned.
    unsafe fn input(self, from: *const u32) -> Self::Input;

    /// `sum` and the products of the elements in two words.
    fn dot(self, x: Self::Input, w: Self::Weight, sum: Self::Sum) -> Self::Sum;
}

/// Words of four int8, unsigned by signed, as [`Integers::add_quads`] multiplies them: meant for VNNI. Signed inputs are moved by 128; the sums begin with what that adds
/// to them.
#[derive(Clone, Copy)]
pub(crate) struct Int8<S, const SIGNED: bool>(S);

impl<S: Integers, const SIGNED: bool> Dot for Int8<S, SIGNED> {
    type Simd = S;
    type Sum = S::Vector;
    type Weight = S::Vector;
    type Input = S::Vector;
    type Signed = Int8<S, true>;
    const INTEGER: bool = true;
    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Int8(unsafe { S::assume() })
    }

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { self.0.load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: S::Vector) {
        // SAFETY: the caller's contract.
        unsafe { self.0.store(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { self.0.load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        let words = self.0.splat(unsafe { from.cast::<f32>().read_unaligned() });
        if SIGNED { self.0.move_i8(words) } else { words }
    }

    #[inline(always)]
    fn dot(self, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector {
        self.0.add_quads(x, w, sum)
    }
}

/// Of so many parts of the next panel, a tile fetches one: see [`Fetch`](crate::kernels::product::Fetch).
const PARTS: usize = 8;

/// The most words of a tile: pixels by a panel's channels.
const TILE_WORDS: usize = 6 * 64;

/// The sums of a tile; no vector of them lies in two cache lines.
#[repr(C, align(64))]
struct Sums([u32; TILE_WORDS]);

/// Tiles of `TILE` pixels and of what is left, of as many vectors as the channels fill. The sums of a tile become outputs after
/// those of the next one are on their way, so that the processor can do both at once.
///
/// # Safety
/// For each pixel, its runs lie in the input; weights and start hold what they say, and the contract of the
/// epilogue holds. The machine has the instructions of `D`.
#[inline(always)]
pub(crate) unsafe fn compute<D: Dot, const TILE: usize, const VECTORS: usize>(dot: D, task: &DotTask<'_>) {
    const { assert!(TILE * VECTORS * D::Simd::LANES <= TILE_WORDS) };
    let mut sums = [const { MaybeUninit::<Sums>::uninit() }; 2];
    let [mut to, mut from] = sums.each_mut().map(|sums| sums.as_mut_ptr().cast::<u32>());
    let vectors = task.epilogue.channels.div_ceil(D::Simd::LANES);
    let mut prefetch = task.prefetch;
    let (mut first, mut before) = (0, 0);
    while before < task.x_offsets.len() {
        let pixels = next_tile(task.x_offsets.len() - first, TILE);
        macro_rules! instance {
            ($dot:ty, $vectors:literal) => {
                // SAFETY: the caller's contract; an instance takes as many pixels and vectors as there are, for which there is
                // room.
                unsafe {
                    let dot = <$dot>::assume();
                    match pixels {
                        0 => {}
                        1 => tile::<$dot, 1, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        2 => tile::<$dot, 2, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        3 => tile::<$dot, 3, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        4 => tile::<$dot, 4, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        5 if TILE >= 5 => tile::<$dot, 5, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        6 if TILE >= 6 => tile::<$dot, 6, $vectors, VECTORS>(dot, task, first, prefetch, to),
                        pixels => unreachable!("a tile has at most {TILE} pixels, not {pixels}"),
                    }
                }
            };
        }
        match (vectors, D::INTEGER && task.signed) {
            (1, false) => instance!(D, 1),
            (2, false) => instance!(D, 2),
            (3, false) if VECTORS >= 3 => instance!(D, 3),
            (4, false) if VECTORS >= 4 => instance!(D, 4),
            (1, true) => instance!(D::Signed, 1),
            (2, true) => instance!(D::Signed, 2),
            (3, true) if VECTORS >= 3 => instance!(D::Signed, 3),
            (4, true) if VECTORS >= 4 => instance!(D::Signed, 4),
            (vectors, _) => unreachable!("a panel has 1 to {VECTORS} vectors, not {vectors}"),
        }
        let y_offsets = &task.epilogue.y_offsets[before..first];
        // SAFETY: the caller's contract; the sums of these pixels were written in the round before.
        unsafe {
            let epilogue = Epilogue { sums: from, y_offsets, ..task.epilogue };
            if D::INTEGER {
                epilogue::of_integers(dot.simd(), &epilogue);
            } else {
                epilogue::of_floats(dot.simd(), &epilogue);
            }
        }
        (before, first) = (first, first + pixels);
        (to, from) = (from, to);
        let rows = task.rows * task.taps * task.run;
        prefetch = prefetch.wrapping_add(rows * lines_of_four(PARTS, VECTORS * D::Simd::LANES) / 4 * LINE);
    }
}

/// Sums up `P` pixels from the `first` on by `V` vectors of channels, of a panel's `VECTORS`. The sums stay in registers only if every loop
/// over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`compute`], for `P` pixels, and channels that fill `V` vectors; `to` must be valid for writes of that many words.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<D: Dot, const P: usize, const V: usize, const VECTORS: usize>(
    dot: D,
    task: &DotTask<'_>,
    first: usize,
    mut prefetch: *const u32,
    to: *mut u32,
) {
    let DotTask { x_offsets, rows, taps, run, pitch, tap, .. } = *task;
    let (simd, lanes) = (dot.simd(), D::Simd::LANES);
    // SAFETY: the caller's contract.
    unsafe {
        // Few pixels are few tiles, most often.
        let lines = const { lines_of_four(if P < 5 { 4 } else { PARTS }, VECTORS * D::Simd::LANES) };
        let start: [D::Sum; V] = std::array::from_fn(|v| dot.load(task.start.add(v * lanes)));
        let mut sums = [start; P];
        let mut weights = task.weights;
        for row in 0..rows {
            for column in 0..taps {
                let place = row * pitch + column * tap;
                let x: [*const u32; P] =
                    std::array::from_fn(|p| task.x.add(*x_offsets.get_unchecked(first + p) + place));
                macro_rules! multiply {
                    ($k:expr) => {
                        let weights = weights.add($k * V * lanes);
                        let w: [D::Weight; V] = std::array::from_fn(|v| dot.weight(weights.add(v * lanes)));
                        fetch_with_row::<_, false>(simd, prefetch.cast(), lines, $k);
                        for p in 0..P {
                            let x = dot.input(x[p].add($k));
                            for v in 0..V {
                                sums[p][v] = dot.dot(x, w[v], sums[p][v]);
                            }
                        }
                    };
                }
                unrolled!(is_large(P, V, VECTORS, lanes), run, multiply);
                weights = weights.add(run * V * lanes);
                prefetch = prefetch.wrapping_add(run * lines / 4 * LINE);
            }
        }
        for p in 0..P {
            for v in 0..V {
                dot.store(to.add((p * V + v) * lanes), sums[p][v]);
            }
        }
    }
}

/// Chains of dependent dots: as in [`peak`](crate::kernels::peak).
const CHAINS: usize = 12;

/// Words that are multiplied in a round of [`peak`].
pub(crate) const fn peak_words<D: Dot>() -> usize {
    CHAINS * D::Simd::LANES
}

/// The yardstick: dots on registers, and nothing else.
///
/// # Safety
/// The machine has the instructions of `D`.
#[inline(always)]
pub(crate) unsafe fn peak<D: Dot>(dot: D, rounds: usize) -> u32 {
    let words = black_box([0u32; 16]);
    let mut result = [0u32; 16];
    // SAFETY: a vector has at most 16 words.
    unsafe {
        let (x, w) = (dot.input(words.as_ptr()), dot.weight(words.as_ptr()));
        let mut sums = [dot.load(words.as_ptr()); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = dot.dot(x, w, *sum);
            }
        }
        for sum in sums {
            dot.store(result.as_mut_ptr(), sum);
            black_box(&result);
        }
    }
    result[0]
}

/// The [`DotKernel`] of an instruction set for a type of elements, compiled under its target features: for inputs that are not
/// signed, and for those that are.
macro_rules! dot_kernel {
    ($isa:literal, $dot:ty, [$($features:literal)?], tile: $tile:literal, vectors: $vectors:literal) => {{
        use crate::kernels::dot::{self, Dot};
        use crate::simd::Simd;

        /// # Safety
        /// The machine has the instruction set; the contract of [`dot::compute`] holds.
        $(#[target_feature(enable = $features)])?
        unsafe fn compute(task: &dot::DotTask<'_>) {
            // SAFETY: the caller's contract.
            unsafe { dot::compute::<$dot, $tile, $vectors>(<$dot>::assume(), task) }
        }

        /// # Safety
        /// The machine has the instruction set.
        $(#[target_feature(enable = $features)])?
        unsafe fn peak(rounds: usize) -> u32 {
            // SAFETY: the caller's contract.
            unsafe { dot::peak(<$dot>::assume(), rounds) }
        }

        const LANES: usize = <<$dot as Dot>::Simd as Simd>::LANES;
        dot::DotKernel {
            isa: $isa,
            lanes: LANES,
            panel: $vectors * LANES,
            moves_signed: true,
            method: dot::Method::Vectors($tile, compute),
            peak,
            peak_words: dot::peak_words::<$dot>(),
        }
    }};
}
pub(crate) use dot_kernel;
