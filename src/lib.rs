//! Residual networks compiled ahead of time into plain Rust.
//!
//! ```
//! resnet::resnet! { pub struct Digits; model "digits" }
//!
//! fn main() -> Result<(), resnet::Error> {
//!     let net = Digits::init(0); // or Digits::load("digits.safetensors")?
//!     let mut session = net.session();
//!     let pixels = vec![0.0; 28 * 28];
//!     let image = resnet::Tensor::<f32, 1, 28, 28, 1>::from_slice(&pixels)?;
//!     let scores = session.run(image)?;
//!     assert_eq!(scores.as_slice().len(), 10);
//!     Ok(())
//! }
//! ```
//!
//! The procedural macro behind these is in `resnet-macros`, a thin shell over the compiler `resnet-dsl`; what the compiled code runs
//! on is in `resnet-runtime`.
#![forbid(unsafe_code)]

pub use resnet_runtime as runtime;
pub use resnet_runtime::{
    Classifier, Error, Guess, Image, Network, Preprocessor, Runs, Scores, Session, Tensor,
};

#[doc(hidden)]
pub use resnet_macros::network as __network;

/// Compiles a residual network into a type of your own.
///
/// ```ignore
/// resnet::resnet! { pub struct Digits; include "specs/digits.yaml" }
/// resnet::resnet! { pub struct Pets; include "specs/pets.yaml", weights: "models/pets.safetensors" }
/// resnet::resnet! { pub struct Head6; model "torchvision/resnet50", classes: 6, input: 160x160x3, batch: 8 }
/// ```
/// The source is `include`, a spec of yours, or `model`, one that ships with the compiler. Behind it, as you need them:
///
/// | argument | |
/// |---|---|
/// | `weights: "file"` | Puts the weights into the program: see `embedded` of the type. |
/// | `classes: 6` | Overrides the spec, as the next four do. |
/// | `input: 160x160x3` | Height x width x channels. |
/// | `batch: 8` | Images a run. |
/// | `winograd: off` | Whether convolutions may be computed by Winograd's algorithm. |
/// | `precision: bf16` | `f32`, `bf16`, `int8` or `int8 { calibration: "table.yaml" }` |
/// | `crate = some::path` | Where this crate is, for a macro of your own that calls this one. |
///
/// A file is relative to the folder of your `Cargo.toml`, or absolute; `env!("NAME")` and `concat!(..)` may make it up, as in
/// `include concat!(env!("OUT_DIR"), "/pets.yaml")`.
///
/// The constants and methods of the type are documented with it (`cargo doc`), and on the page `docs/generated-type.md`.
#[macro_export]
macro_rules! resnet {
    ($($tokens:tt)*) => { $crate::__network! { ($crate) $($tokens)* } };
}

/// `resnet! { pub struct ResNet50; ... }`
///
/// ```ignore
/// resnet::resnet50! { include "specs/resnet50.yaml" }
/// ```
#[macro_export]
macro_rules! resnet50 {
    ($($tokens:tt)*) => { $crate::__network! { ($crate) pub struct ResNet50; $($tokens)* } };
}
