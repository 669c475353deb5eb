//! The weights of the reference for the evaluator.

use resnet_plan::WeightTensor;
use resnet_runtime::weights::fill::Filler;

/// The elements of a tensor by the formula.
pub(crate) fn formula(tensor: &WeightTensor<'_>) -> Result<Vec<f64>, String> {
    Ok(Filler::Formula.fill(tensor).into_iter().map(f64::from).collect())
}
