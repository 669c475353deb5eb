//! The weights of an operator, in f64: loaded, brought into one order, batch norms folded.
//!
//! ```text
//! scale[o]      = gamma[o] / sqrt(variance[o] + epsilon)
//! kernel'[.,o]  = kernel[.,o] * scale[o]
//! bias'[o]      = (bias[o] - mean[o]) * scale[o] + beta[o]
//! ```

use resnet_plan::{BatchNorm, Kernel, KernelLayout, Role, WeightTensor};

use crate::evaluate::{EvaluateError, Load};
use crate::ir::param::{BiasParam, KernelParam};

/// A batch norm: `(x - mean) * scale + beta`, by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// `gamma / sqrt(variance + epsilon)`
    pub scale: Vec<f64>,
    /// Subtracted before.
    pub mean: Vec<f64>,
    /// Added after.
    pub beta: Vec<f64>,
}

impl Affine {
    /// The batch norm of so many channels.
    ///
    /// # Errors
    /// If a tensor cannot be loaded.
    pub fn of(norm: &BatchNorm, channels: usize, load: Load<'_>) -> Result<Self, EvaluateError> {
        let mut tensor = |name, role| tensor(name, &[channels], role, load);
        let gamma = tensor(&norm.gamma, Role::Gamma)?;
        let beta = tensor(&norm.beta, Role::Beta)?;
        let mean = tensor(&norm.mean, Role::Mean)?;
        let variance = tensor(&norm.variance, Role::Variance { epsilon: norm.epsilon })?;
        let scale =
            gamma.iter().zip(variance).map(|(gamma, variance)| gamma / (variance + norm.epsilon).sqrt());
        Ok(Affine { scale: scale.collect(), mean, beta })
    }

    /// Applies it to the channels of a pixel, or to a bias.
    pub fn apply(&self, pixel: &mut [f64]) {
        for (((x, scale), mean), beta) in pixel.iter_mut().zip(&self.scale).zip(&self.mean).zip(&self.beta) {
            *x = (*x - mean) * scale + beta;
        }
    }
}

/// The kernel of a window of this shape (height, width, inputs, outputs), in that order.
///
/// # Errors
/// If a tensor cannot be loaded.
pub fn kernel(param: &KernelParam, shape: [usize; 4], load: Load<'_>) -> Result<Vec<f64>, EvaluateError> {
    let mut kernel = ordered(param.tensor(), shape, load)?;
    if let Some(norm) = param.batch_norm() {
        let Affine { scale, .. } = Affine::of(norm, shape[3], load)?;
        for outputs in kernel.chunks_exact_mut(scale.len().max(1)) {
            outputs.iter_mut().zip(&scale).for_each(|(weight, scale)| *weight *= scale);
        }
    }
    Ok(kernel)
}

/// The bias of so many outputs; without one, zeros.
///
/// # Errors
/// If a tensor cannot be loaded.
pub fn bias(param: Option<&BiasParam>, outputs: usize, load: Load<'_>) -> Result<Vec<f64>, EvaluateError> {
    let mut bias = match param.and_then(BiasParam::tensor) {
        Some(name) => tensor(name, &[outputs], Role::Bias, load)?,
        None => vec![0.0; outputs],
    };
    if let Some(BiasParam::Folded(_, norm)) = param {
        Affine::of(norm, outputs, load)?.apply(&mut bias);
    }
    Ok(bias)
}

/// A kernel in the order height, width, input, output.
fn ordered(
    kernel: &Kernel,
    [height, width, inputs, outputs]: [usize; 4],
    load: Load<'_>,
) -> Result<Vec<f64>, EvaluateError> {
    let window = height * width;
    let fan_in = window * inputs;
    let role = Role::Kernel { fan_in, fan_out: window * outputs };
    let dims = kernel.layout.dims([height, width, inputs, outputs]);
    let stored = tensor(&kernel.name, &dims, role, load)?;
    if matches!(kernel.layout, KernelLayout::Hwio | KernelLayout::Io) {
        return Ok(stored);
    }
    let mut ordered = vec![0.0; stored.len()];
    for (index, weight) in stored.into_iter().enumerate() {
        let (output, input, position) = (index / fan_in, index % fan_in / window, index % window);
        ordered[(position * inputs + input) * outputs + output] = weight;
    }
    Ok(ordered)
}

fn tensor(name: &str, dims: &[usize], role: Role, load: Load<'_>) -> Result<Vec<f64>, EvaluateError> {
    let data = load(&WeightTensor { name, dims: dims.to_vec(), role })
        .map_err(|message| EvaluateError::Load { tensor: name.to_owned(), message })?;
    if data.len() != dims.iter().product::<usize>() {
        let (tensor, dims) = (name.to_owned(), dims.to_vec());
        return Err(EvaluateError::Length { tensor, dims, found: data.len() });
    }
    Ok(data)
}
