//! Kernels of a weight file, scaled and brought into the order in which convolutions read them.
//!
//! ```text
//! for some inputs at a time:
//!     stage[input, position][output] = kernel[output, input, position] * scale[output]        in double precision
//!     direct:    a row of the panel is a row of the stage, rounded
//!     winograd:  G g G^T of each input's window, rounded
//! ```

use std::ops::Range;

use crate::isa::Isa;
use crate::kernels::{Algorithm, winograd};

/// One panel to be filled.
pub(crate) struct FoldTask<'a> {
    /// The file's numbers, little-endian f32.
    pub(crate) kernel: &'a [[u8; 4]],
    /// How far apart the numbers of neighbours are: outputs, inputs, positions in the window.
    pub(crate) strides: [usize; 3],
    pub(crate) inputs: usize,
    /// Positions in the window.
    pub(crate) window: usize,
    /// A factor for each output.
    pub(crate) scale: &'a [f64],
    pub(crate) algorithm: Algorithm,
    /// The panel's outputs.
    pub(crate) outputs: Range<usize>,
    pub(crate) panel: &'a mut [f32],
    /// Numbers in a row of the panel.
    pub(crate) width: usize,
}

/// The widest panel.
const LANES: usize = 64;
/// Rows of the stage: it stays in the first-level cache.
const ROWS: usize = 72;

type Row = [f64; LANES];

/// Fills the panel.
///
/// # Panics
/// If the machine lacks `isa`.
pub(crate) fn fold_panel(isa: Isa, mut task: FoldTask<'_>) {
    assert!(isa.is_available(), "this machine has no {isa}");
    // SAFETY: the machine has the instruction set.
    unsafe { (isa.kernels().fold)(&mut task) }
}

/// Fills the panel. (Plain loops over lanes, which the compiler turns into an instruction set's own vectors.)
#[inline(always)]
pub(crate) fn run(task: &mut FoldTask<'_>) {
    let (inputs, window) = (task.inputs, task.window);
    let step = (ROWS / window).max(1);
    let mut stage = vec![[0.0; LANES]; step * window];
    for first in (0..inputs).step_by(step) {
        let count = step.min(inputs - first);
        fill(task, first, count, &mut stage);
        for (index, rows) in stage.chunks_exact(window).take(count).enumerate() {
            let input = first + index;
            match task.algorithm {
                Algorithm::Direct => {
                    for (position, row) in rows.iter().enumerate() {
                        write(task, position * inputs + input, row);
                    }
                }
                Algorithm::Winograd { output, .. } => transform(task, input, output, rows),
            }
        }
    }
}

/// Reads `count` inputs from `first` on: one row for each of their positions.
#[inline(always)]
fn fill(task: &FoldTask<'_>, first: usize, count: usize, stage: &mut [Row]) {
    let [per_output, per_input, per_position] = task.strides;
    for (lane, output) in task.outputs.clone().enumerate() {
        let scale = task.scale[output];
        for (index, rows) in stage.chunks_exact_mut(task.window).take(count).enumerate() {
            let start = output * per_output + (first + index) * per_input;
            for (position, row) in rows.iter_mut().enumerate() {
                let number = task.kernel[start + position * per_position];
                row[lane] = f64::from(f32::from_le_bytes(number)) * scale;
            }
        }
    }
}

/// Rounds a row into the panel.
#[inline(always)]
fn write(task: &mut FoldTask<'_>, place: usize, row: &Row) {
    let to = &mut task.panel[place * task.width..][..task.width];
    for (to, number) in to[..task.outputs.len()].iter_mut().zip(row) {
        *to = *number as f32;
    }
}

/// `G g G^T` of the 3x3 windows of an input: see [`winograd`].
#[inline(always)]
fn transform(task: &mut FoldTask<'_>, input: usize, output: usize, window: &[Row]) {
    let matrix = winograd::kernel_matrix(output);
    let combine = |factors: [f64; 3], rows: [&Row; 3]| -> Row {
        std::array::from_fn(|lane| {
            factors[0] * rows[0][lane] + factors[1] * rows[1][lane] + factors[2] * rows[2][lane]
        })
    };
    for (row, g) in matrix.iter().enumerate() {
        let line: [Row; 3] = std::array::from_fn(|column| {
            combine(*g, [&window[column], &window[3 + column], &window[6 + column]])
        });
        for (column, g) in matrix.iter().enumerate() {
            let plane = row * matrix.len() + column;
            write(task, plane * task.inputs + input, &combine(*g, [&line[0], &line[1], &line[2]]));
        }
    }
}
