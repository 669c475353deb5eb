//! Weights as expressions. A fold only rewrites the expression; the values are computed when weights are loaded.

use std::fmt;
use std::str::FromStr;

use resnet_plan::text::tensor_name;
use resnet_plan::{BatchNorm, Kernel, Text};

/// The kernel of a convolution or dense layer.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelParam {
    /// A tensor of the weight file.
    Load(Kernel),
    /// That tensor, each output channel multiplied with `gamma / sqrt(variance + epsilon)`.
    Folded(Kernel, BatchNorm),
}

/// The bias of a convolution or dense layer.
#[derive(Clone, Debug, PartialEq)]
pub enum BiasParam {
    /// A tensor of the weight file.
    Load(Text),
    /// `(bias - mean) * gamma / sqrt(variance + epsilon) + beta`; without a bias: 0 in its place.
    Folded(Option<Text>, BatchNorm),
}

impl KernelParam {
    /// The tensor that is loaded.
    pub fn tensor(&self) -> &Kernel {
        let (KernelParam::Load(tensor) | KernelParam::Folded(tensor, _)) = self;
        tensor
    }

    /// The batch norm that is folded into it.
    pub fn batch_norm(&self) -> Option<&BatchNorm> {
        match self {
            KernelParam::Load(_) => None,
            KernelParam::Folded(_, norm) => Some(norm),
        }
    }
}

impl BiasParam {
    /// The tensor that is loaded, if there is one.
    pub fn tensor(&self) -> Option<&Text> {
        match self {
            BiasParam::Load(name) => Some(name),
            BiasParam::Folded(name, _) => name.as_ref(),
        }
    }
}

impl fmt::Display for KernelParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelParam::Load(tensor) => write!(f, "{tensor}"),
            KernelParam::Folded(tensor, norm) => write!(f, "fold({tensor},{norm})"),
        }
    }
}

impl fmt::Display for BiasParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BiasParam::Load(name) => write!(f, "@{name}"),
            BiasParam::Folded(None, norm) => write!(f, "fold(0,{norm})"),
            BiasParam::Folded(Some(name), norm) => write!(f, "fold(@{name},{norm})"),
        }
    }
}

impl FromStr for KernelParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match fold(text)? {
            None => KernelParam::Load(text.parse()?),
            Some((tensor, norm)) => KernelParam::Folded(tensor.parse()?, norm),
        })
    }
}

impl FromStr for BiasParam {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match fold(text)? {
            None => BiasParam::Load(tensor_name(text)?),
            Some(("0", norm)) => BiasParam::Folded(None, norm),
            Some((bias, norm)) => BiasParam::Folded(Some(tensor_name(bias)?), norm),
        })
    }
}

/// The two operands of `fold(a,norm(..))`.
fn fold(text: &str) -> Result<Option<(&str, BatchNorm)>, String> {
    let Some(inner) = text.strip_prefix("fold(") else { return Ok(None) };
    let (first, norm) = inner
        .strip_suffix(')')
        .and_then(|inner| inner.split_once(','))
        .ok_or_else(|| format!("`{text}` is not fold(tensor,norm(..))"))?;
    Ok(Some((first, norm.parse()?)))
}
