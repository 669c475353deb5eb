//! The weights of steps that are no convolutions: lists, most of them of an element a channel.
//!
//! Packed, a list is rows of f32, each filled up to a multiple of [`WIDTH`] elements:
//!
//! ```text
//! batch norm   scale and shift: y = x * scale + shift
//! group norm   gamma and beta
//! tensor       its elements
//! and behind these, slopes, if it has any
//! ```

use std::borrow::Cow;

use crate::action::Action;
use crate::activation::Activation;
use crate::constant::constant;
use crate::description::{BatchNorm, Role, Slope, Text, WeightTensor};
use crate::pixels::{Fault, plus, times};

/// What a packed row is filled up to a multiple of: the widest vector.
pub const WIDTH: usize = 16;

/// The weights of a step that is no convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ListWeights {
    /// The step's name.
    pub name: Text,
    /// Channels of what the step writes, without those that fill up words.
    pub channels: usize,
    /// What they are.
    pub kind: ListKind,
    /// The slopes of the activation that the step ends with, if that is PReLU.
    pub slope: Option<Slope>,
}

/// What the weights of a step are.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// Nothing but slopes.
    Slopes,
    /// A batch norm that stands alone.
    BatchNorm(BatchNorm),
    /// A group norm's, an element a channel of the range.
    GroupNorm {
        /// Tensor name of the scale.
        gamma: Text,
        /// Tensor name of the offset.
        beta: Text,
        /// The first channel that is normalized and the end.
        channels: [usize; 2],
    },
    /// One tensor as it is.
    Tensor {
        /// Its name.
        name: Text,
        /// Its sizes in the weight file.
        dims: Cow<'static, [usize]>,
        /// What it is for.
        role: Role,
    },
}

constant!(struct ListWeights { name, channels, kind, slope });
constant!(enum ListKind {
    Slopes,
    BatchNorm(norm),
    GroupNorm { gamma, beta, channels },
    Tensor { name, dims, role },
});

impl ListWeights {
    /// The tensors that a weight file has for it.
    pub fn tensors(&self) -> Vec<WeightTensor<'_>> {
        let mut tensors = Vec::new();
        let mut add = |name, dims, role| tensors.push(WeightTensor { name, dims, role });
        match &self.kind {
            ListKind::Slopes => {}
            ListKind::BatchNorm(norm) => {
                let channels = norm.normalized(self.channels);
                add(&norm.gamma, vec![channels], Role::Gamma);
                add(&norm.beta, vec![channels], Role::Beta);
                add(&norm.mean, vec![channels], Role::Mean);
                add(&norm.variance, vec![channels], Role::Variance { epsilon: norm.epsilon });
            }
            ListKind::GroupNorm { gamma, beta, channels: [first, end] } => {
                add(gamma, vec![end.saturating_sub(*first)], Role::Gamma);
                add(beta, vec![end.saturating_sub(*first)], Role::Beta);
            }
            ListKind::Tensor { name, dims, role } => add(name, dims.to_vec(), *role),
        }
        if let Some(slope) = &self.slope {
            add(&slope.name, vec![slope.len(self.channels)], Role::Slope);
        }
        tensors
    }

    /// Learnable parameters, or [`usize::MAX`].
    pub fn parameters(&self) -> usize {
        let learned = |tensor: &WeightTensor<'_>| !matches!(tensor.role, Role::Mean | Role::Variance { .. });
        self.tensors().iter().filter(|tensor| learned(tensor)).fold(0, |sum, tensor| plus(sum, tensor.len()))
    }

    /// Size in bytes, batch norm folded, without padding; or [`usize::MAX`].
    pub fn bytes(&self) -> usize {
        times(self.parameters(), size_of::<f32>())
    }

    /// Packed elements, or [`usize::MAX`].
    pub fn packed_len(&self) -> usize {
        let slopes = usize::from(self.slope.is_some());
        let row = |len: usize| len.checked_next_multiple_of(WIDTH).unwrap_or(usize::MAX);
        let own = match &self.kind {
            ListKind::Slopes => 0,
            ListKind::BatchNorm(_) | ListKind::GroupNorm { .. } => times(2, row(self.channels)),
            ListKind::Tensor { dims, .. } => row(elements(dims)),
        };
        plus(own, times(slopes, row(self.channels)))
    }

    /// Whether weights of this shape can be packed.
    ///
    /// # Errors
    /// If there are none or too many, or the range is none of the channels.
    pub fn check(&self) -> Result<(), Fault> {
        let len = self.packed_len();
        if self.channels == 0 || len == 0 || len > isize::MAX as usize / size_of::<f64>() {
            return Err(Fault::new("there are no weights, or more than any memory holds"));
        }
        let range = match &self.kind {
            ListKind::BatchNorm(norm) => norm.channels,
            ListKind::GroupNorm { channels, .. } => Some(*channels),
            ListKind::Tensor { dims, .. } if elements(dims) == 0 => {
                return Err(Fault::new("there are no weights, or more than any memory holds"));
            }
            _ => None,
        };
        match range {
            Some([first, end]) if first >= end || end > self.channels => {
                Err(Fault::new("the normalized channels are none of its channels"))
            }
            _ => Ok(()),
        }
    }

    /// Whether an action takes such weights. (That its channels are these, the checker of plans knows.)
    pub fn serve(&self, action: Action) -> bool {
        let kind = match (action, &self.kind) {
            (Action::Affine { .. }, ListKind::BatchNorm(_)) => true,
            (
                Action::GroupNorm { channels, affine: true, .. },
                ListKind::GroupNorm { channels: range, .. },
            ) => channels == *range,
            (action, ListKind::Tensor { dims, .. }) => action.tensor() == Some(elements(dims)),
            (
                Action::Add { .. }
                | Action::Multiply { .. }
                | Action::Activate { .. }
                | Action::GroupNorm { affine: false, .. },
                ListKind::Slopes,
            ) => true,
            _ => false,
        };
        kind && self.slope.is_some() == (action.activation() == Activation::Prelu)
    }
}

/// Elements of a tensor, or [`usize::MAX`].
fn elements(dims: &[usize]) -> usize {
    dims.iter().fold(1, |all, size| times(all, *size))
}
