//! The yardstick: multiply-adds on registers, and nothing else.

use std::hint::black_box;
use std::time::Instant;

use resnet_plan::Precision;

use crate::kernels::Kernels;
use crate::simd::Simd;

/// Chains of dependent multiply-adds: more than latency times units of any processor, no more than it has registers.
const CHAINS: usize = 12;
/// Multiply-adds of each chain in a measurement: some milliseconds.
const ROUNDS: usize = 1 << 20;

/// The most GFLOP/s that one core computes with these kernels: the best of some measurements.
pub fn peak_gflops(kernels: &Kernels) -> f64 {
    let measure = || {
        let start = Instant::now();
        // SAFETY: `kernels` shows that the machine has the instruction set.
        black_box(unsafe { (kernels.peak)(ROUNDS) });
        start.elapsed().as_secs_f64()
    };
    let best = (0..8).map(|_| measure()).fold(f64::INFINITY, f64::min);
    2e-9 * (ROUNDS * CHAINS * kernels.lanes) as f64 / best
}

/// The most thousand millions of operations (a multiply-add is two) that one core computes a second with the kernels
/// for a precision: the best of some measurements.
pub fn peak_gops(kernels: &Kernels, precision: Precision) -> f64 {
    let (kernel, per_word) = match precision {
        Precision::F32 => return peak_gflops(kernels),
        Precision::Bf16 => (&kernels.bf16, 2),
        Precision::Int8 => (&kernels.int8, 4),
    };
    let measure = || {
        let start = Instant::now();
        // SAFETY: `kernels` shows that the machine has the instruction set.
        black_box(unsafe { (kernel.peak)(ROUNDS) });
        start.elapsed().as_secs_f64()
    };
    let best = (0..8).map(|_| measure()).fold(f64::INFINITY, f64::min);
    2e-9 * (ROUNDS * kernel.peak_words * per_word) as f64 / best
}

/// # Safety
/// The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, rounds: usize) -> f32 {
    let (x, y) = (simd.splat(black_box(0.5)), simd.splat(black_box(1.0)));
    let mut sums = [y; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = simd.mul_add(*sum, x, y);
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
