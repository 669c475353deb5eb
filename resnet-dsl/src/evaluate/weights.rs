//! The weights of an operator, in f64: loaded, brought into one order, batch norms folded.
//!
//! ```text
//! scale          = gamma / sqrt(variance + epsilon)
//! kernel'[i, o]  = kernel[i, o] * input_scale[i] * scale[o]
//! sums[o]        = bias[o] + sum of kernel[i, o] * (input_beta[i] - input_mean[i] * input_scale[i])
//! bias'[o]       = (sums[o] - mean[o]) * scale[o] + beta[o]
//! ```

use resnet_plan::{BatchNorm, Kernel, Role, WeightTensor};

use crate::evaluate::{Array, EvaluateError, Load};
use crate::ir::param::{BiasParam, KernelParam};
use crate::ops::{Activation, Conv2d, Dense, Dims, Exponent, GroupNorm};

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
    /// The batch norm of so many channels; those outside its range stay as they are.
    ///
    /// # Errors
    /// If a tensor cannot be loaded.
    pub fn of(norm: &BatchNorm, channels: usize, load: Load<'_>) -> Result<Self, EvaluateError> {
        let [first, end] = norm.channels.unwrap_or([0, channels]);
        let mut tensor = |name, role| tensor(name, &[end - first], role, load);
        let gamma = tensor(&norm.gamma, Role::Gamma)?;
        let beta = tensor(&norm.beta, Role::Beta)?;
        let mean = tensor(&norm.mean, Role::Mean)?;
        let variance = tensor(&norm.variance, Role::Variance { epsilon: norm.epsilon })?;
        let scale =
            gamma.iter().zip(variance).map(|(gamma, variance)| gamma / (variance + norm.epsilon).sqrt());
        let all = |of_range: Vec<f64>, other: f64| {
            [vec![other; first], of_range, vec![other; channels - end]].concat()
        };
        Ok(Affine { scale: all(scale.collect(), 1.0), mean: all(mean, 0.0), beta: all(beta, 0.0) })
    }

    /// Gamma and beta of a group norm, of so many channels; without them, 1 and 0.
    ///
    /// # Errors
    /// If a tensor cannot be loaded.
    pub fn of_group_norm(norm: &GroupNorm, channels: usize, load: Load<'_>) -> Result<Self, EvaluateError> {
        let (scale, beta) = match &norm.affine {
            Some([gamma, beta]) => {
                (tensor(gamma, &[channels], Role::Gamma, load)?, tensor(beta, &[channels], Role::Beta, load)?)
            }
            None => (vec![1.0; channels], vec![0.0; channels]),
        };
        Ok(Affine { scale, mean: vec![0.0; channels], beta })
    }

    /// All pixels, with it applied.
    pub fn applied(&self, x: &Array) -> Array {
        let mut y = x.clone();
        y.data.chunks_exact_mut(self.scale.len().max(1)).for_each(|pixel| self.apply(pixel));
        y
    }

    /// Applies it to the channels of a pixel, or to a bias.
    pub fn apply(&self, pixel: &mut [f64]) {
        for (((x, scale), mean), beta) in pixel.iter_mut().zip(&self.scale).zip(&self.mean).zip(&self.beta) {
            *x = (*x - mean) * scale + beta;
        }
    }
}

/// The weights of a convolution or dense layer.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// Their kernel.
    pub kernel: &'a KernelParam,
    /// Their bias.
    pub bias: Option<&'a BiasParam>,
    /// Height, width, inputs of a group, outputs.
    pub shape: [usize; 4],
    /// Groups of channels.
    pub groups: usize,
    /// Each filter is standardized, with this epsilon.
    pub standardized: Option<f64>,
}

impl<'a> Filters<'a> {
    /// Those of a convolution of so many channels.
    pub fn of_conv(conv: &'a Conv2d, channels: usize) -> Self {
        let [height, width] = conv.kernel;
        Filters {
            kernel: &conv.weights,
            bias: conv.bias.as_ref(),
            shape: [height, width, channels / conv.groups, conv.filters],
            groups: conv.groups,
            standardized: conv.standardized,
        }
    }

    /// Those of a dense layer, whose operand was this image before it was flattened.
    pub fn of_dense(dense: &'a Dense, [_, height, width, channels]: Dims) -> Self {
        Filters {
            kernel: &dense.weights,
            bias: dense.bias.as_ref(),
            shape: [height, width, channels, dense.units],
            groups: 1,
            standardized: None,
        }
    }

    /// The kernel, in the order of the shape, and the bias; without one, zeros.
    ///
    /// # Errors
    /// If a tensor cannot be loaded.
    pub fn load(&self, load: Load<'_>) -> Result<[Vec<f64>; 2], EvaluateError> {
        let [_, _, inputs, outputs] = self.shape;
        let mut kernel = ordered(&self.kernel.tensor, self.shape, self.groups, load)?;
        if let Some(epsilon) = self.standardized {
            standardize(&mut kernel, outputs, epsilon);
        }
        let mut bias = match self.bias.and_then(|bias| bias.tensor.as_ref()) {
            Some(name) => tensor(name, &[outputs], Role::Bias, load)?,
            None => vec![0.0; outputs],
        };
        let of_input = |index: usize| {
            let (input, output) = (index / outputs % inputs, index % outputs);
            (output / (outputs / self.groups) * inputs + input, output)
        };
        if let Some(norm) = self.bias.and_then(|bias| bias.input_norm.as_ref()) {
            let mut shift = vec![0.0; inputs * self.groups];
            Affine::of(norm, shift.len(), load)?.apply(&mut shift);
            for (index, weight) in kernel.iter().enumerate() {
                let (input, output) = of_input(index);
                bias[output] += weight * shift[input];
            }
        }
        if let Some(norm) = self.bias.and_then(|bias| bias.batch_norm.as_ref()) {
            Affine::of(norm, outputs, load)?.apply(&mut bias);
        }
        if let Some(norm) = &self.kernel.input_norm {
            let Affine { scale, .. } = Affine::of(norm, inputs * self.groups, load)?;
            kernel.iter_mut().enumerate().for_each(|(index, weight)| *weight *= scale[of_input(index).0]);
        }
        if let Some(norm) = &self.kernel.batch_norm {
            let Affine { scale, .. } = Affine::of(norm, outputs, load)?;
            for outputs in kernel.chunks_exact_mut(scale.len().max(1)) {
                outputs.iter_mut().zip(&scale).for_each(|(weight, scale)| *weight *= scale);
            }
        }
        Ok([kernel, bias])
    }
}

/// The slopes of PReLU, by channel; none for other activations.
///
/// # Errors
/// If a tensor cannot be loaded.
pub fn slopes(activation: &Activation, channels: usize, load: Load<'_>) -> Result<Vec<f64>, EvaluateError> {
    let Some(slope) = &activation.slope else { return Ok(Vec::new()) };
    let slopes = tensor(&slope.name, &[slope.len(channels)], Role::Slope, load)?;
    Ok(if slope.single { vec![slopes[0]; channels] } else { slopes })
}

/// The exponent of a generalized mean.
///
/// # Errors
/// If a tensor cannot be loaded.
pub fn exponent(exponent: &Exponent, load: Load<'_>) -> Result<f64, EvaluateError> {
    match exponent {
        Exponent::Fixed(exponent) => Ok(*exponent),
        Exponent::Load(name) => Ok(tensor(name, &[1], Role::Exponent, load)?[0]),
    }
}

/// Weights of each filter minus their mean, over the square root of their variance and epsilon (Qiao et al. 2019, "Micro-Batch
/// Training with Batch-Channel Normalization and Weight Standardization", section 3.3).
fn standardize(kernel: &mut [f64], outputs: usize, epsilon: f64) {
    let count = (kernel.len() / outputs) as f64;
    for output in 0..outputs {
        let of_filter = || kernel.iter().skip(output).step_by(outputs);
        let mean = of_filter().sum::<f64>() / count;
        let variance = of_filter().map(|weight| (weight - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + epsilon).sqrt();
        kernel
            .iter_mut()
            .skip(output)
            .step_by(outputs)
            .for_each(|weight| *weight = (*weight - mean) / deviation);
    }
}

/// A kernel in the order height, width, input, output.
fn ordered(
    kernel: &Kernel,
    shape: [usize; 4],
    groups: usize,
    load: Load<'_>,
) -> Result<Vec<f64>, EvaluateError> {
    let [_, _, inputs, outputs] = shape;
    let WeightTensor { name, dims, role } = kernel.tensor(shape, groups);
    let stored = tensor(name, &dims, role, load)?;
    let [from_output, from_input, from_position] = kernel.layout.strides(shape);
    let mut ordered = vec![0.0; stored.len()];
    for (index, weight) in ordered.iter_mut().enumerate() {
        let (position, input, output) = (index / outputs / inputs, index / outputs % inputs, index % outputs);
        *weight = stored[position * from_position + input * from_input + output * from_output];
    }
    Ok(ordered)
}

/// A tensor of the file.
///
/// # Errors
/// If it cannot be loaded.
pub(crate) fn tensor(
    name: &str,
    dims: &[usize],
    role: Role,
    load: Load<'_>,
) -> Result<Vec<f64>, EvaluateError> {
    let data = load(&WeightTensor { name, dims: dims.to_vec(), role })
        .map_err(|message| EvaluateError::Load { tensor: name.to_owned(), message })?;
    if data.len() != dims.iter().product::<usize>() {
        let (tensor, dims) = (name.to_owned(), dims.to_vec());
        return Err(EvaluateError::Length { tensor, dims, found: data.len() });
    }
    Ok(data)
}
