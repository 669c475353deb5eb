//! AVX2 with AVX-VNNI: sums of four products of int8 in one instruction, unsigned by signed, and of two of int16. The tile is that of
//! f32.

use crate::isa::avx2;
use crate::kernels::dot::{Int8, dot_kernel};
use crate::kernels::table::{Kernels, WordKernels, groups_of_int8, product_of_pairs};
use crate::simd::avx2::AvxVnni;

pub(super) fn is_available() -> bool {
    avx2::is_available() && is_x86_feature_detected!("avxvnni")
}

pub(super) const KERNELS: Kernels = Kernels {
    int8: Some(dot_kernel!("avxvnni", Int8<AvxVnni, false>, ["avx2,fma,avxvnni"], tile: 6, vectors: 2)),
    groups_of_int8: groups_of_int8!(AvxVnni, ["avx2,fma,avxvnni"]),
    integer: WordKernels {
        product: product_of_pairs!(AvxVnni, ["avx2,fma,avxvnni"], tile: 6, vectors: 2),
        ..avx2::KERNELS.integer
    },
    ..avx2::KERNELS
};
