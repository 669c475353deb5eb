//! Folds batch norms into kernels, layer by layer.
//!
//! ```text
//! scale         = gamma / sqrt(variance + epsilon)                             (1 without a batch norm)
//! kernel[i,o]   is standardized                                               (less its mean, over its deviation, if that is asked for)
//! sums[o]       = bias[o] + sum of kernel[i,o] * (input_beta[i] - input_mean[i] * input_scale[i])
//! bias'[o]      = (sums[o] - mean[o]) * scale[o] + beta[o]
//! kernel'[i,o]  = kernel[i,o] * scale[o] * input_scale[i]
//!
//! int8 (each output of a kernel has a quantization scale, its step):
//! start[o]  = -128 * sum of kernel'[.,o] if the input is signed, and is moved by 128 to be multiplied; else 0
//! factor[o] = input's step * kernel's step[o] / output's step
//! bias''[o] = bias'[o] / output's step
//! ```
//! in double precision, rounded once (Ioffe and Szegedy 2015, "Batch Normalization", section 3.1, at inference).

use resnet_plan::{Algorithm, BatchNorm, LayerWeights, Precision, Role, WeightTensor};

use crate::kernels::panels::Panels;
use crate::kernels::winograd::fused;
use crate::kernels::{FoldTask, Kernels, fold_panel, pack};
use crate::weights::file::Fault;

/// Reads a layer's tensors, folds them and writes panels and bias as these kernels read them.
///
/// # Errors
/// What `read` finds wrong with each of the layer's tensors; or that something folds to what f32 or bf16 cannot hold.
pub(super) fn fold(
    kernels: &Kernels,
    precision: Precision,
    layer: &LayerWeights,
    read: &impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault>,
    panels: &mut [f32],
    bias: &mut [f32],
    kernel: &mut Vec<[u8; 4]>,
) -> Result<(), Vec<Fault>> {
    let folded = Folded::read(layer, read, kernel)?;
    let [from, to] = layer.elements;
    let [_, lists] = cut(kernels, precision, layer);
    let slopes = if layer.slope.is_some() { lists.padded() } else { 0 };
    let (bias, slopes) = bias.split_at_mut(bias.len() - slopes);
    write_list(&lists, slopes, folded.slopes.iter().copied());
    let block = [layer.shape[2], layer.shape[3]].map(|channels| channels / layer.blocks);
    let moved = from.is_signed() && pack::moves_signed(kernels, layer.blocks, block);
    let starts = if moved { &mut *bias } else { &mut [] };
    let steps = write_panels(kernels, precision, layer, &folded, kernel, panels, (&lists, starts));
    if from.is_quantized() {
        let (_, rest) = bias.split_at_mut(bias.len() / 3);
        let (factors, biases) = rest.split_at_mut(rest.len() / 2);
        let (input, output) = (f64::from(from.scale()), f64::from(to.scale()));
        write_list(&lists, factors, steps.iter().map(|step| input * step / output));
        write_list(&lists, biases, folded.shift.iter().map(|shift| shift / output));
    } else {
        write_list(&lists, bias, folded.shift.into_iter());
    }
    let finite = if from.is_quantized() {
        let scales = &bias[bias.len() / 3..];
        steps.iter().all(|step| step.is_finite()) && scales.iter().all(|number| number.is_finite())
    } else {
        holds_only_finite(precision, panels) && holds_only_finite(Precision::F32, bias)
    };
    // Winograd's algorithms transform a kernel when it is used: sums of its elements must fit, too. (Those of 4x4 tiles are up to 6.25
    // times the largest; the bound is far above what any needs.) What bf16 are computed with, the machine decides.
    let transformed = match (precision, layer.algorithm) {
        (Precision::Int8, _) | (Precision::F32, Algorithm::Direct | Algorithm::Strassen { .. }) => false,
        (Precision::Bf16, _)
        | (Precision::F32, Algorithm::Winograd { .. } | Algorithm::WinogradRows { .. }) => true,
    };
    let is_large = |weight: f32| weight.abs() > f32::MAX / 1024.0;
    let is_any_large = |word: &f32| match precision {
        Precision::Bf16 => is_large(*word) || is_large(f32::from_bits(word.to_bits() << 16)),
        _ => is_large(*word),
    };
    let finite = finite && !(transformed && panels.iter().any(is_any_large));
    if finite { Ok(()) } else { Err(vec![Fault::Unfit(not_finite(precision, layer))]) }
}

/// How the outputs of a layer are cut: of its kernel, by Strassen's algorithm half of them, and of its lists.
pub(super) fn cut(kernels: &Kernels, precision: Precision, layer: &LayerWeights) -> [Panels; 2] {
    let [_, channels] = layer.packed_shape();
    let inputs = layer.shape[2].div_ceil(precision.per_word()) / layer.blocks;
    [channels, layer.shape[3] / layer.blocks]
        .map(|outputs| Panels::new(kernels, precision, layer.blocks, [inputs, outputs]))
}

/// What is wrong with weights that are finite in their file, and not when they are folded.
fn not_finite(precision: Precision, layer: &LayerWeights) -> String {
    let elements = if precision == Precision::Bf16 { "bf16" } else { "f32" };
    let name = &layer.kernel.name;
    let norms = || layer.input_norm.iter().chain(&layer.batch_norm);
    let [gammas, variances] =
        [|norm: &BatchNorm| norm.gamma.clone(), |norm: &BatchNorm| norm.variance.clone()]
            .map(|name| norms().map(name).collect::<Vec<_>>().join(" and "));
    if gammas.is_empty() {
        return format!("not finite: {name}, or its bias, has elements that {elements} cannot hold");
    }
    format!(
        "not finite: {name} with its batch norm folded in, as {elements}: look for large elements of {gammas}, and small ones of \
         {variances}"
    )
}

/// Whether no element of packed words is an infinity or NaN.
fn holds_only_finite(precision: Precision, words: &[f32]) -> bool {
    // A block at a time, without a way out of its middle: that is fast.
    const BLOCK: usize = 1 << 12;
    // An exponent of all ones, in either half of a word.
    let special = |bits: u32, exponent: u32| bits & exponent == exponent;
    let any = |block: &[f32]| match precision {
        Precision::Bf16 => block.iter().fold(false, |any, word| {
            any | special(word.to_bits(), 0x7F80) | special(word.to_bits(), 0x7F80_0000)
        }),
        _ => block.iter().fold(false, |any, word| any | special(word.to_bits(), 0x7F80_0000)),
    };
    !words.chunks(BLOCK).any(any)
}

/// What is taken from the weights of each output of a layer, what they are multiplied with, and what is added to their sums.
struct Folded {
    offset: Vec<f64>,
    scale: Vec<f64>,
    /// A factor for the weights of each input.
    input_scale: Vec<f64>,
    shift: Vec<f64>,
    /// Of a PReLU, if there is one.
    slopes: Vec<f64>,
}

impl Folded {
    /// Reads a layer's tensors: the kernel as it is, the others folded.
    ///
    /// # Errors
    /// What `read` finds wrong with each of them.
    fn read(
        layer: &LayerWeights,
        read: &impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault>,
        kernel: &mut Vec<[u8; 4]>,
    ) -> Result<Self, Vec<Fault>> {
        let [_, _, inputs, outputs] = layer.shape;
        let (mut lists, mut faults, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for tensor in layer.tensors() {
            let is_kernel = matches!(tensor.role, Role::Kernel { .. });
            match read(&tensor, if is_kernel { &mut *kernel } else { &mut buffer }) {
                Ok(()) if is_kernel => {}
                Ok(()) => {
                    let numbers = buffer.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
                    lists.push(numbers.collect::<Vec<f64>>());
                }
                Err(fault) => faults.push(fault),
            }
        }
        // Nothing is allocated for a kernel that is not there.
        if !faults.is_empty() {
            return Err(faults);
        }
        // The order of `tensors`: bias, the input's norm, the sums' norm, slopes.
        let mut lists = lists.into_iter();
        let mut next = || lists.next().unwrap_or_default();
        let mut shift = if layer.bias.is_some() { next() } else { vec![0.0; outputs] };
        let (offset, mut scale): (Vec<f64>, Vec<f64>) = standards(layer, kernel).into_iter().unzip();
        let mut input_scale = vec![1.0; inputs];
        if let Some(norm) = &layer.input_norm {
            let mut input_shift = vec![0.0; inputs];
            apply(norm, [next(), next(), next(), next()], &mut input_scale, &mut input_shift);
            let added = sums(layer, kernel, [&offset, &scale], &input_shift);
            shift.iter_mut().zip(added).for_each(|(shift, added)| *shift += added);
        }
        if let Some(norm) = &layer.batch_norm {
            apply(norm, [next(), next(), next(), next()], &mut scale, &mut shift);
        }
        let slopes = if layer.slope.is_some() { of_each(next(), outputs) } else { Vec::new() };
        Ok(Folded { offset, scale, input_scale, shift, slopes })
    }
}

/// Multiplies scales with a batch norm's, and normalizes shifts. (Its lists: gamma, beta, mean, variance.)
fn apply(
    norm: &BatchNorm,
    [gamma, beta, mean, variance]: [Vec<f64>; 4],
    scales: &mut [f64],
    shifts: &mut [f64],
) {
    let first = norm.channels.map_or(0, |[first, _]| first);
    for (index, variance) in variance.into_iter().enumerate() {
        let scale = gamma[index] / (variance + norm.epsilon).sqrt();
        scales[first + index] *= scale;
        shifts[first + index] = (shifts[first + index] - mean[index]) * scale + beta[index];
    }
}

/// What each output makes of an image whose pixels are all the same.
fn sums(layer: &LayerWeights, kernel: &[[u8; 4]], [offset, scale]: [&[f64]; 2], pixel: &[f64]) -> Vec<f64> {
    let group_outputs = layer.shape[3] / layer.groups;
    let [_, _, inputs, outputs] = layer.group_shape();
    let sum = |output: usize| {
        let pixel = &pixel[output / group_outputs * inputs..][..inputs];
        let terms = weights(layer, kernel, output)
            .map(|(input, weight)| (weight - offset[output]) * scale[output] * pixel[input]);
        terms.sum()
    };
    (0..outputs).map(sum).collect()
}

/// The weights of an output, and which input of its group each is for.
fn weights(layer: &LayerWeights, kernel: &[[u8; 4]], output: usize) -> impl Iterator<Item = (usize, f64)> {
    let shape @ [height, width, inputs, _] = layer.group_shape();
    let [per_output, per_input, per_position] = layer.kernel.layout.strides(shape);
    let places = (0..inputs)
        .flat_map(move |i| (0..height * width).map(move |p| (i, i * per_input + p * per_position)));
    places.map(move |(input, place)| {
        (input, f64::from(f32::from_le_bytes(kernel[output * per_output + place])))
    })
}

/// What is taken from the weights of each output, and what they are multiplied with then: that makes standardized ones.
fn standards(layer: &LayerWeights, kernel: &[[u8; 4]]) -> Vec<(f64, f64)> {
    let [height, width, inputs, outputs] = layer.group_shape();
    let Some(epsilon) = layer.standardized else { return vec![(0.0, 1.0); outputs] };
    let count = (height * width * inputs) as f64;
    let standard = |output: usize| {
        let weights = || weights(layer, kernel, output).map(|(_, weight)| weight);
        let mean = weights().sum::<f64>() / count;
        let variance = weights().map(|weight| (weight - mean).powi(2)).sum::<f64>() / count;
        (mean, 1.0 / (variance + epsilon).sqrt())
    };
    (0..outputs).map(standard).collect()
}

/// An element for each output: those that there are, or the only one for all.
fn of_each(numbers: Vec<f64>, outputs: usize) -> Vec<f64> {
    if let [single] = numbers[..] { vec![single; outputs] } else { numbers }
}

/// Writes the panels of a kernel, and what the sums of int8 start with, for as many outputs as `starts` has. Gives the steps of the
/// outputs.
fn write_panels(
    kernels: &Kernels,
    precision: Precision,
    layer: &LayerWeights,
    folded: &Folded,
    kernel: &[[u8; 4]],
    panels: &mut [f32],
    (lists, starts): (&Panels, &mut [f32]),
) -> Vec<f64> {
    let shape @ [height, width, group_inputs, outputs] = layer.group_shape();
    let [inputs, block] = [layer.shape[2], outputs].map(|channels| channels / layer.blocks);
    let mut rest = panels;
    let mut steps = vec![1.0; outputs];
    let [depth, _] = layer.packed_shape();
    let [panels, _] = cut(kernels, precision, layer);
    for panel in (0..panels.count()).map(|index| panels.at(index)) {
        let (range, panel_width) = (panel.first..panel.first + panel.channels, panel.width);
        let (panel, behind) = rest.split_at_mut(depth * panel_width);
        rest = behind;
        let task = FoldTask {
            kernel,
            strides: layer.kernel.layout.strides(shape),
            inputs,
            block,
            group: [group_inputs, outputs / layer.groups],
            window: height * width,
            offset: &folded.offset,
            scale: &folded.scale,
            input_scale: &folded.input_scale,
            algorithm: layer.algorithm,
            precision,
            steps: &mut steps[range.clone()],
            outputs: range.clone(),
            panel,
            width: panel_width,
            part: match layer.algorithm {
                Algorithm::Winograd { output, fused: true, .. } => fused::panel(kernels, output),
                _ => panel_width,
            },
        };
        fold_panel(kernels, task);
        if starts.is_empty() {
            continue;
        }
        for (lane, output) in range.enumerate() {
            let column = panel.iter().skip(lane).step_by(panel_width);
            // Sums wrap, as those of the kernels do: the difference is right.
            let sum = column
                .flat_map(|word| word.to_bits().to_le_bytes())
                .fold(0i32, |sum, weight| sum.wrapping_add(i32::from(weight.cast_signed())));
            starts[lists.place(output)] = f32::from_bits(sum.wrapping_mul(-128).cast_unsigned());
        }
    }
    steps
}

/// Writes an element for each output, rounded to f32.
fn write_list(lists: &Panels, to: &mut [f32], numbers: impl Iterator<Item = f64>) {
    for (output, number) in numbers.enumerate() {
        to[lists.place(output)] = number as f32;
    }
}
