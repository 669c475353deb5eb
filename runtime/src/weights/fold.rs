//! Folds batch norms into kernels, and brings kernels into the order in which convolutions read them.
//!
//! ```text
//! scale[o]     = gamma[o] / sqrt(variance[o] + epsilon)                       (1 without a batch norm)
//! bias'[o]     = (bias[o] - mean[o]) * scale[o] + beta[o]
//! kernel'[.,o] = kernel[.,o] * scale[o]
//! ```
//! in double precision, rounded once (Ioffe and Szegedy 2015, "Batch Normalization", section 3.1, at inference).

use crate::isa::Isa;
use crate::kernels::{Algorithm, pack, winograd};
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
    let weight = |o: usize, input: usize, position: usize| {
        f64::from(kernel[o * per_output + input * per_input + position * per_window]) * scale[o]
    };
    let mut rest = panels;
    for (range, width) in pack::panels(isa, outputs) {
        let (panel, behind) = rest.split_at_mut(depth(layer) * width);
        rest = behind;
        match layer.algorithm {
            Algorithm::Direct => {
                for (row, to) in panel.chunks_exact_mut(width).enumerate() {
                    for (to, o) in to.iter_mut().zip(range.clone()) {
                        *to = weight(o, row % inputs, row / inputs) as f32;
                    }
                }
            }
            Algorithm::Winograd { output, .. } => {
                for (lane, o) in range.enumerate() {
                    for input in 0..inputs {
                        let window: [f64; 9] = std::array::from_fn(|position| weight(o, input, position));
                        transform(output, &window, |plane, number| {
                            panel[(plane * inputs + input) * width + lane] = number as f32;
                        });
                    }
                }
            }
        }
    }
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

/// `G g G^T` of a 3x3 window: see [`winograd`].
fn transform(output: usize, window: &[f64; 9], mut write: impl FnMut(usize, f64)) {
    let matrix = winograd::kernel_matrix(output);
    for (row, g) in matrix.iter().enumerate() {
        let line: [f64; 3] =
            std::array::from_fn(|column| (0..3).map(|k| g[k] * window[3 * k + column]).sum());
        for (column, g) in matrix.iter().enumerate() {
            write(row * matrix.len() + column, (0..3).map(|k| line[k] * g[k]).sum());
        }
    }
}
