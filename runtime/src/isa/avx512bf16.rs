//! AVX-512 with bf16: sums of two products of bf16 in one instruction. It takes subnormal values for zeros, and rounds as it
//! likes (to odd, by Intel's description). The tile is that of f32.

use std::arch::x86_64::*;

use crate::isa::avx512vnni;
use crate::kernels::dot::{Dot, DotKernel, dot_kernel};
use crate::kernels::table::Kernels;
use crate::simd::Simd;
use crate::simd::avx512::Avx512Bf16;

/// The machine has AVX-512 and bf16.
#[derive(Clone, Copy)]
struct Bf16(Avx512Bf16);

impl Dot for Bf16 {
    type Simd = Avx512Bf16;
    type Sum = __m512;
    type Weight = __m512bh;
    type Input = __m512bh;
    type Signed = Bf16;
    const INTEGER: bool = false;
    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Bf16(unsafe { Avx512Bf16::assume() })
    }

    #[inline(always)]
    fn simd(self) -> Avx512Bf16 {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_loadu_ps(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: __m512) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_storeu_ps(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> __m512bh {
        // SAFETY: the pointer is the caller's contract; both types are plain bits.
        unsafe { std::mem::transmute(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> __m512bh {
        // SAFETY: the pointer is the caller's contract; both types are plain bits.
        unsafe { std::mem::transmute(_mm512_set1_epi32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    fn dot(self, x: __m512bh, w: __m512bh, sum: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has bf16.
        unsafe { _mm512_dpbf16_ps(sum, x, w) }
    }
}

pub(super) fn is_available() -> bool {
    avx512vnni::is_available() && is_x86_feature_detected!("avx512bf16")
}

/// The kernel of bf16.
const BF16: DotKernel = dot_kernel!("avx512bf16", Bf16, ["avx512f,avx512bw,avx512bf16"], tile: 6, vectors: 4);

pub(super) const KERNELS: Kernels = Kernels { bf16: Some(BF16), ..avx512vnni::KERNELS };
