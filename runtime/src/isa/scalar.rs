//! Plain Rust: the baseline of every machine, and what others are compared with.

use crate::kernels::table::{Kernels, kernels};
use crate::simd::scalar::Scalar;

pub(super) fn is_available() -> bool {
    true
}

pub(super) const KERNELS: Kernels = kernels!("scalar", Scalar, [], tile: 4, vectors: 2);
