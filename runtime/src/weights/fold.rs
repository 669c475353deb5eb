//! Folds batch norms into kernels, layer by layer.
//!
//! ```text
//! scale[o]     = gamma[o] / sqrt(variance[o] + epsilon)                       (1 without a batch norm)
//! bias'[o]     = (bias[o] - mean[o]) * scale[o] + beta[o]
//! kernel'[.,o] = kernel[.,o] * scale[o]
//! ```
//! in double precision, rounded once (Ioffe and Szegedy 2015, "Batch Normalization", section 3.1, at inference).

use crate::isa::Isa;
use crate::kernels::pack;
use crate::kernels::{Algorithm, FoldTask, fold_panel};
use crate::network::{KernelLayout, LayerWeights};
use crate::weights::{Role, Tensor, tensors};

/// Reads a layer's tensors, folds them and writes panels and bias as the instruction set reads them.
///
/// # Errors
/// What `read` finds wrong with each of the layer's tensors; then nothing is written.
pub(super) fn fold(
    isa: Isa,
    layer: &LayerWeights,
    read: &impl Fn(Tensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), String>,
    panels: &mut [f32],
    bias: &mut [f32],
    kernel: &mut Vec<[u8; 4]>,
) -> Result<(), Vec<String>> {
    let [height, width, inputs, outputs] = layer.shape;
    let mut faults = Vec::new();
    let mut buffer = Vec::new();
    let mut scale = vec![1.0; outputs];
    let mut shift = vec![0.0; outputs];
    // The order of `tensors`: bias, gamma, beta, mean, variance, so that what is read last completes the fold.
    let (mut gamma, mut beta, mut mean) = (Vec::new(), Vec::new(), Vec::new());
    for tensor in tensors(layer) {
        let to = if matches!(tensor.role, Role::Kernel { .. }) { &mut *kernel } else { &mut buffer };
        if let Err(fault) = read(tensor, to) {
            faults.push(fault);
        }
        if !faults.is_empty() {
            continue;
        }
        let numbers =
            || buffer.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect::<Vec<f64>>();
        match tensor.role {
            Role::Kernel { .. } => {}
            Role::Bias => shift = numbers(),
            Role::Gamma => gamma = numbers(),
            Role::Beta => beta = numbers(),
            Role::Mean => mean = numbers(),
            Role::Variance { epsilon } => {
                for (o, variance) in numbers().into_iter().enumerate() {
                    scale[o] = gamma[o] / (variance + epsilon).sqrt();
                    shift[o] = (shift[o] - mean[o]) * scale[o] + beta[o];
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    for (to, from) in bias.iter_mut().zip(&shift) {
        *to = *from as f32;
    }
    let window = height * width;
    let strides = match layer.kernel.layout {
        KernelLayout::Hwio => [1, outputs, inputs * outputs],
        KernelLayout::Oihw => [inputs * window, window, 1],
    };
    let mut rest = panels;
    for (range, width) in pack::panels(isa, outputs) {
        let (panel, behind) = rest.split_at_mut(depth(layer) * width);
        rest = behind;
        let algorithm = layer.algorithm;
        fold_panel(
            isa,
            FoldTask {
                kernel,
                strides,
                inputs,
                window,
                scale: &scale,
                algorithm,
                outputs: range,
                panel,
                width,
            },
        );
    }
    Ok(())
}

/// Rows of a panel: numbers that a channel of the input has in the packed kernel.
pub(super) fn depth(layer: &LayerWeights) -> usize {
    let [height, width, inputs, _] = layer.shape;
    inputs
        * match layer.algorithm {
            Algorithm::Direct => height * width,
            Algorithm::Winograd { output, .. } => (output + 2) * (output + 2),
        }
}
