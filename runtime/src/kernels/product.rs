//! The micro-kernel that convolutions of f32 and of widened elements are made of: a tile of pixels by a panel of channels.
//!
//! ```text
//! sums[p][:] = bias
//! for each run, for k in 0 .. run:  sums[p][:] += x[p][run][k] * w[run][k][:]        all sums in registers
//! y[p][:] = relu?(sums[p][:] + sums that have begun)                                 f32: (..) * gate in between
//! ```
//! A word is a f32, or two int16 whose products are added up exactly: see [`Arithmetic`].
//!
//! What has begun is added last, so a long sum is a sum of parts: its error grows with the length of a part and the number of
//! parts, not with the number of terms. (Direct sums and Winograd's are cut so; Strassen's are not.)
//!
//! A tile's pixels bring their own addresses, so they may lie anywhere. The order of a sum's terms never depends on the
//! tile, so neither do its bits.

use crate::kernels::wide::{Arithmetic, Kind};
use crate::simd::{FEW_LANES, Integers, Simd};

/// Tiles to be computed, one after the other: any number of pixels, at most a panel's channels.
pub(crate) struct Product<'a> {
    /// What pixel offsets count from.
    pub(crate) x: *const f32,
    /// Where each pixel's first run begins.
    pub(crate) x_offsets: &'a [usize],
    /// Rows of runs, and runs of a row.
    pub(crate) rows: usize,
    pub(crate) taps: usize,
    /// Length of a run.
    pub(crate) run: usize,
    /// From one row to the next, and from a run to the next.
    pub(crate) pitch: usize,
    pub(crate) tap: usize,
    /// `rows * taps * run` times the panel's channels, filled up to whole vectors.
    pub(crate) weights: *const f32,
    /// What is needed next, of which each tile fetches a part; and how far it is from the part of a tile to that of the next.
    pub(crate) prefetch: *const f32,
    pub(crate) prefetch_apart: usize,
    pub(crate) fetch: Fetch,
    /// The panel's, filled up to whole vectors.
    pub(crate) bias: *const f32,
    /// The panel's channels in the output; pixel offsets count from here.
    pub(crate) y: *mut f32,
    /// Where each pixel's channels go.
    pub(crate) y_offsets: &'a [usize],
    /// Channels, at most a panel's.
    pub(crate) channels: usize,
    /// Sums that have begun, to be added: those of other products, or what the output holds.
    pub(crate) begun: &'a [Begun<'a>],
    /// What sums are multiplied with as soon as so many of those have been added: f32 only.
    pub(crate) gate: Option<(Begun<'a>, usize)>,
    /// Whether the last of those is what the output holds.
    pub(crate) held: bool,
    /// Cut negative results off.
    pub(crate) relu: bool,
}

/// Sums that have begun, or a gate.
#[derive(Clone, Copy)]
pub(crate) struct Begun<'a> {
    /// What pixel offsets count from.
    pub(crate) sums: *const f32,
    /// Where each pixel's channels are.
    pub(crate) offsets: &'a [usize],
}

/// The part of what is needed next that a tile fetches, row by row of its weights: with those of a panel that is not whole, a quarter.
#[derive(Clone, Copy)]
pub(crate) enum Fetch {
    /// An eighth that is read once: by as many tiles as there are, and then no more.
    Once,
    All,
    Half,
    Quarter,
    Eighth,
}

impl Fetch {
    /// What so many tiles fetch, so that all together fetch everything, and as slowly as that allows. Where memory is slow to answer,
    /// what a few tiles fetch at once makes them wait for their own weights.
    pub(crate) fn of(kind: Kind, tiles: usize) -> Fetch {
        match tiles {
            // There is one kernel.
            _ if kind.is_integer() => Fetch::Eighth,
            0 | 1 => Fetch::All,
            2 | 3 => Fetch::Half,
            4..8 => Fetch::Quarter,
            _ => Fetch::Eighth,
        }
    }

    /// Words that a tile fetches in so many rows of weights of a panel.
    pub(crate) fn words(self, rows: usize, panel: usize) -> usize {
        let parts = match self {
            Fetch::All => 1,
            Fetch::Half => 2,
            Fetch::Quarter => 4,
            Fetch::Once | Fetch::Eighth => 8,
        };
        rows * lines_of_four(parts, panel) * LINE / 4
    }
}

/// Lines that are fetched with four rows of weights, which are as many: at least one.
pub(crate) const fn lines_of_four(parts: usize, panel: usize) -> usize {
    let lines = 4 * panel / LINE / parts;
    if lines == 0 { 1 } else { lines }
}

/// Fetches those of `lines`, of four rows each, that come with a row: 1, 2 or a multiple of 4.
#[inline(always)]
pub(crate) fn fetch_with_row<S: Simd, const ONCE: bool>(simd: S, from: *const f32, lines: usize, row: usize) {
    if lines >= 4 || row.is_multiple_of(4 / lines) {
        for line in 0..lines.div_ceil(4) {
            let line = from.wrapping_add((row * lines / 4 + line) * LINE);
            if ONCE { simd.prefetch_once(line) } else { simd.prefetch(line) }
        }
    }
}

/// Elements of a cache line.
pub(crate) const LINE: usize = 16;

/// Calls a macro for each row of weights of a run, four in one go if they are to be unrolled. Where another program shares the core, a tile
/// is limited by how many instructions it takes; so nothing but `k` changes from row to row, and the compiler keeps few addresses.
macro_rules! unrolled {
    ($if:expr, $run:expr, $multiply:ident) => {
        let fours = if $if { $run - $run % 4 } else { 0 };
        for four in (0..fours).step_by(4) {
            for k in four..four + 4 {
                $multiply!(k);
            }
        }
        for k in fours..$run {
            $multiply!(k);
        }
    };
}
pub(crate) use unrolled;

/// Whether a tile of so many pixels and vectors, of a panel of `whole` vectors, is one of those that do most of the work: the others have less
/// code.
#[inline(always)]
pub(crate) const fn is_large(pixels: usize, vectors: usize, whole: usize, lanes: usize) -> bool {
    pixels >= 5 && vectors == whole && lanes > FEW_LANES
}

/// Pixels of the next tile, of so many that are left. The last three tiles are of nearly one size: with few pixels, a tile would wait for
/// each of its sums, and for the weights.
#[inline(always)]
pub(crate) const fn next_tile(left: usize, tile: usize) -> usize {
    match left.div_ceil(tile) {
        0 => 0,
        tiles @ 1..=3 => left.div_ceil(tiles),
        _ => tile,
    }
}

/// Tiles of `TILE` pixels and of what is left, of as many vectors as the channels fill: a whole panel's `VECTORS`, unless it is the kernel
/// for `NARROW` panels, too. They fetch one of so many `PARTS`, to be read `ONCE` or again.
///
/// # Safety
/// For each pixel, its runs lie in the input and its channels in the output, where nobody else reads or writes, and among gates and sums that
/// have begun; weights and bias hold what they say. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn compute<
    N: Arithmetic,
    S: Integers,
    const TILE: usize,
    const VECTORS: usize,
    const PARTS: usize,
    const ONCE: bool,
    const NARROW: bool,
>(
    simd: S,
    product: &Product<'_>,
) {
    macro_rules! instance {
        ($vectors:literal) => {{
            let pixels = product.x_offsets.len();
            let (mut first, mut prefetch) = (0, product.prefetch);
            while first < pixels {
                let size = next_tile(pixels - first, TILE);
                // SAFETY: the caller's contract; all tiles together have as many pixels as there are.
                unsafe {
                    match size {
                        1 => tile::<N, S, 1, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch),
                        2 => tile::<N, S, 2, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch),
                        3 => tile::<N, S, 3, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch),
                        4 => tile::<N, S, 4, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch),
                        5 if TILE > 4 => {
                            tile::<N, S, 5, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch)
                        }
                        6 if TILE > 4 => {
                            tile::<N, S, 6, $vectors, VECTORS, PARTS, ONCE>(simd, product, first, prefetch)
                        }
                        size => unreachable!("a tile has 1 to {TILE} pixels, not {size}"),
                    }
                }
                prefetch = prefetch.wrapping_add(product.prefetch_apart);
                first += size;
            }
        }};
    }
    match product.channels.div_ceil(S::LANES) {
        1 if NARROW => instance!(1),
        2 if NARROW || VECTORS == 2 => instance!(2),
        3 if NARROW && VECTORS > 3 => instance!(3),
        4 if VECTORS == 4 => instance!(4),
        vectors => unreachable!("no kernel for {vectors} vectors of {VECTORS}"),
    }
}

/// Computes `P` pixels from the `first` on by `V` vectors of channels, of a panel's `VECTORS`.
///
/// The sums stay in registers only if every loop over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`compute`], for the tile's `P` pixels, and channels that fill `V` vectors (the last one in part).
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<
    N: Arithmetic,
    S: Integers,
    const P: usize,
    const V: usize,
    const VECTORS: usize,
    const PARTS: usize,
    const ONCE: bool,
>(
    simd: S,
    product: &Product<'_>,
    first: usize,
    mut prefetch: *const f32,
) {
    let Product { x_offsets, rows, taps, run, pitch, tap, y_offsets, channels, .. } = *product;
    let last = channels - (V - 1) * S::LANES;
    let lines = const { lines_of_four(PARTS, VECTORS * S::LANES) };
    // SAFETY: the caller's contract: of the last vector only the channels that there are get read and written.
    unsafe {
        let bias: [S::Vector; V] = std::array::from_fn(|v| simd.load(product.bias.add(v * S::LANES)));
        let y: [*mut f32; P] = std::array::from_fn(|p| product.y.add(*y_offsets.get_unchecked(first + p)));
        let mut sums = [bias; P];
        let mut weights = product.weights;
        for row in 0..rows {
            for column in 0..taps {
                let place = row * pitch + column * tap;
                let x: [*const f32; P] =
                    std::array::from_fn(|p| product.x.add(*x_offsets.get_unchecked(first + p) + place));
                macro_rules! multiply {
                    ($k:expr) => {
                        let weights = weights.add($k * V * S::LANES);
                        let w: [S::Vector; V] = std::array::from_fn(|v| simd.load(weights.add(v * S::LANES)));
                        fetch_with_row::<S, ONCE>(simd, prefetch, lines, $k);
                        for p in 0..P {
                            let x = simd.splat(*x[p].add($k));
                            for v in 0..V {
                                sums[p][v] = N::add_product(simd, x, w[v], sums[p][v]);
                            }
                        }
                    };
                }
                // Not integers, whose sums the compiler may reorder: it would add up products of several rows first, and run out of registers.
                unrolled!(!N::INTEGER && is_large(P, V, VECTORS, S::LANES), run, multiply);
                weights = weights.add(run * V * S::LANES);
                prefetch = prefetch.wrapping_add(run * lines / 4 * LINE);
            }
        }
        macro_rules! combine {
            ($begun:expr, $operation:path) => {
                for p in 0..P {
                    let from = $begun.sums.add(*$begun.offsets.get_unchecked(first + p));
                    for v in 0..V - 1 {
                        sums[p][v] = $operation(simd, sums[p][v], simd.load(from.add(v * S::LANES)));
                    }
                    let old = simd.load_partial(from.add((V - 1) * S::LANES), last);
                    sums[p][V - 1] = $operation(simd, sums[p][V - 1], old);
                }
            };
        }
        // One behind the other: where code for both was one loop's alternatives, it kept sums in memory.
        let mut added = 0;
        loop {
            if !N::INTEGER
                && let Some((gate, after)) = product.gate
                && after == added
            {
                combine!(gate, S::mul);
            }
            let Some(begun) = product.begun.get(added) else { break };
            combine!(begun, N::add_sums);
            added += 1;
        }
        // What the next panel is added to lies behind this one's.
        if product.held {
            for p in 0..P {
                for line in 0..(V * S::LANES).div_ceil(LINE) {
                    simd.prefetch(y[p].wrapping_add(V * S::LANES + line * LINE));
                }
            }
        }
        if product.relu {
            let zero = simd.splat(0.0);
            for p in 0..P {
                for v in 0..V {
                    sums[p][v] = N::at_least(simd, zero, sums[p][v]);
                }
            }
        }
        for p in 0..P {
            for v in 0..V - 1 {
                simd.store(y[p].add(v * S::LANES), sums[p][v]);
            }
        }
        if last == S::LANES {
            for p in 0..P {
                simd.store(y[p].add((V - 1) * S::LANES), sums[p][V - 1]);
            }
        } else {
            for p in 0..P {
                simd.store_partial(y[p].add((V - 1) * S::LANES), sums[p][V - 1], last);
            }
        }
    }
}
