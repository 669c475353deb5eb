//! Batch normalization, always folded into the convolution before it.

use crate::ir::param::Norm;
use crate::ops::Attributes;

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, a channel at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Its tensors and epsilon.
    pub norm: Norm,
}

impl BatchNorm {
    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("w", &self.norm);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        Ok(BatchNorm { norm: from.take("w")? })
    }
}
