//! Vector operations, one instruction set a file: what kernels are written in.
//!
//! The lowest floor of the runtime: of this crate it imports only [`elements`](crate::elements), the elements that vectors are
//! read from.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod integers;
pub(crate) mod scalar;
mod stored;

use crate::elements::bf16;

pub(crate) use integers::Integers;
pub(crate) use stored::Stored;

/// Lanes of the scalar kernels, which are no vectors: they do without code of their own for whole ones.
pub(crate) const FEW_LANES: usize = 4;

/// Whether the processor is AMD's or of its design: those have SSE4a, Intel's do not. `prefetchnta` and `vdpbf16ps` are fast on them only.
pub(crate) fn is_amd() -> bool {
    #[cfg(target_arch = "x86_64")]
    let found = is_x86_feature_detected!("sse4a");
    #[cfg(not(target_arch = "x86_64"))]
    let found = false;
    found
}

/// The vector operations that the algorithms are written in. A value of the type shows that the machine has them.
pub(crate) trait Simd: Copy {
    /// A vector of [`Self::LANES`] elements.
    type Vector: Copy;
    /// Elements in a vector.
    const LANES: usize;
    /// Vectors that are stored together as bf16 or int8: at most four.
    const PACKED: usize;
    /// Whether a prefetch does anything.
    const FETCHES: bool;

    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn assume() -> Self;

    /// Has the cache line at an address fetched into the L2 cache, if there is one; any address will do.
    fn prefetch(self, from: *const f32);

    /// Whether this machine gains by [`Simd::prefetch_once`].
    fn fetches_once() -> bool {
        false
    }

    /// As [`Simd::prefetch`], for what is read once: it is the first to give way, and does not go on to the next cache. Used only where that
    /// is faster: see [`Simd::fetches_once`].
    fn prefetch_once(self, from: *const f32) {
        self.prefetch(from);
    }

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;

    /// # Safety
    /// `from` must be valid for reads of a whole vector.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// The first `count` elements, and zeros.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count <= LANES` elements.
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector;

    /// # Safety
    /// `to` must be valid for writes of a whole vector.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);

    /// Writes the first `count` elements.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count <= LANES` elements.
    unsafe fn store_partial(self, to: *mut f32, value: Self::Vector, count: usize);

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`, rounded once if the instruction set has an instruction for it, else twice.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `a * b + c`, rounded once on every instruction set, slowly where there is no instruction for it. Whoever rounds twice in
    /// [`Simd::mul_add`] must define this.
    #[inline(always)]
    fn fused_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.mul_add(a, b, c)
    }

    /// The larger of each pair; NaN if either is.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The larger of each pair; NaN where `value` is. `floor` holds none.
    fn at_least(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector;

    /// The smaller of each pair; NaN where `value` is. `ceiling` holds none.
    fn at_most(self, ceiling: Self::Vector, value: Self::Vector) -> Self::Vector;

    /// The lanes of a vector by their numbers, whose bits are in the lanes of `from`. Those are below [`Self::LANES`].
    fn pick(self, value: Self::Vector, from: Self::Vector) -> Self::Vector;

    /// [`Simd::pick`], of lanes among the same four neighbours.
    #[inline(always)]
    fn pick_near(self, value: Self::Vector, from: Self::Vector) -> Self::Vector {
        self.pick(value, from)
    }

    /// The bf16 in the lower half of each lane.
    fn lower_bf16(self, words: Self::Vector) -> Self::Vector;

    /// The bf16 in the upper half of each lane.
    fn upper_bf16(self, words: Self::Vector) -> Self::Vector;

    /// A vector of i32, each rounded to the nearest f32.
    ///
    /// # Safety
    /// `from` must be valid for reads of a whole vector.
    unsafe fn load_i32(self, from: *const i32) -> Self::Vector;

    /// The first `count` elements, and zeros.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count <= LANES` elements.
    unsafe fn load_bf16(self, from: *const bf16, count: usize) -> Self::Vector;

    /// # Safety
    /// As [`Simd::load_bf16`].
    unsafe fn load_u8(self, from: *const u8, count: usize) -> Self::Vector;

    /// # Safety
    /// As [`Simd::load_bf16`].
    unsafe fn load_i8(self, from: *const i8, count: usize) -> Self::Vector;

    /// Writes the first `count` elements, each rounded to the nearest bf16, an even one if it lies in the middle.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count <= LANES` elements.
    unsafe fn store_bf16(self, to: *mut bf16, value: Self::Vector, count: usize);

    /// Writes the first `count` elements, each cut to the range and rounded to the nearest, an even one if it lies in the
    /// middle; NaN becomes the least.
    ///
    /// # Safety
    /// As [`Simd::store_bf16`].
    unsafe fn store_u8(self, to: *mut u8, value: Self::Vector, count: usize);

    /// [`Simd::store_u8`], of elements from -128 to 127.
    ///
    /// # Safety
    /// As [`Simd::store_bf16`].
    unsafe fn store_i8(self, to: *mut i8, value: Self::Vector, count: usize);

    /// [`Simd::store_bf16`], of the first [`Simd::PACKED`] whole vectors, one behind the other.
    ///
    /// # Safety
    /// `to` must be valid for writes of as many vectors of elements.
    #[inline(always)]
    unsafe fn store_packed_bf16(self, to: *mut bf16, values: [Self::Vector; 4]) {
        for (index, value) in values.into_iter().enumerate().take(Self::PACKED) {
            // SAFETY: the caller's contract.
            unsafe { self.store_bf16(to.add(index * Self::LANES), value, Self::LANES) };
        }
    }

    /// [`Simd::store_i8`] if `SIGNED`, else [`Simd::store_u8`], of the first [`Simd::PACKED`] whole vectors, one behind the other.
    ///
    /// # Safety
    /// `to` must be valid for writes of as many vectors of elements.
    #[inline(always)]
    unsafe fn store_packed_int8<const SIGNED: bool>(self, to: *mut u8, values: [Self::Vector; 4]) {
        for (index, value) in values.into_iter().enumerate().take(Self::PACKED) {
            // SAFETY: the caller's contract.
            unsafe {
                let to = to.add(index * Self::LANES);
                if SIGNED {
                    self.store_i8(to.cast(), value, Self::LANES);
                } else {
                    self.store_u8(to, value, Self::LANES);
                }
            }
        }
    }
}

/// The first `count` elements of a vector's, in memory that may be read as a whole, and zeros.
///
/// # Safety
/// `from` must be valid for reads of `count <= N` elements.
#[inline(always)]
unsafe fn gather<T: Copy + Default, const N: usize>(from: *const T, count: usize) -> [T; N] {
    let mut numbers = [T::default(); N];
    for (lane, number) in numbers.iter_mut().enumerate().take(count) {
        // SAFETY: `lane < count`, which the caller's contract covers.
        *number = unsafe { *from.add(lane) };
    }
    numbers
}

/// Writes the first `count` elements.
///
/// # Safety
/// `to` must be valid for writes of `count <= N` elements.
#[inline(always)]
unsafe fn scatter<T: Copy, const N: usize>(to: *mut T, numbers: [T; N], count: usize) {
    for (lane, number) in numbers.into_iter().enumerate().take(count) {
        // SAFETY: `lane < count`, which the caller's contract covers.
        unsafe { *to.add(lane) = number };
    }
}
