//! The intermediate representation: a typed graph of operators with a text form that is printed and read back.

pub mod brief;
pub mod diff;
pub mod graph;
pub mod param;
pub mod print;
pub mod read;
pub mod ty;
pub mod verify;

pub use crate::ops::Op;
pub use graph::{Graph, Node, Output, Value};
pub use resnet_plan::Element;
pub use ty::Type;
