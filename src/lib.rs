//! Residual networks compiled ahead of time into plain Rust.
#![forbid(unsafe_code)]
