//! Direct sums in groups of few channels, as many inputs as outputs: without the zeros that a panel of several groups
//! would have.
//!
//! ```text
//! y[p][lane] = bias + sum over the window, k in 0 .. words of a group:  x[p][first word of the lane's group + k] * w[k][lane]
//! ```
//! A vector of outputs is several groups. Its inputs are the same channels of a pixel, a word of one f32, two bf16 or four int8 in a lane: a vector
//! whose lanes are picked.
//!
//! A tile is neighbours of one row. Where neighbours in the window are neighbours in the output, too, what was picked serves
//! three positions of the window, as picking takes the place of products on most processors.
//!
//! Sums of [f32](floats) become outputs in registers. Those of [bf16 and int8](words) become them in memory, some tiles of a panel at a time:
//! see [`epilogue`](crate::kernels::epilogue).
//!
//! The order of a sum's terms depends on the window alone, so bits do not depend on the tile.

pub(crate) mod floats;
pub(crate) mod words;

use resnet_plan::algorithm::VECTOR;
use resnet_plan::{Activation, ConvGeometry, Convolution, Precision, Residual};

use crate::kernels::Kernels;
use crate::kernels::conv::{ConvTask, locate};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::Panels;
use crate::kernels::product::LINE;
use crate::kernels::wide::Kind;
use crate::simd::FEW_LANES;

/// Words of a panel's pixel: a cache line, so that all of it is used when it is there.
const PANEL: usize = VECTOR;
/// The most channels of a group that shares a vector with others.
const LARGEST: usize = 8;
/// Pixels of a tile. With three weights and three inputs, their sums fit 16 registers.
const TILE: usize = 7;
/// The most pixels whose sums of bf16 or int8 are in memory, in the L1 cache: whole tiles, as long as a row has them.
const SUMS: usize = 4 * TILE;
/// The most channels of a panel: of int8.
const WIDEST: usize = PANEL * Precision::Int8.per_word();
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
    /// f32: what is needed next, of which each tile fetches so many lines for each row of its window.
    next: *const f32,
    lines: usize,
    /// f32: whether what the output holds is added.
    held: bool,
    /// f32: cut negative results off.
    relu: bool,
}

/// Whether a direct sum is computed here. Groups that fill two vectors lie as panels of one block do, whose tiles go on in the next row: better
/// where a row has no whole tile.
pub(crate) fn computes(kernels: &Kernels, precision: Precision, geometry: &ConvGeometry) -> bool {
    let block = [geometry.run, geometry.block_channels()];
    let short = geometry.output[1] < TILE && block[1] > kernels.lanes;
    !short && panel(kernels, precision, geometry.blocks, block).is_some()
}

/// The channels of a panel of groups of so many, if a direct sum in so many blocks, each of so many words of inputs and so many outputs, can
/// be computed here.
pub(crate) fn panel(
    kernels: &Kernels,
    precision: Precision,
    blocks: usize,
    [inputs, outputs]: [usize; 2],
) -> Option<usize> {
    let lanes = kernels.lanes;
    if blocks <= 1 || inputs.saturating_mul(precision.per_word()) != outputs {
        return None;
    }
    let is_float = precision == Precision::F32;
    // The widest vectors come in twos, for which there are registers enough; shorter ones would have fewer pixels.
    if is_float && lanes == VECTOR && (outputs == VECTOR && blocks.is_multiple_of(2) || outputs == 2 * VECTOR)
    {
        return Some(2 * VECTOR);
    }
    // Picking words of bf16 takes longer than products by zero where vectors are short.
    let picks = precision != Precision::Bf16 || lanes > FEW_LANES;
    let shares =
        outputs <= LARGEST && lanes.is_multiple_of(outputs) && blocks.saturating_mul(outputs) >= lanes;
    (picks && shares).then_some(PANEL * precision.per_word())
}

/// One thread's part.
///
/// # Safety
/// For all pixels and panels of the task, whose sums are [computed here](computes): windows lie in `x`, outputs in `y` where nobody else reads or
/// writes, and `panels` and `bias` hold all channels as `pack` lays them out for these kernels, whose instruction set the machine has.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>) {
    let Convolution { geometry, residual, activation, .. } = task.convolution;
    let ConvGeometry { rows, taps, pitch, tap, run, output: [_, columns], .. } = *geometry;
    let precision = task.kind.precision();
    let (depth, panels) = (geometry.depth(), Panels::of(kernels, precision, geometry));
    let of_group = run * precision.per_word();
    let lanes = std::array::from_fn(|lane| (lane / of_group * run) as u32);
    let mut sums = Sums([0.0; SUMS * WIDEST]);
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
            // Weights of the next panel, in equal parts.
            let mut next = task.panels.wrapping_add((panel.place + panel.width) * depth);
            let tiles = pixels.len().div_ceil(columns) * columns.div_ceil(TILE);
            let lines =
                (depth * panel.width).div_ceil(tiles.saturating_mul(rows).saturating_mul(LINE).max(1));
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
                        next,
                        lines,
                        held: *residual == Residual::Same,
                        relu: *activation == Activation::Relu,
                    };
                    if precision == Precision::F32 {
                        let y = task.y.of_f32().add(y_offsets[first] + panel.first);
                        (kernels.groups)(&GroupTask { y, ..group });
                        next = next.wrapping_add(left.div_ceil(TILE) * rows * lines * LINE);
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
struct Sums([f32; SUMS * WIDEST]);
