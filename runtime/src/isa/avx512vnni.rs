//! AVX-512 with VNNI: sums of four products of int8 in one instruction, unsigned by signed, and of two of int16. The tile is that of f32.

use crate::isa::avx512;
use crate::kernels::dot::{Int8, dot_kernel};
use crate::kernels::table::{Kernels, WordKernels, groups_of_int8, product_of_pairs};
use crate::simd::avx512::Avx512Vnni;

pub(super) fn is_available() -> bool {
    avx512::is_available() && is_x86_feature_detected!("avx512vnni")
}

pub(super) const KERNELS: Kernels = Kernels {
    int8: Some(
        dot_kernel!("avx512vnni", Int8<Avx512Vnni, false>, ["avx512f,avx512bw,avx512vnni"], tile: 6, vectors: 4),
    ),
    groups_of_int8: groups_of_int8!(Avx512Vnni, ["avx512f,avx512bw,avx512vnni"]),
    integer: WordKernels {
        product: product_of_pairs!(Avx512Vnni, ["avx512f,avx512bw,avx512vnni"], tile: 6, vectors: 4),
        ..avx512::KERNELS.integer
    },
    ..avx512::KERNELS
};
