//! What compiler and runtime both have to know, once: what values hold and where they lie, how layers are computed and what
//! that needs, the steps of a plan and the weights that they take.
//!
//! The compiler makes a [`Plan`]. It is written down as Rust, whose layers are made by the constant functions of this crate
//! when the user's program is compiled; or it is executed as it is, once [`check`](check::check) has found nothing wrong with it.
//!
//! | module | what it is |
//! |---|---|
//! | [`element`] | what values hold, and precisions |
//! | [`pixels`] | tensors, values in them, and where pixels lie in memory |
//! | [`activation`] | functions of one element that layers end with |
//! | [`conv`], [`pool`], [`copy`], [`elementwise`], [`moments`] | geometry: made and checked by constant functions, taken by kernels |
//! | [`algorithm`], [`winograd`] | how convolutions are computed, and the memory that takes |
//! | [`plan`], [`action`] | steps over buffers; what a step does, and asks of a kernel |
//! | [`mod@check`] | the checker of plans |
//! | [`description`], [`list`], [`text`] | weights, sizes, labels; the text form of what a layer loads |
//! | [`constant`] | values of a plan as Rust |
//! | [`preprocessing`] | how an image becomes an input |
#![forbid(unsafe_code)]

pub mod action;
pub mod activation;
pub mod algorithm;
pub mod check;
pub mod constant;
pub mod conv;
pub mod copy;
pub mod description;
pub mod element;
pub mod elementwise;
pub mod list;
pub mod moments;
mod nearest;
pub mod pixels;
pub mod plan;
pub mod pool;
pub mod preprocessing;
mod print;
pub mod text;
pub mod winograd;

/// What descriptions hold text and lists as.
pub use std::borrow::Cow;

pub use action::{Action, Operand, Task};
pub use activation::Activation;
pub use algorithm::{Algorithm, Algorithms, Class};
pub use check::check;
pub use constant::Constant;
pub use conv::{Conv, ConvGeometry, Convolution, Residual, Split};
pub use copy::CopyGeometry;
pub use description::{
    BatchNorm, Description, Ending, Kernel, KernelLayout, LayerWeights, Role, Slope, Text, WeightTensor,
};
pub use element::{Element, Precision};
pub use elementwise::{Elementwise, Operator, Scales};
pub use list::{ListKind, ListWeights};
pub use nearest::nearest;
pub use pixels::{Area, Dims, Fault, Pixels};
pub use plan::{Buffer, Output, Plan, Section, Step, View};
pub use pool::{Pool, PoolGeometry, PoolKind};
pub use preprocessing::{ChannelOrder, Interpolation, Preprocessing, Resize};
