//! Checkpoints of other frameworks: what their files hold, as graphs and tensors. Nothing in a file is ever executed.
#![forbid(unsafe_code)]

pub mod archive;
pub mod budget;
pub mod checkpoint;
pub mod error;
pub mod hdf5;
pub mod keras;
pub mod model;
pub mod npz;
pub mod onnx;
pub mod pickle;
pub mod safetensors;
mod shards;
mod strided;
pub mod torch;

pub use checkpoint::{Bytes, Checkpoint, Element, Tensor};
pub use error::Error;
pub use model::Model;
