//! Vector operations on integers, int16 and int32, in the bits of vectors of words: what int8 is computed with. All of them
//! wrap.

use crate::simd::Simd;

/// Four int8, two int16 or one int32 in each lane of a vector.
pub(crate) trait Integers: Simd {
    /// `a + b`, two int16 a lane.
    fn add_i16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`, two int16 a lane.
    fn sub_i16(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b`, two int16 a lane.
    fn mul_i16(self, a: Self::Vector, b: i16) -> Self::Vector;

    /// `a * 2^N`, two int16 a lane.
    fn shift_i16<const N: i32>(self, a: Self::Vector) -> Self::Vector;

    /// `a + b`, an int32 a lane.
    fn add_i32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`, an int32 a lane.
    fn sub_i32(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * 2^N`, an int32 a lane.
    fn shift_i32<const N: i32>(self, a: Self::Vector) -> Self::Vector;

    /// `a / 2^N`, rounded down, an int32 a lane.
    fn shift_down_i32<const N: i32>(self, a: Self::Vector) -> Self::Vector;

    /// `a * b`, an int32 a lane.
    fn mul_i32(self, a: Self::Vector, b: i32) -> Self::Vector;

    /// `sum` and the products of two int16 a lane.
    fn add_pairs(self, x: Self::Vector, w: Self::Vector, sum: Self::Vector) -> Self::Vector;

    /// The first two of four int8 a lane, as int16.
    fn lower_i8(self, words: Self::Vector) -> Self::Vector;

    /// The last two of four int8 a lane, as int16.
    fn upper_i8(self, words: Self::Vector) -> Self::Vector;

    /// The first `count` pairs of u8 as int16, and what zeros are; or of int8, `MOVED` by 128.
    ///
    /// # Safety
    /// `from` must be valid for reads of `2 * count` elements; `count <= LANES`.
    unsafe fn load_pairs<const MOVED: bool>(self, from: *const u8, count: usize) -> Self::Vector;

    /// As many int8 as there are lanes, in words of four, four times over.
    ///
    /// # Safety
    /// `from` must be valid for reads of a quarter of a vector.
    unsafe fn load_quarter(self, from: *const f32) -> Self::Vector;

    /// The bits that one of them has.
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Signed int8, four a lane, moved by 128.
    #[inline(always)]
    fn move_i8(self, words: Self::Vector) -> Self::Vector {
        self.xor(words, self.splat(f32::from_bits(0x8080_8080)))
    }

    /// `sum` and the products of four unsigned int8 and four signed ones a lane.
    fn add_quads(self, x: Self::Vector, w: Self::Vector, sum: Self::Vector) -> Self::Vector;
}
