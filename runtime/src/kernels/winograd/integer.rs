//! Winograd's algorithm in integers: tiles of 4x4 outputs of int8 that are widened, without any rounding.
//!
//! `F(4, 3)` with the points 0, +-1, +-2, infinity (Lavin and Gray 2015, section 4.3), whose transformed weights are fractions: those of
//! the points are multiplied by 4, -6, -6, 24, 24 and 1. So each side makes 24 times an output, both 576 times. That is computed
//! modulo 2^32, where 9 has an inverse: `576 y / 9 = 64 y`, which is `y` after a shift, as long as `-2^25 <= y < 2^25`. So there are only so
//! many input channels in a sum: see [`largest_depth`](resnet_plan::algorithm::largest_depth).
//!
//! ```text
//! inputs of 0 to 255:        -2,040 to 1,275 after one side, at most 17,340 after both
//! weights of -127 to 127:    at most 7 times as large after one side, 6,223 after both
//! ```
//! Both are int16, also at the edge, where inputs are multiplied with the distances to the points that are left out: at most 18,360.

use crate::kernels::winograd::sides::{Four, Side};
use crate::simd::Integers;

/// Stride 1, 4 outputs.
pub(super) struct FourOfIntegers;

/// `9 * INVERSE` is 1 modulo 2^32.
const INVERSE: i32 = 0x38E3_8E39;

impl Side<6, 4, 6, 6> for FourOfIntegers {
    const KERNELS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const SUMS: [usize; 6] = [0, 1, 2, 3, 4, 5];
    const MIDDLE: f64 = 1.0;
    const RAW_INPUTS: [Option<usize>; 6] = [None; 6];
    const RAW_KERNELS: [Option<usize>; 6] = [Some(0), None, None, None, None, Some(2)];
    const PRODUCTS: [&'static [usize]; 4] = Four::PRODUCTS;
    const INTEGER: bool = true;

    // 4, -6, -6, 24, 24 and 1 times the transform.
    #[inline(always)]
    fn kernel<S: Integers>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 6] {
        let even_a = simd.add_i16(g[0], g[2]);
        let even_b = simd.add_i16(g[0], simd.shift_i16::<2>(g[2]));
        let odd_b = simd.shift_i16::<1>(g[1]);
        [
            g[0],
            simd.add_i16(even_a, g[1]),
            simd.sub_i16(even_a, g[1]),
            simd.add_i16(even_b, odd_b),
            simd.sub_i16(even_b, odd_b),
            g[2],
        ]
    }

    #[inline(always)]
    fn input<S: Integers>(simd: S, d: [S::Vector; 6], inside: usize) -> [S::Vector; 6] {
        match inside {
            1 => Self::input_of_one(simd, d),
            2 => Self::input_of_two(simd, d),
            3 => Self::input_of_three(simd, d),
            _ => Self::input_of_four(simd, d),
        }
    }
    // 24 times the outputs of what the weights were multiplied with.
    #[inline(always)]
    fn output<S: Integers>(simd: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
        let (sum_a, difference_a) = (simd.add_i32(m[1], m[2]), simd.sub_i32(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add_i32(m[3], m[4]), simd.sub_i32(m[3], m[4]));
        let (sum_a, difference_a) = (simd.shift_i32::<2>(sum_a), simd.shift_i32::<2>(difference_a));
        let first = simd.shift_i32::<1>(simd.add_i32(m[0], simd.shift_i32::<1>(m[0])));
        [
            simd.add_i32(simd.sub_i32(first, sum_a), sum_b),
            simd.sub_i32(simd.shift_i32::<1>(difference_b), difference_a),
            simd.sub_i32(simd.shift_i32::<2>(sum_b), sum_a),
            simd.add_i32(
                simd.sub_i32(simd.shift_i32::<3>(difference_b), difference_a),
                Self::last(simd, m[5]),
            ),
        ]
    }

    #[inline(always)]
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add_i32(a, b)
    }

    // 24 times the last sum.
    #[inline(always)]
    fn last<S: Integers>(simd: S, m: S::Vector) -> S::Vector {
        simd.shift_i32::<3>(simd.add_i32(m, simd.shift_i32::<1>(m)))
    }

    #[inline(always)]
    fn divided<S: Integers>(simd: S, y: S::Vector) -> S::Vector {
        simd.shift_down_i32::<6>(simd.mul_i32(y, INVERSE))
    }
}

/// `B^T d`, for so many outputs.
impl FourOfIntegers {
    #[inline(always)]
    fn input_of_four<S: Integers>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let even_a = simd.sub_i16(d[4], simd.shift_i16::<2>(d[2]));
        let odd_a = simd.sub_i16(d[3], simd.shift_i16::<2>(d[1]));
        let even_b = simd.sub_i16(d[4], d[2]);
        let odd_b = simd.shift_i16::<1>(simd.sub_i16(d[3], d[1]));
        [
            outer(simd, d[0], d[2], d[4]),
            simd.add_i16(even_a, odd_a),
            simd.sub_i16(even_a, odd_a),
            simd.add_i16(even_b, odd_b),
            simd.sub_i16(even_b, odd_b),
            outer(simd, d[1], d[3], d[5]),
        ]
    }

    // Without the point 0.
    #[inline(always)]
    fn input_of_three<S: Integers>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let even_a = simd.sub_i16(d[2], simd.shift_i16::<2>(d[0]));
        let odd_a = simd.sub_i16(d[3], simd.shift_i16::<2>(d[1]));
        let even_b = simd.shift_i16::<2>(simd.sub_i16(d[2], d[0]));
        let odd_b = simd.shift_i16::<1>(simd.sub_i16(d[3], d[1]));
        [
            simd.splat(0.0),
            simd.add_i16(even_a, odd_a),
            simd.sub_i16(even_a, odd_a),
            simd.add_i16(even_b, odd_b),
            simd.sub_i16(even_b, odd_b),
            outer(simd, d[0], d[2], d[4]),
        ]
    }

    // Without +-2.
    #[inline(always)]
    fn input_of_two<S: Integers>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let zero = simd.splat(0.0);
        [
            simd.shift_i16::<2>(simd.sub_i16(d[0], d[2])),
            minus_three(simd, simd.add_i16(d[2], d[1])),
            minus_three(simd, simd.sub_i16(d[2], d[1])),
            zero,
            zero,
            simd.sub_i16(d[3], d[1]),
        ]
    }

    // Without 0 and +-2.
    #[inline(always)]
    fn input_of_one<S: Integers>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let zero = simd.splat(0.0);
        [
            zero,
            minus_three(simd, simd.add_i16(d[0], d[1])),
            minus_three(simd, simd.sub_i16(d[0], d[1])),
            zero,
            zero,
            simd.sub_i16(d[2], d[0]),
        ]
    }
}

/// `4 a - 5 b + c`
#[inline(always)]
fn outer<S: Integers>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
    simd.add_i16(simd.shift_i16::<2>(simd.sub_i16(a, b)), simd.sub_i16(c, b))
}

/// `-3 a`
#[inline(always)]
fn minus_three<S: Integers>(simd: S, a: S::Vector) -> S::Vector {
    simd.sub_i16(a, simd.shift_i16::<2>(a))
}
