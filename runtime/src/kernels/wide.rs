//! Elements that are narrower than f32, widened: bf16 to f32, and int8 to int16, of which a word holds two. The algorithms of f32 then
//! compute with them, in words: wherever no instruction multiplies them as they are, and wherever fewer products are worth more than
//! that.
//!
//! ```text
//! for each block of output pixels:
//!     X = the windows of its pixels, widened                             row runs that overlap share their elements
//!     for each panel of output channels:
//!         for some words of the window at a time:
//!             G = the panel's weights, widened                           into the L2 cache
//!             Y[pixel][:] += X[pixel] . G                                the micro-kernel
//!         y = finished Y                                                 the epilogue of all narrow elements
//! ```
//! A word of narrow elements becomes two wide ones. Signed inputs are moved by 128 on the way, as everywhere: the sums begin with what
//! that adds to them. What this file has is the direct sum; [`winograd`](crate::kernels::winograd) widens while it transforms.

use std::ops::Range;

use resnet_plan::algorithm::{LARGEST_PART, LARGEST_WIDENED, PANEL, widened_block};
use resnet_plan::{Algorithm, ConvGeometry, Precision};

use crate::elements::{Elements, bf16};
use crate::kernels::blocks;
use crate::kernels::conv::{ConvTask, NO_BIAS, locate};
use crate::kernels::epilogue::{self, Epilogue};
use crate::kernels::product::{Begun, Fetch, LINE, Product};
use crate::kernels::table::{Kernels, Panel};
use crate::simd::{Simd, Whole};

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    Bf16,
    U8,
    I8,
}

impl Kind {
    pub(crate) fn of(elements: Elements<'_>) -> Kind {
        match elements {
            Elements::F32(_) => Kind::F32,
            Elements::Bf16(_) => Kind::Bf16,
            Elements::U8(_) => Kind::U8,
            Elements::I8(_) => Kind::I8,
        }
    }

    pub(crate) fn precision(self) -> Precision {
        match self {
            Kind::F32 => Precision::F32,
            Kind::Bf16 => Precision::Bf16,
            Kind::U8 | Kind::I8 => Precision::Int8,
        }
    }

    /// Whether sums are integers.
    pub(crate) fn is_whole(self) -> bool {
        self.precision() == Precision::Int8
    }

    /// Wide words of a stored one.
    pub(crate) fn wide(self) -> usize {
        if self == Kind::F32 { 1 } else { 2 }
    }
}

/// Elements of an input, as wide words.
pub(crate) trait Input<S: Simd> {
    /// What they are widened to.
    type Numbers: Numbers;

    /// The wide words from the `first` on, so many, and zeros.
    ///
    /// # Safety
    /// `from` is the address of a word, from which on there are so many wide words; `count <= LANES`.
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector;
}

/// Packed weights, as wide words.
pub(crate) trait Weights<S: Simd> {
    /// What they are widened to.
    type Numbers: Numbers;
    /// Rows of wide words that a row of packed words becomes.
    const WIDE: usize;

    /// A vector of such a row.
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector;
}

/// f32, of inputs and of weights.
pub(crate) struct F32;
/// bf16, of inputs and of weights.
pub(crate) struct Bf16;
/// Inputs from 0 to 255.
pub(crate) struct U8;
/// Inputs from -128 to 127, moved by 128; weights.
pub(crate) struct I8;

impl<S: Simd> Input<S> for F32 {
    type Numbers = Floats;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe {
            let from = from.add(first);
            if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) }
        }
    }
}

impl<S: Simd> Input<S> for Bf16 {
    type Numbers = Floats;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_bf16(from.cast::<bf16>().add(first), count) }
    }
}

impl<S: Whole> Input<S> for U8 {
    type Numbers = Wholes;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_pairs::<false>(from.cast::<u8>().add(2 * first), count) }
    }
}

impl<S: Whole> Input<S> for I8 {
    type Numbers = Wholes;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_pairs::<true>(from.cast::<u8>().add(2 * first), count) }
    }
}

impl<S: Simd> Weights<S> for F32 {
    type Numbers = Floats;
    const WIDE: usize = 1;

    #[inline(always)]
    fn row(_: S, words: S::Vector, _: usize) -> S::Vector {
        words
    }
}

impl<S: Simd> Weights<S> for Bf16 {
    type Numbers = Floats;
    const WIDE: usize = 2;

    #[inline(always)]
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector {
        if row == 0 { simd.lower_bf16(words) } else { simd.upper_bf16(words) }
    }
}

impl<S: Whole> Weights<S> for I8 {
    type Numbers = Wholes;
    const WIDE: usize = 2;

    #[inline(always)]
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector {
        if row == 0 { simd.lower_i8(words) } else { simd.upper_i8(words) }
    }
}

/// What numbers are, where they are only added up.
pub(crate) trait Numbers {
    /// Whether they are whole: inputs and weights int16, sums int32.
    const WHOLE: bool;

    /// `a + b`
    fn add<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// `a - b`
    fn sub<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// `a + b`, of sums
    fn add_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// `a - b`, of sums
    fn sub_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// A sum, cut off below if it is f32.
    fn at_least<S: Whole>(simd: S, floor: S::Vector, sum: S::Vector) -> S::Vector;
}

/// f32.
pub(crate) struct Floats;

/// int16, and int32.
pub(crate) struct Wholes;

impl Numbers for Floats {
    const WHOLE: bool = false;

    #[inline(always)]
    fn add<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    #[inline(always)]
    fn sub<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub(a, b)
    }

    #[inline(always)]
    fn add_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    #[inline(always)]
    fn sub_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub(a, b)
    }

    #[inline(always)]
    fn at_least<S: Whole>(simd: S, floor: S::Vector, sum: S::Vector) -> S::Vector {
        simd.at_least(floor, sum)
    }
}

impl Numbers for Wholes {
    const WHOLE: bool = true;

    #[inline(always)]
    fn add<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add_i16(a, b)
    }

    #[inline(always)]
    fn sub<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub_i16(a, b)
    }

    #[inline(always)]
    fn add_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add_i32(a, b)
    }

    #[inline(always)]
    fn sub_sums<S: Whole>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub_i32(a, b)
    }

    #[inline(always)]
    fn at_least<S: Whole>(_: S, _: S::Vector, sum: S::Vector) -> S::Vector {
        sum
    }
}

/// A run of inputs to be widened.
pub(crate) struct InputRun {
    pub(crate) kind: Kind,
    pub(crate) from: *const f32,
    /// Wide words.
    pub(crate) count: usize,
    pub(crate) to: *mut f32,
}

/// Rows of a panel to be widened.
pub(crate) struct WeightRows {
    pub(crate) kind: Kind,
    pub(crate) from: *const f32,
    /// Packed rows, and the words of each: whole vectors.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) to: *mut f32,
}

/// Widens a run.
///
/// # Safety
/// So many wide words may be read and written. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn inputs<S: Simd, I: Input<S>>(simd: S, task: &InputRun) {
    let whole = task.count - task.count % S::LANES;
    // SAFETY: the caller's contract; what is left behind the whole vectors is less than one.
    unsafe {
        for first in (0..whole).step_by(S::LANES) {
            simd.store(task.to.add(first), I::load(simd, task.from, first, S::LANES));
        }
        let rest = task.count - whole;
        if rest > 0 {
            simd.store_partial(task.to.add(whole), I::load(simd, task.from, whole, rest), rest);
        }
    }
}

/// Widens rows.
///
/// # Safety
/// So many rows may be read, and twice as many written. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn weights<S: Simd, W: Weights<S>>(simd: S, task: &WeightRows) {
    for row in 0..task.rows {
        for lane in (0..task.width).step_by(S::LANES) {
            // SAFETY: the caller's contract.
            unsafe {
                let words = simd.load(task.from.add(row * task.width + lane));
                for wide in 0..W::WIDE {
                    let to = task.to.add((row * W::WIDE + wide) * task.width + lane);
                    simd.store(to, W::row(simd, words, wide));
                }
            }
        }
    }
}

/// Sums of a tile or block that become outputs.
pub(crate) struct Finish<'a> {
    pub(crate) whole: bool,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) sums: *const f32,
}

/// Writes them.
///
/// # Safety
/// As [`epilogue::run`].
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(simd: S, task: &Finish<'_>) {
    // SAFETY: the caller's contract.
    unsafe { epilogue::run(simd, task.whole, &task.epilogue, task.sums.cast()) }
}

/// # Panics
/// If the scratch memory is too small for a direct sum.
pub(super) fn check(geometry: &ConvGeometry, kind: Kind, scratch: usize) {
    let precision = kind.precision();
    let channels = [geometry.run.saturating_mul(precision.per_word()), geometry.channels];
    let needed = Algorithm::Direct.scratch_len(precision, [geometry.rows, 1], [1, 1], channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// One thread's part of a direct sum.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes, and the panels and lists
/// hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has. `scratch` is as long as the
/// algorithm says.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let part = Part::of(kernels, task);
    let (x, rest) = scratch.split_at_mut(part.block * part.depth());
    let (g, y) = rest.split_at_mut(LARGEST_PART * PANEL);
    let mut windows = Windows::NONE;
    for pixels in blocks(task.units.clone(), part.block, kernels.tile) {
        // SAFETY: the caller's contract, for these pixels, and for each panel.
        unsafe {
            windows.widen(&part, pixels, x);
            for panel in task.panel_range.clone() {
                let panel = kernels.panel_at(panel, task.convolution.geometry.channels);
                part.multiply(panel, &windows, x, g, y);
                part.finish(panel, &windows, y);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    /// Rows of the window, and wide words of a run.
    rows: usize,
    run: usize,
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
        let Part { kernels, task, rows, run, .. } = *part;
        let (geometry, wide) = (&task.convolution.geometry, task.kind.wide());
        let mut from = [0; LARGEST_WIDENED];
        self.count = pixels.len();
        locate(geometry, pixels.start, &mut from[..self.count], &mut self.y[..self.count]);
        let step = geometry.x.pixel;
        let follows = |pixel: usize| step <= geometry.run && from[pixel] == from[pixel - 1] + step;
        // Stretches of pixels: a row of each has no gaps.
        let mut end = 0;
        for pixel in 0..self.count {
            self.x[pixel] = if pixel > 0 && follows(pixel) { self.x[pixel - 1] + step * wide } else { end };
            end = self.x[pixel] + run;
        }
        self.pitch = end;
        let mut first = 0;
        while first < self.count {
            let last = (first..self.count - 1).find(|pixel| !follows(pixel + 1)).unwrap_or(self.count - 1);
            for row in 0..rows {
                let run = InputRun {
                    kind: task.kind,
                    from: task.x.wrapping_add(from[first] + row * geometry.pitch),
                    count: self.x[last] + run - self.x[first],
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
        let run = geometry.run * task.kind.wide();
        Part { kernels, task, rows: geometry.rows, run, block: widened_block(geometry.rows * run) }
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
        let product = if task.kind.is_whole() { kernels.product_of_pairs } else { kernels.product };
        let y_offsets: [usize; LARGEST_WIDENED] = std::array::from_fn(|pixel| pixel * panel.width);
        let held = [Begun { sums: y.as_ptr(), offsets: &y_offsets[..count] }];
        // Earlier panels are all full, each of as many packed words a channel.
        let weights = task.panels.wrapping_add(panel.first * self.depth() / wide);
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
                    x: x.as_ptr().add(row * windows.pitch + column),
                    x_offsets: &windows.x[..count],
                    rows: part_rows,
                    run: part_run,
                    pitch: windows.pitch,
                    weights: g.as_ptr(),
                    prefetch: from.wrapping_add(next * panel.width),
                    prefetch_apart: next * LINE,
                    fetch: Fetch::One,
                    bias: if first { task.start.add(panel.first) } else { NO_BIAS.as_ptr() },
                    y: y.as_mut_ptr(),
                    y_offsets: &y_offsets[..count],
                    channels: panel.width,
                    begun: &held[..usize::from(!first)],
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

    /// The outputs of a panel.
    ///
    /// # Safety
    /// As [`run`], for the panel and the pixels of the windows, whose sums are in Y.
    unsafe fn finish(&self, panel: Panel, windows: &Windows, y: &[f32]) {
        let epilogue = self.task.epilogue(panel.range(), self.kernels.lanes);
        let task = Finish {
            whole: self.task.kind.is_whole(),
            epilogue: Epilogue { y_offsets: &windows.y[..windows.count], ..epilogue },
            sums: y.as_ptr(),
        };
        // SAFETY: the caller's contract, for these pixels and channels.
        unsafe { (self.kernels.finish)(&task) };
    }
}
