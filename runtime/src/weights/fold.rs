//! Folds batch norms into kernels, and brings kernels into the order in which convolutions read them.
//!
//! ```text
//! scale[o]     = gamma[o] / sqrt(variance[o] + epsilon)                       (1 without a batch norm)
//! bias'[o]     = (bias[o] - mean[o]) * scale[o] + beta[o]
//! kernel'[.,o] = kernel[.,o] * scale[o]
//! ```
//! in double precision, rounded once (Ioffe and Szegedy 2015, "Batch Normalization", section 3.1, at inference).

use crate::isa::Isa;
use crate::kernels::pack;
use crate::network::{KernelLayout, LayerWeights};
use crate::weights::{Role, Tensor, tensors};

/// Reads a layer's tensors, folds them and writes panels and bias as the instruction set reads them.
pub(crate) fn fold(
    isa: Isa,
    layer: &LayerWeights,
    read: &impl Fn(Tensor<'_>) -> Vec<f32>,
    panels: &mut [f32],
    bias: &mut [f32],
) {
    let [height, width, inputs, outputs] = layer.shape;
    let mut kernel = Vec::new();
    let mut scale = vec![1.0; outputs];
    let mut shift = vec![0.0; outputs];
    // The order of `tensors`: bias, gamma, beta, mean, variance, so that what is read last completes the fold.
    let (mut gamma, mut beta, mut mean) = (Vec::new(), Vec::new(), Vec::new());
    for tensor in tensors(layer) {
        let numbers = read(tensor);
        match tensor.role {
            Role::Kernel { .. } => kernel = numbers,
            Role::Bias => shift = numbers.into_iter().map(f64::from).collect(),
            Role::Gamma => gamma = numbers,
            Role::Beta => beta = numbers,
            Role::Mean => mean = numbers,
            Role::Variance { epsilon } => {
                for o in 0..outputs {
                    scale[o] = f64::from(gamma[o]) / (f64::from(numbers[o]) + epsilon).sqrt();
                    shift[o] = (shift[o] - f64::from(mean[o])) * scale[o] + f64::from(beta[o]);
                }
            }
        }
    }
    for (to, from) in bias.iter_mut().zip(&shift) {
        *to = *from as f32;
    }
    // Element (o, i, window) of the file: how far apart its neighbours are.
    let window = height * width;
    let (per_output, per_input, per_window) = match layer.kernel.layout {
        KernelLayout::Hwio => (1, outputs, inputs * outputs),
        KernelLayout::Oihw => (inputs * window, window, 1),
    };
    let mut rest = panels;
    for (range, width) in pack::panels(isa, outputs) {
        let (panel, behind) = rest.split_at_mut(window * inputs * width);
        rest = behind;
        let mut rows = panel.chunks_exact_mut(width);
        for position in 0..window {
            for (input, row) in (0..inputs).zip(&mut rows) {
                let start = position * per_window + input * per_input;
                for (to, o) in row.iter_mut().zip(range.clone()) {
                    *to = (f64::from(kernel[start + o * per_output]) * scale[o]) as f32;
                }
            }
        }
    }
}
