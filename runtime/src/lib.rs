//! What compiled networks run on: tensors of fixed shape, an arena, weights, threads and explicit SIMD kernels.

pub mod arena;
mod error;
pub mod layer;
pub mod network;
pub mod tensor;
pub mod threads;

pub use error::Error;
pub use tensor::Tensor;
