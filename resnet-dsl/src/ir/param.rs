//! Weights as expressions. A fold only rewrites the expression; the values are computed when weights are loaded.
//!
//! ```text
//! @w:oihw                            the tensor
//! fold(@w:oihw,norm(..))             with the batch norm behind the layer
//! fold(norm(..),@w:oihw)             with the batch norm before the layer
//! fold(norm(..),@w:oihw,norm(..))    with both
//! ```
//! A bias is written likewise; without a tensor, `0` stands for it.

use std::fmt;
use std::str::FromStr;

use resnet_plan::text::tensor_name;
use resnet_plan::{BatchNorm, Kernel, Text};

/// A tensor of the weight file, and the batch norms that are folded into it.
#[derive(Clone, Debug, PartialEq)]
pub struct Param<T> {
    /// The batch norm that the layer's input goes through.
    pub input_norm: Option<BatchNorm>,
    /// What is loaded.
    pub tensor: T,
    /// The batch norm that the layer's sums go through.
    pub batch_norm: Option<BatchNorm>,
}

/// The kernel of a convolution or dense layer. The norm of the input multiplies each input channel with
/// `gamma / sqrt(variance + epsilon)`, that of the sums each output channel.
pub type KernelParam = Param<Kernel>;

/// The bias of a convolution or dense layer; without a tensor: 0. The norm of the input adds what the kernel makes of
/// `beta - mean * gamma / sqrt(variance + epsilon)`, that of the sums is applied to what comes of it.
pub type BiasParam = Param<Option<Text>>;

impl<T> Param<T> {
    /// A tensor as it is.
    pub fn load(tensor: T) -> Self {
        Param { input_norm: None, tensor, batch_norm: None }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, tensor: fmt::Arguments<'_>) -> fmt::Result {
        match (&self.input_norm, &self.batch_norm) {
            (None, None) => write!(f, "{tensor}"),
            (None, Some(norm)) => write!(f, "fold({tensor},{norm})"),
            (Some(norm), None) => write!(f, "fold({norm},{tensor})"),
            (Some(input_norm), Some(norm)) => write!(f, "fold({input_norm},{tensor},{norm})"),
        }
    }

    fn read(text: &str, tensor: impl Fn(&str) -> Result<T, String>) -> Result<Self, String> {
        let Some(inner) = text.strip_prefix("fold(") else { return Ok(Param::load(tensor(text)?)) };
        let error = || format!("`{text}` is not fold(norm(..)?,tensor,norm(..)?), with one norm at least");
        let inner = inner.strip_suffix(')').ok_or_else(error)?;
        let (input_norm, inner) = match inner.find("),") {
            Some(end) if inner.starts_with("norm(") => (Some(inner[..=end].parse()?), &inner[end + 2..]),
            _ => (None, inner),
        };
        let (inner, batch_norm) = match inner.split_once(',') {
            Some((inner, norm)) => (inner, Some(norm.parse()?)),
            None if input_norm.is_some() => (inner, None),
            None => return Err(error()),
        };
        Ok(Param { input_norm, tensor: tensor(inner)?, batch_norm })
    }
}

impl fmt::Display for KernelParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, format_args!("{}", self.tensor))
    }
}

impl fmt::Display for BiasParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tensor {
            Some(name) => self.write(f, format_args!("@{name}")),
            None => self.write(f, format_args!("0")),
        }
    }
}

impl FromStr for KernelParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Param::read(text, str::parse)
    }
}

impl FromStr for BiasParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Param::read(text, |tensor| if tensor == "0" { Ok(None) } else { tensor_name(tensor).map(Some) })
    }
}
