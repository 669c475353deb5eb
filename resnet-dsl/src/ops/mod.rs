//! The operators: attributes, shape rule, cost and text of each side by side.

mod activation;
mod attributes;
mod blur;
mod channel_conv;
mod conv;
pub(crate) mod cost;
mod dense;
mod norm;
mod pool;
mod reduce;
pub mod shape;
mod subsample;
mod window;

pub use activation::Activation;
pub use attributes::{Attributes, Text};
pub use blur::Blur;
pub use channel_conv::ChannelConv;
pub use conv::Conv2d;
pub use dense::Dense;
pub use norm::{GroupNorm, within};
pub use pool::{AveragePool, Pool};
pub use reduce::{Exponent, GemPool, Over, StatisticsPool};
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
