//! What networks run on, compiled or executed as plans: tensors of fixed shape, an arena, weights, threads and explicit SIMD kernels.
//!
//! A program uses this crate through `resnet`, which re-exports it; compiled code names what it needs from here.
//!
//! Its modules are floors: each imports only what is below it in this table, which begins at the top (`tests/floors.rs` has the list).
//!
//! | module | what it is |
//! |---|---|
//! | [`classifier`] | from an image to the names of what is in it |
//! | `batches` | any number of images, for a network of a fixed batch |
//! | [`session`], [`program`] | what runs a compiled network, and a plan as it is |
//! | [`mod@preprocessing`], [`mod@image`] | how an image becomes an input |
//! | [`layer`] | the safe, typed layers that compiled code calls |
//! | [`network`] | what a compiled network is |
//! | [`weights`] | weight files, batch-norm folding, packing |
//! | [`isa`] | instruction sets: which there are, and the kernels of each |
//! | [`kernels`] | the algorithms, and the type of a table of kernels |
//! | `simd` | vector operations, one instruction set a file |
//! | [`threads`] | the team that shares a layer out |
//! | [`arena`], [`tensor`] | memory, and the fixed-shape views that are laid over it |
//! | [`elements`], [`files`], `maps`, `error` | what tensors hold; how files are written and mapped; what can go wrong |
//! | [`mod@reference`] | naive kernels, what every test compares with; it imports nothing |

// Dots and tiles are x86-64's; what they are made with is there on all machines.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_imports, unused_macros))]

pub mod arena;
mod batches;
pub mod classifier;
pub mod elements;
mod error;
pub mod files;
pub mod image;
pub mod isa;
pub mod kernels;
pub mod layer;
mod maps;
pub mod network;
pub mod preprocessing;
pub mod program;
pub mod reference;
pub mod session;
mod simd;
pub mod tensor;
pub mod threads;
pub mod weights;

pub use arena::{Arena, Views};
pub use classifier::{Classifier, Guess, Guesser, NoClassifier, Scores};
pub use elements::bf16;
pub use error::{Error, IsaError};
pub use image::Image;
pub use isa::Isa;
pub use layer::{Interior, Layer, clear_halo};
pub use network::{Classes, Context, Network, Runs};
pub use preprocessing::Preprocessor;
pub use program::Program;
pub use session::{NoSession, Session};
pub use tensor::{Shape, Tensor};
pub use weights::Weights;

pub use resnet_plan as plan;
pub use resnet_plan::{
    Algorithm, ChannelOrder, Description, Interpolation, Plan, Precision, Preprocessing, Resize,
};
