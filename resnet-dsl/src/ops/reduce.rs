//! What makes one pixel of many, beside the mean: statistics and generalized means.

use resnet_plan::text::tensor_name;
use std::borrow::Cow;

use resnet_plan::{Action, ListKind, Role, Text as Name};

use crate::ops::{Activation, Attributes, Dims, ShapeError};
use crate::plan::step::Planning;

/// The mean of each channel, and behind all means the standard deviations: `sqrt(variance + epsilon)`, the variance without
/// bias (Snyder et al. 2018, "X-vectors: Robust DNN Embeddings for Speaker Recognition", statistics pooling).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticsPool {
    /// Over what.
    pub over: Over,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Which pixels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Those of a row.
    Width,
    /// All of the image.
    Image,
}

/// `mean(max(x, epsilon)^p)^(1/p)` of each channel (Radenovic, Tolias and Chum 2018, "Fine-tuning CNN Image Retrieval with
/// No Human Annotation", section 3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct GemPool {
    /// p.
    pub exponent: Exponent,
    /// The least that an element counts as.
    pub epsilon: f64,
}

/// The exponent of a generalized mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Exponent {
    /// A number.
    Fixed(f64),
    /// The only element of a tensor.
    Load(Name),
}

impl StatisticsPool {
    /// Shape of the result.
    ///
    /// # Errors
    /// If only one pixel is pooled, which has no variance.
    pub fn infer(&self, [n, height, width, channels]: Dims) -> Result<Dims, ShapeError> {
        let (rows, pixels) = match self.over {
            Over::Width => (height, width),
            Over::Image => (1, height * width),
        };
        if pixels < 2 {
            return Err(ShapeError::new("the standard deviation of one pixel is not defined")
                .help("use a larger input, or fewer strides before it"));
        }
        Ok([n, rows, 1, 2 * channels])
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("over", if self.over == Over::Width { "width" } else { "image" });
        to.put("eps", format_args!("{:e}", self.epsilon));
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let over = match from.take::<String>("over")?.as_str() {
            "width" => Over::Width,
            "image" => Over::Image,
            other => return Err(format!("`over={other}` is not width or image")),
        };
        Ok(StatisticsPool { over, epsilon: from.take("eps")? })
    }
}

impl GemPool {
    /// Shape of the result.
    pub fn infer(&self, [n, _, _, channels]: Dims) -> Dims {
        [n, 1, 1, channels]
    }

    /// Learned parameters.
    pub fn parameters(&self) -> u64 {
        u64::from(matches!(self.exponent, Exponent::Load(_)))
    }

    pub(crate) fn action(&self, planning: &mut Planning<'_>) -> Action {
        let (exponent, list) = match &self.exponent {
            Exponent::Fixed(exponent) => (*exponent, None),
            Exponent::Load(name) => (
                1.0,
                Some(planning.list(
                    ListKind::Tensor { name: name.clone(), dims: Cow::Borrowed(&[1]), role: Role::Exponent },
                    &Activation::NONE,
                )),
            ),
        };
        Action::Gem { epsilon: self.epsilon, exponent, list }
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        match &self.exponent {
            Exponent::Fixed(exponent) => to.put("p", exponent),
            Exponent::Load(name) => to.put("p", format_args!("@{name}")),
        }
        to.put("eps", format_args!("{:e}", self.epsilon));
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let text: String = from.take("p")?;
        let exponent = match text.parse() {
            Ok(exponent) => Exponent::Fixed(exponent),
            Err(_) => Exponent::Load(tensor_name(&text)?),
        };
        Ok(GemPool { exponent, epsilon: from.take("eps")? })
    }
}
