//! Winograd's minimal filtering of rows only, for windows of many rows and few input channels, such as a stem's 7x7: four output
//! rows are computed together, with half as many products as a direct sum. Columns stay as they are, so products are row runs.
//!
//! ```text
//! Y = A^T [ (G g) * (B^T d) ]                           g, d, Y: rows of a window, input rows, four output rows
//!
//! U[t][phase][:] = (G g)[t]                             t: the point; from the packed weights
//! for each band of four output rows, for each block of its columns:
//!     V[t][phase][:] = (B^T d)[t]                       whole rows
//!     for each panel of output channels:
//!         for each t:       M[t][column][:] = sum over phases of V[t][phase][column's run] . U[t][phase]     the micro-kernel
//!         for each column:  y[4 rows] = relu?(A^T M + bias + y?)
//! ```
//! With a step of s, input rows and a window's rows fall into s phases, each of which is filtered with step 1: of seven rows and step
//! 2, four even and three odd ones. All phases take the same points, so that they are added up while they are multiplied.
//! `winograd_rows/transform.rs` has the matrices.
//!
//! Weights are stored as those of a direct sum. A band that hangs over the image's lower edge takes zeros there. A number that is not
//! finite reaches the outputs of four rows.

pub(crate) mod transform;

use resnet_plan::algorithm::{LARGEST_COLUMNS, PANEL, SKEW};
use resnet_plan::winograd::{BAND, Rows};
use resnet_plan::{Algorithm, ConvGeometry, Convolution, Residual};

use crate::kernels::Kernels;
use crate::kernels::conv::{ConvTask, NO_BIAS};
use crate::kernels::product::{Fetch, LINE, Product};
use transform::LARGEST_POINTS;
use transform::{BandInput, BandKernel, BandOutput};

/// The rows of a convolution's kernel, and its stride. (Row runs already hold all channels.)
fn rows_of(geometry: &ConvGeometry) -> (Option<Rows>, usize) {
    let stride = geometry.x.row / geometry.pitch.max(1);
    (Rows::of([geometry.rows, geometry.run], [stride, geometry.x.pixel], 1), stride)
}

/// Bands of rows, and blocks of a band.
fn shape([height, width]: [usize; 2], block: usize) -> [usize; 2] {
    [height.div_ceil(BAND), width.div_ceil(block)]
}

/// Blocks of all images.
pub(super) fn units(geometry: &ConvGeometry, block: usize) -> usize {
    geometry.batch * shape(geometry.output, block).iter().product::<usize>()
}

/// # Panics
/// If the convolution is not one that this algorithm computes, or the scratch memory is too small.
pub(super) fn check(convolution: &Convolution, scratch: usize) {
    let Convolution { geometry, algorithm, .. } = convolution;
    let (_, stride) = rows_of(geometry);
    let (kernel, strides) = ([geometry.rows, geometry.run], [stride, geometry.x.pixel]);
    let channels = [1, geometry.channels];
    let even = Some(geometry.x.row) == stride.checked_mul(geometry.pitch);
    let computes = even && algorithm.computes(kernel, strides, channels);
    assert!(computes, "Winograd's algorithm of rows does not compute this convolution");
    let needed = algorithm.scratch_len(kernel, strides, channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all blocks and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels, whose instruction set the
/// machine has. [`check`] holds for the task, and for `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask, scratch: &mut [f32]) {
    let ConvTask { convolution: Convolution { geometry, algorithm, residual, relu, .. }, .. } = *task;
    let Algorithm::WinogradRows { block } = algorithm else { return };
    let (Some(windows), step) = rows_of(&geometry) else { return };
    let (rows, Rows { points, full, runs, run, pixel }) = (geometry.rows, windows);
    let row = windows.row(block);
    let m_plane = block * PANEL + SKEW;
    let (zeros, rest) = scratch.split_at_mut(row);
    let (v, rest) = rest.split_at_mut(runs * row);
    let (m, u) = rest.split_at_mut(points * m_plane);
    zeros.fill(0.0);
    let mut v_offsets = [0; LARGEST_COLUMNS];
    let mut m_offsets = [0; LARGEST_COLUMNS];
    for slot in 0..block {
        v_offsets[slot] = slot * pixel;
        m_offsets[slot] = slot * kernels.panel;
    }
    let first_channel = task.panel_range.start * kernels.panel;
    let panels = || {
        task.panel_range.clone().map(|panel| {
            let channel = panel * kernels.panel;
            let channels = (geometry.channels - channel).min(kernels.panel);
            (channel, channels, channels.next_multiple_of(kernels.lanes))
        })
    };
    for (channel, _, width) in panels() {
        let u = u[runs * run * (channel - first_channel)..].as_mut_ptr();
        for phase in 0..step {
            let tap = |tap: usize| channel * rows * run + (phase + tap * step) * run * width;
            let taps: [_; BAND] = std::array::from_fn(|index| task.panels.wrapping_add(tap(index)));
            let kernel = BandKernel {
                points,
                taps: &taps[..(rows - phase).div_ceil(step)],
                count: run * width,
                u: u.wrapping_add(phase * run * width),
                plane: step * run * width,
            };
            // SAFETY: the caller's contract: earlier panels are all full, each of `rows * run` times its width; U has room for all
            // runs of the panels before, and of this.
            unsafe { (kernels.winograd_rows_kernel)(&kernel) };
        }
    }
    let [bands, blocks] = shape(geometry.output, block);
    for unit in task.units.clone() {
        let (image, band, column) =
            (unit / blocks / bands, unit / blocks % bands * BAND, unit % blocks * block);
        let inside = [BAND.min(geometry.output[0] - band), block.min(geometry.output[1] - column)];
        let columns = inside[1];
        // Input rows that are in some window, from the first of the band on.
        let last = step * (geometry.output[0] - 1 - band) + rows;
        let x = task.x.wrapping_add(geometry.x.at(image, band, column));
        for phase in 0..step {
            let mut given = [zeros.as_ptr(); LARGEST_POINTS];
            for (index, given) in given.iter_mut().enumerate() {
                let row = step * index + phase;
                if row < last {
                    *given = x.wrapping_add(row * geometry.pitch);
                }
            }
            let input = BandInput {
                points,
                rows: &given[..if phase < full { points } else { points - 1 }],
                count: (columns - 1) * pixel + run,
                v: v[phase * row..].as_mut_ptr(),
                plane: step * row,
            };
            // SAFETY: the caller's contract: rows that are not beyond the last window's are in some window, all others are zeros, which
            // are as long; V has room for all runs.
            unsafe { (kernels.winograd_rows_input)(&input) };
        }
        for (channel, channels, width) in panels() {
            let u = u[runs * run * (channel - first_channel)..].as_ptr();
            let y = task.y.wrapping_add(geometry.y.at(image, band, column) + channel);
            for point in 0..points {
                // SAFETY: V holds the runs of all columns, U the weights of the panel, M the sums of all columns; the list of zeros is as long
                // as the widest panel.
                unsafe {
                    (kernels.product)(&Product {
                        x: v[point * step * row..].as_ptr(),
                        x_offsets: &v_offsets[..columns],
                        rows: if point + 1 < points { step } else { full },
                        run,
                        pitch: row,
                        weights: u.add(point * step * run * width),
                        // The rows of the output that are written next.
                        prefetch: y.wrapping_add(point % BAND * geometry.y.row),
                        prefetch_apart: step * run * LINE,
                        fetch: Fetch::One,
                        bias: NO_BIAS.as_ptr(),
                        y: m[point * m_plane..].as_mut_ptr(),
                        y_offsets: &m_offsets[..columns],
                        channels: width,
                        begun: &[],
                        relu: false,
                    });
                }
            }
            let output = BandOutput {
                points,
                m: m.as_ptr(),
                column: kernels.panel,
                plane: m_plane,
                bias: task.bias.wrapping_add(channel),
                y,
                row: geometry.y.row,
                pixel: geometry.y.pixel,
                inside,
                channels,
                accumulate: residual == Residual::Same,
                relu,
            };
            // SAFETY: the caller's contract, for the rows and columns that are inside and the panel's channels.
            unsafe { (kernels.winograd_rows_output)(&output) };
        }
    }
}
