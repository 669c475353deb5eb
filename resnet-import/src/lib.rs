//! Checkpoints of other frameworks: what their files hold, as graphs and tensors. Nothing in a file is ever executed.
#![forbid(unsafe_code)]

mod archive;
mod beside;
mod budget;
mod candidate;
mod check;
mod checkpoint;
mod difference;
mod error;
mod fit;
mod flat;
mod hdf5;
mod import;
mod keras;
mod model;
mod names;
mod npz;
mod onnx;
mod passes;
mod pickle;
mod read;
mod recognize;
mod safetensors;
mod shards;
mod slots;
mod strided;
mod torch;
mod weight;
pub mod write;
mod yaml;

pub use candidate::{Like, Specs};
pub use check::{Check, check};
pub use checkpoint::{Bytes, Checkpoint, Element, Tensor};
pub use error::Error;
pub use import::{Imported, import};
pub use model::Model;
pub use read::{Contents, parse, read};
pub use weight::{Format, Source, Weight};
