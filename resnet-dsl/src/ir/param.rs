//! Weights as expressions. A fold only rewrites the expression; the numbers are computed when weights are loaded.

use std::fmt;
use std::str::FromStr;

/// The kernel of a convolution or dense layer.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelParam {
    /// A tensor of the weight file.
    Load(KernelTensor),
    /// That tensor, each output channel multiplied with `gamma / sqrt(variance + epsilon)`.
    Folded(KernelTensor, Norm),
}

/// The bias of a convolution or dense layer.
#[derive(Clone, Debug, PartialEq)]
pub enum BiasParam {
    /// A tensor of the weight file.
    Load(String),
    /// `(bias - mean) * gamma / sqrt(variance + epsilon) + beta`; without a bias: 0 in its place.
    Folded(Option<String>, Norm),
}

/// A kernel tensor of the weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTensor {
    /// Its name there.
    pub name: String,
    /// Order of its elements there.
    pub layout: Layout,
}

/// Order of a kernel's elements in a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Convolution, Keras: height, width, input, output.
    Hwio,
    /// Convolution, PyTorch: output, input, height, width.
    Oihw,
    /// Dense, Keras: input (in the order height, width, channel), output.
    Io,
    /// Dense, PyTorch: output, input (in the order channel, height, width).
    Oi,
}

/// A batch norm's tensors and its constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Tensor name of the scale.
    pub gamma: String,
    /// Tensor name of the offset.
    pub beta: String,
    /// Tensor name of the running mean.
    pub mean: String,
    /// Tensor name of the running variance.
    pub variance: String,
    /// Added to the variance.
    pub epsilon: f64,
}

impl KernelParam {
    /// The tensor that is loaded.
    pub fn tensor(&self) -> &KernelTensor {
        let (KernelParam::Load(tensor) | KernelParam::Folded(tensor, _)) = self;
        tensor
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

impl fmt::Display for KernelTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}:{}", self.name, self.layout)
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Norm { gamma, beta, mean, variance, epsilon } = self;
        write!(f, "norm(@{gamma},@{beta},@{mean},@{variance},{epsilon:e})")
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Hwio => "hwio",
            Layout::Oihw => "oihw",
            Layout::Io => "io",
            Layout::Oi => "oi",
        })
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

impl FromStr for KernelTensor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, layout) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("`{text}` lacks its layout, as in @conv1.weight:oihw"))?;
        Ok(KernelTensor { name: tensor_name(name)?, layout: layout.parse()? })
    }
}

impl FromStr for Norm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not norm(@gamma,@beta,@mean,@variance,epsilon)");
        let inner = text.strip_prefix("norm(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(error)?;
        let [gamma, beta, mean, variance, epsilon] = inner.split(',').collect::<Vec<_>>()[..] else {
            return Err(error());
        };
        Ok(Norm {
            gamma: tensor_name(gamma)?,
            beta: tensor_name(beta)?,
            mean: tensor_name(mean)?,
            variance: tensor_name(variance)?,
            epsilon: epsilon.parse().map_err(|_| error())?,
        })
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "hwio" => Layout::Hwio,
            "oihw" => Layout::Oihw,
            "io" => Layout::Io,
            "oi" => Layout::Oi,
            _ => return Err(format!("`{text}` is not a layout: hwio, oihw, io or oi")),
        })
    }
}

/// `@name` without its sign.
pub fn tensor_name(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        Some(name) if is_name(name) => Ok(name.to_owned()),
        _ => Err(format!("`{text}` is not a tensor, which is written @name")),
    }
}

/// Whether the text form can hold this name: letters, digits and `_ . / -`.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_./-".contains(c))
}

/// The two operands of `fold(a,norm(..))`.
fn fold(text: &str) -> Result<Option<(&str, Norm)>, String> {
    let Some(inner) = text.strip_prefix("fold(") else { return Ok(None) };
    let (first, norm) = inner
        .strip_suffix(')')
        .and_then(|inner| inner.split_once(','))
        .ok_or_else(|| format!("`{text}` is not fold(tensor,norm(..))"))?;
    Ok(Some((first, norm.parse()?)))
}
