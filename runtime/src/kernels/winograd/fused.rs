//! Winograd's algorithm for few tiles: the transform of the weights is fused into the products.
//!
//! ```text
//! for each block of tiles:
//!     V[i][c][tile][j] = (B^T d B)[i][j]                            i, j: row and column of the transformed tile
//!     for each panel of output channels, one or two vectors wide:
//!         for some input channels c at a time:                      their weights stay in the first-level cache
//!             for each i, for each group of tiles:
//!                 M[tile][i][:][:] += V[i][c][tile][:] . (G g G^T)[i][:][c][:]             the micro-kernel
//!         for each tile:   y = relu?(A^T M A + bias + y?)
//! ```
//! Weights are packed in the order in which they are read: panel by panel, for each input channel the window's nine numbers; those
//! in the middle of its sides are multiplied with what the transform begins with.

use resnet_plan::Algorithm;
use resnet_plan::Convolution;
use resnet_plan::algorithm::LARGEST_BLOCK;
use resnet_plan::winograd::Tile;

use crate::kernels::conv::ConvTask;
use crate::kernels::product::LINE;
use crate::kernels::winograd::row_product::{LINES, RowProduct, panel_vectors};
use crate::kernels::winograd::transform::InputTile;
use crate::kernels::winograd::{Place, outputs, pixels, shape, sides};
use crate::kernels::{Kernels, blocks};

/// Output channels of a panel, for tiles of so many outputs a side.
pub fn panel(kernels: &Kernels, output: usize) -> usize {
    kernels.lanes * panel_vectors(tile(output))
}

/// What a number of the window is multiplied with when it is packed, for tiles of so many outputs a side: `position` counts the
/// nine numbers, row by row.
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
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels, whose instruction set the
/// machine has. [`check`](super::check) holds for the task, and for `scratch`.
pub(in crate::kernels) unsafe fn run(kernels: &Kernels, task: &ConvTask, scratch: &mut [f32]) {
    let ConvTask { convolution: Convolution { geometry, algorithm, .. }, .. } = *task;
    let Algorithm::Winograd { output, block, depth, .. } = algorithm else { return };
    let (channels, step) = shape(&geometry);
    let tile = Tile::of(step);
    let side = tile.side();
    let group = kernels.group;
    let width = kernels.lanes * panel_vectors(tile);
    // Of V: a tile's row of a vector of channels, a group's, and a row of all groups.
    let v_tile = side * kernels.lanes;
    let v_vector = group * v_tile;
    let v_group = v_vector * (channels / kernels.lanes);
    let v_row = v_group * block.div_ceil(group);
    // Of M: a row of sums, and a tile's.
    let m_row = tile.side_sums() * width;
    let m_tile = tile.side_sums() * m_row;
    let (zeros, rest) = scratch.split_at_mut(channels);
    let (v, rest) = rest.split_at_mut(side * v_row);
    let (unread, m) = rest.split_at_mut(v_group);
    zeros.fill(0.0);
    let last = geometry.output.map(|size| (size - 1) % output + 1);
    let slots_of: [usize; sides::LARGEST_SIDE] =
        std::array::from_fn(|row| usize::from(row < side && !sides::takes(tile, row, last[0])));
    for tiles in blocks(task.units.clone(), block, 1) {
        let places = || tiles.clone().map(|index| Place::of(index, output, geometry.output));
        // Tiles that take a row of products: all, or all but the last of each column. Those of which all columns are inside come
        // first.
        let mut slots = [Slots { count: 0, whole: 0, m: [0; LARGEST_BLOCK] }; 2];
        let mut v_tiles = [[None; LARGEST_BLOCK]; 2];
        for (rows, (slots, v_tiles)) in slots.iter_mut().zip(&mut v_tiles).enumerate() {
            for columns in [true, false] {
                for (index, place) in places().enumerate() {
                    if (rows == 0 || place.inside[0] == output) && (place.inside[1] == output) == columns {
                        v_tiles[index] = Some(slots.count / group * v_group + slots.count % group * v_tile);
                        slots.m[slots.count] = index * m_tile;
                        slots.count += 1;
                        slots.whole += usize::from(columns);
                    }
                }
            }
        }
        for (index, place) in places().enumerate() {
            let pixels = pixels(task, tile, &place, zeros);
            let mut rows = [std::ptr::null_mut(); sides::LARGEST_SIDE];
            for (row, to) in rows[..side].iter_mut().enumerate() {
                *to = match v_tiles[slots_of[row]][index] {
                    Some(offset) => v[row * v_row + offset..].as_mut_ptr(),
                    None => unread.as_mut_ptr(),
                };
            }
            let input = InputTile {
                tile,
                pixels: &pixels,
                channels: 0..channels,
                v: rows,
                plane: kernels.lanes,
                vector: v_vector,
                raw: true,
                inside: place.inside,
            };
            // SAFETY: the caller's contract: the rows and columns that are not beyond the last window's are in some window; all
            // others are the `channels` zeros. A group's row has room for all vectors of its tiles.
            unsafe { (kernels.winograd_input)(&input) };
        }
        for panel in task.panel_range.clone() {
            let panel_channel = panel * width;
            for first in (0..channels).step_by(depth) {
                let depth = depth.min(channels - first);
                let weights = task.panels.wrapping_add((panel * channels + first) * 9 * width);
                // What is read next, and a third of what follows: products that are few leave the memory little time for it.
                let next = weights.wrapping_add(depth * 9 * width);
                let end = depth * 9 * width * 4 / 3;
                let mut fetched = 0;
                let mut begun = 0u32;
                for row in 0..side {
                    let slots = &slots[slots_of[row]];
                    let (kernel, sum) = sides::row(tile, row);
                    let accumulate = first > 0 || begun >> sum & 1 == 1;
                    begun |= 1 << sum;
                    for start in (0..slots.count).step_by(group) {
                        let y_offsets = &slots.m[start..slots.count.min(start + group)];
                        // Only for tiles that lack one output there is code of their own.
                        let partial = last[1] == output - 1;
                        let product = RowProduct {
                            tile,
                            row: kernel,
                            x: v[row * v_row + start / group * v_group + first * group * side..].as_ptr(),
                            depth,
                            weights,
                            prefetch: if fetched < end { next.wrapping_add(fetched) } else { weights },
                            y: m[sum * m_row..].as_mut_ptr(),
                            y_offsets,
                            whole: if partial {
                                slots.whole.saturating_sub(start).min(y_offsets.len())
                            } else {
                                y_offsets.len()
                            },
                            accumulate,
                        };
                        fetched += depth * LINES * LINE;
                        // SAFETY: the caller's contract, for the panel and the channels; the slots lie in V and M.
                        unsafe { (kernels.row_product)(&product) };
                    }
                }
            }
            for (index, place) in places().enumerate() {
                let sums = m[index * m_tile..].as_ptr();
                let output = outputs(task, tile, &place, sums, width, panel_channel..panel_channel + width);
                // SAFETY: the caller's contract, for the pixels of the tile that are inside and the panel's channels.
                unsafe { (kernels.winograd_output)(&output) };
            }
        }
    }
}

/// Tiles of a block that take a row of products, those that take all of it first, and where their sums are.
#[derive(Clone, Copy)]
struct Slots {
    count: usize,
    whole: usize,
    m: [usize; LARGEST_BLOCK],
}
