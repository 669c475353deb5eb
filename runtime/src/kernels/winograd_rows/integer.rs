//! The transforms of a band in integers: int8 that are widened, without any rounding.
//!
//! Three taps take the points 0, +-1, +-2 and infinity, four take +-1, +-2, +-3 and infinity. Weights are not divided by `M'(p)`; the
//! sums are multiplied with what makes the same multiple of an output of all, 24 or 240 times:
//!
//! ```text
//! 24 y[k]  =  6 m[0]?  - 4 (m[1] +- m[-1])  +  2^k (m[2] +- m[-2])                          +  24 m[infinity]?      + if k is even
//! 240 y[k] =  5 (m[1] -+ m[-1])  -  4 2^k (m[2] -+ m[-2])  +  3^k (m[3] -+ m[-3])  +  240 m[infinity]?             - if k is even
//! ```
//! 0 belongs to `y[0]`, infinity to `y[3]`. That is computed modulo 2^32, where odd numbers have inverses, and shifted: exact while
//! `-2^27 <= y < 2^27`, as [`MOST_PRODUCTS`](resnet_plan::winograd::MOST_PRODUCTS) of bytes are. Transformed inputs are at most 12,750 in
//! magnitude, weights at most 5,080: both are int16.

use resnet_plan::winograd::BAND;

use crate::simd::Integers;

/// What is known of a number of points, as of f32: first both of each pair, then 0 if their number is even, then infinity.
struct Points {
    /// The positive point of each pair, what the sums of a pair are multiplied with, and every second coefficient of `M(x)` without it.
    pairs: &'static [(i16, i32, [i16; 3])],
    /// Every second coefficient of `M(x)`: the last one is 1.
    all: [i16; 4],
    /// Whether 0 is one of them, and what its sums are multiplied with; the same of infinity.
    zero: Option<i32>,
    infinity: i32,
    /// What is multiplied with to divide by the odd part of the multiple, and by how many bits the rest is shifted away.
    inverse: i32,
    bits: i32,
}

const SIX: Points = Points {
    pairs: &[(1, -4, [-4, 1, 0]), (2, 1, [-1, 1, 0])],
    all: [4, -5, 1, 0],
    zero: Some(6),
    infinity: 24,
    inverse: 0xAAAA_AAABu32.cast_signed(),
    bits: 3,
};

const SEVEN: Points = Points {
    pairs: &[(1, 5, [36, -13, 1]), (2, -4, [9, -10, 1]), (3, 1, [4, -5, 1])],
    all: [-36, 49, -14, 1],
    zero: None,
    infinity: 240,
    inverse: 0xEEEE_EEEFu32.cast_signed(),
    bits: 4,
};

const fn points(count: usize) -> &'static Points {
    if count == 6 { &SIX } else { &SEVEN }
}

/// `G g` of a vector of each tap; those that there are not are zero.
#[inline(always)]
pub(super) fn kernel<S: Integers, const N: usize>(simd: S, g: [S::Vector; BAND]) -> [S::Vector; N] {
    let points = const { points(N) };
    let mut u = [g[N - 4]; N];
    for (pair, (point, ..)) in points.pairs.iter().enumerate() {
        let even = simd.add_i16(g[0], simd.mul_i16(g[2], point * point));
        let odd = simd.add_i16(simd.mul_i16(g[1], *point), simd.mul_i16(g[3], point * point * point));
        u[2 * pair] = simd.add_i16(even, odd);
        u[2 * pair + 1] = simd.sub_i16(even, odd);
    }
    if points.zero.is_some() {
        u[N - 2] = g[0];
    }
    u
}

/// `B^T d` of a vector of each row.
#[inline(always)]
pub(super) fn input<S: Integers, const N: usize>(simd: S, d: [S::Vector; N]) -> [S::Vector; N] {
    let points = const { points(N) };
    let (pairs, zero) = (points.pairs.len(), usize::from(points.zero.is_some()));
    let mut v = [sum(simd, &points.all, pairs + 1, &d, zero); N];
    for (pair, (point, _, others)) in points.pairs.iter().enumerate() {
        let even = simd.mul_i16(sum(simd, others, pairs, &d, zero), *point);
        let odd = sum(simd, others, pairs, &d, zero + 1);
        v[2 * pair] = simd.add_i16(odd, even);
        v[2 * pair + 1] = simd.sub_i16(odd, even);
    }
    if zero == 1 {
        v[N - 2] = sum(simd, &points.all, pairs + 1, &d, 0);
    }
    v
}

/// `A^T m` of a vector of each point.
#[inline(always)]
pub(super) fn output<S: Integers, const N: usize>(simd: S, m: [S::Vector; N]) -> [S::Vector; BAND] {
    let points = const { points(N) };
    let mut y = [simd.splat(0.0); BAND];
    for (pair, (point, factor, _)) in points.pairs.iter().enumerate() {
        let (plus, minus) = (m[2 * pair], m[2 * pair + 1]);
        let (sum, difference) = (simd.add_i32(plus, minus), simd.sub_i32(plus, minus));
        let (even, odd) = if points.zero.is_some() { (sum, difference) } else { (difference, sum) };
        let mut power = *factor;
        for (row, y) in y.iter_mut().enumerate() {
            *y = simd.add_i32(*y, simd.mul_i32(if row % 2 == 0 { even } else { odd }, power));
            power *= i32::from(*point);
        }
    }
    if let Some(factor) = points.zero {
        y[0] = simd.add_i32(y[0], simd.mul_i32(m[N - 2], factor));
    }
    y[BAND - 1] = simd.add_i32(y[BAND - 1], simd.mul_i32(m[N - 1], points.infinity));
    for y in &mut y {
        let product = simd.mul_i32(*y, points.inverse);
        *y = if points.bits == 3 {
            simd.shift_down_i32::<3>(product)
        } else {
            simd.shift_down_i32::<4>(product)
        };
    }
    y
}

/// Every second of `d` from `first` on times so many coefficients.
#[inline(always)]
fn sum<S: Integers, const N: usize>(
    simd: S,
    coefficients: &[i16],
    count: usize,
    d: &[S::Vector; N],
    first: usize,
) -> S::Vector {
    let mut sum = d[first + 2 * (count - 1)];
    for place in 0..count - 1 {
        sum = simd.add_i16(sum, simd.mul_i16(d[first + 2 * place], coefficients[place]));
    }
    sum
}
