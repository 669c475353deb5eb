//! Plain Rust, four elements at a time, for every machine.

use crate::elements::bf16;
use crate::simd::{Integers, Simd, gather, scatter};

/// No instruction set at all.
#[derive(Clone, Copy)]
pub(crate) struct Scalar(());

impl Simd for Scalar {
    type Vector = [f32; 4];
    const LANES: usize = 4;
    const PACKED: usize = 1;
    const FETCHES: bool = false;

    #[inline(always)]
    unsafe fn assume() -> Self {
        Scalar(())
    }

    #[inline(always)]
    fn prefetch(self, _: *const f32) {}

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; 4] {
        // SAFETY: the caller's contract; the read needs no alignment beyond that of f32.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> [f32; 4] {
        // SAFETY: the caller's contract.
        unsafe { some(from, count) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: [f32; 4]) {
        // SAFETY: the caller's contract.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: [f32; 4], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { put(to, value, count) }
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }

    // Not `f32::mul_add`: without the instruction that is a call of the C library for each element.
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn fused_mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            return std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]));
        }
        // In double precision the product is exact; the sum is rounded there, and then to f32. That is the same as one rounding, unless the
        // first gives the middle of two f32. Subnormal f32 have other middles, so all such sums count as doubtful; but not zero, which is
        // always exact.
        const FINER: u32 = f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS;
        let product = |lane: usize| f64::from(a[lane]) * f64::from(b[lane]);
        let sums: [f64; 4] = std::array::from_fn(|lane| product(lane) + f64::from(c[lane]));
        let is_middle = |sum: f64| sum.to_bits() << (64 - FINER) == 1 << 63;
        let is_small = |sum: f64| sum != 0.0 && sum.abs() < f64::from(f32::MIN_POSITIVE);
        // (`|` and not `||`: one branch for all lanes.)
        if sums.iter().fold(false, |any, sum| any | is_middle(*sum) | is_small(*sum)) {
            return std::array::from_fn(|lane| odd_sum(product(lane), f64::from(c[lane])) as f32);
        }
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if a[lane] > b[lane] || a[lane].is_nan() { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn at_least(self, floor: [f32; 4], value: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if value[lane] < floor[lane] { floor[lane] } else { value[lane] })
    }

    #[inline(always)]
    fn at_most(self, ceiling: [f32; 4], value: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if value[lane] > ceiling[lane] { ceiling[lane] } else { value[lane] })
    }

    #[inline(always)]
    fn pick(self, value: [f32; 4], from: [f32; 4]) -> [f32; 4] {
        from.map(|lane| value[lane.to_bits() as usize % 4])
    }

    #[inline(always)]
    fn lower_bf16(self, words: [f32; 4]) -> [f32; 4] {
        words.map(|word| f32::from_bits(word.to_bits() << 16))
    }

    #[inline(always)]
    fn upper_bf16(self, words: [f32; 4]) -> [f32; 4] {
        words.map(|word| f32::from_bits(word.to_bits() & 0xFFFF_0000))
    }

    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> [f32; 4] {
        // SAFETY: the caller's contract.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }.map(|number| number as f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16, count: usize) -> [f32; 4] {
        // SAFETY: the caller's contract.
        unsafe { some::<_, 4>(from, count) }.map(bf16::to_f32)
    }

    #[inline(always)]
    unsafe fn load_u8(self, from: *const u8, count: usize) -> [f32; 4] {
        // SAFETY: the caller's contract.
        unsafe { some::<_, 4>(from, count) }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8, count: usize) -> [f32; 4] {
        // SAFETY: the caller's contract.
        unsafe { some::<_, 4>(from, count) }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, value: [f32; 4], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { put(to, value.map(bf16::from_f32), count) }
    }

    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: [f32; 4], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { put(to, value.map(|number| rounded(number, 0.0, 255.0) as u8), count) }
    }

    #[inline(always)]
    unsafe fn store_i8(self, to: *mut i8, value: [f32; 4], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { put(to, value.map(|number| rounded(number, -128.0, 127.0) as i8), count) }
    }
}

impl Integers for Scalar {
    #[inline(always)]
    fn add_i16(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        let (a, b) = (pairs(a), pairs(b));
        of_pairs(std::array::from_fn(|place| a[place].wrapping_add(b[place])))
    }

    #[inline(always)]
    fn sub_i16(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        let (a, b) = (pairs(a), pairs(b));
        of_pairs(std::array::from_fn(|place| a[place].wrapping_sub(b[place])))
    }

    #[inline(always)]
    fn mul_i16(self, a: [f32; 4], b: i16) -> [f32; 4] {
        of_pairs(pairs(a).map(|number| number.wrapping_mul(b)))
    }

    #[inline(always)]
    fn shift_i16<const N: i32>(self, a: [f32; 4]) -> [f32; 4] {
        of_pairs(pairs(a).map(|number| number << N))
    }

    #[inline(always)]
    fn add_i32(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| whole(number(a[lane]).wrapping_add(number(b[lane]))))
    }

    #[inline(always)]
    fn sub_i32(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| whole(number(a[lane]).wrapping_sub(number(b[lane]))))
    }

    #[inline(always)]
    fn shift_i32<const N: i32>(self, a: [f32; 4]) -> [f32; 4] {
        a.map(|a| whole(number(a) << N))
    }

    #[inline(always)]
    fn shift_down_i32<const N: i32>(self, a: [f32; 4]) -> [f32; 4] {
        a.map(|a| whole(number(a) >> N))
    }

    #[inline(always)]
    fn mul_i32(self, a: [f32; 4], b: i32) -> [f32; 4] {
        a.map(|a| whole(number(a).wrapping_mul(b)))
    }

    // The one operation that the compiler does not find the instruction for, which every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn add_pairs(self, x: [f32; 4], w: [f32; 4], sum: [f32; 4]) -> [f32; 4] {
        use std::arch::x86_64::{__m128i, _mm_add_epi32, _mm_madd_epi16};
        use std::mem::transmute;
        // SAFETY: x86-64 has SSE2; all types are sixteen plain bytes.
        unsafe {
            let [x, w, sum] = [x, w, sum].map(|vector| transmute::<[f32; 4], __m128i>(vector));
            transmute::<__m128i, [f32; 4]>(_mm_add_epi32(sum, _mm_madd_epi16(x, w)))
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn add_pairs(self, x: [f32; 4], w: [f32; 4], sum: [f32; 4]) -> [f32; 4] {
        let (x, w) = (pairs(x), pairs(w));
        std::array::from_fn(|lane| {
            let product = |place: usize| i32::from(x[place]) * i32::from(w[place]);
            whole(number(sum[lane]).wrapping_add(product(2 * lane).wrapping_add(product(2 * lane + 1))))
        })
    }

    #[inline(always)]
    fn lower_i8(self, words: [f32; 4]) -> [f32; 4] {
        of_pairs(std::array::from_fn(|place| byte(words, place / 2, place % 2)))
    }

    #[inline(always)]
    fn upper_i8(self, words: [f32; 4]) -> [f32; 4] {
        of_pairs(std::array::from_fn(|place| byte(words, place / 2, 2 + place % 2)))
    }

    #[inline(always)]
    unsafe fn load_pairs<const MOVED: bool>(self, from: *const u8, count: usize) -> [f32; 4] {
        // SAFETY: the caller's contract.
        let bytes = unsafe { some::<_, 8>(from, 2 * count) };
        of_pairs(bytes.map(|byte| i16::from(if MOVED { byte ^ 0x80 } else { byte })))
    }

    #[inline(always)]
    unsafe fn load_quarter(self, from: *const f32) -> [f32; 4] {
        // SAFETY: the caller's contract.
        [unsafe { from.read_unaligned() }; 4]
    }

    #[inline(always)]
    fn xor(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| f32::from_bits(a[lane].to_bits() ^ b[lane].to_bits()))
    }

    #[inline(always)]
    fn add_quads(self, x: [f32; 4], w: [f32; 4], sum: [f32; 4]) -> [f32; 4] {
        let halves = |first: u32| x.map(|word| f32::from_bits(word.to_bits() >> first & 0x00FF_00FF));
        let weights = |first: u32| w.map(|word| whole(number(word) << (8 - first)));
        let signed = |words| of_pairs(pairs(words).map(|half| half >> 8));
        let sum = self.add_pairs(halves(0), signed(weights(0)), sum);
        self.add_pairs(halves(8), signed(weights(8)), sum)
    }
}

/// [`gather`], of a whole vector without a loop. What is left behind whole vectors is a call: inlined, it would be most of the code.
///
/// # Safety
/// As [`gather`].
#[inline(always)]
unsafe fn some<T: Copy + Default, const N: usize>(from: *const T, count: usize) -> [T; N] {
    #[inline(never)]
    unsafe fn part<T: Copy + Default, const N: usize>(from: *const T, count: usize) -> [T; N] {
        // SAFETY: the caller's contract.
        unsafe { gather(from, count) }
    }
    // SAFETY: the caller's contract.
    unsafe { if count == N { from.cast::<[T; N]>().read_unaligned() } else { part(from, count) } }
}

/// [`scatter`], as [`some`].
///
/// # Safety
/// As [`scatter`].
#[inline(always)]
unsafe fn put<T: Copy, const N: usize>(to: *mut T, numbers: [T; N], count: usize) {
    #[inline(never)]
    unsafe fn part<T: Copy, const N: usize>(to: *mut T, numbers: &[T; N], count: usize) {
        // SAFETY: the caller's contract.
        unsafe { scatter(to, *numbers, count) }
    }
    // SAFETY: the caller's contract.
    unsafe {
        if count == N { to.cast::<[T; N]>().write_unaligned(numbers) } else { part(to, &numbers, count) }
    }
}

/// A lane as an int32.
#[inline(always)]
fn number(lane: f32) -> i32 {
    lane.to_bits().cast_signed()
}

/// `a + b`, rounded to the one of two neighbours whose last bit is 1, unless it is exact: f32 that are made of it are rounded as if of the exact
/// sum (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd").
fn odd_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    // What rounding took away, exactly (Knuth, The Art of Computer Programming, volume 2, section 4.2.2).
    let of_b = sum - a;
    let error = (a - (sum - of_b)) + (b - of_b);
    // (NaN, of what is not finite, is no error.)
    match sum.to_bits() {
        bits if bits & 1 == 1 || error.is_nan() || error == 0.0 => sum,
        bits if (error > 0.0) == (sum > 0.0) => f64::from_bits(bits + 1),
        bits => f64::from_bits(bits - 1),
    }
}

/// An int32 as a lane.
#[inline(always)]
fn whole(number: i32) -> f32 {
    f32::from_bits(number.cast_unsigned())
}

/// The int16 of all lanes.
#[inline(always)]
fn pairs(vector: [f32; 4]) -> [i16; 8] {
    std::array::from_fn(|place| (vector[place / 2].to_bits() >> (16 * (place % 2))) as u16 as i16)
}

/// Lanes of int16.
#[inline(always)]
fn of_pairs(numbers: [i16; 8]) -> [f32; 4] {
    std::array::from_fn(|lane| {
        let [lower, upper] = [0, 1].map(|place| u32::from(numbers[2 * lane + place].cast_unsigned()));
        f32::from_bits(lower | upper << 16)
    })
}

/// An int8 of a lane.
#[inline(always)]
fn byte(words: [f32; 4], lane: usize, place: usize) -> i16 {
    i16::from(words[lane].to_bits().to_le_bytes()[place].cast_signed())
}

/// Cuts an element to a range, NaN to its least, and rounds it to the nearest integer, an even one if it lies in the middle.
#[inline(always)]
fn rounded(number: f32, least: f32, most: f32) -> f32 {
    let cut = if number > least { number } else { least };
    let cut = if cut < most { cut } else { most };
    // From here on f32 are whole numbers, so the addition rounds. (`round_ties_even` is a call of the C library where there is
    // no instruction for it.)
    const INTEGER: f32 = 12_582_912.0;
    (cut + INTEGER) - INTEGER
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where double precision alone would round twice, and anywhere.
    #[test]
    fn fused_mul_add_rounds_once() {
        // SAFETY: every machine has the scalar instruction set.
        let simd = unsafe { Scalar::assume() };
        let check = |[a, b, c]: [f32; 3]| {
            let found = simd.fused_mul_add([1.0, a, 0.0, a], [2.0, b, b, -b], [0.5, c, c, c]);
            let expected = [2.5, a.mul_add(b, c), 0.0f32.mul_add(b, c), a.mul_add(-b, c)];
            let bits = |numbers: [f32; 4]| numbers.map(|n| Some(n.to_bits()).filter(|_| !n.is_nan()));
            assert_eq!(bits(found), bits(expected), "{a:e} * {b:e} + {c:e}");
        };
        // The product is the middle of two f32; double precision loses what is added to it.
        let (middle, tiny) = (1.0 + 2f32.powi(-12), 2f32.powi(-80));
        for c in [0.0, tiny, -tiny, f32::INFINITY, f32::NAN] {
            check([middle, middle, c]);
        }
        // Subnormal: an odd number, and a product just below half of its last place.
        let root = 2f32.powi(-75);
        check([root * (1.0 + f32::EPSILON), root * (1.0 - f32::EPSILON), f32::from_bits(0x0040_0001)]);
        let mut state = 1u64;
        for _ in 0..200_000 {
            let numbers = std::array::from_fn(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                f32::from_bits((state >> 32) as u32)
            });
            check(numbers);
            // As epilogues have them: integers, and numbers of about their size.
            let [a, b, c] = numbers.map(|number| number.to_bits());
            check([(a % 512) as f32, 1.0 + b as f32 / 2f32.powi(32), (c as i32 >> 20) as f32 / 8.0]);
        }
    }
}
