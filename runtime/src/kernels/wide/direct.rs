//! The direct sum of widened elements.
//!
//! ```text
//! for each block of output pixels:
//!     X = the windows of its pixels, widened, of all blocks              runs that overlap share their elements
//!     for each panel of output channels:
//!         for some words of the window at a time:
//!             G = the panel's weights, widened                           into the L2 cache
//!             Y[pixel][:] += X[pixel] . G                                the micro-kernel
//!         y = finished Y                                                 the epilogue of all narrow elements
//! ```

use std::ops::Range;

use resnet_plan::algorithm::{Channels, LARGEST_PART, LARGEST_WIDENED, PANEL, widened_block};
use resnet_plan::{Algorithm, ConvGeometry};

use crate::kernels::conv::{ConvTask, NO_BIAS, locate};
use crate::kernels::panels::{Panel, Panels};
use crate::kernels::product::{Begun, Fetch, Product};
use crate::kernels::table::Kernels;
use crate::kernels::wide::{InputRun, Kind, WeightRows, finish};

/// # Panics
/// If the scratch memory is too small for a direct sum.
pub(in crate::kernels) fn check(geometry: &ConvGeometry, kind: Kind, scratch: usize) {
    let precision = kind.precision();
    let elements = geometry.run.saturating_mul(geometry.blocks).saturating_mul(precision.per_word());
    let kernel = [geometry.rows.saturating_mul(geometry.taps), 1];
    let channels = Channels::dense([elements, geometry.channels]);
    let needed = Algorithm::Direct.scratch_len(precision, kernel, [1, 1], channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// One thread's part of a direct sum.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes, and the panels and lists
/// hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has. `scratch` is as long as the
/// algorithm says.
pub(in crate::kernels) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let part = Part::of(kernels, task);
    let panels = Panels::of(kernels, task.kind.precision(), &task.convolution.geometry);
    let (x, rest) = scratch.split_at_mut(part.block * part.rows * part.span);
    let (g, y) = rest.split_at_mut(LARGEST_PART * PANEL);
    let mut windows = Windows::NONE;
    for pixels in task.share.blocks(part.block, kernels.tile) {
        // SAFETY: the caller's contract, for these pixels, and for each panel.
        unsafe {
            windows.widen(&part, pixels.clone(), x);
            for panel in task.share.panels(&pixels) {
                let panel = panels.at(panel);
                part.multiply(panel, &windows, x, g, y);
                finish(task, panel, &windows.y[..windows.count], y.as_mut_ptr(), panel.width);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    /// Runs of the window, and wide words of one: of a block, and of all blocks, which follow each other.
    rows: usize,
    run: usize,
    span: usize,
    /// Pixels of a block.
    block: usize,
}

/// The widened windows of a block: where each pixel's first run begins, and how far it is to the next; and where its outputs go.
struct Windows {
    count: usize,
    x: [usize; LARGEST_WIDENED],
    pitch: usize,
    y: [usize; LARGEST_WIDENED],
}

impl Windows {
    const NONE: Windows = Windows { count: 0, x: [0; LARGEST_WIDENED], pitch: 0, y: [0; LARGEST_WIDENED] };

    /// Widens the windows of some pixels, row by row. Pixels that follow each other closely share what they have in common.
    ///
    /// # Safety
    /// As [`run`], for these pixels; `to` has room for the windows of as many pixels.
    unsafe fn widen(&mut self, part: &Part<'_>, pixels: Range<usize>, to: &mut [f32]) {
        let Part { kernels, task, rows, span, .. } = *part;
        let (geometry, wide) = (&task.convolution.geometry, task.kind.wide());
        let mut from = [0; LARGEST_WIDENED];
        self.count = pixels.len();
        locate(geometry, pixels.start, &mut from[..self.count], &mut self.y[..self.count]);
        let step = geometry.x.pixel;
        let follows = |pixel: usize| step * wide <= span && from[pixel] == from[pixel - 1] + step;
        // Stretches of pixels: a row of each has no gaps.
        let mut end = 0;
        for pixel in 0..self.count {
            self.x[pixel] = if pixel > 0 && follows(pixel) { self.x[pixel - 1] + step * wide } else { end };
            end = self.x[pixel] + span;
        }
        self.pitch = end;
        let mut first = 0;
        while first < self.count {
            let last = (first..self.count - 1).find(|pixel| !follows(pixel + 1)).unwrap_or(self.count - 1);
            for row in 0..rows {
                let run = InputRun {
                    kind: task.kind,
                    from: task.x.wrapping_add(from[first] + geometry.run_at(row)),
                    count: self.x[last] + span - self.x[first],
                    to: to[row * self.pitch + self.x[first]..].as_mut_ptr(),
                };
                // SAFETY: the caller's contract: the windows of a stretch's pixels have no gaps, and neither does what they become.
                unsafe { (kernels.widen_inputs)(&run) };
            }
            first = last + 1;
        }
    }
}

impl<'a> Part<'a> {
    fn of(kernels: &'a Kernels, task: &'a ConvTask<'a>) -> Self {
        let geometry = &task.convolution.geometry;
        let (rows, run) = (geometry.rows * geometry.taps, geometry.run * task.kind.wide());
        let span = geometry.blocks * run;
        Part { kernels, task, rows, run, span, block: widened_block(rows * span) }
    }

    fn depth(&self) -> usize {
        self.rows * self.run
    }

    /// `Y = X . G`, all channels of a panel.
    ///
    /// # Safety
    /// As [`run`], for the panel and the pixels of the windows, which are widened.
    unsafe fn multiply(&self, panel: Panel, windows: &Windows, x: &[f32], g: &mut [f32], y: &mut [f32]) {
        let Part { kernels, task, rows, run, .. } = *self;
        let (wide, count) = (task.kind.wide(), windows.count);
        let product = kernels.of(task.kind).product;
        let fetch = Fetch::of(task.kind, count.div_ceil(kernels.tile));
        let y_offsets: [usize; LARGEST_WIDENED] = std::array::from_fn(|pixel| pixel * panel.width);
        let y = y.as_mut_ptr();
        let held = [Begun { sums: y, offsets: &y_offsets[..count] }];
        // Panels are packed one after the other, each of as many packed words a channel.
        let weights = task.panels.wrapping_add(panel.place * self.depth() / wide);
        let (all_rows, most) = if self.depth() <= LARGEST_PART { (rows, run) } else { (1, LARGEST_PART) };
        let (mut row, mut column) = (0, 0);
        // A window without rows or runs still has a bias.
        loop {
            let (part_rows, part_run) = (all_rows.min(rows - row), most.min(run - column));
            let first = row + column == 0;
            let from = weights.wrapping_add((row * run + column) / wide * panel.width);
            let next = part_rows * part_run / wide;
            let widened =
                WeightRows { kind: task.kind, from, rows: next, width: panel.width, to: g.as_mut_ptr() };
            // SAFETY: the caller's contract, for these rows of the panel and words of the windows; G has room for the rows, Y for the
            // sums of all pixels. The list of zeros is as long as the widest panel.
            unsafe {
                (kernels.widen_weights)(&widened);
                product(&Product {
                    x: x.as_ptr().add(row * windows.pitch + panel.block * run + column),
                    x_offsets: &windows.x[..count],
                    rows: part_rows,
                    run: part_run,
                    taps: 1,
                    pitch: windows.pitch,
                    tap: 0,
                    weights: g.as_ptr(),
                    prefetch: from.wrapping_add(next * panel.width),
                    prefetch_apart: fetch.words(next, kernels.panel),
                    fetch,
                    bias: if first { task.start.add(panel.place) } else { NO_BIAS.as_ptr() },
                    y,
                    y_offsets: &y_offsets[..count],
                    channels: panel.width,
                    begun: &held[..usize::from(!first)],
                    gate: None,
                    held: false,
                    relu: false,
                });
            }
            column += part_run;
            if column == run {
                (row, column) = (row + part_rows, 0);
            }
            if row == rows {
                return;
            }
        }
    }
}
