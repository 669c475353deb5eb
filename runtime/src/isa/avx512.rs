//! x86-64 with AVX-512F and BW: 32 registers of 16 elements. A tile is 6 pixels by 4 vectors: 24 sums, 4 weights,
//! 1 input. (Seven pixels would leave 33 values for 32 registers, and one spill costs a quarter of the speed.)

use crate::isa::avx2;
use crate::kernels::table::{Kernels, kernels};
use crate::simd::avx512::Avx512;

pub(super) fn is_available() -> bool {
    avx2::is_available() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// What is no convolution takes a hundredth of a network's time, and waits for the memory: wider vectors would not be faster, so
/// programs have it once.
pub(super) const KERNELS: Kernels = Kernels {
    max_pool: avx2::KERNELS.max_pool,
    average_pool: avx2::KERNELS.average_pool,
    elementwise: avx2::KERNELS.elementwise,
    blur: avx2::KERNELS.blur,
    group_norm: avx2::KERNELS.group_norm,
    statistics: avx2::KERNELS.statistics,
    convert: avx2::KERNELS.convert,
    fold: avx2::KERNELS.fold,
    groups_of_int8: avx2::KERNELS.groups_of_int8,
    ..kernels!("avx512", Avx512, ["avx512f,avx512bw"], tile: 6, vectors: 4)
};
