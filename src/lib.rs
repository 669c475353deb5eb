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
//! This crate only re-exports: the macros are in `resnet-macros`, a thin shell over the compiler `resnet-dsl`; what the
//! compiled code runs on is in `resnet-runtime`.
#![forbid(unsafe_code)]

pub use resnet_macros::{resnet, resnet50};
pub use resnet_runtime as runtime;
pub use resnet_runtime::{Error, Network, Session, Tensor};

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
