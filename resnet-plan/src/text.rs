//! The text form of what a layer loads: `@conv1.weight:oihw`, `norm(@gamma,@beta,@mean,@variance,1e-5)`.

use std::fmt;
use std::str::FromStr;

use crate::description::{BatchNorm, Kernel, KernelLayout, Slope, Text};

/// Whether the text form can hold this name: letters, digits and `_ . / -`.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_./-".contains(c))
}

/// The name of `@name`.
///
/// # Errors
/// If it is not written so.
pub fn tensor_name(text: &str) -> Result<Text, String> {
    match text.strip_prefix('@') {
        Some(name) if is_name(name) => Ok(Text::Owned(name.to_owned())),
        _ => Err(format!("`{text}` is not a tensor, which is written @name")),
    }
}

/// A range of channels: `0..32`.
///
/// # Errors
/// If it is not written so.
pub fn range(text: &str) -> Result<[usize; 2], String> {
    let ends = text.split_once("..").and_then(|(first, end)| Some([first.parse().ok()?, end.parse().ok()?]));
    ends.ok_or_else(|| format!("`{text}` is not a range of channels, which is written 0..32"))
}

/// `@name`, or `@name:1` for one slope.
impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}{}", self.name, if self.single { ":1" } else { "" })
    }
}

impl FromStr for Slope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, single) = text.strip_suffix(":1").map_or((text, false), |name| (name, true));
        Ok(Slope { name: tensor_name(name)?, single })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}:{}", self.name, self.layout)
    }
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, layout) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("`{text}` lacks its layout, as in @conv1.weight:oihw"))?;
        Ok(Kernel { name: tensor_name(name)?, layout: layout.parse()? })
    }
}

impl fmt::Display for BatchNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BatchNorm { gamma, beta, mean, variance, epsilon, channels } = self;
        write!(f, "norm(@{gamma},@{beta},@{mean},@{variance},{epsilon:e}")?;
        if let Some([first, end]) = channels {
            write!(f, ",{first}..{end}")?;
        }
        f.write_str(")")
    }
}

impl FromStr for BatchNorm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not norm(@gamma,@beta,@mean,@variance,epsilon,channels?)");
        let inner = text.strip_prefix("norm(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(error)?;
        let [gamma, beta, mean, variance, epsilon, ref channels @ ..] =
            inner.split(',').collect::<Vec<_>>()[..]
        else {
            return Err(error());
        };
        let channels = match channels {
            [] => None,
            [channels] => Some(range(channels)?),
            _ => return Err(error()),
        };
        Ok(BatchNorm {
            gamma: tensor_name(gamma)?,
            beta: tensor_name(beta)?,
            mean: tensor_name(mean)?,
            variance: tensor_name(variance)?,
            epsilon: epsilon.parse().map_err(|_| error())?,
            channels,
        })
    }
}

impl fmt::Display for KernelLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelLayout::Hwio => "hwio",
            KernelLayout::Oihw => "oihw",
            KernelLayout::Io => "io",
            KernelLayout::Ohwi => "ohwi",
            KernelLayout::Oi => "oi",
            KernelLayout::OiHwc => "oi_hwc",
        })
    }
}

impl FromStr for KernelLayout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "hwio" => KernelLayout::Hwio,
            "oihw" => KernelLayout::Oihw,
            "io" => KernelLayout::Io,
            "ohwi" => KernelLayout::Ohwi,
            "oi" => KernelLayout::Oi,
            "oi_hwc" => KernelLayout::OiHwc,
            _ => return Err(format!("`{text}` is not a layout: hwio, oihw, ohwi, io, oi or oi_hwc")),
        })
    }
}
