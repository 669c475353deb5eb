//! The transforms of Winograd's algorithm. Both of a tile's sides are transformed alike, so each is given for one side.
//!
//! Step 1: `F(2, 3)` with the points 0, +-1, infinity, and `F(4, 3)` with 0, +-sqrt(1/2), +-sqrt(2), infinity, whose error is
//! about twice that of a direct sum (Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution
//! for Deep Neural Networks").
//!
//! Step 2: even and odd inputs are apart. The odd ones meet only the window's middle number, the even ones the other two:
//!
//! ```text
//! y[i] = (e[i] g[0] + e[i+1] g[2]) + o[i] g[1]                          e[i] = d[2i], o[i] = d[2i + 1]
//! ```
//! The first part is `F(2, 2)` with the points 0, 1, infinity; the second takes a product an output, both with the same
//! number. So a side of two outputs takes five products and not six; three of their inputs and three of the weights are
//! taken as they are, and what goes to the same outputs is added up while it is multiplied.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::isa::Simd;

/// Which transforms.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// The windows' step: 1 or 2.
    pub(crate) step: usize,
    /// Outputs of a side: 2, or 4 of step 1.
    pub(crate) output: usize,
}

/// The most inputs of a tile.
pub(super) const LARGEST_INPUT: usize = 36;

/// A factor of a product.
#[derive(Clone, Copy)]
pub(crate) enum Factor {
    /// A number as it is, at this place: of the tile's inputs, or of the window's nine numbers.
    Raw(usize),
    /// In this plane of the transformed ones.
    Made(usize),
}

impl Tile {
    /// Inputs of a side, and products.
    pub(crate) const fn side(self) -> usize {
        self.step * self.output + 3 - self.step
    }

    /// Products of a tile, for each pair of channels.
    pub(crate) const fn products(self) -> usize {
        self.side() * self.side()
    }

    /// Transformed weights, for each pair of channels.
    pub(crate) const fn kernels(self) -> usize {
        (self.output + 2) * (self.output + 2)
    }

    /// Sums of products, for each output channel.
    pub(crate) const fn sums(self) -> usize {
        let side = match (self.step, self.output) {
            (1, output) => output + 2,
            _ => 3,
        };
        side * side
    }

    /// The sum that a product belongs to, and the input and the weight that are multiplied.
    pub(crate) fn product(self, product: usize) -> (usize, Factor, Factor) {
        match (self.step, self.output) {
            (1, 2) => product_of::<Two, 4, 2, 4, 4>(product),
            (1, _) => product_of::<Four, 6, 4, 6, 6>(product),
            _ => product_of::<TwoOfStep2, 5, 2, 4, 3>(product),
        }
    }
}

fn product_of<L: Side<N, O, K, M>, const N: usize, const O: usize, const K: usize, const M: usize>(
    product: usize,
) -> (usize, Factor, Factor) {
    let (row, column) = (product / N, product % N);
    let input = match (L::RAW_INPUTS[row], L::RAW_INPUTS[column]) {
        (Some(row), Some(column)) => Factor::Raw(row * N + column),
        _ => Factor::Made(product),
    };
    let (down, right) = (L::KERNELS[row], L::KERNELS[column]);
    let kernel = match (L::RAW_KERNELS[down], L::RAW_KERNELS[right]) {
        (Some(row), Some(column)) => Factor::Raw(row * 3 + column),
        _ => Factor::Made(down * K + right),
    };
    (L::SUMS[row] * M + L::SUMS[column], input, kernel)
}

/// Windows to be transformed.
pub(crate) struct KernelTile {
    pub(crate) tile: Tile,
    /// The numbers of the windows' first position, and how far it is to those of the next one.
    pub(crate) g: *const f32,
    pub(crate) position: usize,
    /// Windows: whole vectors.
    pub(crate) count: usize,
    /// Where they go, and how far apart planes are.
    pub(crate) u: *mut f32,
    pub(crate) plane: usize,
}

/// Inputs of a tile to be transformed.
pub(crate) struct InputTile<'a> {
    pub(crate) tile: Tile,
    /// The tile's pixels, row by row.
    pub(crate) pixels: &'a [*const f32],
    pub(crate) channels: usize,
    /// Where the tile's numbers go, and how far apart its planes are.
    pub(crate) v: *mut f32,
    pub(crate) plane: usize,
    /// Whether numbers go there that are inputs as they are.
    pub(crate) copy: bool,
}

/// Sums of a tile to be transformed.
pub(crate) struct OutputTile {
    pub(crate) tile: Tile,
    /// The tile's numbers, and how far apart its planes are.
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
    pub(crate) accumulate: bool,
    pub(crate) relu: bool,
}

/// The transforms of a side: `N` inputs and products, `O` outputs, `K` transformed weights, `M` sums of products.
///
/// (Functions and not closures, which are not inlined into code for an instruction set of its own.)
trait Side<const N: usize, const O: usize, const K: usize, const M: usize> {
    /// The weight of each product.
    const KERNELS: [usize; N];
    /// The sum of each product.
    const SUMS: [usize; N];
    /// Which input each product takes as it is.
    const RAW_INPUTS: [Option<usize>; N];
    /// Which of the window's numbers each weight is as it is.
    const RAW_KERNELS: [Option<usize>; K];

    /// `G g`
    fn kernel<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; K];
    /// `B^T d`
    fn input<S: Simd>(simd: S, d: [S::Vector; N]) -> [S::Vector; N];
    /// `A^T m`
    fn output<S: Simd>(simd: S, m: [S::Vector; M]) -> [S::Vector; O];
}

/// Step 1, 2 outputs.
struct Two;

impl Side<4, 2, 4, 4> for Two {
    const KERNELS: [usize; 4] = [0, 1, 2, 3];
    const SUMS: [usize; 4] = [0, 1, 2, 3];
    const RAW_INPUTS: [Option<usize>; 4] = [None; 4];
    const RAW_KERNELS: [Option<usize>; 4] = [Some(0), None, None, Some(2)];

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 4] {
        let half = simd.splat(0.5);
        let (even, odd) = (simd.mul(half, simd.add(g[0], g[2])), simd.mul(half, g[1]));
        [g[0], simd.add(even, odd), simd.sub(even, odd), g[2]]
    }

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::Vector; 4]) -> [S::Vector; 4] {
        [simd.sub(d[0], d[2]), simd.add(d[1], d[2]), simd.sub(d[2], d[1]), simd.sub(d[1], d[3])]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::Vector; 4]) -> [S::Vector; 2] {
        let sum = simd.add(m[0], simd.add(m[1], m[2]));
        [sum, simd.sub(simd.sub(m[1], m[2]), m[3])]
    }
}

/// Step 1, 4 outputs.
struct Four;

impl Side<6, 4, 6, 6> for Four {
    const KERNELS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const SUMS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const RAW_INPUTS: [Option<usize>; 6] = [None; 6];
    const RAW_KERNELS: [Option<usize>; 6] = [Some(0), None, None, None, None, Some(2)];

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 6] {
        let even_a = times(simd, -2.0 / 3.0, g[0], simd.mul(simd.splat(-1.0 / 3.0), g[2]));
        let even_b = times(simd, 1.0 / 6.0, g[0], simd.mul(simd.splat(1.0 / 3.0), g[2]));
        [
            g[0],
            times(simd, -SQRT_2 / 3.0, g[1], even_a),
            times(simd, SQRT_2 / 3.0, g[1], even_a),
            times(simd, SQRT_2 / 6.0, g[1], even_b),
            times(simd, -SQRT_2 / 6.0, g[1], even_b),
            g[2],
        ]
    }

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let even_a = times(simd, -2.0, d[2], d[4]);
        let odd_a = times(simd, -2.0, d[1], d[3]);
        let even_b = times(simd, -0.5, d[2], d[4]);
        let odd_b = times(simd, -0.5, d[1], d[3]);
        [
            times(simd, -2.5, d[2], simd.add(d[0], d[4])),
            times(simd, FRAC_1_SQRT_2, odd_a, even_a),
            times(simd, -FRAC_1_SQRT_2, odd_a, even_a),
            times(simd, SQRT_2, odd_b, even_b),
            times(simd, -SQRT_2, odd_b, even_b),
            times(simd, -2.5, d[3], simd.add(d[1], d[5])),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
        let (sum_a, difference_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let scaled = simd.mul(simd.splat(FRAC_1_SQRT_2), difference_a);
        [
            simd.add(m[0], simd.add(sum_a, sum_b)),
            times(simd, SQRT_2, difference_b, scaled),
            times(simd, 2.0, sum_b, simd.mul(simd.splat(0.5), sum_a)),
            times(simd, 2.0 * SQRT_2, difference_b, times(simd, 0.5, scaled, m[5])),
        ]
    }
}

/// Step 2, 2 outputs: three products of the even inputs, then two of the odd ones.
struct TwoOfStep2;

impl Side<5, 2, 4, 3> for TwoOfStep2 {
    const KERNELS: [usize; 5] = [0, 1, 2, 3, 3];
    const SUMS: [usize; 5] = [0, 1, 2, 0, 2];
    const RAW_INPUTS: [Option<usize>; 5] = [None, Some(2), None, Some(1), Some(3)];
    const RAW_KERNELS: [Option<usize>; 4] = [Some(0), None, Some(2), Some(1)];

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 4] {
        [g[0], simd.add(g[0], g[2]), g[2], g[1]]
    }

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::Vector; 5]) -> [S::Vector; 5] {
        [simd.sub(d[0], d[2]), d[2], simd.sub(d[4], d[2]), d[1], d[3]]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::Vector; 3]) -> [S::Vector; 2] {
        [simd.add(m[0], m[1]), simd.add(m[1], m[2])]
    }
}

/// `factor * x + y`
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, x: S::Vector, y: S::Vector) -> S::Vector {
    simd.mul_add(simd.splat(factor), x, y)
}

/// Calls a function for the sides of a tile.
macro_rules! of_sides {
    ($tile:expr, $function:ident::<$simd:ty>($($argument:expr),*)) => {
        match ($tile.step, $tile.output) {
            (1, 2) => $function::<$simd, Two, 4, 2, 4, 4>($($argument),*),
            (1, _) => $function::<$simd, Four, 6, 4, 6, 6>($($argument),*),
            _ => $function::<$simd, TwoOfStep2, 5, 2, 4, 3>($($argument),*),
        }
    };
}

/// `G g G^T`, all windows.
///
/// # Safety
/// Each of the nine positions holds `count` numbers, and each plane has room for them. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn kernel<S: Simd>(simd: S, task: &KernelTile) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, kernel_of::<S>(simd, task)) }
}

/// Columns, then rows, of 3 by 3 vectors to `K` by `K`.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn kernel_of<
    S: Simd,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &KernelTile,
) {
    for place in (0..task.count).step_by(S::LANES) {
        let mut half = [[simd.splat(0.0); 3]; K];
        for column in 0..3 {
            let mut g = [simd.splat(0.0); 3];
            for (row, g) in g.iter_mut().enumerate() {
                // SAFETY: the caller's contract: whole vectors.
                *g = unsafe { simd.load(task.g.add((row * 3 + column) * task.position + place)) };
            }
            let g = L::kernel(simd, g);
            for row in 0..K {
                half[row][column] = g[row];
            }
        }
        for (row, half) in half.into_iter().enumerate() {
            for (column, u) in L::kernel(simd, half).into_iter().enumerate() {
                if L::RAW_KERNELS[row].is_some() && L::RAW_KERNELS[column].is_some() {
                    continue;
                }
                // SAFETY: the caller's contract: whole vectors.
                unsafe { simd.store(task.u.add((row * K + column) * task.plane + place), u) };
            }
        }
    }
}

/// `B^T d B`, all channels of a tile.
///
/// # Safety
/// The tile's pixels hold `channels` numbers; its planes have room for them, filled up to whole vectors. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn input<S: Simd>(simd: S, task: &InputTile<'_>) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, input_of::<S>(simd, task)) }
}

/// # Safety
/// As [`input`].
#[inline(always)]
unsafe fn input_of<
    S: Simd,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &InputTile<'_>,
) {
    let whole = task.channels / S::LANES * S::LANES;
    let rest = task.channels - whole;
    // SAFETY: the caller's contract; `rest` numbers are left behind the whole vectors.
    unsafe {
        for channel in (0..whole).step_by(S::LANES) {
            input_vector::<S, L, N, O, K, M>(simd, task, channel, S::LANES);
        }
        if rest > 0 {
            input_vector::<S, L, N, O, K, M>(simd, task, whole, rest);
        }
    }
}

/// Columns, then rows, of `N` by `N` vectors of `count` channels.
///
/// # Safety
/// As [`input`], for the channels from `channel` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn input_vector<
    S: Simd,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &InputTile<'_>,
    channel: usize,
    count: usize,
) {
    let mut half = [[simd.splat(0.0); N]; N];
    for column in 0..N {
        let mut d = [simd.splat(0.0); N];
        for (row, d) in d.iter_mut().enumerate() {
            // SAFETY: the caller's contract.
            unsafe {
                let from = task.pixels.get_unchecked(row * N + column).add(channel);
                *d = if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) };
            }
        }
        let d = L::input(simd, d);
        for row in 0..N {
            half[row][column] = d[row];
        }
    }
    for (row, half) in half.into_iter().enumerate() {
        for (column, v) in L::input(simd, half).into_iter().enumerate() {
            if L::RAW_INPUTS[row].is_some() && L::RAW_INPUTS[column].is_some() && !task.copy {
                continue;
            }
            // SAFETY: the caller's contract: planes have room for whole vectors.
            unsafe { simd.store(task.v.add((row * N + column) * task.plane + channel), v) };
        }
    }
}

/// `relu?(A^T M A + bias + y?)`, all channels of a tile in a panel.
///
/// # Safety
/// The tile's planes hold the panel's channels, filled up to whole vectors, and so does the bias; the pixels that are
/// inside lie in the output, where nobody else reads or writes. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn output<S: Simd>(simd: S, task: &OutputTile) {
    // SAFETY: the caller's contract.
    unsafe { of_sides!(task.tile, output_of::<S>(simd, task)) }
}

/// Columns, then rows, of `M` by `M` vectors to `O` by `O`.
///
/// # Safety
/// As [`output`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn output_of<
    S: Simd,
    L: Side<N, O, K, M>,
    const N: usize,
    const O: usize,
    const K: usize,
    const M: usize,
>(
    simd: S,
    task: &OutputTile,
) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    for channel in (0..task.channels).step_by(S::LANES) {
        let count = (task.channels - channel).min(S::LANES);
        let mut half = [[simd.splat(0.0); M]; O];
        for column in 0..M {
            let mut m = [simd.splat(0.0); M];
            for (row, m) in m.iter_mut().enumerate() {
                // SAFETY: the caller's contract: planes hold whole vectors.
                *m = unsafe { simd.load(task.m.add((row * M + column) * task.plane + channel)) };
            }
            let m = L::output(simd, m);
            for row in 0..O {
                half[row][column] = m[row];
            }
        }
        // SAFETY: the caller's contract, here and below: of the last vector only the channels that there are get read and
        // written, of the tile only the pixels that are inside.
        let bias = unsafe { simd.load(task.bias.add(channel)) };
        for (row, half) in half.into_iter().enumerate() {
            if row >= task.inside[0] {
                break;
            }
            for (column, y) in L::output(simd, half).into_iter().enumerate() {
                if column >= task.inside[1] {
                    break;
                }
                // SAFETY: as above.
                unsafe {
                    let to = task.y.add(row * task.row + column * task.pixel + channel);
                    let mut sum = simd.add(y, bias);
                    if count == S::LANES {
                        if task.accumulate {
                            sum = simd.add(sum, simd.load(to));
                        }
                        simd.store(to, simd.at_least(floor, sum));
                    } else {
                        if task.accumulate {
                            sum = simd.add(sum, simd.load_partial(to, count));
                        }
                        simd.store_partial(to, simd.at_least(floor, sum), count);
                    }
                }
            }
        }
    }
}
