//! x86-64 with AVX-512F and BW: 16 elements at a time.

use std::arch::x86_64::*;

use crate::elements::bf16;
use crate::simd::{Integers, Simd, gather, is_amd};

/// The machine has AVX-512F and BW; and VNNI, and the instructions for bf16, if the constants say so.
#[derive(Clone, Copy)]
pub(crate) struct With<const VNNI: bool, const BF16: bool>(());

/// The machine has AVX-512F and BW.
pub(crate) type Avx512 = With<false, false>;

/// The machine has AVX-512F, BW and VNNI.
pub(crate) type Avx512Vnni = With<true, false>;

/// The machine has AVX-512F, BW and bf16. Integers vectors of bf16 are stored with zeros for what is subnormal.
pub(crate) type Avx512Bf16 = With<false, true>;

/// The first `count <= 16` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1u32 << count) - 1) as __mmask16
}

impl<const VNNI: bool, const BF16: bool> Simd for With<VNNI, BF16> {
    type Vector = __m512;
    const LANES: usize = 16;
    const PACKED: usize = 4;
    const FETCHES: bool = true;

    #[inline(always)]
    unsafe fn assume() -> Self {
        With(())
    }

    #[inline(always)]
    fn prefetch(self, from: *const f32) {
        // SAFETY: a prefetch reads nothing that the program could see, and does not fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    /// Intel's processors fetch such a line, slowly, into the L1 cache only, from where it is often gone before it is read.
    #[inline(always)]
    fn fetches_once() -> bool {
        is_amd()
    }

    #[inline(always)]
    fn prefetch_once(self, from: *const f32) {
        // SAFETY: as `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_NTA>(from.cast()) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_maskz_loadu_ps(mask(count), from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: __m512, count: usize) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    // `maxps` gives its second operand if either is NaN, so a NaN in `a` is put back.
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a), a) }
    }

    // `maxps` gives its second operand if either is NaN.
    #[inline(always)]
    fn at_least(self, floor: __m512, value: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_max_ps(floor, value) }
    }

    // `minps` gives its second operand if either is NaN.
    #[inline(always)]
    fn at_most(self, ceiling: __m512, value: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_min_ps(ceiling, value) }
    }

    #[inline(always)]
    fn pick(self, value: __m512, from: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_permutexvar_ps(_mm512_castps_si512(from), value) }
    }

    #[inline(always)]
    fn lower_bf16(self, words: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(words))) }
    }

    #[inline(always)]
    fn upper_bf16(self, words: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512.
        unsafe {
            let mask = _mm512_set1_epi32(0xFFFF_0000u32.cast_signed());
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words), mask))
        }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe {
            let words = if count == 16 {
                _mm256_loadu_si256(from.cast())
            } else {
                _mm256_loadu_si256(gather::<_, 16>(from, count).as_ptr().cast())
            };
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(words)))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes(from, count))) }
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes(from, count))) }
    }

    // Adding half of the last place, less one where that is even, rounds; a NaN is made quiet instead, so that it stays one.
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: __m512, count: usize) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe {
            if BF16 && count == 16 {
                let narrow = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value));
                return _mm256_storeu_si256(to.cast(), narrow);
            }
            let bits = _mm512_castps_si512(value);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            let rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x0040_0000));
            let upper = _mm512_srli_epi32::<16>(rounded);
            if count == 16 {
                _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(upper));
            } else if count == 4 {
                _mm_storeu_si64(to.cast(), _mm256_castsi256_si128(_mm512_cvtepi32_epi16(upper)));
            } else {
                _mm512_mask_cvtepi32_storeu_epi16(to.cast(), mask(count), upper);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: __m512, count: usize) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { scatter_bytes(to, rounded(value, 0.0, 255.0), count) }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8, value: __m512, count: usize) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe { scatter_bytes(to.cast(), rounded(value, -128.0, 127.0), count) }
    }

    // Elements below the least of two bytes become it when they are packed, and so does NaN, which `minps` gives as its second
    // operand. Packing takes a quarter of each vector in turn.
    #[inline(always)]
    unsafe fn store_packed_int8<const SIGNED: bool>(self, to: *mut u8, [a, b, c, d]: [__m512; 4]) {
        // SAFETY: `self` shows that the machine has AVX-512; the pointer is the caller's contract.
        unsafe {
            let most = _mm512_set1_ps(if SIGNED { 127.0 } else { 255.0 });
            let (a, b) = (_mm512_min_ps(most, a), _mm512_min_ps(most, b));
            let (c, d) = (_mm512_min_ps(most, c), _mm512_min_ps(most, d));
            let ab = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
            let cd = _mm512_packs_epi32(_mm512_cvtps_epi32(c), _mm512_cvtps_epi32(d));
            let packed = if SIGNED { _mm512_packs_epi16(ab, cd) } else { _mm512_packus_epi16(ab, cd) };
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_storeu_si512(to.cast(), _mm512_permutexvar_epi32(order, packed));
        }
    }
}

/// The first `count` bytes, and zeros.
///
/// # Safety
/// `from` must be valid for reads of `count <= 16` bytes.
#[inline(always)]
unsafe fn bytes<T: Copy + Default>(from: *const T, count: usize) -> __m128i {
    const { assert!(size_of::<T>() == 1) };
    // SAFETY: the caller's contract.
    unsafe {
        if count == 16 {
            _mm_loadu_si128(from.cast())
        } else {
            _mm_loadu_si128(gather::<_, 16>(from, count).as_ptr().cast())
        }
    }
}

/// Writes the lowest bytes of the first `count` lanes. (A store under a mask costs more.)
///
/// # Safety
/// `to` must be valid for writes of `count <= 16` bytes. The machine must have AVX-512.
#[inline(always)]
unsafe fn scatter_bytes(to: *mut u8, numbers: __m512i, count: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if count == 16 {
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(numbers));
        } else if count == 4 {
            _mm_storeu_si32(to, _mm512_cvtepi32_epi8(numbers));
        } else {
            _mm512_mask_cvtepi32_storeu_epi8(to.cast(), mask(count), numbers);
        }
    }
}

/// Cuts elements to a range, NaN to its least, and rounds them. (`maxps` gives its second operand if either is NaN.)
///
/// # Safety
/// The machine must have AVX-512.
#[inline(always)]
unsafe fn rounded(value: __m512, least: f32, most: f32) -> __m512i {
    // SAFETY: the caller's contract.
    unsafe {
        let cut = _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(least)), _mm512_set1_ps(most));
        _mm512_cvtps_epi32(cut)
    }
}

impl<const VNNI: bool, const BF16: bool> Integers for With<VNNI, BF16> {
    #[inline(always)]
    fn add_i16(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_add_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    #[inline(always)]
    fn sub_i16(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_sub_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    #[inline(always)]
    fn mul_i16(self, a: __m512, b: i16) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_mullo_epi16(_mm512_castps_si512(a), _mm512_set1_epi16(b))) }
    }

    #[inline(always)]
    fn shift_i16<const N: i32>(self, a: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_sll_epi16(_mm512_castps_si512(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn add_i32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    #[inline(always)]
    fn sub_i32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    #[inline(always)]
    fn shift_i32<const N: i32>(self, a: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_sll_epi32(_mm512_castps_si512(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn shift_down_i32<const N: i32>(self, a: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_sra_epi32(_mm512_castps_si512(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn mul_i32(self, a: __m512, b: i32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_mullo_epi32(_mm512_castps_si512(a), _mm512_set1_epi32(b))) }
    }

    #[inline(always)]
    fn add_pairs(self, x: __m512, w: __m512, sum: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe {
            if VNNI {
                let sum = _mm512_castps_si512(sum);
                let (x, w) = (_mm512_castps_si512(x), _mm512_castps_si512(w));
                return _mm512_castsi512_ps(_mm512_dpwssd_epi32(sum, x, w));
            }
            let products = _mm512_madd_epi16(_mm512_castps_si512(x), _mm512_castps_si512(w));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(sum), products))
        }
    }

    // Each byte into the upper half of an int16, and down again with its sign.
    #[inline(always)]
    fn lower_i8(self, words: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe {
            let places = _mm512_broadcast_i32x4(_mm_setr_epi8(
                -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13,
            ));
            let bytes = _mm512_shuffle_epi8(_mm512_castps_si512(words), places);
            _mm512_castsi512_ps(_mm512_srai_epi16::<8>(bytes))
        }
    }

    // Each byte into the upper half of an int16, and down again with its sign.
    #[inline(always)]
    fn upper_i8(self, words: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe {
            let places = _mm512_broadcast_i32x4(_mm_setr_epi8(
                -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15,
            ));
            let bytes = _mm512_shuffle_epi8(_mm512_castps_si512(words), places);
            _mm512_castsi512_ps(_mm512_srai_epi16::<8>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_pairs<const MOVED: bool>(self, from: *const u8, count: usize) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW; the pointer is the caller's contract.
        unsafe {
            let bytes = if count == Self::LANES {
                _mm256_loadu_si256(from.cast())
            } else {
                _mm256_loadu_si256(gather::<_, 32>(from, 2 * count).as_ptr().cast())
            };
            let bytes = if MOVED { _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) } else { bytes };
            _mm512_castsi512_ps(_mm512_cvtepu8_epi16(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_quarter(self, from: *const f32) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW; the pointer is the caller's contract.
        unsafe { _mm512_broadcast_f32x4(_mm_loadu_ps(from)) }
    }

    #[inline(always)]
    fn xor(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW.
        unsafe { _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    // Without the instruction: the first and third of four as int16, and the second and fourth.
    #[inline(always)]
    fn add_quads(self, x: __m512, w: __m512, sum: __m512) -> __m512 {
        // SAFETY: `self` shows that the machine has AVX-512F and BW, and VNNI if it says so.
        unsafe {
            let (x, w) = (_mm512_castps_si512(x), _mm512_castps_si512(w));
            if VNNI {
                return _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sum), x, w));
            }
            let even = _mm512_madd_epi16(
                _mm512_and_si512(x, _mm512_set1_epi16(0xFF)),
                _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(w)),
            );
            let odd = _mm512_madd_epi16(_mm512_srli_epi16::<8>(x), _mm512_srai_epi16::<8>(w));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(sum), _mm512_add_epi32(even, odd)))
        }
    }
}
