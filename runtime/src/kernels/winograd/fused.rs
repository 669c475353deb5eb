//! Winograd's algorithm for few tiles: the transform of the weights is fused into the products.
//!
//! ```text
//! for each block of tiles, for each block of channels (one, but for groups):
//!     V[i][c][tile][j] = (B^T d B)[i][j]                            i, j: row and column of the transformed tile
//!     for each panel of its output channels, one or two vectors wide:
//!         for some of its input channels c at a time:               their weights stay in the L1 cache
//!             for each i, for each group of tiles:
//!                 M[tile][i][:][:] += V[i][c][tile][:] . (G g G^T)[i][:][c][:]             the micro-kernel
//!         for each tile:   y = relu?(A^T M A + bias + y?)
//! ```
//! Weights are packed in the order in which they are read: panel by panel, for each input channel the window's nine weights; those
//! in the middle of its sides are multiplied with what the transform begins with.

use std::mem::MaybeUninit;

use resnet_plan::Algorithm;
use resnet_plan::algorithm::{GROUP, LARGEST_BLOCK};
use resnet_plan::winograd::Tile;

use crate::kernels::Kernels;
use crate::kernels::conv::ConvTask;
use crate::kernels::panels::{Panel, Panels};
use crate::kernels::product::LINE;
use crate::kernels::table::FusedKernels;
use crate::kernels::winograd::made_row::{LARGEST_ROW, RowWeights};
use crate::kernels::winograd::panels;
use crate::kernels::winograd::places::{self, Place, Windows, activate, find_pixels, outputs};
use crate::kernels::winograd::row_product::{LINES, RowProduct, panel_vectors};
use crate::kernels::winograd::sides::{self, LARGEST_INPUT};
use crate::kernels::winograd::transform::InputTile;

/// Output channels of a panel, for tiles of so many outputs a side.
pub fn panel(kernels: &Kernels, output: usize) -> usize {
    kernels.lanes * panel_vectors(tile(output))
}

/// What a number of the window is multiplied with when it is packed, for tiles of so many outputs a side: `position` counts the
/// nine weights, row by row.
pub fn scale(output: usize, position: usize) -> f64 {
    let middle = sides::middle(tile(output));
    [position / 3, position % 3].iter().filter(|place| **place == 1).fold(1.0, |scale, _| scale * middle)
}

fn tile(output: usize) -> Tile {
    if output == Tile::Four.output() { Tile::Four } else { Tile::TwoOfStride2 }
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all tiles and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels. [`check`](super::check) holds for the
/// task, and for `scratch`.
pub(in crate::kernels) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let Some(part) = Part::of(kernels, task) else { return };
    let mut planes = Planes::carve(&part, scratch);
    let mut found = [Place::NONE; LARGEST_BLOCK];
    for tiles in task.share.blocks(part.block, 1) {
        let places = places::find(&task.convolution.geometry, part.windows, &tiles, &mut found);
        let slots = [false, true].map(|whole| Slots::find(&part, places, whole));
        let mut transformed = None;
        for panel in task.share.panels(&tiles) {
            let panel = part.panels.at(panel);
            // SAFETY: the caller's contract, for these tiles and this panel.
            unsafe {
                if transformed != Some(panel.block) {
                    transformed = Some(panel.block);
                    part.transform_inputs(places, panel.block, &slots, &mut planes);
                }
                part.multiply(panel, &slots, &mut planes);
                part.transform_sums(places, panel, &planes);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    windows: Windows,
    tile: Tile,
    panels: Panels,
    /// Input channels of a block.
    channels: usize,
    /// Tiles of a block.
    block: usize,
    /// Input channels whose weights stay in the L1 cache.
    depth: usize,
    /// The [`Slots`] of the tiles that take each row of products.
    slots_of: [usize; sides::LARGEST_SIDE],
    /// Whether the last tiles of rows lack one output.
    partial: bool,
    layout: Layout,
}

/// How far apart elements of V and M are.
struct Layout {
    /// Of V: a tile's row of a vector of channels, a group's, a group's of all channels, and a row of all groups.
    v_tile: usize,
    v_vector: usize,
    v_group: usize,
    v_row: usize,
    /// Of M: a row of sums, and a tile's.
    m_row: usize,
    m_tile: usize,
}

/// The scratch memory: a pixel of zeros, V, a row of a group that nobody reads, and M.
struct Planes<'a> {
    zeros: &'a mut [f32],
    v: &'a mut [f32],
    unread: &'a mut [f32],
    m: &'a mut [f32],
    /// A row of weights, on the stack: only instruction sets with few registers need it, and scratch memory is the same for all.
    made: MaybeUninit<Row>,
}

/// In whole cache lines.
#[repr(C, align(64))]
struct Row([f32; LARGEST_ROW]);

/// Tiles of a block that take a row of products, those that take all of it first.
struct Slots {
    count: usize,
    whole: usize,
    /// Where each tile of the block has its row in a row of V, if it takes it.
    v: [Option<usize>; LARGEST_BLOCK],
    /// Where the sums of each slot are.
    m: [usize; LARGEST_BLOCK],
}

impl<'a> Planes<'a> {
    fn carve(part: &Part<'_>, scratch: &'a mut [f32]) -> Self {
        let (zeros, rest) = scratch.split_at_mut(part.channels);
        let (v, rest) = rest.split_at_mut(part.tile.side() * part.layout.v_row);
        let (unread, m) = rest.split_at_mut(part.layout.v_group);
        zeros.fill(0.0);
        Planes { zeros, v, unread, m, made: MaybeUninit::uninit() }
    }
}

impl Slots {
    /// Finds all tiles of a block, or those that have all their rows inside. Those of which all columns are inside come first.
    fn find(part: &Part<'_>, places: &[Place], all_rows: bool) -> Self {
        let (output, group) = (part.tile.output(), GROUP);
        let Layout { v_tile, v_group, m_tile, .. } = part.layout;
        let mut slots = Slots { count: 0, whole: 0, v: [None; LARGEST_BLOCK], m: [0; LARGEST_BLOCK] };
        for columns in [true, false] {
            for (index, place) in places.iter().enumerate() {
                if (!all_rows || place.inside[0] == output) && (place.inside[1] == output) == columns {
                    slots.v[index] = Some(slots.count / group * v_group + slots.count % group * v_tile);
                    slots.m[slots.count] = index * m_tile;
                    slots.count += 1;
                    slots.whole += usize::from(columns);
                }
            }
        }
        slots
    }
}

impl<'a> Part<'a> {
    /// `None` for other algorithms.
    fn of(kernels: &'a Kernels, task: &'a ConvTask<'a>) -> Option<Self> {
        let geometry = &task.convolution.geometry;
        let Algorithm::Winograd { output, block, depth, fused } = task.algorithm else { return None };
        let windows = Windows::of(geometry)?;
        let (channels, tile) = (windows.words, windows.tile());
        let (side, width) = (tile.side(), kernels.lanes * panel_vectors(tile));
        let v_tile = side * kernels.lanes;
        let v_vector = GROUP * v_tile;
        let v_group = v_vector * (channels / kernels.lanes);
        let v_row = v_group * block.div_ceil(GROUP);
        let m_row = tile.side_sums() * width;
        let layout = Layout { v_tile, v_vector, v_group, v_row, m_row, m_tile: tile.side_sums() * m_row };
        let last = windows.last(geometry.output);
        let slots_of =
            std::array::from_fn(|row| usize::from(row < side && !sides::takes(tile, row, last[0])));
        // Only for tiles that lack one output there is code of their own.
        let partial = last[1] == tile.output() - 1;
        let panels = panels(kernels, geometry, output, fused);
        Some(Part { kernels, task, windows, tile, panels, channels, block, depth, slots_of, partial, layout })
    }

    /// `V = B^T d B`, one block of channels of a block of tiles.
    ///
    /// # Safety
    /// As [`run`], for these tiles and a block of channels that there is.
    unsafe fn transform_inputs(
        &self,
        places: &[Place],
        channel_block: usize,
        slots: &[Slots; 2],
        planes: &mut Planes<'_>,
    ) {
        let Part { kernels, task, windows, tile, channels, ref layout, .. } = *self;
        let mut pixels = [std::ptr::null(); LARGEST_INPUT];
        for (index, place) in places.iter().enumerate() {
            find_pixels(task, windows, place, channel_block, planes.zeros.as_ptr(), &mut pixels);
            let v = planes.v.as_mut_ptr();
            let mut rows = [std::ptr::null_mut(); sides::LARGEST_SIDE];
            for (row, to) in rows[..tile.side()].iter_mut().enumerate() {
                *to = match slots[self.slots_of[row]].v[index] {
                    Some(offset) => v.wrapping_add(row * layout.v_row + offset),
                    None => planes.unread.as_mut_ptr(),
                };
            }
            let input = InputTile {
                tile,
                kind: task.kind,
                pixels: &pixels,
                channels: 0..channels,
                v: rows,
                plane: kernels.lanes,
                vector: layout.v_vector,
                all: true,
                inside: place.inside,
            };
            // SAFETY: the caller's contract: the rows and columns that are not beyond the last window's are in some window; all
            // others are the `channels` zeros. A group's row has room for all vectors of its tiles.
            unsafe { (kernels.winograd_input)(&input) };
        }
    }

    /// `M = V * U`, all channels of a panel, some input channels at a time.
    ///
    /// # Safety
    /// As [`run`], for the panel and the tiles in `slots`; the panel's block of channels is in V.
    unsafe fn multiply(&self, panel: Panel, slots: &[Slots; 2], planes: &mut Planes<'_>) {
        let Part { kernels, task, tile, channels, ref layout, .. } = *self;
        let (side, width) = (tile.side(), panel.width);
        for first in (0..channels).step_by(self.depth) {
            let depth = self.depth.min(channels - first);
            let weights = task.panels.wrapping_add((panel.place * channels + first * width) * 9);
            // What is read next, and a third of what follows: products that are few leave the memory little time for it.
            let next = weights.wrapping_add(depth * 9 * width);
            let end = depth * 9 * width * 4 / 3;
            let mut unfetched = 0..end;
            let mut begun = 0u32;
            for row in 0..side {
                let slots = &slots[self.slots_of[row]];
                let (kernel, sum) = sides::row(tile, row);
                let accumulate = first > 0 || begun >> sum & 1 == 1;
                begun |= 1 << sum;
                let x = row * layout.v_row + first * GROUP * side;
                let mut product = RowProduct {
                    x: planes.v[x..].as_ptr(),
                    x_group: layout.v_group,
                    depth,
                    weights,
                    prefetch: next,
                    unfetched: unfetched.clone(),
                    y: planes.m[sum * layout.m_row..].as_mut_ptr(),
                    y_offsets: &slots.m[..slots.count],
                    whole: if self.partial { slots.whole } else { slots.count },
                    accumulate,
                };
                // SAFETY: the caller's contract, for the panel and the channels; the slots lie in V and M; `made` has room for
                // the most channels of vectors of 8, the longest of instruction sets with few registers.
                unsafe {
                    match kernels.fused(tile) {
                        FusedKernels::InRegisters(rows) => {
                            rows[kernel](&product);
                            unfetched.start += slots.count.div_ceil(GROUP) * depth * LINES * LINE;
                        }
                        FusedKernels::InCache { make, multiply } => {
                            let fetched = next.wrapping_add(unfetched.start);
                            let made = RowWeights {
                                weights,
                                depth,
                                prefetch: if unfetched.is_empty() { weights } else { fetched },
                                to: planes.made.as_mut_ptr().cast(),
                            };
                            make[kernel](&made);
                            unfetched.start += depth * LINES * LINE;
                            product.weights = made.to;
                            multiply(&product);
                        }
                    }
                }
            }
        }
    }

    /// `relu?(A^T M A + bias + y?)`, a panel's channels of a block's tiles.
    ///
    /// # Safety
    /// As [`run`], for these tiles and the panel, whose sums are in M.
    unsafe fn transform_sums(&self, places: &[Place], panel: Panel, planes: &Planes<'_>) {
        let (task, windows) = (self.task, self.windows);
        for (index, place) in places.iter().enumerate() {
            let sums = planes.m[index * self.layout.m_tile..].as_ptr();
            let output = outputs(task, windows, place, sums, panel.width, panel);
            // SAFETY: the caller's contract, for the pixels of the tile that are inside and the panel's channels.
            unsafe {
                (self.kernels.float.winograd_output)(&output);
                activate(task, windows, place, panel);
            }
        }
    }
}
