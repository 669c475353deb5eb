//! Kernels of a weight file, scaled and brought into the order in which convolutions read them.
//!
//! ```text
//! for some inputs at a time:
//!     stage[input, position][output] = (kernel[output, input, position] - offset[output]) * scale[output] * input_scale[input]
//!         in double precision
//!     a row of the panel is a row of the stage, rounded; by Strassen's algorithm, a sum of rows; where products transform
//!     Winograd's weights, some of its lanes, and positions follow each other
//! ```
//! bf16 and int8 are put into words, and inputs are filled up to whole words. int8 are multiples of a scale of their output's,
//! which is found first: the largest value of an output is 127 steps.

use std::ops::Range;

use resnet_plan::algorithm::PRODUCTS;
use resnet_plan::{Algorithm, Precision};

use crate::elements::bf16;
use crate::kernels::pack::put;
use crate::kernels::winograd::fused;
use crate::kernels::{Kernels, strassen};

/// One panel to be filled.
pub(crate) struct FoldTask<'a> {
    /// The file's elements, little-endian f32.
    pub(crate) kernel: &'a [[u8; 4]],
    /// How far apart the elements of neighbours are: outputs, inputs, positions in the window.
    pub(crate) strides: [usize; 3],
    /// Inputs that an output has weights for, and outputs that have the same ones.
    pub(crate) inputs: usize,
    pub(crate) block: usize,
    /// Inputs and outputs of a group. Between groups, weights are zeros, which the file does not have.
    pub(crate) group: [usize; 2],
    /// Positions in the window.
    pub(crate) window: usize,
    /// What is taken from the weights of each output, and a factor.
    pub(crate) offset: &'a [f64],
    pub(crate) scale: &'a [f64],
    /// A factor for the weights of each input, of all groups.
    pub(crate) input_scale: &'a [f64],
    pub(crate) algorithm: Algorithm,
    pub(crate) precision: Precision,
    /// int8: the quantization scale of each of the panel's outputs; is written. Else 1.
    pub(crate) steps: &'a mut [f64],
    /// The panel's outputs; by Strassen's algorithm, those of the first half.
    pub(crate) outputs: Range<usize>,
    pub(crate) panel: &'a mut [f32],
    /// Elements in a row of the panel, and in one of a panel that products transform themselves.
    pub(crate) width: usize,
    pub(crate) part: usize,
}

/// The widest panel.
const LANES: usize = 64;
/// Rows of the stage: it stays in the L1 cache.
const ROWS: usize = 72;

type Row = [f64; LANES];

/// Fills the panel.
pub(crate) fn fold_panel(kernels: &Kernels, mut task: FoldTask<'_>) {
    // SAFETY: `kernels` shows that the machine has the instruction set.
    unsafe { (kernels.fold)(&mut task) }
}

/// Fills the panel. (Plain loops over lanes, which the compiler turns into an instruction set's own vectors.)
#[inline(always)]
pub(crate) fn run(task: &mut FoldTask<'_>) {
    // Rows are made of blocks of the kernel: by Strassen's algorithm its four quarters, else all of it.
    let [blocks, inputs, outputs] = match task.algorithm {
        Algorithm::Strassen { .. } => [4, task.inputs / 2, task.scale.len() / 2],
        _ => [1, task.inputs, task.scale.len()],
    };
    let (window, stored) = (task.window, inputs.next_multiple_of(task.precision.per_word()));
    let step = (ROWS / window).max(1);
    let mut stages = vec![[0.0; LANES]; blocks * step * window];
    let mut largest = [0.0f64; LANES];
    task.steps.fill(1.0);
    let passes: &[Pass] =
        if task.precision == Precision::Int8 { &[Pass::Measure, Pass::Write] } else { &[Pass::Write] };
    for (pass, first) in
        passes.iter().flat_map(|pass| (0..inputs).step_by(step).map(move |first| (pass, first)))
    {
        let count = step.min(inputs - first);
        for (block, stage) in stages.chunks_exact_mut(step * window).enumerate() {
            let (down, right) = (block / 2 * inputs, block % 2 * outputs);
            let outputs = task.outputs.start + right..task.outputs.end + right;
            fill(task, outputs, first + down, count, stage);
        }
        match (pass, task.algorithm) {
            (Pass::Measure, _) => {
                for row in &stages[..count * window] {
                    for (largest, number) in largest.iter_mut().zip(row) {
                        *largest = largest.max(number.abs());
                    }
                }
                for (step, largest) in task.steps.iter_mut().zip(largest) {
                    *step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
                }
            }
            (Pass::Write, Algorithm::Winograd { output, fused: true, .. }) => {
                windows(task, output, first, &stages[..count * window]);
            }
            (Pass::Write, _) => {
                let mut products = [[0.0; LANES]; PRODUCTS];
                for index in 0..count * window {
                    let rows = if blocks == 1 {
                        &stages[index..=index]
                    } else {
                        factors(&stages, index, &mut products);
                        &products
                    };
                    for (plane, row) in rows.iter().enumerate() {
                        write(task, (plane + index % window) * stored + first + index / window, row);
                    }
                }
            }
        }
    }
}

/// What is done with the rows that were read.
enum Pass {
    /// int8: their largest elements give the scales.
    Measure,
    Write,
}

/// Strassen's factors of a row of each block: the blocks and their sums.
#[inline(always)]
fn factors(stages: &[Row], index: usize, products: &mut [Row; PRODUCTS]) {
    for lane in 0..LANES {
        let row = strassen::factors([0, 1, 2, 3].map(|block| stages[block * ROWS + index][lane]));
        for (product, number) in products.iter_mut().zip(row) {
            product[lane] = number;
        }
    }
}

/// Winograd's panels within a panel, where products transform their weights: input by input, the window's elements.
#[inline(always)]
fn windows(task: &mut FoldTask<'_>, output: usize, first: usize, stage: &[Row]) {
    let FoldTask { inputs, window, part: width, .. } = *task;
    for (part, panel) in task.panel.chunks_exact_mut(inputs * window * width).enumerate() {
        let rows = panel[first * window * width..].chunks_exact_mut(width);
        for (index, (to, row)) in rows.zip(stage).enumerate() {
            let scale = fused::scale(output, index % window);
            for (to, number) in to.iter_mut().zip(&row[part * width..]) {
                *to = (number * scale) as f32;
            }
        }
    }
}

/// Reads `count` inputs of some outputs from `first` on: one row for each of their positions.
#[inline(always)]
fn fill(task: &FoldTask<'_>, outputs: Range<usize>, first: usize, count: usize, stage: &mut [Row]) {
    let [per_output, per_input, per_position] = task.strides;
    let [group_inputs, group_outputs] = task.group;
    for (lane, output) in outputs.enumerate() {
        let (offset, scale) = (task.offset[output], task.scale[output]);
        let of_group = output / group_outputs * group_inputs;
        let of_block = output / task.block * task.inputs;
        for (index, rows) in stage.chunks_exact_mut(task.window).take(count).enumerate() {
            let channel = of_block + first + index;
            let input = channel.wrapping_sub(of_group);
            if input >= group_inputs {
                rows.iter_mut().for_each(|row| row[lane] = 0.0);
                continue;
            }
            let start = output * per_output + input * per_input;
            let scale = scale * task.input_scale[channel];
            for (position, row) in rows.iter_mut().enumerate() {
                let number = task.kernel[start + position * per_position];
                row[lane] = (f64::from(f32::from_le_bytes(number)) - offset) * scale;
            }
        }
    }
}

/// Rounds a row into the panel.
#[inline(always)]
fn write(task: &mut FoldTask<'_>, place: usize, row: &Row) {
    let per_word = task.precision.per_word();
    let to = &mut task.panel[place / per_word * task.width..][..task.width];
    let to = to[..task.outputs.len()].iter_mut().zip(row);
    match task.precision {
        Precision::F32 => to.for_each(|(to, number)| *to = *number as f32),
        Precision::Bf16 => {
            for (to, number) in to {
                put(to, task.precision, place % per_word, u32::from(bf16::from_f64(*number).to_bits()));
            }
        }
        Precision::Int8 => {
            // From here on f64 are whole numbers, so the addition rounds to the nearest, an even one in the middle.
            const INTEGER: f64 = 6_755_399_441_055_744.0;
            for ((to, number), step) in to.zip(task.steps.iter()) {
                let steps = (number / step + INTEGER) - INTEGER;
                put(to, task.precision, place % per_word, u32::from((steps as i8).cast_unsigned()));
            }
        }
    }
}
