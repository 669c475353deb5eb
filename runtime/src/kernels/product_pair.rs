//! The micro-kernel for two products whose weights are a sum and a difference: `(h0 + h2) + h1` and `(h0 + h2) - h1`.
//!
//! ```text
//! sums[i][p][:] = what the output holds, if accumulating
//! for k in 0 .. run:
//!     e = h0[k][:] + h2[k][:]
//!     sums[0][p][:] += x0[p][k] * (e + h1[k][:])
//!     sums[1][p][:] += x1[p][k] * (e - h1[k][:])
//! y[i][p][:] = sums[i][p][:]
//! ```
//! Three rows of weights are read and never four written: writing to the second-level cache is what a transform costs most.

use crate::isa::Simd;
use crate::kernels::product::{LINE, next_tile};

/// Tiles to be computed, one after the other: any number of pixels, at most a panel's channels.
pub(crate) struct PairProduct<'a> {
    /// What pixel offsets count from, for the first product, and how far it is to the second's.
    pub(crate) x: *const f32,
    pub(crate) x_apart: usize,
    /// Where each pixel's run begins.
    pub(crate) x_offsets: &'a [usize],
    /// Length of a run.
    pub(crate) run: usize,
    /// `run` times the panel's channels, filled up to whole vectors: `h0`, and how far it is to `h1`, and from there to `h2`.
    pub(crate) weights: *const f32,
    pub(crate) weights_apart: usize,
    /// What is needed next, fetched as what is read once: a line of it is fetched for each row of the weights, by each tile of half
    /// a panel.
    pub(crate) prefetch: *const f32,
    pub(crate) prefetch_apart: usize,
    /// What pixel offsets count from, for the first product, and how far it is to the second's.
    pub(crate) y: *mut f32,
    pub(crate) y_apart: usize,
    /// Where each pixel's channels go.
    pub(crate) y_offsets: &'a [usize],
    /// Channels: whole vectors, at most a panel's.
    pub(crate) channels: usize,
    /// Add what the output holds.
    pub(crate) accumulate: bool,
}

/// Tiles of `TILE` pixels and of what is left by `HALF` vectors, half of a panel, and what is left of those.
///
/// # Safety
/// For each pixel, its runs lie in the input and its channels in the output, where nobody else reads or writes; weights
/// hold what they say. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn compute<S: Simd, const TILE: usize, const HALF: usize>(
    simd: S,
    product: &PairProduct<'_>,
) {
    let vectors = product.channels / S::LANES;
    let pixels = product.x_offsets.len();
    let mut prefetch = product.prefetch;
    let mut vector = 0;
    while vector < vectors {
        let width = if vectors - vector >= HALF { HALF } else { 1 };
        let mut first = 0;
        while first < pixels {
            let size = next_tile(pixels - first, TILE);
            macro_rules! instance {
                ($($size:literal)*) => {
                    match (size, width) {
                        $(
                            ($size, 1) => tile::<S, $size, 1>(simd, product, first, vector, prefetch),
                            ($size, _) => tile::<S, $size, HALF>(simd, product, first, vector, prefetch),
                        )*
                        _ => unreachable!("a tile has 1 to {TILE} pixels, not {size}"),
                    }
                };
            }
            // SAFETY: the caller's contract; all tiles together have the pixels and vectors that there are.
            unsafe { instance!(1 2 3 4 5 6) };
            prefetch = prefetch.wrapping_add(product.prefetch_apart);
            first += size;
        }
        vector += width;
    }
}

/// Computes `P` pixels from the `first` on by `V` vectors from one on. As in [`product`](super::product), loops over sums have
/// no branches inside.
///
/// # Safety
/// As [`compute`], for the tile's pixels and vectors.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<S: Simd, const P: usize, const V: usize>(
    simd: S,
    product: &PairProduct<'_>,
    first: usize,
    vector: usize,
    mut prefetch: *const f32,
) {
    let PairProduct { x_apart, x_offsets, run, weights_apart, y_apart, y_offsets, channels, .. } = *product;
    let channel = vector * S::LANES;
    // SAFETY: the caller's contract.
    unsafe {
        let y: [*mut f32; P] =
            std::array::from_fn(|p| product.y.add(*y_offsets.get_unchecked(first + p) + channel));
        let mut sums = [[[simd.splat(0.0); V]; 2]; P];
        if product.accumulate {
            for p in 0..P {
                for v in 0..V {
                    sums[p][0][v] = simd.load(y[p].add(v * S::LANES));
                    sums[p][1][v] = simd.load(y[p].add(y_apart + v * S::LANES));
                }
            }
        }
        let x: [*const f32; P] = std::array::from_fn(|p| product.x.add(*x_offsets.get_unchecked(first + p)));
        let mut weights = product.weights.add(channel);
        for k in 0..run {
            let mut w = [[simd.splat(0.0); V]; 2];
            for v in 0..V {
                let h0 = simd.load(weights.add(v * S::LANES));
                let h1 = simd.load(weights.add(weights_apart + v * S::LANES));
                let h2 = simd.load(weights.add(2 * weights_apart + v * S::LANES));
                let even = simd.add(h0, h2);
                (w[0][v], w[1][v]) = (simd.add(even, h1), simd.sub(even, h1));
            }
            weights = weights.add(channels);
            simd.prefetch_once(prefetch);
            prefetch = prefetch.wrapping_add(LINE);
            for p in 0..P {
                let (x0, x1) = (simd.splat(*x[p].add(k)), simd.splat(*x[p].add(x_apart + k)));
                for v in 0..V {
                    sums[p][0][v] = simd.mul_add(x0, w[0][v], sums[p][0][v]);
                    sums[p][1][v] = simd.mul_add(x1, w[1][v], sums[p][1][v]);
                }
            }
        }
        for p in 0..P {
            for v in 0..V {
                simd.store(y[p].add(v * S::LANES), sums[p][0][v]);
                simd.store(y[p].add(y_apart + v * S::LANES), sums[p][1][v]);
            }
        }
    }
}
