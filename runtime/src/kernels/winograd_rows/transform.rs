//! The transforms of a band: four outputs of a window of three or four taps, `F(4, 3)` and `F(4, 4)`.
//!
//! ```text
//! M(x) = x^z (x^2 - a^2) (x^2 - b^2) ..                      the points: pairs +-a, +-b, .., 0 if z is 1, and infinity
//!
//! (B^T d)[p] = sum of the coefficients of M(x) / (x - p) times d              infinity: of M(x)
//! (G g)[p]   = sum over j of p^j g[j], divided by M'(p)                       infinity: the last g
//! y[k]       = sum over p of p^k m[p]                                         infinity: only the last y takes it
//! ```
//! (Toom-Cook, as Barabasz et al. 2020 have it: "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
//! Neural Networks".) The two points of a pair share the even and the odd part of a sum.
//!
//! Infinity meets only the last tap: a phase that has one tap less does without it, and without the last input.
//!
//! Three taps: 0, +-sqrt(1/2), +-sqrt(2), as [`winograd`](crate::kernels::winograd) has them. Four taps: +-1/4, +-7/8, +-2, whose
//! error is 1.8 times that of a direct sum for the windows of a stem, 7x7 of stride 2 on 3 channels; +-1/2, +-1, +-2 have 2.1, the best with 0 among
//! them 2.1 (normally distributed values; a search over some 3,000 sets of points).

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use resnet_plan::winograd::BAND;

use crate::kernels::wide::{Arithmetic, Input, Kind, Weights};
use crate::kernels::winograd::sides::times;
use crate::kernels::winograd::transform::finish;
use crate::kernels::winograd_rows::integer;
use crate::simd::Integers;

/// The most points, and pairs of them.
pub(super) const LARGEST_POINTS: usize = 7;
const LARGEST_PAIRS: usize = 3;

/// Weights of some windows, of one phase.
pub(crate) struct BandKernel<'a> {
    pub(crate) kind: Kind,
    pub(crate) points: usize,
    /// The words of each tap: three less than there are points, or one less than that.
    pub(crate) taps: &'a [*const f32],
    /// Rows of words, and the words of a row: whole vectors.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// Where they go, and how far apart points are.
    pub(crate) u: *mut f32,
    pub(crate) plane: usize,
}

/// Input rows of a band, of one phase.
pub(crate) struct BandInput<'a> {
    pub(crate) kind: Kind,
    pub(crate) points: usize,
    /// As many as there are points, or all but the last.
    pub(crate) rows: &'a [*const f32],
    /// Wide words of a row.
    pub(crate) count: usize,
    /// Where they go, and how far apart points are.
    pub(crate) v: *mut f32,
    pub(crate) plane: usize,
}

/// Sums of a band.
pub(crate) struct BandOutput {
    pub(crate) points: usize,
    /// The elements of the first point, and how far apart columns and points are.
    pub(crate) m: *const f32,
    pub(crate) column: usize,
    pub(crate) plane: usize,
    pub(crate) bias: *const f32,
    /// The band's first pixel, and how far apart rows and pixels are.
    pub(crate) y: *mut f32,
    pub(crate) row: usize,
    pub(crate) pixel: usize,
    /// Rows and columns.
    pub(crate) inside: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) accumulate: bool,
    pub(crate) relu: bool,
}

/// What is known of a number of points: first both of each pair, then 0 if their number is even, then infinity.
struct Points {
    pairs: usize,
    /// Whether 0 is one of them: 0 or 1.
    zero: usize,
    /// `p^k` of each pair's positive point.
    powers: [[f32; BAND]; LARGEST_PAIRS],
    /// Every second coefficient of `M(x)`, the others being zero, and of `M(x)` without a pair; the last one is 1.
    all: [f32; LARGEST_PAIRS + 1],
    others: [[f32; LARGEST_PAIRS + 1]; LARGEST_PAIRS],
    /// `p^j / M'(p)` of each pair's positive point; and `1 / M'(0)`.
    weights: [[f32; BAND]; LARGEST_PAIRS],
    zero_weight: f32,
}

impl Points {
    const fn of(points: usize) -> Points {
        let pairs: &[f64] = if points == 6 { &[FRAC_1_SQRT_2, SQRT_2] } else { &[0.25, 0.875, 2.0] };
        let zero = (points + 1) % 2;
        let mut known = Points {
            pairs: pairs.len(),
            zero,
            powers: [[0.0; BAND]; LARGEST_PAIRS],
            all: product(pairs, pairs.len()),
            others: [[0.0; LARGEST_PAIRS + 1]; LARGEST_PAIRS],
            weights: [[0.0; BAND]; LARGEST_PAIRS],
            zero_weight: 0.0,
        };
        known.zero_weight = 1.0 / known.all[0];
        let mut pair = 0;
        while pair < pairs.len() {
            let point = pairs[pair];
            known.others[pair] = product(pairs, pair);
            let mut slope = if zero == 1 { 2.0 * point * point } else { 2.0 * point };
            let mut other = 0;
            while other < pairs.len() {
                if other != pair {
                    slope *= point * point - pairs[other] * pairs[other];
                }
                other += 1;
            }
            let (mut power, mut exponent) = (1.0, 0);
            while exponent < BAND {
                known.powers[pair][exponent] = power as f32;
                known.weights[pair][exponent] = (power / slope) as f32;
                power *= point;
                exponent += 1;
            }
            pair += 1;
        }
        known
    }
}

/// Every second coefficient of the product of `x^2 - a^2` over all pairs but one.
const fn product(pairs: &[f64], without: usize) -> [f32; LARGEST_PAIRS + 1] {
    let mut coefficients = [0.0; LARGEST_PAIRS + 1];
    coefficients[0] = 1.0;
    let mut pair = 0;
    while pair < pairs.len() {
        if pair != without {
            let mut place = LARGEST_PAIRS;
            while place > 0 {
                coefficients[place] =
                    coefficients[place - 1] - pairs[pair] * pairs[pair] * coefficients[place];
                place -= 1;
            }
            coefficients[0] *= -pairs[pair] * pairs[pair];
        }
        pair += 1;
    }
    let mut rounded = [0.0; LARGEST_PAIRS + 1];
    let mut place = 0;
    while place <= LARGEST_PAIRS {
        rounded[place] = coefficients[place] as f32;
        place += 1;
    }
    rounded
}

/// Calls a function for a number of points.
macro_rules! of_points {
    ($points:expr, $function:ident::<$($generic:ty),*>($($argument:expr),*)) => {
        match $points {
            6 => $function::<$($generic,)* 6>($($argument),*),
            _ => $function::<$($generic,)* 7>($($argument),*),
        }
    };
}

/// `G g`
///
/// # Safety
/// Each tap holds so many rows, and each point has room for what they become: infinity only where no tap is missing. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn kernel<S: Integers, W: Weights<S>>(simd: S, task: &BandKernel<'_>) {
    // SAFETY: the caller's contract.
    unsafe { of_points!(task.points, kernel_of::<S, W>(simd, task)) }
}

/// # Safety
/// As [`kernel`].
#[inline(always)]
unsafe fn kernel_of<S: Integers, W: Weights<S>, const N: usize>(simd: S, task: &BandKernel<'_>) {
    let places = (0..task.rows * task.width).step_by(S::LANES);
    for (place, wide) in places.flat_map(|place| (0..W::WIDE).map(move |wide| (place, wide))) {
        let mut g = [simd.splat(0.0); BAND];
        for (g, tap) in g.iter_mut().zip(task.taps) {
            // SAFETY: the caller's contract: whole vectors.
            *g = W::row(simd, unsafe { simd.load(tap.add(place)) }, wide);
        }
        let u =
            if W::Arithmetic::INTEGER { integer::kernel(simd, g) } else { kernel_of_vector::<S, N>(simd, g) };
        // Where a row is widened, its second one comes behind it.
        let to = if W::WIDE == 1 { place } else { place + (place / task.width + wide) * task.width };
        for (point, u) in u.into_iter().enumerate() {
            if point < N - 1 || task.taps.len() == N - 3 {
                // SAFETY: the caller's contract: whole vectors.
                unsafe { simd.store(task.u.add(point * task.plane + to), u) };
            }
        }
    }
}

/// `B^T d`
///
/// # Safety
/// Each row holds `count` elements, and each point has room for them, filled up to whole vectors: infinity only where no row
/// is missing. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn input<S: Integers, I: Input<S>>(simd: S, task: &BandInput<'_>) {
    // SAFETY: the caller's contract.
    unsafe { of_points!(task.points, input_of::<S, I>(simd, task)) }
}

/// # Safety
/// As [`input`].
#[inline(always)]
unsafe fn input_of<S: Integers, I: Input<S>, const N: usize>(simd: S, task: &BandInput<'_>) {
    // Nobody asks for what a missing row would be part of.
    let mut rows = [task.rows[0]; N];
    for (row, given) in rows.iter_mut().zip(task.rows) {
        *row = *given;
    }
    for place in (0..task.count).step_by(S::LANES) {
        let mut d = [simd.splat(0.0); N];
        for (d, row) in d.iter_mut().zip(rows) {
            // SAFETY: the caller's contract: of the last vector only the elements that there are get read.
            unsafe {
                *d = I::load(simd, row, place, (task.count - place).min(S::LANES));
            }
        }
        let v = if I::Arithmetic::INTEGER { integer::input(simd, d) } else { input_of_vector(simd, d) };
        for (point, v) in v.into_iter().enumerate() {
            if point < N - 1 || task.rows.len() == N {
                // SAFETY: the caller's contract: whole vectors.
                unsafe { simd.store(task.v.add(point * task.plane + place), v) };
            }
        }
    }
}

/// `relu?(A^T m + bias + y?)`
///
/// # Safety
/// Each column of each point holds the channels, filled up to whole vectors, and so does the bias; the rows and columns that
/// are inside lie in the output, where nobody else reads or writes; integers: with room for whole vectors of channels. The machine has the
/// instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn output<S: Integers, A: Arithmetic>(simd: S, task: &BandOutput) {
    // SAFETY: the caller's contract.
    unsafe { of_points!(task.points, output_of::<S, A>(simd, task)) }
}

/// # Safety
/// As [`output`].
#[inline(always)]
unsafe fn output_of<S: Integers, A: Arithmetic, const N: usize>(simd: S, task: &BandOutput) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    for column in 0..task.inside[1] {
        for channel in (0..task.channels).step_by(S::LANES) {
            let count = (task.channels - channel).min(S::LANES);
            let mut m = [floor; N];
            for (point, m) in m.iter_mut().enumerate() {
                // SAFETY: the caller's contract: whole vectors.
                *m = unsafe { simd.load(task.m.add(point * task.plane + column * task.column + channel)) };
            }
            // SAFETY: the caller's contract: whole vectors.
            let bias = unsafe { simd.load(task.bias.add(channel)) };
            let y = if A::INTEGER {
                integer::output(simd, m).map(|y| simd.add_i32(y, bias))
            } else {
                output_of_vector(simd, m, bias)
            };
            for (row, sum) in y.into_iter().enumerate() {
                if row >= task.inside[0] {
                    break;
                }
                // SAFETY: the caller's contract: of the last vector only the channels that there are get read and written.
                unsafe {
                    let to = task.y.add(row * task.row + column * task.pixel + channel);
                    if A::INTEGER {
                        simd.store(to, sum);
                    } else {
                        finish(simd, sum, to, count, task.accumulate, floor);
                    }
                }
            }
        }
    }
}

/// `G g` of a vector of each tap; those that there are not are zero.
#[inline(always)]
fn kernel_of_vector<S: Integers, const N: usize>(simd: S, g: [S::Vector; BAND]) -> [S::Vector; N] {
    let points = const { &Points::of(N) };
    let mut u = [g[N - 4]; N];
    for pair in 0..points.pairs {
        let weights = points.weights[pair];
        let even = times(simd, weights[2], g[2], simd.mul(simd.splat(weights[0]), g[0]));
        let odd = times(simd, weights[3], g[3], simd.mul(simd.splat(weights[1]), g[1]));
        u[2 * pair] = simd.add(even, odd);
        // M' is as odd as M is even.
        u[2 * pair + 1] = if points.zero == 1 { simd.sub(even, odd) } else { simd.sub(odd, even) };
    }
    if points.zero == 1 {
        u[N - 2] = simd.mul(simd.splat(points.zero_weight), g[0]);
    }
    u
}

/// `B^T d` of a vector of each row.
#[inline(always)]
fn input_of_vector<S: Integers, const N: usize>(simd: S, d: [S::Vector; N]) -> [S::Vector; N] {
    let points = const { &Points::of(N) };
    let mut v = [sum(simd, points.all, points.pairs + 1, &d, points.zero); N];
    for pair in 0..points.pairs {
        let even = sum(simd, points.others[pair], points.pairs, &d, points.zero);
        let odd = sum(simd, points.others[pair], points.pairs, &d, points.zero + 1);
        let point = points.powers[pair][1];
        v[2 * pair] = times(simd, point, even, odd);
        v[2 * pair + 1] = times(simd, -point, even, odd);
    }
    if points.zero == 1 {
        v[N - 2] = sum(simd, points.all, points.pairs + 1, &d, 0);
    }
    v
}

/// `A^T m + bias` of a vector of each point.
#[inline(always)]
fn output_of_vector<S: Integers, const N: usize>(
    simd: S,
    m: [S::Vector; N],
    bias: S::Vector,
) -> [S::Vector; BAND] {
    let points = const { &Points::of(N) };
    let mut y = [bias; BAND];
    for pair in 0..points.pairs {
        let (plus, minus) = (m[2 * pair], m[2 * pair + 1]);
        let (even, odd) = (simd.add(plus, minus), simd.sub(plus, minus));
        let powers = points.powers[pair];
        y[0] = simd.add(even, y[0]);
        y[1] = times(simd, powers[1], odd, y[1]);
        y[2] = times(simd, powers[2], even, y[2]);
        y[3] = times(simd, powers[3], odd, y[3]);
    }
    if points.zero == 1 {
        y[0] = simd.add(m[N - 2], y[0]);
    }
    y[BAND - 1] = simd.add(m[N - 1], y[BAND - 1]);
    y
}

/// Every second of `d` from `first` on times so many coefficients, of which the last is 1.
#[inline(always)]
fn sum<S: Integers, const N: usize>(
    simd: S,
    coefficients: [f32; LARGEST_PAIRS + 1],
    count: usize,
    d: &[S::Vector; N],
    first: usize,
) -> S::Vector {
    let mut sum = d[first + 2 * (count - 1)];
    for place in (0..count - 1).rev() {
        sum = times(simd, coefficients[place], d[first + 2 * place], sum);
    }
    sum
}
