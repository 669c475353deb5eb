//! The compiler.
#![forbid(unsafe_code)]

pub mod codegen;
pub mod diag;
pub mod ir;
pub mod ops;
pub mod pass;
pub mod plan;
pub mod spec;
