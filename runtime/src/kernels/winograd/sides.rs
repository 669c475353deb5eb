//! The matrices of Winograd's algorithm. Both of a tile's sides are transformed alike, so each is given for one side.
//!
//! Stride 1: `F(4, 3)` with the points 0, +-sqrt(1/2), +-sqrt(2), infinity, whose error is about twice that of a direct sum
//! (Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks"). The
//! pairs of points are each other's inverses: once the window's middle weight is multiplied with sqrt(1/2), the weights of both
//! are the same sums, with the outer weights changing places. What those sums leave out is made good in the outputs.
//!
//! Stride 2: even and odd inputs are apart. The odd ones meet only the window's middle weight, the even ones the other two:
//!
//! ```text
//! y[i] = (e[i] g[0] + e[i+1] g[2]) + o[i] g[1]                          e[i] = d[2i], o[i] = d[2i + 1]
//! ```
//! The first part is `F(2, 2)` with the points 0, 1, infinity; the second takes a product an output, both with the same
//! element. So a side of two outputs takes five products and not six; three of their inputs and three of the weights are
//! taken as they are, and what goes to the same outputs is added up while it is multiplied.
//!
//! A tile at the image's lower or right edge may have fewer outputs inside. `n` of them take only `n + 2` points (in pairs of
//! both signs, so that rounding stays as it is). The transformed weights of those points are the whole tile's, which are
//! divided by the product of a point's distances to all others; so its inputs are multiplied with the distances to those that
//! are left out.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::marker::PhantomData;

use resnet_plan::winograd::Tile;

use crate::kernels::wide::{Arithmetic, Float};
use crate::simd::{Integers, Simd};

/// The most inputs of a side of a tile, and of a tile.
pub(crate) const LARGEST_SIDE: usize = 6;
pub(super) const LARGEST_INPUT: usize = LARGEST_SIDE * LARGEST_SIDE;

/// A factor of a product.
#[derive(Clone, Copy)]
pub(crate) enum Factor {
    /// An element as it is, at this place: of the tile's inputs, or of the window's nine weights.
    Raw(usize),
    /// In this plane of the transformed ones.
    Made(usize),
}

/// Whether a row or a column of products is taken by tiles of which so many rows or columns are inside.
pub(crate) fn takes(tile: Tile, product: usize, inside: usize) -> bool {
    match tile {
        Tile::Four => Four::PRODUCTS[inside - 1].contains(&product),
        Tile::TwoOfStride2 => TwoOfStride2::<Float>::PRODUCTS[inside - 1].contains(&product),
    }
}

/// The row of transformed weights that a row of products takes, and the row of sums that it belongs to.
pub(crate) fn row(tile: Tile, product: usize) -> (usize, usize) {
    match tile {
        Tile::Four => (Four::KERNELS[product], Four::SUMS[product]),
        Tile::TwoOfStride2 => (TwoOfStride2::<Float>::KERNELS[product], TwoOfStride2::<Float>::SUMS[product]),
    }
}

/// The sum that a product belongs to, and the input and the weight that are multiplied: as they lie there, if they are and may be.
pub(crate) fn product(tile: Tile, raw: bool, product: usize) -> (usize, Factor, Factor) {
    match tile {
        Tile::Four => product_of::<Four, 6, 4, 6, 6>(raw, product),
        Tile::TwoOfStride2 => product_of::<TwoOfStride2<Float>, 5, 2, 4, 3>(raw, product),
    }
}

/// What the window's middle weight of a side is multiplied with before its transform.
pub(crate) const fn middle(tile: Tile) -> f64 {
    match tile {
        Tile::Four => Four::MIDDLE,
        Tile::TwoOfStride2 => TwoOfStride2::<Float>::MIDDLE,
    }
}

fn product_of<L: Side<N, O, K, M>, const N: usize, const O: usize, const K: usize, const M: usize>(
    raw: bool,
    product: usize,
) -> (usize, Factor, Factor) {
    let (row, column) = (product / N, product % N);
    let input = match (L::RAW_INPUTS[row], L::RAW_INPUTS[column]) {
        (Some(row), Some(column)) if raw => Factor::Raw(row * N + column),
        _ => Factor::Made(product),
    };
    let (down, right) = (L::KERNELS[row], L::KERNELS[column]);
    let kernel = match (L::RAW_KERNELS[down], L::RAW_KERNELS[right]) {
        (Some(row), Some(column)) if raw => Factor::Raw(row * 3 + column),
        _ => Factor::Made(down * K + right),
    };
    (L::SUMS[row] * M + L::SUMS[column], input, kernel)
}

/// The transforms of a side: `N` inputs and products, `O` outputs, `K` transformed weights, `M` sums of products.
///
/// (Functions and not closures, which are not inlined into code for an instruction set of its own.)
pub(super) trait Side<const N: usize, const O: usize, const K: usize, const M: usize> {
    /// The weight of each product.
    const KERNELS: [usize; N];
    /// The sum of each product.
    const SUMS: [usize; N];
    /// What the window's middle weight is multiplied with before its transform.
    const MIDDLE: f64;
    /// Which input each product takes as it is, if all outputs are inside.
    const RAW_INPUTS: [Option<usize>; N];
    /// Which of the window's weights each transformed weight is as it is.
    const RAW_KERNELS: [Option<usize>; K];
    /// The products that the first 1, 2, ... outputs take.
    const PRODUCTS: [&'static [usize]; O];
    /// Whether each product is taken if all outputs but one are inside.
    const PARTIAL: [bool; N] = partial(Self::PRODUCTS[O - 2]);
    /// Whether elements and sums are integers.
    const INTEGER: bool = false;
    /// The sums that they take.
    const TAKEN: [[bool; M]; O] = taken(Self::SUMS, Self::PRODUCTS);

    /// `a + b`, of sums.
    #[inline(always)]
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    /// What the last sum is in its output.
    #[inline(always)]
    fn last<S: Integers>(_: S, m: S::Vector) -> S::Vector {
        m
    }

    /// `G g`, for a multiplied middle weight.
    fn kernel<S: Integers>(simd: S, g: [S::Vector; 3]) -> [S::Vector; K];
    /// `B^T d`, for so many outputs: the products that those take, and zeros.
    fn input<S: Integers>(simd: S, d: [S::Vector; N], inside: usize) -> [S::Vector; N];
    /// `A^T m`, of which an output is [`Side::divided`], where sums are integers. The last sum belongs to the last output alone.
    fn output<S: Integers>(simd: S, m: [S::Vector; M]) -> [S::Vector; O];

    /// An output, of what both sides' `A^T` made of sums of integers.
    #[inline(always)]
    fn divided<S: Integers>(_: S, y: S::Vector) -> S::Vector {
        y
    }

    /// `A^T m` for the first `I` outputs, which do not take all sums; the others may be anything.
    #[inline(always)]
    fn first_outputs<S: Integers, const I: usize>(simd: S, mut m: [S::Vector; M]) -> [S::Vector; O] {
        let last = Self::last(simd, m[M - 1]);
        for (sum, m) in m.iter_mut().enumerate() {
            if sum == M - 1 || !Self::TAKEN[I - 1][sum] {
                *m = simd.splat(0.0);
            }
        }
        let mut y = Self::output(simd, m);
        y[I - 1] = Self::add(simd, y[I - 1], last);
        y
    }
}

/// Which sums the first 1, 2, ... outputs take, given the sum of each product and the products they take.
const fn taken<const N: usize, const O: usize, const M: usize>(
    sums: [usize; N],
    products: [&[usize]; O],
) -> [[bool; M]; O] {
    let mut taken = [[false; M]; O];
    let mut inside = 0;
    while inside < O {
        let mut place = 0;
        while place < products[inside].len() {
            taken[inside][sums[products[inside][place]]] = true;
            place += 1;
        }
        inside += 1;
    }
    taken
}

/// Which products are among these.
const fn partial<const N: usize>(products: &[usize]) -> [bool; N] {
    let mut partial = [false; N];
    let mut place = 0;
    while place < products.len() {
        partial[products[place]] = true;
        place += 1;
    }
    partial
}

/// Stride 1, 4 outputs.
pub(super) struct Four;

impl Side<6, 4, 6, 6> for Four {
    const KERNELS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const SUMS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const MIDDLE: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const RAW_INPUTS: [Option<usize>; 6] = [None; 6];
    const RAW_KERNELS: [Option<usize>; 6] = [Some(0), None, None, None, None, Some(2)];
    const PRODUCTS: [&'static [usize]; 4] =
        [&[1, 2, 5], &[0, 1, 2, 5], &[1, 2, 3, 4, 5], &[0, 1, 2, 3, 4, 5]];

    #[inline(always)]
    fn kernel<S: Integers>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 6] {
        let even_a = times(simd, 0.5, g[2], g[0]);
        let even_b = times(simd, 0.5, g[0], g[2]);
        [
            g[0],
            simd.add(even_a, g[1]),
            simd.sub(even_a, g[1]),
            simd.add(even_b, g[1]),
            simd.sub(even_b, g[1]),
            g[2],
        ]
    }

    #[inline(always)]
    fn input<S: Integers>(simd: S, d: [S::Vector; 6], inside: usize) -> [S::Vector; 6] {
        let zero = simd.splat(0.0);
        match inside {
            1 => {
                let even = simd.mul(simd.splat(-0.75), d[0]);
                [
                    zero,
                    times(simd, -0.75 * SQRT_2, d[1], even),
                    times(simd, 0.75 * SQRT_2, d[1], even),
                    zero,
                    zero,
                    times(simd, -0.5, d[0], d[2]),
                ]
            }
            2 => {
                let even = simd.mul(simd.splat(-1.5), d[2]);
                [
                    times(simd, -2.0, d[2], d[0]),
                    times(simd, -1.5 * FRAC_1_SQRT_2, d[1], even),
                    times(simd, 1.5 * FRAC_1_SQRT_2, d[1], even),
                    zero,
                    zero,
                    times(simd, -0.5, d[1], d[3]),
                ]
            }
            3 => {
                let even_a = times(simd, 0.5, d[2], simd.sub(zero, d[0]));
                let odd_a = times(simd, -2.0, d[1], d[3]);
                let even_b = times(simd, 2.0, d[2], simd.sub(zero, d[0]));
                let odd_b = times(simd, -0.5, d[1], d[3]);
                [
                    zero,
                    times(simd, FRAC_1_SQRT_2, odd_a, even_a),
                    times(simd, -FRAC_1_SQRT_2, odd_a, even_a),
                    times(simd, SQRT_2, odd_b, even_b),
                    times(simd, -SQRT_2, odd_b, even_b),
                    times(simd, -2.5, d[2], simd.add(d[0], d[4])),
                ]
            }
            _ => {
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
        }
    }

    #[inline(always)]
    fn output<S: Integers>(simd: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
        let (sum_a, difference_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        // A weight is divided by the product of its point's distances to all others, by half of that where the outer weights have
        // changed places: -3/2 and 3. The outputs take the points' powers.
        let odd_a = simd.mul(simd.splat(-SQRT_2 / 3.0), difference_a);
        let odd_b = simd.mul(simd.splat(SQRT_2 / 3.0), difference_b);
        [
            times(simd, 1.0 / 3.0, sum_b, times(simd, -2.0 / 3.0, sum_a, m[0])),
            simd.add(odd_a, odd_b),
            times(simd, 2.0 / 3.0, sum_b, simd.mul(simd.splat(-1.0 / 3.0), sum_a)),
            times(simd, 2.0, odd_b, times(simd, 0.5, odd_a, m[5])),
        ]
    }
}

/// Stride 2, 2 outputs: three products of the even inputs, then two of the odd ones.
pub(super) struct TwoOfStride2<N>(PhantomData<N>);

impl<A: Arithmetic> Side<5, 2, 4, 3> for TwoOfStride2<A> {
    const KERNELS: [usize; 5] = [0, 1, 2, 3, 3];
    const SUMS: [usize; 5] = [0, 1, 2, 0, 2];
    const MIDDLE: f64 = 1.0;
    const RAW_INPUTS: [Option<usize>; 5] = [None, Some(2), None, Some(1), Some(3)];
    const RAW_KERNELS: [Option<usize>; 4] = [Some(0), None, Some(2), Some(1)];
    const PRODUCTS: [&'static [usize]; 2] = [&[0, 2, 3], &[0, 1, 2, 3, 4]];
    const INTEGER: bool = A::INTEGER;

    #[inline(always)]
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        A::add_sums(simd, a, b)
    }

    #[inline(always)]
    fn kernel<S: Integers>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 4] {
        [g[0], A::add(simd, g[0], g[2]), g[2], g[1]]
    }

    #[inline(always)]
    fn input<S: Integers>(simd: S, d: [S::Vector; 5], inside: usize) -> [S::Vector; 5] {
        let zero = simd.splat(0.0);
        match inside {
            // The direct sum.
            1 => [d[0], zero, d[2], d[1], zero],
            _ => [A::sub(simd, d[0], d[2]), d[2], A::sub(simd, d[4], d[2]), d[1], d[3]],
        }
    }

    #[inline(always)]
    fn output<S: Integers>(simd: S, m: [S::Vector; 3]) -> [S::Vector; 2] {
        [A::add_sums(simd, m[0], m[1]), A::add_sums(simd, m[1], m[2])]
    }
}

/// `factor * x + y`
#[inline(always)]
pub(in crate::kernels) fn times<S: Simd>(simd: S, factor: f32, x: S::Vector, y: S::Vector) -> S::Vector {
    simd.mul_add(simd.splat(factor), x, y)
}
