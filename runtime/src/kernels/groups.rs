//! Direct sums in groups of few channels, as many inputs as outputs: without the zeros that a panel of several groups
//! would have.
//!
//! ```text
//! y[p][lane] = bias + sum over the window, k in 0 .. words of a group:  x[p][first word of the lane's group + k] * w[k][lane]
//! ```
//! A vector of outputs is several groups. Its inputs are the same channels of a pixel, a word of one f32, two bf16 or four int8 in a lane: a vector
//! whose lanes are picked, or, where a group of f32 fills the vector, one of its elements in all lanes.
//!
//! A tile is neighbours of one row. Where neighbours in the window are neighbours in the output, too, what was picked serves
//! three positions of the window, as picking takes the place of products on most processors.
//!
//! Sums of f32 become outputs in registers. Those of bf16 and int8 become them in memory, some tiles of a panel at a time: see
//! [`epilogue`](crate::kernels::epilogue).
//!
//! The order of a sum's terms depends on the window alone, so bits do not depend on the tile.

pub(crate) mod words;

use resnet_plan::algorithm::VECTOR;
use resnet_plan::{Activation, ConvGeometry, Convolution, Precision, Residual};

use crate::kernels::Kernels;
use crate::kernels::conv::{ConvTask, locate};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::Panels;
use crate::kernels::wide::Kind;
use crate::simd::{FEW_LANES, Integers};

/// Words of a panel's pixel: a cache line, so that all of it is used when it is there.
const PANEL: usize = VECTOR;
/// The most channels of a group. (16 fill a vector of AVX-512, which panels of one block do as well.)
const LARGEST: usize = 8;
/// Pixels of a tile. With three weights and three inputs, their sums fit 16 registers.
const TILE: usize = 7;
/// The most pixels whose sums of bf16 or int8 are in memory, in the L1 cache: whole tiles, as long as a row has them.
const SUMS: usize = 4 * TILE;
/// The most pixels of a block, whose inputs stay in the L2 cache for all panels.
const BLOCK: usize = 168;

/// Neighbours in a row of the output, to be computed for one panel.
pub(crate) struct GroupTask<'a> {
    /// The first pixel's first run: the panel's inputs.
    x: *const f32,
    pixels: usize,
    /// Words from a pixel's window to the next one's, and from its outputs to the next.
    x_step: usize,
    y_step: usize,
    /// As those of a [`ConvGeometry`].
    rows: usize,
    taps: usize,
    pitch: usize,
    tap: usize,
    /// Words of a group, and for each lane of a vector the first of its group.
    run: usize,
    lanes: &'a [u32; VECTOR],
    /// Whether the input's int8 are signed.
    signed: bool,
    /// Channels of the panel, and those filled up to whole vectors.
    channels: usize,
    width: usize,
    /// `rows * taps * run` times the width; behind them, those of the next panel.
    weights: *const f32,
    /// The panel's, filled up to whole vectors.
    bias: *const f32,
    /// The first pixel's channels of the panel; of bf16 and int8, their sums.
    y: *mut f32,
    /// f32: whether what the output holds is added.
    held: bool,
    /// f32: cut negative results off.
    relu: bool,
}

/// Channels of a panel.
pub(crate) const fn panel(precision: Precision) -> usize {
    PANEL * precision.per_word()
}

/// Whether a direct sum in so many blocks, each of so many words of inputs and so many outputs, is computed here.
pub(crate) fn compute_blocks(
    kernels: &Kernels,
    precision: Precision,
    blocks: usize,
    [inputs, outputs]: [usize; 2],
) -> bool {
    // Picking words of bf16 takes longer than products by zero where vectors are short.
    let picks = precision != Precision::Bf16 || kernels.lanes > FEW_LANES;
    picks
        && blocks > 1
        && inputs.saturating_mul(precision.per_word()) == outputs
        && outputs <= LARGEST
        && kernels.lanes.is_multiple_of(outputs)
        && blocks.saturating_mul(outputs) >= kernels.lanes
}

/// One thread's part.
///
/// # Safety
/// For all pixels and panels of the task, which [`compute_blocks`]: windows lie in `x`, outputs in `y` where nobody else reads or writes,
/// and `panels` and `bias` hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>) {
    let Convolution { geometry, residual, activation, .. } = task.convolution;
    let ConvGeometry { rows, taps, pitch, tap, run, output: [_, columns], .. } = *geometry;
    let precision = task.kind.precision();
    let (depth, panels) = (geometry.depth(), Panels::of(kernels, precision, geometry));
    let of_group = run * precision.per_word();
    let lanes = std::array::from_fn(|lane| (lane / of_group * run) as u32);
    let mut sums = Sums([0.0; SUMS * panel(Precision::Int8)]);
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    // Whole rows, if that is possible.
    let most = if columns > BLOCK { BLOCK } else { BLOCK / columns * columns };
    for pixels in task.share.blocks(most, columns.min(BLOCK)) {
        let (x_offsets, y_offsets) = (&mut x_offsets[..pixels.len()], &mut y_offsets[..pixels.len()]);
        locate(geometry, pixels.start, x_offsets, y_offsets);
        for panel in task.share.panels(&pixels) {
            let panel = panels.at(panel);
            let epilogue = task.epilogue(panel);
            let mut first = 0;
            while first < pixels.len() {
                let left = (columns - (pixels.start + first) % columns).min(pixels.len() - first);
                // SAFETY: the caller's contract, for pixels of one row and these channels. Panels are packed one after the other, each
                // of `depth` times its width. Of bf16 and int8, `sums` holds as many pixels of the widest panel as a task has at most.
                unsafe {
                    let group = GroupTask {
                        x: task.x.add(x_offsets[first] + panel.first / precision.per_word()),
                        pixels: left,
                        x_step: geometry.x.pixel,
                        y_step: geometry.y.pixel,
                        rows,
                        taps,
                        pitch,
                        tap,
                        run,
                        lanes: &lanes,
                        signed: task.kind == Kind::I8,
                        channels: panel.channels,
                        width: panel.width,
                        weights: task.panels.add(panel.place * depth),
                        bias: task.start.add(panel.place),
                        y: sums.0.as_mut_ptr(),
                        held: *residual == Residual::Same,
                        relu: *activation == Activation::Relu,
                    };
                    if precision == Precision::F32 {
                        let y = task.y.of_f32().add(y_offsets[first] + panel.first);
                        (kernels.groups)(&GroupTask { y, ..group });
                        first += left;
                    } else {
                        let pixels = left.div_ceil(left.div_ceil(SUMS)).next_multiple_of(TILE).min(left);
                        let compute = match precision {
                            Precision::Bf16 => kernels.groups_of_bf16,
                            _ => kernels.groups_of_int8,
                        };
                        compute(&GroupTask { pixels, y_step: panel.width, ..group });
                        let y_offsets = &y_offsets[first..first + pixels];
                        (task.finish)(&Epilogue { sums: group.y.cast(), y_offsets, ..epilogue });
                        first += pixels;
                    }
                }
            }
            if precision == Precision::F32 {
                // SAFETY: the caller's contract, for these pixels and channels.
                unsafe { task.activate(panel, y_offsets) };
            }
        }
    }
}

/// Sums of bf16 or int8.
#[repr(C, align(64))]
struct Sums([f32; SUMS * panel(Precision::Int8)]);

/// f32: tiles of [`TILE`] pixels, of 4, 2 and 1, vector by vector. (With few lanes, of 2 and 1.)
///
/// # Safety
/// For each pixel, its runs lie in the input, among at least a vector of channels up to the panel's last, and its channels in the output,
/// where nobody else reads or writes; weights and bias hold what they say. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn compute<S: Integers>(simd: S, task: &GroupTask<'_>) {
    // Few lanes have few registers. Of other sizes than these there is no code: seven pixels divide the rows of most networks.
    let most = const { if S::LANES > FEW_LANES { TILE } else { 2 } };
    macro_rules! tiles {
        ($lanes:ident, $channel:ident) => {{
            let mut first = 0;
            while first < task.pixels {
                let size = match task.pixels - first {
                    left if left >= most => most,
                    1 => 1,
                    2 | 3 => 2,
                    _ => 4,
                };
                // SAFETY: the caller's contract; all tiles together have as many pixels as there are.
                unsafe {
                    match size {
                        1 => tile::<S, 1, $lanes>(simd, task, first, $channel),
                        2 => tile::<S, 2, $lanes>(simd, task, first, $channel),
                        4 if most > 2 => tile::<S, 4, $lanes>(simd, task, first, $channel),
                        TILE if most > 2 => tile::<S, TILE, $lanes>(simd, task, first, $channel),
                        size => unreachable!("there is no tile of {size} pixels"),
                    }
                }
                first += size;
            }
        }};
    }
    for channel in (0..task.width).step_by(S::LANES) {
        if S::LANES > LARGEST {
            tiles!(ANY, channel);
        } else if task.channels - channel < S::LANES {
            for pixel in 0..task.pixels {
                // SAFETY: the caller's contract.
                unsafe { tile::<S, 1, ANY>(simd, task, pixel, channel) };
            }
        } else if task.run == S::LANES {
            tiles!(ONE, channel);
        } else {
            tiles!(NEAR, channel);
        }
    }
}

/// Computes `P` pixels from the `first` on, a vector of channels.
///
/// The sums stay in registers only if every loop over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`compute`], for these pixels and channels.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<S: Integers, const P: usize, const LANES: usize>(
    simd: S,
    task: &GroupTask<'_>,
    first: usize,
    channel: usize,
) {
    let GroupTask { x_step, y_step, rows, taps, pitch, tap, run, width, .. } = *task;
    let count = (task.channels - channel).min(S::LANES);
    // A vector of inputs ends with the last channel, though there may be fewer than fill one.
    let before = S::LANES - count;
    // SAFETY: the caller's contract: of the last vector only the channels that there are get written.
    unsafe {
        let lanes = simd.load(task.lanes.as_ptr().cast());
        let picked = simd.add_i32(lanes, simd.splat(f32::from_bits(before as u32)));
        let one = simd.splat(f32::from_bits(1));
        let x = task.x.add(first * x_step + channel).sub(before);
        let mut weights = task.weights.add(channel);
        let mut sums = [simd.load(task.bias.add(channel)); P];
        for row in 0..rows {
            let mut column = 0;
            // What the next panel reads of these pixels: a line of each, far apart, which the machine does not expect.
            for p in 0..P {
                simd.prefetch(x.wrapping_add(row * pitch + p * x_step + PANEL));
            }
            if x_step == tap {
                while column + 3 <= taps {
                    let x = x.add(row * pitch + column * tap);
                    let mut from = picked;
                    for k in 0..run {
                        let w = [0, 1, 2].map(|next| weights.add((next * run + k) * width));
                        let w = [simd.load(w[0]), simd.load(w[1]), simd.load(w[2])];
                        let mut a = input::<S, LANES>(simd, x, k, from);
                        let mut b = input::<S, LANES>(simd, x.add(x_step), k, from);
                        for p in 0..P {
                            let c = input::<S, LANES>(simd, x.add((p + 2) * x_step), k, from);
                            sums[p] = simd.mul_add(a, w[0], sums[p]);
                            sums[p] = simd.mul_add(b, w[1], sums[p]);
                            sums[p] = simd.mul_add(c, w[2], sums[p]);
                            (a, b) = (b, c);
                        }
                        from = simd.add_i32(from, one);
                    }
                    weights = weights.wrapping_add(3 * run * width);
                    column += 3;
                }
            }
            while column < taps {
                let x = x.add(row * pitch + column * tap);
                let mut from = picked;
                for k in 0..run {
                    let w = simd.load(weights);
                    weights = weights.wrapping_add(width);
                    for p in 0..P {
                        let x = input::<S, LANES>(simd, x.add(p * x_step), k, from);
                        sums[p] = simd.mul_add(x, w, sums[p]);
                    }
                    from = simd.add_i32(from, one);
                }
                column += 1;
            }
        }
        let y = task.y.add(first * y_step + channel);
        if task.held {
            for p in 0..P {
                sums[p] = simd.add(sums[p], simd.load_partial(y.add(p * y_step), count));
            }
        }
        let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
        if count == S::LANES {
            for p in 0..P {
                simd.store(y.add(p * y_step), simd.at_least(floor, sums[p]));
            }
        } else {
            for p in 0..P {
                simd.store_partial(y.add(p * y_step), simd.at_least(floor, sums[p]), count);
            }
        }
    }
}

/// Where a lane's inputs are: in any lane, in one of four neighbours, or all in one.
const ANY: usize = 0;
const NEAR: usize = 1;
const ONE: usize = 2;

/// The `k`-th input of each lane's group, of a pixel: in the lanes `from`.
///
/// # Safety
/// A vector of inputs lies at `x`.
#[inline(always)]
unsafe fn input<S: Integers, const LANES: usize>(
    simd: S,
    x: *const f32,
    k: usize,
    from: S::Vector,
) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe {
        match LANES {
            ONE => simd.splat(*x.add(k)),
            NEAR => simd.pick_near(simd.load(x), from),
            _ => simd.pick(simd.load(x), from),
        }
    }
}
