//! The weights of the reference for the evaluator.

use resnet_dsl::evaluate::{Role, TensorRef};
use resnet_runtime::weights::fill::Filler;
use resnet_runtime::weights::{self, Tensor};

/// The elements of a tensor by the formula.
pub(crate) fn formula(tensor: &TensorRef<'_>) -> Result<Vec<f64>, String> {
    let TensorRef { name, dims, role } = *tensor;
    let role = match role {
        Role::Kernel { fan_in, .. } => weights::Role::Kernel { fan_in, fan_out: 0 }, // which the formula does not use
        Role::Bias => weights::Role::Bias,
        Role::Gamma => weights::Role::Gamma,
        Role::Beta => weights::Role::Beta,
        Role::Mean => weights::Role::Mean,
        Role::Variance { epsilon } => weights::Role::Variance { epsilon },
    };
    Ok(Filler::Formula.fill(Tensor { name, dims, role }).into_iter().map(f64::from).collect())
}
