//! Plain Rust: the baseline of every machine, and what others are compared with.

use crate::kernels::dot::{Dot, dot_kernel};
use crate::kernels::table::{Kernels, kernels};
use crate::kernels::widened::Widened;
use crate::simd::Simd;
use crate::simd::scalar::Scalar;

/// int8, four products at a time.
#[derive(Clone, Copy)]
struct Bytes<const SIGNED: bool>(Scalar);

impl<const SIGNED: bool> Dot for Bytes<SIGNED> {
    type Simd = Scalar;
    type Sum = [i32; 4];
    type Weight = [[i8; 4]; 4];
    type Input = [i32; 4];
    const INTEGER: bool = true;

    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Bytes(unsafe { Scalar::assume() })
    }

    #[inline(always)]
    fn simd(self) -> Scalar {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> [i32; 4] {
        // SAFETY: the caller's contract.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: [i32; 4]) {
        // SAFETY: the caller's contract.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> [[i8; 4]; 4] {
        // SAFETY: the caller's contract.
        unsafe { from.cast::<[[i8; 4]; 4]>().read_unaligned() }
    }

    // Signed elements are moved by 128, as where the machine multiplies unsigned by signed ones only: the sums begin with what
    // that adds to them.
    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> [i32; 4] {
        // SAFETY: the caller's contract.
        let word = unsafe { from.cast::<[u8; 4]>().read_unaligned() };
        word.map(|number| i32::from(if SIGNED { number ^ 0x80 } else { number }))
    }

    #[inline(always)]
    fn dot(self, x: [i32; 4], w: [[i8; 4]; 4], sum: [i32; 4]) -> [i32; 4] {
        std::array::from_fn(|lane| {
            let w = w[lane];
            let products = (0..4).fold(0, |products, i| products + x[i] * i32::from(w[i]));
            sum[lane].wrapping_add(products)
        })
    }
}

pub(super) fn is_available() -> bool {
    true
}

pub(super) const KERNELS: Kernels = kernels!("scalar", Scalar, [], tile: 4, vectors: 2,
    bf16: dot_kernel!("scalar", Widened<Scalar>, Widened<Scalar>, [], tile: 4, vectors: 2),
    int8: dot_kernel!("scalar", Bytes<false>, Bytes<true>, [], tile: 4, vectors: 2));
