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
use resnet_plan::{Activation, Algorithm, ConvGeometry, Convolution, Precision, Residual};

use crate::elements::{Elements, ElementsMut};
use crate::kernels::activate::Activator;
use crate::kernels::dot::DotKernel;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::{Panel, Panels};
use crate::kernels::product::{Begun, Fetch, Product};
use crate::kernels::shares::{Share, Shares};
use crate::kernels::table::Kernels;
use crate::kernels::wide::{self, Kind};
use crate::kernels::{Target, groups, must_fit, strassen, winograd, winograd_rows, words};
use crate::threads::Threads;

/// A convolution's weights, packed by [`pack`](crate::kernels::pack) for some instruction set.
#[derive(Clone, Copy, Debug)]
pub struct PackedConv<'a> {
    /// Panels of weights, in words: f32, or the bits of two bf16 or four int8.
    pub panels: &'a [f32],
    /// One element a channel, filled up with zeros to whole vectors. int8: three such lists, of what the sums begin with (the
    /// bits of an i32), what they are multiplied with, and what is added. Behind them, for a PReLU, the slopes.
    pub bias: &'a [f32],
}

/// The part of a convolution that one thread does.
#[derive(Clone)]
pub(crate) struct ConvTask<'a> {
    pub(crate) convolution: &'a Convolution,
    pub(crate) algorithm: Algorithm,
    /// What it reads.
    pub(crate) kind: Kind,
    /// The input and the panels of weights, in words.
    pub(crate) x: *const f32,
    pub(crate) panels: *const f32,
    /// Each channel's: what its sums begin with, and for int8 what they are multiplied with and what is added.
    pub(crate) start: *const f32,
    pub(crate) scale: *const f32,
    pub(crate) bias: *const f32,
    pub(crate) y: Target,
    /// The gate: an element for each channel of each image. Not read if the convolution has none.
    pub(crate) gate: *const f32,
    /// Makes outputs of sums: not for f32.
    pub(crate) finish: unsafe fn(&Epilogue<'_>),
    /// The activation, if it is more than a ReLU.
    pub(crate) activator: Option<Activator>,
    /// What it takes of pixels, or tiles, blocks or pairs of them, and of panels.
    pub(crate) share: Share<'a>,
}

impl ConvTask<'_> {
    /// What becomes of the sums of a panel, for no pixels yet.
    #[inline(always)]
    pub(crate) fn epilogue(&self, panel: Panel) -> Epilogue<'_> {
        Epilogue {
            scale: self.scale.wrapping_add(panel.place),
            bias: self.bias.wrapping_add(panel.place),
            sums: std::ptr::null_mut(),
            y: self.y.offset(panel.first),
            y_offsets: &[],
            channels: panel.channels,
            width: panel.width,
            residual: self.convolution.residual,
            relu: self.convolution.activation == Activation::Relu,
            activator: self.activator.map(|activator| activator.from(panel.place)),
        }
    }

    /// Activates f32 of a panel that were just written.
    ///
    /// # Safety
    /// The pixels' channels lie in the output, where nobody else reads or writes, and among the task's slopes, if it has some.
    #[inline(always)]
    pub(crate) unsafe fn activate(&self, panel: Panel, y_offsets: &[usize]) {
        if let Some(activator) = self.activator {
            let y = self.y.of_f32().wrapping_add(panel.first);
            // SAFETY: the caller's contract; whoever made the task has the instruction set.
            unsafe { activator.from(panel.place).apply(panel.channels, y, y_offsets) }
        }
    }
}

/// Pixels of a block: tiles of 6 and of 4 go into it without a rest.
pub(super) const BLOCK: usize = 84;

/// Words of a run that are multiplied in one go, of a panel that is larger: a small part of an L2 cache, since tiles fetch
/// as much meanwhile, or half as much again, and where they are few, the memory has little time for it.
const LARGEST_RUN: usize = 256;
/// Terms of a sum in one go, of all rows of a window: of a panel that is small.
const LONGEST_DEPTH: usize = 1024;
/// Terms of a sum in one go, where the window has several rows.
const LONGEST_SUM: usize = 2048;
/// How far ahead the only tile of a part fetches, in elements: as fast as the memory is, not as fast as the tile.
const AHEAD: usize = 1536;
/// Elements of a panel that is multiplied in one go.
const LARGEST_PANEL: usize = LARGEST_RUN * PANEL;

/// The bias of sums that have begun.
pub(super) static NO_BIAS: [f32; PANEL] = [0.0; PANEL];

/// `y = activation(conv(x, weights) * gate? + y?)`, shared out over threads. `gate` is empty, or `[N, 1, 1, C]`.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of the output overlap, or the weights are not packed for these
/// kernels and the algorithm, or the threads' scratch memory is too small for the algorithm. If there is no kernel from the
/// elements of `x` to those of `y`: there are from f32 to f32, from bf16 to bf16 and f32, from int8 to int8 and f32. If the convolution
/// has a gate, and this one is too short, or there is no kernel for it: there are for f32 without groups, direct sums and Strassen's algorithm.
pub fn convolve(
    kernels: &Kernels,
    threads: &Threads,
    convolution: &Convolution,
    x: Elements<'_>,
    weights: PackedConv<'_>,
    gate: &[f32],
    y: ElementsMut<'_>,
) {
    let Convolution { geometry, algorithms, activation, split, gated, .. } = convolution;
    let sums = lists(convolution.residual, x, &y);
    let lists = sums + usize::from(*activation == Activation::Prelu);
    if geometry.is_empty() {
        return;
    }
    let kind = Kind::of(x);
    let precision = kind.precision();
    let algorithm = algorithms.of(kernels.class(precision));
    let (x, words) = in_words(x);
    must_fit(geometry.fits(words, y.len()));
    assert!(x.is_aligned(), "the input does not begin with a whole word");
    let in_groups = groups::computes(kernels, precision, geometry);
    let dots = kernels.dots(precision).filter(|_| algorithm == Algorithm::Direct && !in_groups);
    if *gated {
        let takes = kind == Kind::F32 && algorithm.gates() && geometry.blocks == 1;
        assert!(takes, "there is no kernel that takes a gate");
        assert!(gate.len() >= geometry.batch.saturating_mul(geometry.channels), "the gate is too short");
    }
    let work = match dots {
        Some(dots) => words::work(dots, geometry),
        None => {
            // Weights are packed for dots, where there are any, but for groups.
            let alike = |dots: &DotKernel| dots.lanes == kernels.lanes && dots.panel == kernels.panel;
            let alike = kernels.dots(precision).is_none_or(alike);
            assert!(alike || in_groups, "weights that are packed for tiles are for direct sums only");
            Work::of(kernels, convolution, kind, algorithm, threads.scratch())
        }
    };
    assert!(weights.panels.len() >= work.weights, "the weights have another shape");
    let panels = Panels::of(kernels, precision, geometry);
    let padded = panels.padded();
    assert!(weights.bias.len() >= padded.saturating_mul(lists), "the bias has another length");
    if dots.is_none() && algorithm == Algorithm::Direct && !in_groups {
        wide::direct::check(geometry, kind, threads.scratch());
    }
    let shares = Shares::of(*split, threads, work.units, work.together, work.panels);
    let list = |index: usize| weights.bias[index.min(lists - 1) * padded..].as_ptr();
    let activator = match activation {
        Activation::None | Activation::Relu => None,
        _ => Some(Activator::new(kernels, *activation, convolution.scale, list(sums))),
    };
    let task = ConvTask {
        convolution,
        algorithm,
        kind,
        x,
        panels: weights.panels.as_ptr(),
        start: list(0),
        scale: list(1),
        bias: list(2),
        // One pointer for all threads: an address and a type.
        y: Target::of(y),
        gate: gate.as_ptr(),
        finish: kernels.of(kind).finish,
        activator,
        share: shares.of_thread(0),
    };
    let shared = SharedTask(&task);
    threads.run(|index, scratch| {
        let task = ConvTask { share: shares.of_thread(index), ..shared.task().clone() };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions above hold for every pixel and panel of
        // the geometry; the pixels and channels of two threads do not meet, and `y` is borrowed exclusively.
        unsafe {
            match (algorithm, dots) {
                (Algorithm::Direct, Some(dots)) => words::run(dots, &task),
                (Algorithm::Direct, None) if in_groups => groups::run(kernels, &task),
                (Algorithm::Direct, None) if kind == Kind::F32 => run_direct(kernels, &task),
                (Algorithm::Direct, None) => wide::direct::run(kernels, &task, scratch),
                (Algorithm::Winograd { fused: false, .. }, _) => winograd::run(kernels, &task, scratch),
                (Algorithm::Winograd { .. }, _) => winograd::fused::run(kernels, &task, scratch),
                (Algorithm::WinogradRows { .. }, _) => winograd_rows::run(kernels, &task, scratch),
                (Algorithm::Strassen { .. }, _) => strassen::run(kernels, &task, scratch),
            }
        }
    });
}

/// How many lists the bias of a convolution between such elements is: see [`PackedConv`].
///
/// # Panics
/// If there is no such convolution.
fn lists(residual: Residual, x: Elements<'_>, y: &ElementsMut<'_>) -> usize {
    match (x, y, residual) {
        (Elements::F32(_), ElementsMut::F32(_), Residual::None | Residual::Same)
        | (Elements::Bf16(_), ElementsMut::Bf16(_) | ElementsMut::F32(_), Residual::None | Residual::Same) => {
            1
        }
        (
            Elements::U8(_) | Elements::I8(_),
            ElementsMut::U8(_) | ElementsMut::I8(_),
            Residual::None | Residual::Quantized { .. },
        )
        | (Elements::U8(_) | Elements::I8(_), ElementsMut::F32(_), Residual::None | Residual::Same) => 3,
        _ => panic!("there is no convolution of these elements"),
    }
}

/// Elements as words, and how many whole ones there are.
fn in_words(x: Elements<'_>) -> (*const f32, usize) {
    match x {
        Elements::F32(x) => (x.as_ptr(), x.len()),
        Elements::Bf16(x) => (x.as_ptr().cast(), x.len() / 2),
        Elements::U8(x) => (x.as_ptr().cast(), x.len() / 4),
        Elements::I8(x) => (x.as_ptr().cast(), x.len() / 4),
    }
}

/// The task of which each thread takes its part.
struct SharedTask<'a>(&'a ConvTask<'a>);

// SAFETY: the pointers are only addresses; whoever follows them states which part is whose.
unsafe impl Sync for SharedTask<'_> {}

impl<'a> SharedTask<'a> {
    /// The task. (A method, so that closures capture all of `SharedTask`.)
    fn task(&self) -> &'a ConvTask<'a> {
        self.0
    }
}

/// What an algorithm makes of a convolution.
pub(super) struct Work {
    /// What threads share out: pixels, or tiles, blocks or pairs of them; and how many of them stay together.
    pub(super) units: usize,
    pub(super) together: usize,
    /// Panels of output channels.
    pub(super) panels: usize,
    /// Words of the packed weights.
    pub(super) weights: usize,
}

impl Work {
    /// # Panics
    /// If the algorithm does not compute the convolution, or needs more than so many words of scratch memory.
    fn of(
        kernels: &Kernels,
        convolution: &Convolution,
        kind: Kind,
        algorithm: Algorithm,
        scratch: usize,
    ) -> Self {
        let geometry = &convolution.geometry;
        let ConvGeometry { batch, output: [height, width], run, channels, .. } = *geometry;
        let pixels = batch * height * width;
        let panels = Panels::of(kernels, kind.precision(), geometry);
        let direct = Work {
            units: pixels,
            together: 1,
            panels: panels.count(),
            weights: geometry.depth().saturating_mul(panels.padded()),
        };
        let whole = geometry.blocks == 1 && geometry.taps == 1;
        assert!(
            whole || matches!(algorithm, Algorithm::Direct | Algorithm::Winograd { .. }),
            "the algorithm does not compute this convolution"
        );
        match algorithm {
            Algorithm::Direct => direct,
            Algorithm::Winograd { output, fused, .. } => {
                let units = batch * winograd::check(geometry, kind, algorithm, scratch);
                Work { units, panels: winograd::panels(kernels, geometry, output, fused).count(), ..direct }
            }
            Algorithm::WinogradRows { block } => {
                winograd_rows::check(geometry, kind, algorithm, scratch);
                Work { units: winograd_rows::units(geometry, block), ..direct }
            }
            Algorithm::Strassen { .. } => {
                strassen::check(geometry, kind, algorithm, scratch);
                let [inputs, outputs] = [run / 2, channels / 2];
                let halves =
                    Work { units: pixels.div_ceil(2), panels: outputs.div_ceil(kernels.panel), ..direct };
                // f32 are packed as factors.
                match kind {
                    Kind::F32 => {
                        Work { weights: inputs.saturating_mul(PRODUCTS).saturating_mul(outputs), ..halves }
                    }
                    _ => halves,
                }
            }
        }
    }
}

/// One thread's part of a direct convolution.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes, and
/// `panels` and `bias` hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has; `gate` holds those
/// of each image, if there is one.
unsafe fn run_direct(kernels: &Kernels, task: &ConvTask<'_>) {
    let ConvTask { convolution: Convolution { geometry, residual, activation, gated, .. }, share, .. } = task;
    let output = task.y.of_f32();
    let (depth, panels) = (geometry.depth(), Panels::of(kernels, Precision::F32, geometry));
    // A panel that outgrows the L2 cache would be read anew for each tile: its parts do not.
    let (all, most) = match geometry.rows * geometry.taps {
        _ if depth * kernels.panel <= LARGEST_PANEL && depth <= LONGEST_DEPTH => (true, geometry.run),
        1 => (false, LARGEST_RUN),
        _ => (false, LONGEST_SUM),
    };
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    let mut gate_offsets = [0usize; BLOCK];
    for pixels in share.blocks(BLOCK, kernels.tile) {
        let count = pixels.len();
        let tiles = count.div_ceil(kernels.tile);
        let fetch = Fetch::of(task.kind, tiles);
        locate(geometry, pixels.start, &mut x_offsets[..count], &mut y_offsets[..count]);
        if *gated {
            locate_gates(geometry, pixels.clone(), &mut gate_offsets);
        }
        for panel in share.panels(&pixels) {
            let panel = panels.at(panel);
            let y = output.wrapping_add(panel.first);
            let held = [Begun { sums: y, offsets: &y_offsets[..count] }];
            let gate = Begun { sums: task.gate.wrapping_add(panel.first), offsets: &gate_offsets[..count] };
            // Runs that are done, and words of the next.
            let (mut done, mut column) = (0, 0);
            // A window without rows or runs still has a bias.
            loop {
                let (rows, taps) = if all { (geometry.rows, geometry.taps) } else { (1, 1) };
                let run = most.min(geometry.run - column);
                let first = done + column == 0;
                let part = panel.place * depth + (done * geometry.run + column) * panel.width;
                let x = panel.block * geometry.run + geometry.run_at(done) + column;
                column += run;
                if column == geometry.run {
                    (done, column) = (done + rows * taps, 0);
                }
                let last = done == geometry.rows * geometry.taps;
                let words = rows * taps * run;
                // SAFETY: the caller's contract, for these pixels, channels, rows and words. Panels are packed one after the other,
                // each of `depth` times its width; the list of zeros is as long as the widest panel.
                unsafe {
                    (kernels.float.product)(&Product {
                        x: task.x.add(x),
                        x_offsets: &x_offsets[..count],
                        rows,
                        taps,
                        run,
                        pitch: geometry.pitch,
                        tap: geometry.tap,
                        weights: task.panels.add(part),
                        prefetch: task
                            .panels
                            .wrapping_add(part + if tiles == 1 { AHEAD } else { words * panel.width }),
                        prefetch_apart: fetch.words(words, kernels.panel),
                        fetch,
                        bias: if first { task.start.add(panel.place) } else { NO_BIAS.as_ptr() },
                        y,
                        y_offsets: &y_offsets[..count],
                        channels: panel.channels,
                        begun: &held[..usize::from(!first || *residual == Residual::Same)],
                        gate: gated.then_some((gate, 0)),
                        held: *residual == Residual::Same && last,
                        relu: *activation == Activation::Relu && last,
                    });
                }
                if last {
                    // SAFETY: the caller's contract, for these pixels and channels.
                    unsafe { task.activate(panel, &y_offsets[..count]) };
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

/// Where the gates of some pixels are: those of their images.
pub(super) fn locate_gates(geometry: &ConvGeometry, pixels: Range<usize>, offsets: &mut [usize]) {
    let image = geometry.output[0] * geometry.output[1];
    for (offset, pixel) in offsets.iter_mut().zip(pixels) {
        *offset = pixel / image * geometry.channels;
    }
}

/// Offsets from the `first` on, so far apart.
fn spread(offsets: &mut [usize], first: usize, step: usize) {
    for (index, offset) in offsets.iter_mut().enumerate() {
        *offset = first + index * step;
    }
}
