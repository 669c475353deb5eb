//! What compiled networks run on: tensors of fixed shape, an arena, weights, threads and explicit SIMD kernels.
//!
//! A program uses this crate through `resnet`, which re-exports it; compiled code names what it needs from here.
//!
//! | module | what it is |
//! |---|---|
//! | [`tensor`], [`numbers`], [`arena`] | fixed-shape views, what they hold, and the memory that they are laid over |
//! | [`layer`] | the safe, typed layers that compiled code calls |
//! | [`kernels`], [`isa`] | the algorithms, and the instruction sets that they are compiled for |
//! | [`threads`] | the team that shares a layer out |
//! | [`weights`] | weight files, batch-norm folding, packing |
//! | [`network`], [`session`] | what a compiled network is, and how it is run |
//! | [`mod@reference`] | naive kernels, what every test compares with |

pub mod arena;
mod error;
pub mod isa;
pub mod kernels;
pub mod layer;
pub mod network;
pub mod numbers;
pub mod program;
pub mod reference;
pub mod session;
pub mod tensor;
pub mod threads;
pub mod weights;

pub use arena::{Arena, Views};
pub use error::Error;
pub use isa::{Isa, IsaError};
pub use layer::{Add, Conv2d, Copy, Interior, Pool2d, Softmax, clear_halo};
pub use network::{Context, Network};
pub use numbers::bf16;
pub use program::Program;
pub use session::{NoSession, Session};
pub use tensor::{Shape, Tensor};
pub use weights::Weights;

pub use resnet_plan as plan;
pub use resnet_plan::{Algorithm, ChannelOrder, Description, Plan, Precision, Preprocessing};
