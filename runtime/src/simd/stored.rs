//! The elements of tensors, as they are read into vectors and written from them.

use crate::elements::bf16;
use crate::simd::Simd;

/// An element, as it is read into vectors and written from them.
pub(crate) trait Stored<S: Simd>: Copy {
    /// Whether there are no elements below zero, so that storing cuts them off.
    const POSITIVE: bool = false;
    /// Whether elements are int8, which have a quantization scale.
    const INT8: bool = size_of::<Self>() == 1;

    /// The first `count` elements, and zeros.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count <= LANES` elements.
    unsafe fn load(simd: S, from: *const Self, count: usize) -> S::Vector;

    /// Writes the first `count` elements, rounded.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count <= LANES` elements.
    unsafe fn store(simd: S, to: *mut Self, value: S::Vector, count: usize);

    /// [`Stored::store`], of the first [`Simd::PACKED`] whole vectors, one behind the other.
    ///
    /// # Safety
    /// `to` must be valid for writes of as many vectors of elements.
    #[inline(always)]
    unsafe fn store_packed(simd: S, to: *mut Self, values: [S::Vector; 4]) {
        for (index, value) in values.into_iter().enumerate().take(S::PACKED) {
            // SAFETY: the caller's contract.
            unsafe { Self::store(simd, to.add(index * S::LANES), value, S::LANES) };
        }
    }
}

impl<S: Simd> Stored<S> for f32 {
    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { if count >= S::LANES { simd.load(from) } else { simd.load_partial(from, count) } }
    }

    #[inline(always)]
    unsafe fn store(simd: S, to: *mut f32, value: S::Vector, count: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            if count >= S::LANES { simd.store(to, value) } else { simd.store_partial(to, value, count) }
        }
    }
}

macro_rules! stored {
    ($type:ty, $load:ident, $store:ident, $store_packed:ident $(, signed: $signed:literal)?) => {
        impl<S: Simd> Stored<S> for $type {
            $(const POSITIVE: bool = !$signed;)?

            #[inline(always)]
            unsafe fn load(simd: S, from: *const $type, count: usize) -> S::Vector {
                // SAFETY: the caller's contract.
                unsafe { simd.$load(from, count) }
            }

            #[inline(always)]
            unsafe fn store(simd: S, to: *mut $type, value: S::Vector, count: usize) {
                // SAFETY: the caller's contract.
                unsafe { simd.$store(to, value, count) }
            }

            #[inline(always)]
            unsafe fn store_packed(simd: S, to: *mut $type, values: [S::Vector; 4]) {
                // SAFETY: the caller's contract.
                unsafe { simd.$store_packed$(::<$signed>)?(to.cast(), values) }
            }
        }
    };
}

stored!(bf16, load_bf16, store_bf16, store_packed_bf16);
stored!(u8, load_u8, store_u8, store_packed_int8, signed: false);
stored!(i8, load_i8, store_i8, store_packed_int8, signed: true);
