//! Dot products of bf16 in f32: a bf16 is the upper half of a f32, so a word is two of them after a shift and a mask.

use crate::kernels::dot::Dot;
use crate::simd::Simd;

/// bf16, widened to the f32 of an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Widened<S>(pub(crate) S);

impl<S: Simd> Dot for Widened<S> {
    type Simd = S;
    type Sum = S::Vector;
    type Weight = [S::Vector; 2];
    type Input = [S::Vector; 2];
    const INTEGER: bool = false;

    #[inline(always)]
    unsafe fn assume() -> Self {
        // SAFETY: the caller's contract.
        Widened(unsafe { S::assume() })
    }

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { self.0.load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, sum: S::Vector) {
        // SAFETY: the caller's contract.
        unsafe { self.0.store(to.cast(), sum) }
    }

    #[inline(always)]
    unsafe fn weight(self, from: *const u32) -> [S::Vector; 2] {
        // SAFETY: the caller's contract.
        let words = unsafe { self.0.load(from.cast()) };
        [self.0.lower_bf16(words), self.0.upper_bf16(words)]
    }

    #[inline(always)]
    unsafe fn input(self, from: *const u32) -> [S::Vector; 2] {
        // SAFETY: the caller's contract.
        let words = self.0.splat(unsafe { from.cast::<f32>().read_unaligned() });
        [self.0.lower_bf16(words), self.0.upper_bf16(words)]
    }

    #[inline(always)]
    fn dot(self, x: [S::Vector; 2], w: [S::Vector; 2], sum: S::Vector) -> S::Vector {
        self.0.mul_add(x[1], w[1], self.0.mul_add(x[0], w[0], sum))
    }
}
