//! x86-64 with AVX2 and FMA: 16 registers of 8 numbers. A tile is 6 pixels by 2 vectors: 12 sums, 2 weights, 1 input.

use std::arch::x86_64::*;

use crate::isa::Simd;

/// The machine has AVX2 and FMA.
#[derive(Clone, Copy)]
struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[inline(always)]
    unsafe fn assume() -> Self {
        Avx2(())
    }
}

/// Ones, then zeros: `[8 - count ..]` is the mask of the first `count` lanes.
static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The first `count` lanes.
///
/// # Safety
/// The machine must have AVX2, and `count` be at most 8.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    // SAFETY: eight numbers from `8 - count` on lie inside the table.
    // SAFETY: `self` shows that the machine has AVX2 and FMA.
    unsafe { _mm256_loadu_si256(MASK.as_ptr().add(8 - count).cast()) }
}

impl Simd for Avx2 {
    type Vector = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        // SAFETY: a prefetch reads nothing that the program could see, and does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_maskload_ps(from, mask(count)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: __m256, count: usize) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_maskstore_ps(to, mask(count), value) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    // `maxps` gives its second operand if either is NaN, so a NaN in `a` is put back.
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)) }
    }

    // `maxps` gives its second operand if either is NaN.
    #[inline(always)]
    fn at_least(self, floor: __m256, value: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_max_ps(floor, value) }
    }
}

super::kernels!(Avx2, #[target_feature(enable = "avx2,fma")], tile: 6, vectors: 2);
