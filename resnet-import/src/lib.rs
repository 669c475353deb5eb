//! Checkpoints of other frameworks: what their files hold, as graphs and tensors. Nothing in a file is ever executed.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod error;
pub mod model;
pub mod onnx;

pub use checkpoint::{Bytes, Checkpoint, Element, Tensor};
pub use error::Error;
pub use model::Model;
