//! x86-64 with AVX2 and FMA: 16 registers of 8 elements. A tile is 6 pixels by 2 vectors: 12 sums, 2 weights, 1 input.

use std::arch::x86_64::*;

use crate::kernels::dot::{Dot, DotKernel, dot_kernel};
use crate::kernels::table::{Kernels, kernels};
use crate::kernels::widened::Widened;
use crate::simd::Simd;
use crate::simd::avx2::Avx2;

/// int8, sixteen products at a time: the even and the odd bytes of a word as int16, whose products are added up exactly.
/// (`vpmaddubsw`, which would take them as they are, cuts its sums off at 16 bits.)
#[derive(Clone, Copy)]
struct Bytes<const SIGNED: bool>(Avx2);

impl<const SIGNED: bool> Dot for Bytes<SIGNED> {
    type Simd = Avx2;
    type Sum = __m256i;
    type Weight = [__m256i; 2];
    type Input = [__m256i; 2];
    const INTEGER: bool = true;

    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Bytes(unsafe { Avx2::assume() })
    }

    #[inline(always)]
    fn simd(self) -> Avx2 {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: __m256i) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_storeu_si256(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> [__m256i; 2] {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let words = _mm256_loadu_si256(from.cast());
            [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(words)), _mm256_srai_epi16::<8>(words)]
        }
    }

    // Signed elements are moved by 128; the sums begin with what that adds to them.
    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> [__m256i; 2] {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let word = from.read_unaligned() ^ if SIGNED { 0x8080_8080 } else { 0 };
            let words = _mm256_set1_epi32(word.cast_signed());
            [_mm256_and_si256(words, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16::<8>(words)]
        }
    }

    #[inline(always)]
    fn dot(self, x: [__m256i; 2], w: [__m256i; 2], sum: __m256i) -> __m256i {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe {
            let products = _mm256_add_epi32(_mm256_madd_epi16(x[0], w[0]), _mm256_madd_epi16(x[1], w[1]));
            _mm256_add_epi32(sum, products)
        }
    }
}

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// The kernel of int8.
pub(super) const INT8: DotKernel =
    dot_kernel!("avx2", Bytes<false>, Bytes<true>, ["avx2,fma"], tile: 4, vectors: 2);

pub(super) const KERNELS: Kernels = kernels!("avx2", Avx2, ["avx2,fma"], tile: 6, vectors: 2,
    bf16: dot_kernel!("avx2", Widened<Avx2>, Widened<Avx2>, ["avx2,fma"], tile: 4, vectors: 2),
    int8: INT8);
