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
//! With a stride of s, input rows and a window's rows fall into s phases, each of which is filtered with stride 1: of seven rows and stride
//! 2, four even and three odd ones. All phases take the same points, so that they are added up while they are multiplied.
//! `winograd_rows/transform.rs` has the matrices.
//!
//! Weights are stored as those of a direct sum. A band that hangs over the image's lower edge takes zeros there. An element that is not
//! finite reaches the outputs of four rows.

mod integer;
pub(crate) mod transform;

use resnet_plan::algorithm::{Channels, LARGEST_COLUMNS, SKEW};
use resnet_plan::winograd::{BAND, Rows};
use resnet_plan::{Activation, Algorithm, ConvGeometry, Convolution, Residual};

use crate::kernels::conv::{ConvTask, NO_BIAS};
use crate::kernels::panels::Panel;
use crate::kernels::product::{Fetch, Product};
use crate::kernels::table::Kernels;
use crate::kernels::wide::{self, Kind};
use transform::LARGEST_POINTS;
use transform::{BandInput, BandKernel, BandOutput};

/// The rows of a convolution's kernel in wide words, and its stride. (Row runs already hold all channels.)
fn rows_of(geometry: &ConvGeometry, kind: Kind) -> (Option<Rows>, usize) {
    let stride = geometry.x.row / geometry.pitch.max(1);
    let [run, pixel] = [geometry.run, geometry.x.pixel].map(|words| words.saturating_mul(kind.wide()));
    (Rows::of([geometry.rows, run], [stride, pixel], 1), stride)
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
/// If the convolution is not one that this algorithm computes of such elements, or the scratch memory is too small.
pub(super) fn check(geometry: &ConvGeometry, kind: Kind, algorithm: Algorithm, scratch: usize) {
    let (_, stride) = rows_of(geometry, kind);
    let precision = kind.precision();
    // As columns of one wide word each.
    let [run, pixel] = [geometry.run, geometry.x.pixel].map(|words| words.saturating_mul(kind.wide()));
    let channels = Channels::dense([precision.per_word() / kind.wide(), geometry.channels]);
    let (kernel, strides) = ([geometry.rows, run], [stride, pixel]);
    let even = Some(geometry.x.row) == stride.checked_mul(geometry.pitch);
    let computes = even && algorithm.computes_in(precision, kernel, strides, channels);
    assert!(computes, "the algorithm does not compute this convolution");
    let needed = algorithm.scratch_len(precision, kernel, strides, channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all blocks and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels. [`check`] holds for the task, and for
/// `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let Some(part) = Part::of(kernels, task) else { return };
    let mut planes = Planes::carve(&part, scratch);
    for panel in part.panels() {
        // SAFETY: the caller's contract, for this panel.
        unsafe { part.transform_weights(panel, &mut planes) };
    }
    for unit in task.share.blocks(1, 1).flatten() {
        let place = part.place(unit);
        // SAFETY: the caller's contract, for this block.
        unsafe { part.transform_inputs(&place, &mut planes) };
        for panel in part.panels() {
            // SAFETY: the caller's contract, for this block and this panel.
            unsafe {
                part.multiply(panel, &place, &mut planes);
                part.transform_sums(panel, &place, &mut planes);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    windows: Rows,
    /// Rows from a window to the next.
    step: usize,
    /// Columns of a block.
    block: usize,
    /// Elements of a row of V.
    row: usize,
    /// Where each column has its run in a row of V, and its sums in a plane of M.
    v_offsets: [usize; LARGEST_COLUMNS],
    m_offsets: [usize; LARGEST_COLUMNS],
}

/// The scratch memory: a row of zeros; the rows of V; M, point by point; U, panel by panel. Narrow elements: outputs that are not yet
/// finished, row by row.
struct Planes<'a> {
    zeros: &'a mut [f32],
    v: &'a mut [f32],
    m: &'a mut [f32],
    m_plane: usize,
    u: &'a mut [f32],
    y: &'a mut [f32],
}

/// A block: its image, its first row and column of outputs, and how many of them lie in the image.
struct Place {
    image: usize,
    row: usize,
    column: usize,
    inside: [usize; 2],
}

impl<'a> Planes<'a> {
    fn carve(part: &Part<'_>, scratch: &'a mut [f32]) -> Self {
        let m_plane = part.block * part.kernels.panel + SKEW;
        let (zeros, rest) = scratch.split_at_mut(part.row);
        let (v, rest) = rest.split_at_mut(part.windows.runs * part.row);
        let (m, rest) = rest.split_at_mut(part.windows.points * m_plane);
        let y_len = if part.task.kind == Kind::F32 { 0 } else { BAND * part.block * part.kernels.panel };
        let (y, u) = rest.split_at_mut(y_len);
        zeros.fill(0.0);
        Planes { zeros, v, m, m_plane, u, y }
    }
}

impl<'a> Part<'a> {
    /// `None` for other algorithms.
    fn of(kernels: &'a Kernels, task: &'a ConvTask<'a>) -> Option<Self> {
        let Algorithm::WinogradRows { block } = task.algorithm else { return None };
        let (Some(windows), step) = rows_of(&task.convolution.geometry, task.kind) else { return None };
        let mut v_offsets = [0; LARGEST_COLUMNS];
        let mut m_offsets = [0; LARGEST_COLUMNS];
        for slot in 0..block {
            v_offsets[slot] = slot * windows.pixel;
            m_offsets[slot] = slot * kernels.panel;
        }
        Some(Part { kernels, task, windows, step, block, row: windows.row(block), v_offsets, m_offsets })
    }

    fn panels(&self) -> impl Iterator<Item = Panel> {
        let channels = self.task.convolution.geometry.channels;
        self.task.share.own_panels().map(move |panel| self.kernels.panel_at(panel, channels))
    }

    fn place(&self, unit: usize) -> Place {
        let size = self.task.convolution.geometry.output;
        let [bands, blocks] = shape(size, self.block);
        let (row, column) = (unit / blocks % bands * BAND, unit % blocks * self.block);
        let inside = [BAND.min(size[0] - row), self.block.min(size[1] - column)];
        Place { image: unit / blocks / bands, row, column, inside }
    }

    /// Where a panel begins in U: those before it are all full.
    fn transformed(&self, panel: Panel) -> usize {
        let first = self.task.share.own_panels().start * self.kernels.panel;
        self.windows.runs * self.windows.run * (panel.first - first)
    }

    /// `U = G g`, all channels of a panel.
    ///
    /// # Safety
    /// As [`run`], for the panel.
    unsafe fn transform_weights(&self, panel: Panel, planes: &mut Planes<'_>) {
        let Panel { first, width, .. } = panel;
        let Part { kernels, task, windows: Rows { points, run, .. }, step, .. } = *self;
        let geometry = &task.convolution.geometry;
        let (rows, words) = (geometry.rows, geometry.run);
        let u = planes.u[self.transformed(panel)..].as_mut_ptr();
        for phase in 0..step {
            let tap = |tap: usize| first * rows * words + (phase + tap * step) * words * width;
            let taps: [_; BAND] = std::array::from_fn(|index| task.panels.wrapping_add(tap(index)));
            let kernel = BandKernel {
                kind: task.kind,
                points,
                taps: &taps[..(rows - phase).div_ceil(step)],
                rows: words,
                width,
                u: u.wrapping_add(phase * run * width),
                plane: step * run * width,
            };
            // SAFETY: the caller's contract: earlier panels are all full, each of `rows * run` times its width; U has room for
            // all runs of the panels before, and of this.
            unsafe { (kernels.winograd_rows_kernel)(&kernel) };
        }
    }

    /// `V = B^T d`, the rows of a block.
    ///
    /// # Safety
    /// As [`run`], for the block.
    unsafe fn transform_inputs(&self, place: &Place, planes: &mut Planes<'_>) {
        let Part { kernels, task, windows: Rows { points, full, run, pixel, .. }, step, row, .. } = *self;
        let geometry = &task.convolution.geometry;
        // Input rows that are in some window, from the first of the band on.
        let last = step * (geometry.output[0] - 1 - place.row) + geometry.rows;
        let x = task.x.wrapping_add(geometry.x.at(place.image, place.row, place.column));
        for phase in 0..step {
            let mut given = [planes.zeros.as_ptr(); LARGEST_POINTS];
            for (index, given) in given.iter_mut().enumerate() {
                let row = step * index + phase;
                if row < last {
                    *given = x.wrapping_add(row * geometry.pitch);
                }
            }
            let input = BandInput {
                kind: task.kind,
                points,
                rows: &given[..if phase < full { points } else { points - 1 }],
                count: (place.inside[1] - 1) * pixel + run,
                v: planes.v[phase * row..].as_mut_ptr(),
                plane: step * row,
            };
            // SAFETY: the caller's contract: rows that are not beyond the last window's are in some window, all others are zeros,
            // which are as long; V has room for all runs.
            unsafe { (kernels.winograd_rows_input)(&input) };
        }
    }

    /// `M = V * U`, all channels of a panel.
    ///
    /// # Safety
    /// As [`run`], for the block and the panel, which are transformed.
    unsafe fn multiply(&self, panel: Panel, place: &Place, planes: &mut Planes<'_>) {
        let Part { kernels, task, windows: Rows { points, full, run, .. }, step, row, .. } = *self;
        let geometry = &task.convolution.geometry;
        let columns = place.inside[1];
        let u = planes.u[self.transformed(panel)..].as_ptr();
        let pixel = geometry.y.at(place.image, place.row, place.column) + panel.first;
        let (y, apart) = match task.kind {
            Kind::F32 => (task.y.of_f32().wrapping_add(pixel), geometry.y.row),
            _ => (planes.y.as_mut_ptr(), self.block * panel.width),
        };
        let fetch = Fetch::of(task.kind, columns.div_ceil(kernels.tile));
        for point in 0..points {
            // SAFETY: V holds the runs of all columns, U the weights of the panel, M the sums of all columns; the list of zeros is
            // as long as the widest panel.
            unsafe {
                (kernels.of(task.kind).product)(&Product {
                    x: planes.v[point * step * row..].as_ptr(),
                    x_offsets: &self.v_offsets[..columns],
                    rows: if point + 1 < points { step } else { full },
                    run,
                    taps: 1,
                    pitch: row,
                    tap: 0,
                    weights: u.add(point * step * run * panel.width),
                    // The rows of the output that are written next.
                    prefetch: y.wrapping_add((point % BAND).wrapping_mul(apart)),
                    prefetch_apart: fetch.words(step * run, kernels.panel),
                    fetch,
                    bias: NO_BIAS.as_ptr(),
                    y: planes.m[point * planes.m_plane..].as_mut_ptr(),
                    y_offsets: &self.m_offsets[..columns],
                    channels: panel.width,
                    begun: &[],
                    gate: None,
                    held: false,
                    relu: false,
                });
            }
        }
    }

    /// `relu?(A^T M + bias + y?)`, a panel's channels of a block.
    ///
    /// # Safety
    /// As [`run`], for the block and the panel, whose sums are in M.
    unsafe fn transform_sums(&self, panel: Panel, place: &Place, planes: &mut Planes<'_>) {
        let Part { kernels, task, .. } = *self;
        let Convolution { geometry, residual, activation, .. } = task.convolution;
        let pixel = |row: usize| geometry.y.at(place.image, place.row + row, place.column);
        let is_f32 = task.kind == Kind::F32;
        let (y, row, apart) = if is_f32 {
            (task.y.of_f32().wrapping_add(pixel(0) + panel.first), geometry.y.row, geometry.y.pixel)
        } else {
            (planes.y.as_mut_ptr(), self.block * panel.width, panel.width)
        };
        let output = BandOutput {
            points: self.windows.points,
            m: planes.m.as_ptr(),
            column: kernels.panel,
            plane: planes.m_plane,
            bias: task.start.wrapping_add(panel.first),
            y,
            row,
            pixel: apart,
            inside: place.inside,
            channels: if is_f32 { panel.channels } else { panel.width },
            accumulate: is_f32 && *residual == Residual::Same,
            relu: is_f32 && *activation == Activation::Relu,
        };
        // SAFETY: the caller's contract, for the rows and columns that are inside and the panel's channels; there is room for as many
        // sums.
        unsafe { (kernels.of(task.kind).winograd_rows_output)(&output) };
        if is_f32 && task.activator.is_none() {
            return;
        }
        for inside in 0..place.inside[0] {
            let mut y_offsets = [0; LARGEST_COLUMNS];
            for (column, offset) in y_offsets[..place.inside[1]].iter_mut().enumerate() {
                *offset = pixel(inside) + column * geometry.y.pixel;
            }
            let y_offsets = &y_offsets[..place.inside[1]];
            // SAFETY: the caller's contract, for the columns of a row that are inside and the panel's channels.
            unsafe {
                if is_f32 {
                    task.activate(panel, y_offsets);
                } else {
                    let sums = planes.y[inside * row..].as_mut_ptr();
                    wide::finish(task, panel, y_offsets, sums, panel.width);
                }
            }
        }
    }
}
