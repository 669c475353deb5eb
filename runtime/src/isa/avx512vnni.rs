//! AVX-512 with VNNI: sums of four products of int8 in one instruction, unsigned by signed. The tile is that of f32.

use std::arch::x86_64::*;

use crate::isa::avx512;
use crate::kernels::dot::{Dot, DotKernel, dot_kernel};
use crate::kernels::product::Multiply;
use crate::kernels::table::{Kernels, product_of_pairs};
use crate::kernels::wide::Wholes;
use crate::simd::Simd;
use crate::simd::avx512::Avx512;

/// The machine has AVX-512 and VNNI.
#[derive(Clone, Copy)]
struct Vnni<const SIGNED: bool>(Avx512);

impl<const SIGNED: bool> Dot for Vnni<SIGNED> {
    type Simd = Avx512;
    type Sum = __m512i;
    type Weight = __m512i;
    type Input = __m512i;
    const INTEGER: bool = true;

    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Vnni(unsafe { Avx512::assume() })
    }

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> __m512i {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: __m512i) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_storeu_si512(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> __m512i {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    // Signed elements are moved by 128; the sums begin with what that adds to them.
    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> __m512i {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe {
            let word = _mm512_set1_epi32(from.cast::<i32>().read_unaligned());
            if SIGNED {
                _mm512_xor_si512(word, _mm512_set1_epi32(0x8080_8080u32.cast_signed()))
            } else {
                word
            }
        }
    }

    #[inline(always)]
    fn dot(self, x: __m512i, w: __m512i, sum: __m512i) -> __m512i {
        // SAFETY: `self` shows that the machine has VNNI.
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }
}

/// Products of words of two int16, and their sum, in one instruction.
struct Pairs;

impl Multiply<Avx512> for Pairs {
    type Numbers = Wholes;

    #[inline(always)]
    fn add_product(_: Avx512, x: __m512, w: __m512, sum: __m512) -> __m512 {
        // SAFETY: the product that this is made for is called on machines that have VNNI.
        unsafe {
            let [x, w, sum] = [_mm512_castps_si512(x), _mm512_castps_si512(w), _mm512_castps_si512(sum)];
            _mm512_castsi512_ps(_mm512_dpwssd_epi32(sum, x, w))
        }
    }
}

pub(super) fn is_available() -> bool {
    avx512::is_available() && is_x86_feature_detected!("avx512vnni")
}

/// The kernel of int8.
const INT8: DotKernel =
    dot_kernel!("avx512vnni", Vnni<false>, Vnni<true>, ["avx512f,avx512bw,avx512vnni"], tile: 6, vectors: 4);

pub(super) const KERNELS: Kernels = Kernels {
    int8: Some(INT8),
    product_of_pairs: product_of_pairs!(Avx512, Pairs, ["avx512f,avx512bw,avx512vnni"], tile: 6, vectors: 4),
    ..avx512::KERNELS
};
