//! The operators: attributes, shape rule, cost and text of each side by side.

mod attributes;
mod conv;
pub(crate) mod cost;
mod dense;
mod pool;
pub mod shape;
mod subsample;
mod window;

pub use attributes::{Attributes, Text};
pub use conv::Conv2d;
pub use dense::Dense;
pub use pool::{AveragePool, Pool};
pub use subsample::Subsample;
pub use window::{Padding, Sides, resolve};

pub use resnet_plan::Dims;

/// Why operands do not fit an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ShapeError {
    /// What does not fit.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ShapeError {
    /// An error without advice.
    pub fn new(message: impl Into<String>) -> Self {
        ShapeError { message: message.into(), help: None }
    }

    /// The same with advice.
    pub fn help(mut self, advice: impl Into<String>) -> Self {
        self.help = Some(advice.into());
        self
    }
}
