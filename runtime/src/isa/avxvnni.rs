//! AVX2 with AVX-VNNI: sums of four products of int8 in one instruction, unsigned by signed. A tile is 6 pixels by 2 vectors, as that
//! of f32.

use std::arch::x86_64::*;

use crate::isa::avx2;
use crate::kernels::dot::{Dot, DotKernel, dot_kernel};
use crate::kernels::product::Multiply;
use crate::kernels::table::{Kernels, product_of_pairs};
use crate::kernels::wide::Wholes;
use crate::simd::Simd;
use crate::simd::avx2::Avx2;

/// The machine has AVX2 and AVX-VNNI.
#[derive(Clone, Copy)]
struct Vnni<const SIGNED: bool>(Avx2);

impl<const SIGNED: bool> Dot for Vnni<SIGNED> {
    type Simd = Avx2;
    type Sum = __m256i;
    type Weight = __m256i;
    type Input = __m256i;
    const INTEGER: bool = true;

    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Vnni(unsafe { Avx2::assume() })
    }

    #[inline(always)]
    fn simd(self) -> Avx2 {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX2; the pointer is the caller's contract.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: __m256i) {
        // SAFETY: `self` shows that the machine has AVX2; the pointer is the caller's contract.
        unsafe { _mm256_storeu_si256(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX2; the pointer is the caller's contract.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    // Signed elements are moved by 128; the sums begin with what that adds to them.
    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX2; the pointer is the caller's contract.
        unsafe {
            let word = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            if SIGNED {
                _mm256_xor_si256(word, _mm256_set1_epi32(0x8080_8080u32.cast_signed()))
            } else {
                word
            }
        }
    }

    #[inline(always)]
    fn dot(self, x: __m256i, w: __m256i, sum: __m256i) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX-VNNI.
        unsafe { _mm256_dpbusd_avx_epi32(sum, x, w) }
    }
}

/// Products of words of two int16, and their sum, in one instruction.
struct Pairs;

impl Multiply<Avx2> for Pairs {
    type Numbers = Wholes;

    #[inline(always)]
    fn add_product(_: Avx2, x: __m256, w: __m256, sum: __m256) -> __m256 {
        // SAFETY: the product that this is made for is called on machines that have AVX-VNNI.
        unsafe {
            let [x, w, sum] = [_mm256_castps_si256(x), _mm256_castps_si256(w), _mm256_castps_si256(sum)];
            _mm256_castsi256_ps(_mm256_dpwssd_avx_epi32(sum, x, w))
        }
    }
}

pub(super) fn is_available() -> bool {
    avx2::is_available() && is_x86_feature_detected!("avxvnni")
}

/// The kernel of int8.
const INT8: DotKernel =
    dot_kernel!("avxvnni", Vnni<false>, Vnni<true>, ["avx2,fma,avxvnni"], tile: 6, vectors: 2);

pub(super) const KERNELS: Kernels = Kernels {
    int8: Some(INT8),
    product_of_pairs: product_of_pairs!(Avx2, Pairs, ["avx2,fma,avxvnni"], tile: 6, vectors: 2),
    ..avx2::KERNELS
};
