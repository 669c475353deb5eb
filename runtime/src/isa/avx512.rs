//! x86-64 with AVX-512F: 32 registers of 16 numbers. A tile is 6 pixels by 4 vectors: 24 sums, 4 weights,
//! 1 input. (Seven pixels would leave 33 values for 32 registers, and one spill costs a quarter of the speed.)

use std::arch::x86_64::*;

use crate::isa::Simd;

/// The machine has AVX-512F.
#[derive(Clone, Copy)]
struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The machine must have AVX-512F.
    #[inline(always)]
    unsafe fn assume() -> Self {
        Avx512(())
    }
}

/// The first `count <= 16` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1u32 << count) - 1) as __mmask16
}

impl Simd for Avx512 {
    type Vector = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        // SAFETY: a prefetch reads nothing that the program could see, and does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F; the pointer is the caller's contract.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F; the pointer is the caller's contract.
        unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        // SAFETY: `self` shows that the machine has AVX-512F; the pointer is the caller's contract.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: __m512, count: usize) {
        // SAFETY: `self` shows that the machine has AVX-512F; the pointer is the caller's contract.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    // `maxps` gives its second operand if either is NaN, so a NaN in `a` is put back.
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), a) }
    }

    // `maxps` gives its second operand if either is NaN.
    #[inline(always)]
    fn at_least(self, floor: __m512, value: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F.
        unsafe { _mm512_max_ps(floor, value) }
    }
}

super::kernels!(Avx512, #[target_feature(enable = "avx512f")], tile: 6, vectors: 4);
