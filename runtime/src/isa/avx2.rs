//! x86-64 with AVX2 and FMA: 16 registers of 8 elements. A tile is 6 pixels by 2 vectors: 12 sums, 2 weights, 1 input. bf16 and int8 are
//! widened. (`vpmaddubsw`, which multiplies int8 as they are, cuts its sums off at 16 bits.)

use crate::kernels::table::{Kernels, kernels};
use crate::simd::avx2::Avx2;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub(super) const KERNELS: Kernels = kernels!("avx2", Avx2, ["avx2,fma"], tile: 6, vectors: 2);
