//! Convolution as row runs, or with fewer products: see [`winograd`](crate::kernels::winograd),
//! [`winograd_rows`](crate::kernels::winograd_rows) and [`strassen`](crate::kernels::strassen).
//!
//! ```text
//! for each block of output pixels:                      its inputs stay in the L2 cache
//!     for each panel of output channels:                its weights are read once a block
//!         for each tile of pixels in the block:         the micro-kernel: one run for each row of the window
//! ```
//! A tile's pixels are any output pixels, so rows of any length fill tiles, across rows and across images.

use std::ops::Range;

use resnet_plan::algorithm::{PANEL, PRODUCTS};
use resnet_plan::{Algorithm, ConvGeometry, Convolution, Residual};

use crate::elements::{Elements, ElementsMut};
use crate::kernels::product::{Begun, Fetch, LINE, Product};
use crate::kernels::table::{Kernels, Panel};
use crate::kernels::{Shared, Shares, blocks, must_fit, strassen, winograd, winograd_rows, words};
use crate::threads::Threads;

/// A convolution's weights, packed by [`pack`](crate::kernels::pack) for some instruction set.
#[derive(Clone, Copy, Debug)]
pub struct PackedConv<'a> {
    /// Panels of weights, in words: f32, or the bits of two bf16 or four int8.
    pub panels: &'a [f32],
    /// One element a channel, filled up with zeros to whole vectors. int8: three such lists, of what the sums begin with (the
    /// bits of an i32), what they are multiplied with, and what is added.
    pub bias: &'a [f32],
}

/// The part of a convolution that one thread does.
pub(crate) struct ConvTask {
    pub(crate) convolution: Convolution,
    pub(crate) x: *const f32,
    pub(crate) panels: *const f32,
    pub(crate) bias: *const f32,
    pub(crate) y: *mut f32,
    /// Pixels, or tiles, blocks or pairs of them.
    pub(crate) units: Range<usize>,
    pub(crate) panel_range: Range<usize>,
}

/// Pixels of a block: tiles of 6 and of 4 go into it without a rest.
pub(super) const BLOCK: usize = 84;

/// Words of a run that are multiplied in one go, of a panel that is larger: a small part of an L2 cache, since tiles fetch
/// as much meanwhile, or half as much again, and where they are few, the memory has little time for it.
const LARGEST_RUN: usize = 256;
/// Terms of a sum in one go, where the window has several rows.
const LONGEST_SUM: usize = 2048;
/// How far ahead the only tile of a part fetches, in elements: as fast as the memory is, not as fast as the tile.
const AHEAD: usize = 1536;
/// Elements of a panel that is multiplied in one go.
const LARGEST_PANEL: usize = LARGEST_RUN * PANEL;

/// The bias of sums that have begun.
pub(super) static NO_BIAS: [f32; PANEL] = [0.0; PANEL];

/// `y = relu?(conv(x, weights) + y?)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of the output overlap, or the weights are not packed for these
/// kernels and the algorithm, or the threads' scratch memory is too small for the algorithm. If there is no kernel from the
/// elements of `x` to those of `y`: there are from f32 to f32, from bf16 to bf16 and f32, from int8 to int8 and f32.
pub fn convolve(
    kernels: &Kernels,
    threads: &Threads,
    convolution: &Convolution,
    x: Elements<'_>,
    weights: PackedConv<'_>,
    y: ElementsMut<'_>,
) {
    match (x, y) {
        (Elements::F32(x), ElementsMut::F32(y)) => convolve_f32(kernels, threads, convolution, x, weights, y),
        (x, y) => words::convolve(kernels, threads, convolution, x, weights, y),
    }
}

fn convolve_f32(
    kernels: &Kernels,
    threads: &Threads,
    convolution: &Convolution,
    x: &[f32],
    weights: PackedConv<'_>,
    y: &mut [f32],
) {
    let Convolution { geometry, algorithm, split, .. } = convolution;
    assert!(!matches!(convolution.residual, Residual::Quantized { .. }), "a residual of f32 has no scale");
    if geometry.is_empty() {
        return;
    }
    must_fit(geometry.fits(x.len(), y.len()));
    let work = Work::of(kernels, convolution, threads.scratch());
    assert!(weights.panels.len() >= work.weights, "the weights have another shape");
    let padded = geometry.channels.next_multiple_of(kernels.lanes);
    assert!(weights.bias.len() >= padded, "the bias has another length");
    let shares = Shares::of(*split, threads, work.units, 1, work.panels);
    let shared = Shared(y.as_mut_ptr());
    threads.run(|index, scratch| {
        let (units, panel_range) = shares.part(index);
        let task = ConvTask {
            convolution: *convolution,
            x: x.as_ptr(),
            panels: weights.panels.as_ptr(),
            bias: weights.bias.as_ptr(),
            y: shared.pointer(),
            units,
            panel_range,
        };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions above hold for every pixel and panel of
        // the geometry; the pixels and channels of two threads do not meet, and `y` is borrowed exclusively.
        unsafe {
            match algorithm {
                Algorithm::Direct => run_direct(kernels, &task),
                Algorithm::Winograd { fused: false, .. } => winograd::run(kernels, &task, scratch),
                Algorithm::Winograd { .. } => winograd::fused::run(kernels, &task, scratch),
                Algorithm::WinogradRows { .. } => winograd_rows::run(kernels, &task, scratch),
                Algorithm::Strassen { .. } => strassen::run(kernels, &task, scratch),
            }
        }
    });
}

/// What an algorithm makes of a convolution.
struct Work {
    /// What threads share out: pixels, or tiles, blocks or pairs of them.
    units: usize,
    /// Panels of output channels.
    panels: usize,
    /// Elements of the packed weights.
    weights: usize,
}

impl Work {
    /// # Panics
    /// If the algorithm does not compute the convolution, or needs more than so many elements of scratch memory.
    fn of(kernels: &Kernels, convolution: &Convolution, scratch: usize) -> Self {
        let Convolution { geometry, algorithm, .. } = convolution;
        let ConvGeometry { batch, output: [height, width], run, channels, .. } = *geometry;
        let pixels = batch * height * width;
        let direct = Work {
            units: pixels,
            panels: channels.div_ceil(kernels.panel),
            weights: geometry.depth().saturating_mul(channels.next_multiple_of(kernels.lanes)),
        };
        match *algorithm {
            Algorithm::Direct => direct,
            Algorithm::Winograd { output, fused, .. } => {
                winograd::check(convolution, scratch);
                let units = batch * height.div_ceil(output) * width.div_ceil(output);
                let fused_panel = || winograd::fused::panel(kernels, output);
                Work { units, panels: if fused { channels / fused_panel() } else { direct.panels }, ..direct }
            }
            Algorithm::WinogradRows { block } => {
                winograd_rows::check(convolution, scratch);
                Work { units: winograd_rows::units(geometry, block), ..direct }
            }
            Algorithm::Strassen { .. } => {
                strassen::check(convolution, scratch);
                let [inputs, outputs] = [run / 2, channels / 2];
                Work {
                    units: pixels.div_ceil(2),
                    panels: outputs.div_ceil(kernels.panel),
                    weights: inputs.saturating_mul(PRODUCTS).saturating_mul(outputs),
                }
            }
        }
    }
}

/// One thread's part of a direct convolution.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes, and
/// `panels` and `bias` hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has.
unsafe fn run_direct(kernels: &Kernels, task: &ConvTask) {
    let ConvTask { convolution: Convolution { geometry, residual, relu, .. }, units, panel_range, .. } = task;
    let depth = geometry.rows * geometry.run;
    // A panel that outgrows the L2 cache would be read anew for each tile: its parts do not.
    let (rows, run) = match geometry.rows {
        rows if depth * kernels.panel <= LARGEST_PANEL => (rows, geometry.run),
        0 | 1 => (1, LARGEST_RUN),
        _ => (1, geometry.run.min(LONGEST_SUM)),
    };
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    for pixels in blocks(units.clone(), BLOCK, kernels.tile) {
        let count = pixels.len();
        let tiles = count.div_ceil(kernels.tile);
        locate(geometry, pixels.start, &mut x_offsets[..count], &mut y_offsets[..count]);
        for panel in panel_range.clone() {
            let Panel { first: channel, channels, width } = kernels.panel_at(panel, geometry.channels);
            let y = task.y.wrapping_add(channel);
            let held = [Begun { sums: y, offsets: &y_offsets[..count] }];
            let (mut row, mut column) = (0, 0);
            // A window without rows or runs still has a bias.
            loop {
                let (rows, run) = (rows.min(geometry.rows - row), run.min(geometry.run - column));
                let first = row + column == 0;
                let part = channel * depth + (row * geometry.run + column) * width;
                let x = row * geometry.pitch + column;
                column += run;
                if column == geometry.run {
                    (row, column) = (row + rows, 0);
                }
                let last = row == geometry.rows;
                // SAFETY: the caller's contract, for these pixels, channels, rows and words. Earlier panels are all full, each of
                // `depth` times its width; the list of zeros is as long as the widest panel.
                unsafe {
                    (kernels.product)(&Product {
                        x: task.x.add(x),
                        x_offsets: &x_offsets[..count],
                        rows,
                        run,
                        pitch: geometry.pitch,
                        weights: task.panels.add(part),
                        prefetch: task
                            .panels
                            .wrapping_add(part + if tiles == 1 { AHEAD } else { rows * run * width }),
                        prefetch_apart: rows * run * LINE,
                        fetch: Fetch::all(tiles),
                        bias: if first { task.bias.add(channel) } else { NO_BIAS.as_ptr() },
                        y,
                        y_offsets: &y_offsets[..count],
                        channels,
                        begun: &held[..usize::from(!first || *residual == Residual::Same)],
                        relu: *relu && last,
                    });
                }
                if last {
                    break;
                }
            }
        }
    }
}

/// Where the pixels from `start` on have their windows and their outputs.
pub(super) fn locate(geometry: &ConvGeometry, start: usize, x: &mut [usize], y: &mut [usize]) {
    let [height, width] = geometry.output;
    let mut column = start % width;
    let mut row = start / width % height;
    let mut image = start / width / height;
    let mut at = 0;
    while at < x.len() {
        let end = x.len().min(at + width - column);
        spread(&mut x[at..end], geometry.x.at(image, row, column), geometry.x.pixel);
        spread(&mut y[at..end], geometry.y.at(image, row, column), geometry.y.pixel);
        (at, column, row) = (end, 0, row + 1);
        if row == height {
            (row, image) = (0, image + 1);
        }
    }
}

/// Offsets from the `first` on, so far apart.
fn spread(offsets: &mut [usize], first: usize, step: usize) {
    for (index, offset) in offsets.iter_mut().enumerate() {
        *offset = first + index * step;
    }
}
