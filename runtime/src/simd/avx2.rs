//! x86-64 with AVX2 and FMA: 8 elements at a time.

use std::arch::x86_64::*;

use crate::elements::bf16;
use crate::simd::{Integers, Simd, gather, scatter};

/// The machine has AVX2 and FMA; and AVX-VNNI, if `VNNI`.
#[derive(Clone, Copy)]
pub(crate) struct With<const VNNI: bool>(());

/// The machine has AVX2 and FMA.
pub(crate) type Avx2 = With<false>;

/// The machine has AVX2, FMA and AVX-VNNI.
pub(crate) type AvxVnni = With<true>;

/// Ones, then zeros: `[8 - count ..]` is the mask of the first `count` lanes.
static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The first `count` lanes.
///
/// # Safety
/// The machine must have AVX2, and `count` be at most 8.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    // SAFETY: the machine is the caller's contract; eight elements from `8 - count` on lie inside the table.
    unsafe { _mm256_loadu_si256(MASK.as_ptr().add(8 - count).cast()) }
}

impl<const VNNI: bool> Simd for With<VNNI> {
    type Vector = __m256;
    const LANES: usize = 8;
    const PACKED: usize = 2;
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
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_div_ps(a, b) }
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

    // `minps` gives its second operand if either is NaN.
    #[inline(always)]
    fn at_most(self, ceiling: __m256, value: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_min_ps(ceiling, value) }
    }

    #[inline(always)]
    fn pick(self, value: __m256, from: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_permutevar8x32_ps(value, _mm256_castps_si256(from)) }
    }

    #[inline(always)]
    fn pick_near(self, value: __m256, from: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_permutevar_ps(value, _mm256_castps_si256(from)) }
    }

    #[inline(always)]
    fn lower_bf16(self, words: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(words))) }
    }

    #[inline(always)]
    fn upper_bf16(self, words: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe {
            let mask = _mm256_set1_epi32(0xFFFF_0000u32.cast_signed());
            _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(words), mask))
        }
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_cvtepi32_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16, count: usize) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let words = if count == 8 {
                _mm_loadu_si128(from.cast())
            } else {
                _mm_loadu_si128(gather::<_, 8>(from, count).as_ptr().cast())
            };
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(words)))
        }
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, count: usize) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(from, count))) }
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8, count: usize) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes(from, count))) }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: __m256, count: usize) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let upper = upper_half(value);
            let narrow =
                _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256::<1>(upper));
            if count == 8 {
                _mm_storeu_si128(to.cast(), narrow);
            } else {
                scatter(to.cast(), std::mem::transmute::<__m128i, [u16; 8]>(narrow), count);
            }
        }
    }

    // Packing takes a half of each vector in turn.
    #[inline(always)]
    unsafe fn store_packed_bf16(self, to: *mut bf16, [a, b, _, _]: [__m256; 4]) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let packed = _mm256_packus_epi32(upper_half(a), upper_half(b));
            _mm256_storeu_si256(to.cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: __m256, count: usize) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let words = rounded(value, 0.0, 255.0);
            scatter_bytes(to, _mm_packus_epi16(words, words), count);
        }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8, value: __m256, count: usize) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let words = rounded(value, -128.0, 127.0);
            scatter_bytes(to.cast(), _mm_packs_epi16(words, words), count);
        }
    }

    // What is above the range is cut off first, since no int32 may hold it; packing cuts off what is below, and NaN, which become the
    // least int32: `minps` gives its second operand. Packing takes a half of each vector in turn.
    #[inline(always)]
    unsafe fn store_packed_int8<const SIGNED: bool>(self, to: *mut u8, [a, b, _, _]: [__m256; 4]) {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let most = _mm256_set1_ps(if SIGNED { 127.0 } else { 255.0 });
            let [a, b] = [_mm256_min_ps(most, a), _mm256_min_ps(most, b)];
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b));
            let packed =
                if SIGNED { _mm256_packs_epi16(words, words) } else { _mm256_packus_epi16(words, words) };
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let bytes = _mm256_permutevar8x32_epi32(packed, order);
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(bytes));
        }
    }
}

/// Elements rounded to bf16, in the lower halves of their lanes. Adding half of the last place, less one where that is even, rounds; a
/// NaN is made quiet instead, so that it stays one.
///
/// # Safety
/// The machine must have AVX2.
#[inline(always)]
unsafe fn upper_half(value: __m256) -> __m256i {
    // SAFETY: the caller's contract.
    unsafe {
        let bits = _mm256_castps_si256(value);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
        _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan))
    }
}

/// The first `count` bytes, and zeros.
///
/// # Safety
/// `from` must be valid for reads of `count <= 8` bytes.
#[inline(always)]
unsafe fn bytes<T: Copy + Default>(from: *const T, count: usize) -> __m128i {
    const { assert!(size_of::<T>() == 1) };
    // SAFETY: the caller's contract.
    unsafe {
        if count == 8 {
            _mm_loadl_epi64(from.cast())
        } else {
            _mm_loadl_epi64(gather::<_, 8>(from, count).as_ptr().cast())
        }
    }
}

/// Writes the first `count` bytes.
///
/// # Safety
/// `to` must be valid for writes of `count <= 8` bytes. The machine must have AVX2.
#[inline(always)]
unsafe fn scatter_bytes(to: *mut u8, bytes: __m128i, count: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if count == 8 {
            _mm_storel_epi64(to.cast(), bytes);
        } else {
            scatter(to, _mm_cvtsi128_si64(bytes).to_le_bytes(), count);
        }
    }
}

/// Cuts elements to a range, NaN to its least, and rounds them. (`maxps` gives its second operand if either is NaN.)
///
/// # Safety
/// The machine must have AVX2.
#[inline(always)]
unsafe fn rounded(value: __m256, least: f32, most: f32) -> __m128i {
    // SAFETY: the caller's contract.
    unsafe {
        let cut = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(least)), _mm256_set1_ps(most));
        let numbers = _mm256_cvtps_epi32(cut);
        _mm_packs_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256::<1>(numbers))
    }
}

impl<const VNNI: bool> Integers for With<VNNI> {
    #[inline(always)]
    fn add_i16(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_add_epi16(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    #[inline(always)]
    fn sub_i16(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_sub_epi16(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    #[inline(always)]
    fn mul_i16(self, a: __m256, b: i16) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_mullo_epi16(_mm256_castps_si256(a), _mm256_set1_epi16(b))) }
    }

    #[inline(always)]
    fn shift_i16<const N: i32>(self, a: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_sll_epi16(_mm256_castps_si256(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn add_i32(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    #[inline(always)]
    fn sub_i32(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    #[inline(always)]
    fn shift_i32<const N: i32>(self, a: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_sll_epi32(_mm256_castps_si256(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn shift_down_i32<const N: i32>(self, a: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_sra_epi32(_mm256_castps_si256(a), _mm_cvtsi32_si128(N))) }
    }

    #[inline(always)]
    fn mul_i32(self, a: __m256, b: i32) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_mullo_epi32(_mm256_castps_si256(a), _mm256_set1_epi32(b))) }
    }

    #[inline(always)]
    fn add_pairs(self, x: __m256, w: __m256, sum: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe {
            if VNNI {
                let sum = _mm256_castps_si256(sum);
                let (x, w) = (_mm256_castps_si256(x), _mm256_castps_si256(w));
                return _mm256_castsi256_ps(_mm256_dpwssd_avx_epi32(sum, x, w));
            }
            let products = _mm256_madd_epi16(_mm256_castps_si256(x), _mm256_castps_si256(w));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum), products))
        }
    }

    // Each byte into the upper half of an int16, and down again with its sign.
    #[inline(always)]
    fn lower_i8(self, words: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe {
            let places = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13,
            ));
            let bytes = _mm256_shuffle_epi8(_mm256_castps_si256(words), places);
            _mm256_castsi256_ps(_mm256_srai_epi16::<8>(bytes))
        }
    }

    // Each byte into the upper half of an int16, and down again with its sign.
    #[inline(always)]
    fn upper_i8(self, words: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe {
            let places = _mm256_broadcastsi128_si256(_mm_setr_epi8(
                -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15,
            ));
            let bytes = _mm256_shuffle_epi8(_mm256_castps_si256(words), places);
            _mm256_castsi256_ps(_mm256_srai_epi16::<8>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_pairs<const MOVED: bool>(self, from: *const u8, count: usize) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe {
            let bytes = if count == Self::LANES {
                _mm_loadu_si128(from.cast())
            } else {
                _mm_loadu_si128(gather::<_, 16>(from, 2 * count).as_ptr().cast())
            };
            let bytes = if MOVED { _mm_xor_si128(bytes, _mm_set1_epi8(-128)) } else { bytes };
            _mm256_castsi256_ps(_mm256_cvtepu8_epi16(bytes))
        }
    }

    #[inline(always)]
    unsafe fn load_quarter(self, from: *const f32) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA; the pointer is the caller's contract.
        unsafe { _mm256_castpd_ps(_mm256_broadcast_sd(&from.cast::<f64>().read_unaligned())) }
    }

    #[inline(always)]
    fn xor(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA.
        unsafe { _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    // Without the instruction: the first and third of four as int16, and the second and fourth.
    #[inline(always)]
    fn add_quads(self, x: __m256, w: __m256, sum: __m256) -> __m256 {
        // SAFETY: `self` shows that the machine has AVX2 and FMA, and VNNI if it says so.
        unsafe {
            let (x, w) = (_mm256_castps_si256(x), _mm256_castps_si256(w));
            if VNNI {
                return _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(_mm256_castps_si256(sum), x, w));
            }
            let even = _mm256_madd_epi16(
                _mm256_and_si256(x, _mm256_set1_epi16(0xFF)),
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w)),
            );
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(x), _mm256_srai_epi16::<8>(w));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(sum), _mm256_add_epi32(even, odd)))
        }
    }
}
