//! What a spec says beside the layers: precision, names of weights, preprocessing, labels.

use resnet_plan::Preprocessing;

use crate::calibration::Calibration;

/// What a spec says that is no part of the computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Endings of tensor names that a weight file may hold and the network does not use (`num_batches_tracked`).
    pub ignored: Vec<String>,
    /// How an image becomes an input.
    pub preprocessing: Preprocessing,
    /// Names of the classes, in the order of the output; empty where the spec names none.
    pub labels: Vec<String>,
}

/// What layers compute in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Weights and values in bf16.
    Bf16,
    /// Weights and values in 8-bit integers, by the scales of a table.
    Int8(Calibration),
}

impl Precision {
    /// Without the table.
    pub fn kind(&self) -> resnet_plan::Precision {
        match self {
            Precision::F32 => resnet_plan::Precision::F32,
            Precision::Bf16 => resnet_plan::Precision::Bf16,
            Precision::Int8(_) => resnet_plan::Precision::Int8,
        }
    }

    /// int8: the fingerprint of the weights that the scales were made with.
    pub fn calibrated(&self) -> Option<u64> {
        match self {
            Precision::F32 | Precision::Bf16 => None,
            Precision::Int8(table) => Some(table.weights),
        }
    }
}
