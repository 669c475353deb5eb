//! The yardstick: multiply-adds on registers, and nothing else.

use std::hint::black_box;
use std::time::Instant;

use resnet_plan::Precision;

use crate::kernels::Kernels;
use crate::kernels::wide::Arithmetic;
use crate::simd::Integers;

/// Chains of dependent multiply-adds: more than latency times units of any processor, no more than it has registers.
pub(crate) const CHAINS: usize = 12;
/// Multiply-adds of each chain in a measurement: some milliseconds.
const ROUNDS: usize = 1 << 20;

/// The most GFLOP/s that one core computes with these kernels: the best of some measurements.
pub fn peak_gflops(kernels: &Kernels) -> f64 {
    peak_gops(kernels, Precision::F32)
}

/// The most thousand millions of operations (a multiply-add is two) that one core computes a second with the kernels
/// for a precision: the best of some measurements.
pub fn peak_gops(kernels: &Kernels, precision: Precision) -> f64 {
    let words = CHAINS * kernels.lanes;
    match (kernels.dots(precision), precision) {
        (Some(dots), _) => best(dots.peak, dots.peak_words * precision.per_word()),
        // Widened, a word is a f32 or two int16.
        (None, Precision::F32 | Precision::Bf16) => best(kernels.float.peak, words),
        (None, Precision::Int8) => best(kernels.integer.peak, 2 * words),
    }
}

/// Of a yardstick that multiplies so many elements in a round.
fn best<T>(peak: unsafe fn(usize) -> T, elements: usize) -> f64 {
    let measure = || {
        let start = Instant::now();
        // SAFETY: whoever has the kernels, of which it is one, has a machine with the instruction set.
        black_box(unsafe { peak(ROUNDS) });
        start.elapsed().as_secs_f64()
    };
    let best = (0..8).map(|_| measure()).fold(f64::INFINITY, f64::min);
    2e-9 * (ROUNDS * elements) as f64 / best
}

/// # Safety
/// The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<N: Arithmetic, S: Integers>(simd: S, rounds: usize) -> f32 {
    let (x, w) = (simd.splat(black_box(0.5)), simd.splat(black_box(1.0)));
    let mut sums = [w; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = N::add_product(simd, *sum, x, w);
        }
    }
    let mut all = sums[0];
    for sum in sums {
        all = simd.add(all, sum);
    }
    let mut first = 0.0;
    // SAFETY: one element is written.
    unsafe { simd.store_partial(&mut first, all, 1) };
    first
}
