//! The micro-kernel of Winograd's algorithm for few tiles: a row of their products, with weights that it transforms itself.
//!
//! ```text
//! sums[tile][:] = what the output holds, if accumulating                                  all sums in registers
//! for c in the channels:
//!     t[j][:] = (G g[c])[row][j][:]                                                       from 3 by 3 vectors of weights
//!     u[i][:] = (t G^T)[i][:]
//!     for each product i, for each tile:  sums[tile][sum(i)][:] += x[c][tile][i] * u[i][:]
//! y[tile][:] = sums[tile][:]
//! ```
//! Weights that are transformed in memory are written and read once more, which takes longer than to multiply them with few tiles.
//! Here they stay in the L1 cache for all rows of the products.

use std::ops::Range;

use resnet_plan::algorithm::{GROUP, VECTOR};
use resnet_plan::winograd::Tile;

use crate::kernels::product::LINE;
use crate::kernels::wide::Float;
use crate::kernels::winograd::sides::{Four, Side, TwoOfStride2};
use crate::simd::Integers;

/// Tiles to be computed: in groups of [`GROUP`].
pub(crate) struct RowProduct<'a> {
    /// Transformed inputs of the row: for each vector of channels and each of a whole group's tiles, one for each product. And how far it is
    /// from a group to the next.
    pub(crate) x: *const f32,
    pub(crate) x_group: usize,
    /// Input channels, whole vectors.
    pub(crate) depth: usize,
    /// For each input channel the panel's, of the window's nine weights one after the other; or of the row's that are
    /// [made](super::made_row).
    pub(crate) weights: *const f32,
    /// What is needed next, and the part of it that is not fetched yet: each group fetches [`LINES`] lines for each input channel.
    pub(crate) prefetch: *const f32,
    pub(crate) unfetched: Range<usize>,
    /// The row's sums of the first product; a panel's channels of one sum follow those of the other.
    pub(crate) y: *mut f32,
    /// Where each tile's sums are.
    pub(crate) y_offsets: &'a [usize],
    /// Tiles, the first ones, that take all products; the others have one output less inside.
    pub(crate) whole: usize,
    /// Add what the output holds.
    pub(crate) accumulate: bool,
}

/// Lines that are fetched for an input channel.
pub(super) const LINES: usize = 2;

/// Vectors of a panel: as many as leave registers for a group of tiles.
pub(super) const fn panel_vectors(tile: Tile) -> usize {
    tile.fused_panel() / VECTOR
}

/// A row of all tiles of 4x4, group by group.
///
/// # Safety
/// Inputs, weights and sums are there for the tiles and channels, sums where nobody else reads or writes. The machine has the
/// instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn row_of_four<S: Integers, const ROW: usize>(simd: S, task: &RowProduct<'_>) {
    const VECTORS: usize = panel_vectors(Tile::Four);
    // SAFETY: the caller's contract.
    unsafe { groups::<S, Four, 6, 4, 6, 6, ROW, VECTORS>(simd, task) }
}

/// A row of all tiles of 2x2 with a stride of 2, group by group.
///
/// # Safety
/// As [`row_of_four`].
#[inline(always)]
pub(crate) unsafe fn row_of_two<S: Integers, const ROW: usize>(simd: S, task: &RowProduct<'_>) {
    const VECTORS: usize = panel_vectors(Tile::TwoOfStride2);
    // SAFETY: the caller's contract.
    unsafe { groups::<S, TwoOfStride2<Float>, 5, 2, 4, 3, ROW, VECTORS>(simd, task) }
}

/// Group by group, of as many tiles as there are, of which the first half or none may be whole; else all are computed as if they were: what
/// a tile does not take is zero.
///
/// # Safety
/// As [`row_of_four`].
#[inline(always)]
unsafe fn groups<
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
    task: &RowProduct<'_>,
) {
    let mut unfetched = task.unfetched.clone();
    for (group, y_offsets) in task.y_offsets.chunks(GROUP).enumerate() {
        let fetched =
            if unfetched.is_empty() { task.weights } else { task.prefetch.wrapping_add(unfetched.start) };
        unfetched.start += task.depth * LINES * LINE;
        macro_rules! instance {
            ($tiles:literal, $whole:literal) => {
                tiles::<S, L, N, O, K, M, ROW, V, $tiles, $whole>(simd, task, group, fetched)
            };
        }
        // SAFETY: the caller's contract.
        unsafe {
            match (y_offsets.len(), task.whole.saturating_sub(group * GROUP)) {
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

/// Computes `P` tiles of a group, of which the first `WHOLE` take all products. As in [`product`](crate::kernels::product), loops over sums
/// have no branches inside that are not decided at compile time.
///
/// # Safety
/// As [`row_of_four`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tiles<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
    const ROW: usize,
    const V: usize,
    const P: usize,
    const WHOLE: usize,
>(
    simd: S,
    task: &RowProduct<'_>,
    group: usize,
    mut prefetch: *const f32,
) {
    // SAFETY: the caller's contract.
    unsafe {
        let y: [*mut f32; P] =
            std::array::from_fn(|p| task.y.add(*task.y_offsets.get_unchecked(group * GROUP + p)));
        let mut sums = [[[simd.splat(0.0); V]; M]; P];
        if task.accumulate {
            for p in 0..P {
                for sum in 0..M {
                    for v in 0..V {
                        sums[p][sum][v] = simd.load(y[p].add((sum * V + v) * S::LANES));
                    }
                }
            }
        }
        let (mut x, mut weights) = (task.x.add(group * task.x_group), task.weights);
        for _ in 0..task.depth / S::LANES {
            for _ in 0..S::LANES {
                let g = |row: usize, column: usize, v: usize| {
                    simd.load(weights.add(((row * 3 + column) * V + v) * S::LANES))
                };
                let mut u = [[simd.splat(0.0); K]; V];
                for v in 0..V {
                    let mut t = [simd.splat(0.0); 3];
                    for column in 0..3 {
                        let g = [g(0, column, v), g(1, column, v), g(2, column, v)];
                        t[column] = L::kernel(simd, g)[ROW];
                    }
                    u[v] = L::kernel(simd, t);
                }
                for line in 0..LINES {
                    simd.prefetch(prefetch.wrapping_add(line * LINE));
                }
                prefetch = prefetch.wrapping_add(LINES * LINE);
                weights = weights.add(9 * V * S::LANES);
                for product in 0..N {
                    for p in 0..P {
                        if p < WHOLE || L::PARTIAL[product] {
                            let x = simd.splat(*x.add((p * N + product) * S::LANES));
                            for v in 0..V {
                                let sum = &mut sums[p][L::SUMS[product]][v];
                                *sum = simd.mul_add(x, u[v][L::KERNELS[product]], *sum);
                            }
                        }
                    }
                }
                x = x.add(1);
            }
            x = x.add((GROUP * N - 1) * S::LANES);
        }
        for p in 0..P {
            for sum in 0..M {
                for v in 0..V {
                    simd.store(y[p].add((sum * V + v) * S::LANES), sums[p][sum][v]);
                }
            }
        }
    }
}
