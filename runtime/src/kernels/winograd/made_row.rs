//! [`row_product`](super::row_product) for instruction sets of few registers, which have no room for a group's sums and for weights: a row of
//! the weights is made first, for all groups, and stays in the L1 cache.
//!
//! ```text
//! make:      for c in the channels:   U[c][k][:] = (G g[c] G^T)[row][k][:]
//! multiply:  for some tiles at a time, for some sums of the row at a time:                   so many that they stay in registers
//!                for c in the channels, for each product i of these sums, for each tile:
//!                    sums[tile][sum(i)][:] += x[c][tile][i] * U[c][kernel(i)][:]
//! ```

use resnet_plan::algorithm::{GROUP, LARGEST_DEPTH};
use resnet_plan::winograd::Tile;

use crate::kernels::product::LINE;
use crate::kernels::wide::Float;
use crate::kernels::winograd::row_product::{LINES, RowProduct, panel_vectors};
use crate::kernels::winograd::sides::{Four, Side, TwoOfStride2};
use crate::simd::Integers;

/// A row of weights to be made.
pub(crate) struct RowWeights {
    /// For each input channel the panel's, of the window's nine weights one after the other.
    pub(crate) weights: *const f32,
    /// Input channels.
    pub(crate) depth: usize,
    /// What is needed next: [`LINES`] lines of it are fetched for each input channel.
    pub(crate) prefetch: *const f32,
    /// For each input channel the row's, one after the other: at most [`LARGEST_ROW`] elements.
    pub(crate) to: *mut f32,
}

/// The most elements of a row: for each channel 6 vectors with tiles of 4x4, or 4 pairs of vectors with 2x2; vectors have at most 8
/// elements.
pub(super) const LARGEST_ROW: usize = LARGEST_DEPTH * 4 * 2 * 8;
/// Sums of a row that are computed together: with a vector each, of four tiles, or with two, of two.
const SUMS: usize = 3;

/// A row of weights for tiles of 4x4.
///
/// # Safety
/// Weights are there for the channels, and room for what is made. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn make_four<S: Integers, const ROW: usize>(simd: S, task: &RowWeights) {
    const VECTORS: usize = panel_vectors(Tile::Four);
    // SAFETY: the caller's contract.
    unsafe { make::<S, Four, 6, 4, 6, 6, ROW, VECTORS>(simd, task) }
}

/// A row of weights for tiles of 2x2 with a stride of 2.
///
/// # Safety
/// As [`make_four`].
#[inline(always)]
pub(crate) unsafe fn make_two<S: Integers, const ROW: usize>(simd: S, task: &RowWeights) {
    const VECTORS: usize = panel_vectors(Tile::TwoOfStride2);
    // SAFETY: the caller's contract.
    unsafe { make::<S, TwoOfStride2<Float>, 5, 2, 4, 3, ROW, VECTORS>(simd, task) }
}

/// # Safety
/// As [`make_four`].
#[inline(always)]
unsafe fn make<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
    const ROW: usize,
    const V: usize,
>(
    simd: S,
    task: &RowWeights,
) {
    let (mut weights, mut to, mut prefetch) = (task.weights, task.to, task.prefetch);
    for _ in 0..task.depth {
        for line in 0..LINES {
            simd.prefetch(prefetch.wrapping_add(line * LINE));
        }
        prefetch = prefetch.wrapping_add(LINES * LINE);
        // SAFETY: the caller's contract.
        unsafe {
            for v in 0..V {
                let mut t = [simd.splat(0.0); 3];
                for (column, t) in t.iter_mut().enumerate() {
                    let mut g = [simd.splat(0.0); 3];
                    for (row, g) in g.iter_mut().enumerate() {
                        *g = simd.load(weights.add(((row * 3 + column) * V + v) * S::LANES));
                    }
                    *t = L::kernel(simd, g)[ROW];
                }
                for (k, u) in L::kernel(simd, t).into_iter().enumerate() {
                    simd.store(to.add((k * V + v) * S::LANES), u);
                }
            }
            weights = weights.add(9 * V * S::LANES);
            to = to.add(K * V * S::LANES);
        }
    }
}

/// All tiles of 4x4, with a row of weights that is made.
///
/// # Safety
/// Inputs, weights and sums are there for the tiles and channels, sums where nobody else reads or writes. The machine has the
/// instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn multiply_four<S: Integers>(simd: S, task: &RowProduct<'_>) {
    const VECTORS: usize = panel_vectors(Tile::Four);
    for (group, y_offsets) in task.y_offsets.chunks(GROUP).enumerate() {
        let place = group * GROUP;
        macro_rules! instance {
            ($tiles:literal, $whole:literal) => {{
                multiply::<S, Four, 6, 4, 6, 6, 0, VECTORS, $tiles, $whole>(simd, task, place);
                multiply::<S, Four, 6, 4, 6, 6, SUMS, VECTORS, $tiles, $whole>(simd, task, place);
            }};
        }
        // SAFETY: the caller's contract.
        unsafe {
            match (y_offsets.len(), task.whole.saturating_sub(place)) {
                (1, 0) => instance!(1, 0),
                (1, _) => instance!(1, 1),
                (2, 0) => instance!(2, 0),
                (2, 1) => instance!(2, 1),
                (2, _) => instance!(2, 2),
                (3, _) => instance!(3, 3),
                (4, 0) => instance!(4, 0),
                (4, 2) => instance!(4, 2),
                (4, _) => instance!(4, 4),
                (tiles, _) => unreachable!("a group has 1 to {GROUP} tiles, not {tiles}"),
            }
        }
    }
}

/// All tiles of 2x2 with a stride of 2, with a row of weights that is made.
///
/// # Safety
/// As [`multiply_four`].
#[inline(always)]
pub(crate) unsafe fn multiply_two<S: Integers>(simd: S, task: &RowProduct<'_>) {
    const VECTORS: usize = panel_vectors(Tile::TwoOfStride2);
    for (pair, y_offsets) in task.y_offsets.chunks(GROUP / 2).enumerate() {
        let place = pair * (GROUP / 2);
        macro_rules! instance {
            ($tiles:literal, $whole:literal) => {
                multiply::<S, TwoOfStride2<Float>, 5, 2, 4, 3, 0, VECTORS, $tiles, $whole>(simd, task, place)
            };
        }
        // SAFETY: the caller's contract.
        unsafe {
            match (y_offsets.len(), task.whole.saturating_sub(place)) {
                (1, 0) => instance!(1, 0),
                (1, _) => instance!(1, 1),
                (2, 0) => instance!(2, 0),
                (2, 1) => instance!(2, 1),
                (2, _) => instance!(2, 2),
                (tiles, _) => unreachable!("half of a group has 1 or 2 tiles, not {tiles}"),
            }
        }
    }
}

/// Computes [`SUMS`] sums of the row, from the sum `FIRST` on, for `P` tiles of one group, from the tile `place` on; the first `WHOLE` of
/// them take all products.
///
/// # Safety
/// As [`multiply_four`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn multiply<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
    const FIRST: usize,
    const V: usize,
    const P: usize,
    const WHOLE: usize,
>(
    simd: S,
    task: &RowProduct<'_>,
    place: usize,
) {
    // SAFETY: the caller's contract.
    unsafe {
        let y: [*mut f32; P] = std::array::from_fn(|p| {
            task.y.add(*task.y_offsets.get_unchecked(place + p) + FIRST * V * S::LANES)
        });
        let mut sums = [[[simd.splat(0.0); V]; SUMS]; P];
        if task.accumulate {
            for p in 0..P {
                for sum in 0..SUMS {
                    for v in 0..V {
                        sums[p][sum][v] = simd.load(y[p].add((sum * V + v) * S::LANES));
                    }
                }
            }
        }
        let mut x = task.x.add(place / GROUP * task.x_group + place % GROUP * N * S::LANES);
        let mut weights = task.weights;
        // One loop: two, of which the inner one is unrolled, have more values than registers.
        for c in 1..task.depth + 1 {
            for product in 0..N {
                if L::SUMS[product] < FIRST || L::SUMS[product] >= FIRST + SUMS {
                    continue;
                }
                let u: [S::Vector; V] =
                    std::array::from_fn(|v| simd.load(weights.add((L::KERNELS[product] * V + v) * S::LANES)));
                for p in 0..P {
                    if p < WHOLE || L::PARTIAL[product] {
                        let x = simd.splat(*x.add((p * N + product) * S::LANES));
                        for v in 0..V {
                            let sum = &mut sums[p][L::SUMS[product] - FIRST][v];
                            *sum = simd.mul_add(x, u[v], *sum);
                        }
                    }
                }
            }
            let is_last = c.is_multiple_of(S::LANES);
            x = x.add(if is_last { (GROUP * N - 1) * S::LANES + 1 } else { 1 });
            weights = weights.add(K * V * S::LANES);
        }
        for p in 0..P {
            for sum in 0..SUMS {
                for v in 0..V {
                    simd.store(y[p].add((sum * V + v) * S::LANES), sums[p][sum][v]);
                }
            }
        }
    }
}
