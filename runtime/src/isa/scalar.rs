//! Plain Rust, four numbers at a time: the baseline of every machine, and what others are compared with.

use crate::isa::Simd;

/// No instruction set at all.
#[derive(Clone, Copy)]
struct Scalar(());

impl Scalar {
    /// # Safety
    /// None needed: every machine can do this. The signature is that of the other instruction sets.
    #[inline(always)]
    unsafe fn assume() -> Self {
        Scalar(())
    }
}

impl Simd for Scalar {
    type Vector = [f32; 4];
    const LANES: usize = 4;

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
        let mut vector = [0.0; 4];
        for (lane, number) in vector.iter_mut().enumerate().take(count) {
            // SAFETY: `lane < count`, which the caller's contract covers.
            *number = unsafe { *from.add(lane) };
        }
        vector
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: [f32; 4]) {
        // SAFETY: the caller's contract.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: [f32; 4], count: usize) {
        for (lane, number) in value.into_iter().enumerate().take(count) {
            // SAFETY: `lane < count`, which the caller's contract covers.
            unsafe { *to.add(lane) = number };
        }
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

    // Not `f32::mul_add`: without the instruction that is a call of the C library for each number.
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if a[lane] > b[lane] || a[lane].is_nan() { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn at_least(self, floor: [f32; 4], value: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if value[lane] < floor[lane] { floor[lane] } else { value[lane] })
    }
}

super::kernels!(Scalar, , tile: 4, vectors: 2);
