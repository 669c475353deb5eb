//! The transforms of Winograd's algorithm: loops over channels around the matrices of [`sides`](super::sides).

use std::ops::Range;

use resnet_plan::winograd::Tile;

use crate::kernels::wide::{Arithmetic, Float, Input, Integer, Kind, Weights};
use crate::kernels::winograd::integer::FourOfIntegers;
use crate::kernels::winograd::sides::{Four, LARGEST_SIDE, Side, TwoOfStride2};
use crate::simd::{FEW_LANES, Integers, Simd};

/// Windows to be transformed.
pub(crate) struct KernelTile {
    pub(crate) tile: Tile,
    pub(crate) kind: Kind,
    /// The words of the windows' first position, and how far it is to those of the next one.
    pub(crate) g: *const f32,
    pub(crate) position: usize,
    /// Rows of words, and the words of a row: whole vectors.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Whether those that are the window's weights as they are go there too.
    pub(crate) all: bool,
    /// Where they go, and how far apart planes are.
    pub(crate) u: *mut f32,
    pub(crate) plane: usize,
}

/// Inputs of a tile to be transformed.
pub(crate) struct InputTile<'a> {
    pub(crate) tile: Tile,
    pub(crate) kind: Kind,
    /// The tile's pixels, row by row.
    pub(crate) pixels: &'a [*const f32],
    /// Which of their channels, in wide words.
    pub(crate) channels: Range<usize>,
    /// Where each row of the tile's elements goes; how far apart the elements of a row are, and one vector of channels and the next.
    pub(crate) v: [*mut f32; LARGEST_SIDE],
    pub(crate) plane: usize,
    pub(crate) vector: usize,
    /// Whether elements that are the tile's as they are go there too.
    pub(crate) all: bool,
    /// Rows and columns of outputs that lie in the image: if not all do, some elements are zero.
    pub(crate) inside: [usize; 2],
}

/// Sums of a tile to be transformed.
pub(crate) struct OutputTile {
    pub(crate) tile: Tile,
    /// The tile's elements, and how far apart its planes are.
    pub(crate) m: *const f32,
    pub(crate) plane: usize,
    pub(crate) bias: *const f32,
    /// The tile's first pixel, and how far apart rows and pixels are.
    pub(crate) y: *mut f32,
    pub(crate) row: usize,
    pub(crate) pixel: usize,
    /// Rows and columns that lie in the image.
    pub(crate) inside: [usize; 2],
    pub(crate) channels: usize,
    /// Add what the output holds; integers: in place of the bias.
    pub(crate) accumulate: bool,
    /// Cut negative results off: f32 only.
    pub(crate) relu: bool,
}

/// Calls a function for the sides of a tile, of integers or of f32.
macro_rules! of_sides {
    ($tile:expr, $whole:expr, $function:ident::<$($generic:ty),*>($($argument:expr),*)) => {
        match ($tile, $whole) {
            (Tile::Four, false) => $function::<$($generic,)* Four, 6, 4, 6, 6>($($argument),*),
            (Tile::Four, true) => $function::<$($generic,)* FourOfIntegers, 6, 4, 6, 6>($($argument),*),
            (Tile::TwoOfStride2, false) => {
                $function::<$($generic,)* TwoOfStride2<Float>, 5, 2, 4, 3>($($argument),*)
            }
            (Tile::TwoOfStride2, true) => {
                $function::<$($generic,)* TwoOfStride2<Integer>, 5, 2, 4, 3>($($argument),*)
            }
        }
    };
}

/// `G g G^T`, all windows.
///
/// # Safety
/// Each of the nine positions holds so many rows, and each plane has room for what they become. The machine has the instructions
/// of `S`.
#[inline(always)]
pub(crate) unsafe fn kernel<S: Integers, W: Weights<S>>(simd: S, task: &KernelTile) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, W::Arithmetic::INTEGER, kernel_of::<S, W>(simd, task)) }
}

/// Columns, then rows, of 3 by 3 vectors to `K` by `K`.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn kernel_of<
    S: Integers,
    W: Weights<S>,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &KernelTile,
) {
    // Where a row is widened, its second one comes behind it.
    let apart = if W::WIDE == 1 { 0 } else { task.width };
    for place in (0..task.rows * task.width).step_by(S::LANES) {
        for wide in 0..W::WIDE {
            let to = if W::WIDE == 1 { place } else { place + (place / task.width + wide) * apart };
            let mut half = [[simd.splat(0.0); 3]; K];
            for column in 0..3 {
                let mut g = [simd.splat(0.0); 3];
                for (row, g) in g.iter_mut().enumerate() {
                    // SAFETY: the caller's contract: whole vectors.
                    let words = unsafe { simd.load(task.g.add((row * 3 + column) * task.position + place)) };
                    *g = W::row(simd, words, wide);
                }
                let g = windows::<S, L, N, O, K, M>(simd, g);
                for row in 0..K {
                    half[row][column] = g[row];
                }
            }
            for (row, half) in half.into_iter().enumerate() {
                for (column, u) in windows::<S, L, N, O, K, M>(simd, half).into_iter().enumerate() {
                    if !task.all && L::RAW_KERNELS[row].is_some() && L::RAW_KERNELS[column].is_some() {
                        continue;
                    }
                    // SAFETY: the caller's contract: whole vectors.
                    unsafe { simd.store(task.u.add((row * K + column) * task.plane + to), u) };
                }
            }
        }
    }
}

/// `G g`
#[inline(always)]
fn windows<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    [first, mut middle, last]: [S::Vector; 3],
) -> [S::Vector; K] {
    if L::MIDDLE != 1.0 {
        middle = simd.mul(simd.splat(L::MIDDLE as f32), middle);
    }
    L::kernel(simd, [first, middle, last])
}

/// `B^T d B`, all channels of a tile.
///
/// # Safety
/// The tile's pixels hold the channels; its planes have room for them, filled up to whole vectors. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn input<S: Integers, I: Input<S>>(simd: S, task: &InputTile<'_>) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, I::Arithmetic::INTEGER, input_of::<S, I>(simd, task)) }
}

/// # Safety
/// As [`input`].
#[inline(always)]
unsafe fn input_of<
    S: Integers,
    I: Input<S>,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &InputTile<'_>,
) {
    let count = task.channels.len();
    // All outputs are inside but at the edges: the instance for whole vectors of those tiles has no branches. The
    // scalar kernels do without: it would be a third of their code.
    let plain = if S::LANES > FEW_LANES && task.inside == [O, O] { count - count % S::LANES } else { 0 };
    // SAFETY: the caller's contract, for each vector, of which the last one may be a part.
    unsafe {
        for place in (0..plain).step_by(S::LANES) {
            input_vector::<S, I, L, N, O, K, M>(simd, task, place, S::LANES, [O, O]);
        }
        for place in (plain..count).step_by(S::LANES) {
            let count = (count - place).min(S::LANES);
            input_vector::<S, I, L, N, O, K, M>(simd, task, place, count, task.inside);
        }
    }
}

/// Columns, then rows, of `N` by `N` vectors of `count` channels.
///
/// # Safety
/// As [`input`], for the channels from `place` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn input_vector<
    S: Integers,
    I: Input<S>,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &InputTile<'_>,
    place: usize,
    count: usize,
    inside: [usize; 2],
) {
    let mut half = [[simd.splat(0.0); N]; N];
    for column in 0..N {
        let mut d = [simd.splat(0.0); N];
        for (row, d) in d.iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            unsafe {
                let from = *task.pixels.get_unchecked(row * N + column);
                *d = I::load(simd, from, task.channels.start + place, count);
            }
        }
        let d = L::input(simd, d, inside[0]);
        for row in 0..N {
            half[row][column] = d[row];
        }
    }
    for row in 0..N {
        let v = L::input(simd, half[row], inside[1]);
        for column in 0..N {
            if !task.all && L::RAW_INPUTS[row].is_some() && L::RAW_INPUTS[column].is_some() {
                continue;
            }
            // SAFETY: the caller's contract: planes have room for whole vectors.
            unsafe {
                let to = task.v[row].add(column * task.plane + place / S::LANES * task.vector);
                simd.store(to, v[column]);
            }
        }
    }
}

/// `relu?(A^T M A + bias + y?)`, all channels of a tile in a panel.
///
/// # Safety
/// The tile's planes hold the panel's channels, filled up to whole vectors, and so does the bias; integers: so do the outputs. The pixels
/// that are inside lie in the output, where nobody else reads or writes. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn output<S: Integers, A: Arithmetic>(simd: S, task: &OutputTile) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, A::INTEGER, output_of::<S>(simd, task)) }
}

/// # Safety
/// As [`output`].
#[inline(always)]
unsafe fn output_of<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &OutputTile,
) {
    // As for inputs.
    let plain = if S::LANES > FEW_LANES && task.inside == [O, O] {
        task.channels - task.channels % S::LANES
    } else {
        0
    };
    // SAFETY: the caller's contract, for each vector, of which the last one may be a part.
    unsafe {
        for channel in (0..plain).step_by(S::LANES) {
            output_vector::<S, L, N, O, K, M>(simd, task, channel, S::LANES, [O, O]);
        }
        for channel in (plain..task.channels).step_by(S::LANES) {
            let count = (task.channels - channel).min(S::LANES);
            output_vector::<S, L, N, O, K, M>(simd, task, channel, count, task.inside);
        }
    }
}

/// Columns, then rows, of `M` by `M` vectors of `count` channels to `O` by `O`, of which so many are inside.
///
/// # Safety
/// As [`output`], for the channels from `channel` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn output_vector<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &OutputTile,
    channel: usize,
    count: usize,
    inside: [usize; 2],
) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    let mut half = [[simd.splat(0.0); M]; O];
    for column in 0..M {
        let mut m = [simd.splat(0.0); M];
        for (row, m) in m.iter_mut().enumerate() {
            // SAFETY: the caller's contract: planes hold whole vectors.
            *m = unsafe { simd.load(task.m.add((row * M + column) * task.plane + channel)) };
        }
        let m = output_side::<S, L, N, O, K, M>(simd, m, inside[0]);
        for row in 0..O {
            half[row][column] = m[row];
        }
    }
    // SAFETY: the caller's contract, here and below: of the last vector only the channels that there are get read and
    // written, of the tile only the pixels that are inside.
    let bias = unsafe { simd.load(task.bias.add(channel)) };
    for row in 0..inside[0].min(O) {
        let y = output_side::<S, L, N, O, K, M>(simd, half[row], inside[1]);
        for column in 0..inside[1].min(O) {
            // SAFETY: as above.
            unsafe {
                let to = task.y.add(row * task.row + column * task.pixel + channel);
                if L::INTEGER {
                    // Integers vectors of memory to work in.
                    let begun = if task.accumulate { simd.load(to) } else { bias };
                    simd.store(to, simd.add_i32(L::divided(simd, y[column]), begun));
                } else {
                    finish(simd, simd.add(y[column], bias), to, count, task.accumulate, floor);
                }
            }
        }
    }
}

/// `to = max(floor, sum + to?)`, the first `count` channels of a vector.
///
/// # Safety
/// So many elements behind `to` may be read and written. The machine has the instructions of `S`.
#[inline(always)]
pub(in crate::kernels) unsafe fn finish<S: Simd>(
    simd: S,
    mut sum: S::Vector,
    to: *mut f32,
    count: usize,
    accumulate: bool,
    floor: S::Vector,
) {
    // SAFETY: the caller's contract.
    unsafe {
        if count == S::LANES {
            if accumulate {
                sum = simd.add(sum, simd.load(to));
            }
            simd.store(to, simd.at_least(floor, sum));
        } else {
            if accumulate {
                sum = simd.add(sum, simd.load_partial(to, count));
            }
            simd.store_partial(to, simd.at_least(floor, sum), count);
        }
    }
}

/// `A^T m` for so many outputs.
#[inline(always)]
fn output_side<
    S: Integers,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    m: [S::Vector; M],
    inside: usize,
) -> [S::Vector; O] {
    match inside {
        1 => L::first_outputs::<S, 1>(simd, m),
        2 if O > 2 => L::first_outputs::<S, 2>(simd, m),
        3 if O > 3 => L::first_outputs::<S, 3>(simd, m),
        _ => L::output(simd, m),
    }
}
