//! Specs: the language a network is described in.

pub mod network;
