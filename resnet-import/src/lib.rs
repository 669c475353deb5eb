//! Checkpoints of other frameworks: what their files hold, as graphs and tensors. Nothing in a file is ever executed.
#![forbid(unsafe_code)]

mod archive;
mod beside;
mod budget;
mod candidate;
mod check;
pub mod checkpoint;
mod difference;
pub mod error;
mod fit;
mod flat;
mod hdf5;
mod import;
pub mod keras;
pub mod model;
pub mod npz;
pub mod onnx;
mod passes;
pub mod pickle;
mod recognize;
pub mod safetensors;
mod shards;
mod slots;
mod strided;
pub mod torch;
mod weight;
pub mod write;
mod yaml;

pub use candidate::Like;
pub use check::{Check, check};
pub use checkpoint::{Bytes, Checkpoint, Element, Tensor};
pub use error::Error;
pub use import::{Contents, Imported, import, read};
pub use model::Model;
pub use weight::{Format, Source, Weight};
