//! Normalization at run time: by the mean and the variance of the image itself (Wu and He 2018, "Group Normalization",
//! section 3; Ulyanov, Vedaldi and Lempitsky 2016, "Instance Normalization").

use resnet_plan::text::{range, tensor_name};
use resnet_plan::{Action, ListKind, Text as Name};

use crate::ops::{Activation, Attributes, Dims, ShapeError};
use crate::plan::step::Planning;

/// `act((x - mean) / sqrt(variance + epsilon) * gamma + beta)`, mean and variance of all pixels and of a group of channels.
/// Channels outside a range are left as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups of channels; `None`: each channel is one.
    pub groups: Option<usize>,
    /// Tensors of gamma and beta, an element a channel of the range.
    pub affine: Option<[Name; 2]>,
    /// The first channel that is normalized and the end; `None`: all.
    pub channels: Option<[usize; 2]>,
    /// Added to the variance.
    pub epsilon: f64,
    /// What follows, on all channels.
    pub activation: Activation,
}

impl GroupNorm {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the range reaches beyond the channels, or groups do not divide it.
    pub fn infer(&self, x: Dims) -> Result<Dims, ShapeError> {
        within(self.channels, x[3])?;
        let (channels, groups) = (self.normalized(x[3]), self.groups(x[3]));
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("{channels} channels are not {groups} groups of one size");
            return Err(ShapeError::new(message).help("use a number of groups that divides the channels"));
        }
        Ok(x)
    }

    /// Channels that are normalized, of so many.
    pub fn normalized(&self, channels: usize) -> usize {
        self.channels.map_or(channels, |[first, end]| end.saturating_sub(first))
    }

    /// Groups of the normalized channels.
    pub fn groups(&self, channels: usize) -> usize {
        self.groups.unwrap_or(self.normalized(channels))
    }

    /// Learned parameters.
    pub fn parameters(&self, channels: usize) -> u64 {
        let affine = if self.affine.is_some() { 2 * self.normalized(channels) } else { 0 };
        affine as u64 + self.activation.parameters(channels)
    }

    pub(crate) fn action(&self, planning: &mut Planning<'_>) -> Action {
        let all = planning.channels(0);
        let channels = self.channels.unwrap_or([0, all]);
        let list = match &self.affine {
            Some([gamma, beta]) => {
                let kind = ListKind::GroupNorm { gamma: gamma.clone(), beta: beta.clone(), channels };
                Some(planning.list(kind, &self.activation))
            }
            None => planning.slopes(&self.activation),
        };
        Action::GroupNorm {
            groups: self.groups(all),
            channels,
            epsilon: self.epsilon,
            affine: self.affine.is_some(),
            activation: self.activation.function,
            list,
        }
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        if let Some(groups) = self.groups {
            to.put("groups", groups);
        }
        if let Some([gamma, beta]) = &self.affine {
            to.put("gamma", format_args!("@{gamma}"));
            to.put("beta", format_args!("@{beta}"));
        }
        if let Some([first, end]) = self.channels {
            to.put("channels", format_args!("{first}..{end}"));
        }
        to.put("eps", format_args!("{:e}", self.epsilon));
        self.activation.print(to);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let mut tensor = |key| from.take_optional::<String>(key)?.map(|text| tensor_name(&text)).transpose();
        let affine = match (tensor("gamma")?, tensor("beta")?) {
            (Some(gamma), Some(beta)) => Some([gamma, beta]),
            (None, None) => None,
            _ => return Err("`gamma=` and `beta=` go together".to_owned()),
        };
        Ok(GroupNorm {
            groups: from.take_optional("groups")?,
            affine,
            channels: from.take_optional::<String>("channels")?.map(|text| range(&text)).transpose()?,
            epsilon: from.take("eps")?,
            activation: Activation::read(from)?,
        })
    }
}

/// Whether a range lies in so many channels.
///
/// # Errors
/// If it does not.
pub fn within(range: Option<[usize; 2]>, channels: usize) -> Result<(), ShapeError> {
    match range {
        Some([first, end]) if end > channels || first >= end => {
            Err(ShapeError::new(format!("there are no channels {first}..{end} of {channels}")))
        }
        _ => Ok(()),
    }
}
