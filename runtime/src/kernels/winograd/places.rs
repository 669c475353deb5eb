//! Where the tiles of Winograd's algorithm are in the input and in the output.
//!
//! Where a kernel has a dilation `d`, outputs that are `d` apart are computed of inputs that are `d` apart, by an undilated kernel: the
//! image is `d` by `d` smaller ones, its phases, whose pixels are further apart.

use std::ops::Range;

use resnet_plan::algorithm::LARGEST_BLOCK;
use resnet_plan::winograd::{Tile, phases};
use resnet_plan::{Activation, ConvGeometry, Convolution, Residual};

use crate::kernels::conv::ConvTask;
use crate::kernels::panels::Panel;
use crate::kernels::winograd::sides::LARGEST_INPUT;
use crate::kernels::winograd::transform::OutputTile;

/// How the windows of a geometry lie: what Winograd's algorithm asks of it.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// Words of the input channels of a block, and of a pixel of all blocks.
    pub(super) words: usize,
    pub(super) pixel: usize,
    pub(super) stride: usize,
    pub(super) dilation: [usize; 2],
}

/// A tile's image, the row and column of its first output, and how many rows and columns of outputs lie in the image.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) inside: [usize; 2],
}

impl Place {
    pub(super) const NONE: Place = Place { image: 0, row: 0, column: 0, inside: [0; 2] };
}

impl Windows {
    /// `None` if windows are not 3x3, or have other strides or dilations than Winograd's algorithm computes.
    pub(super) fn of(geometry: &ConvGeometry) -> Option<Windows> {
        let ConvGeometry { rows, taps, run, pitch, tap, blocks, ref x, .. } = *geometry;
        let words = if taps == 3 { run } else { run / 3 };
        // Runs of three positions are of one block.
        let whole = taps == 3 || taps == 1 && blocks == 1;
        if rows != 3 || !whole || taps * run != 3 * words || words == 0 {
            return None;
        }
        let pixel = words.checked_mul(blocks)?;
        let (stride, right) = (x.pixel.checked_div(pixel)?, if taps == 3 { tap / pixel } else { 1 });
        // Rows of the input from an output to the next, and from a row of the window to the next.
        let down = pitch.checked_mul(stride)?.checked_div(x.row)?;
        let windows = Windows { words, pixel, stride, dilation: [down, right] };
        let even = x.pixel == stride * pixel && Some(pitch * stride) == x.row.checked_mul(down);
        let apart = taps == 1 || tap == right * pixel;
        let plain = windows.dilation == [1, 1] || stride == 1 && down > 0 && right > 0;
        (even && apart && plain).then_some(windows)
    }

    pub(super) fn tile(&self) -> Tile {
        Tile::of(self.stride)
    }

    /// How many outputs the last tile of a side has, if it is the same for all phases; else it counts as whole.
    pub(super) fn last(&self, size: [usize; 2]) -> [usize; 2] {
        let output = self.tile().output();
        std::array::from_fn(|axis| {
            if size[axis].is_multiple_of(self.dilation[axis]) {
                (size[axis] / self.dilation[axis] - 1) % output + 1
            } else {
                output
            }
        })
    }
}

/// Finds the places of a block's tiles.
pub(super) fn find<'a>(
    geometry: &ConvGeometry,
    windows: Windows,
    tiles: &Range<usize>,
    places: &'a mut [Place; LARGEST_BLOCK],
) -> &'a [Place] {
    let [rows, columns] =
        [0, 1].map(|axis| Axis::of(windows.tile(), geometry.output[axis], windows.dilation[axis]));
    let places = &mut places[..tiles.len()];
    for (place, tile) in places.iter_mut().zip(tiles.clone()) {
        let line = tile / columns.count;
        let (row, below) = rows.place(line % rows.count);
        let (column, beside) = columns.place(tile % columns.count);
        *place = Place { image: line / rows.count, row, column, inside: [below, beside] };
    }
    places
}

/// Finds a tile's pixels of a block of channels, row by row: those that are beyond the last window's are zeros.
pub(super) fn find_pixels(
    task: &ConvTask<'_>,
    windows: Windows,
    place: &Place,
    channel_block: usize,
    zeros: *const f32,
    pixels: &mut [*const f32; LARGEST_INPUT],
) {
    let (geometry, side) = (&task.convolution.geometry, windows.tile().side());
    let first = geometry.x.at(place.image, place.row, place.column) + channel_block * windows.words;
    let x = task.x.wrapping_add(first);
    let (down, right) = (geometry.pitch, windows.dilation[1] * windows.pixel);
    // Loops of fixed length for all tiles; then zeros over what hangs over an edge, which few tiles do.
    match windows.tile() {
        Tile::Four => find_square::<{ Tile::Four.side() }>(x, down, right, pixels),
        Tile::TwoOfStride2 => find_square::<{ Tile::TwoOfStride2.side() }>(x, down, right, pixels),
    }
    let count = |axis: usize| side.min(windows.stride * (place.inside[axis] - 1) + 3);
    let (rows, columns) = (count(0), count(1));
    for row in pixels[..rows * side].chunks_exact_mut(side) {
        row[columns..].fill(zeros);
    }
    pixels[rows * side..].fill(zeros);
}

/// Where the pixels of a row of a tile are in the output.
pub(super) fn output_row(geometry: &ConvGeometry, windows: Windows, place: &Place, row: usize) -> [usize; 4] {
    let [down, right] = windows.dilation;
    let first = geometry.y.at(place.image, place.row + row * down, place.column);
    std::array::from_fn(|column| first + column * right * geometry.y.pixel)
}

/// Activates a tile's outputs of a panel, row by row.
///
/// # Safety
/// As [`ConvTask::activate`], for the pixels of the tile that are inside.
pub(super) unsafe fn activate(task: &ConvTask<'_>, windows: Windows, place: &Place, panel: Panel) {
    if task.activator.is_none() {
        return;
    }
    for row in 0..place.inside[0] {
        let y_offsets = output_row(&task.convolution.geometry, windows, place, row);
        // SAFETY: the caller's contract.
        unsafe { task.activate(panel, &y_offsets[..place.inside[1]]) };
    }
}

/// What becomes of a tile's sums of some output channels, whose planes are so far apart.
pub(super) fn outputs(
    task: &ConvTask<'_>,
    windows: Windows,
    place: &Place,
    sums: *const f32,
    plane: usize,
    panel: Panel,
) -> OutputTile {
    let Convolution { geometry, residual, activation, .. } = &task.convolution;
    let pixel = geometry.y.at(place.image, place.row, place.column);
    let [down, right] = windows.dilation;
    OutputTile {
        tile: windows.tile(),
        m: sums,
        plane,
        bias: task.start.wrapping_add(panel.place),
        y: task.y.of_f32().wrapping_add(pixel + panel.first),
        row: down * geometry.y.row,
        pixel: right * geometry.y.pixel,
        inside: place.inside,
        channels: panel.channels,
        accumulate: *residual == Residual::Same,
        relu: *activation == Activation::Relu,
    }
}

/// The tiles along an axis of the output: first those of the larger phases, then those of phases that have one output less.
struct Axis {
    /// Outputs of a tile.
    output: usize,
    /// From an output of a phase to the next.
    dilation: usize,
    /// All tiles.
    count: usize,
    /// Larger phases, and the tiles of all of them.
    larger: usize,
    of_larger: usize,
    /// Outputs and tiles of a larger phase, and of a smaller one.
    phases: [[usize; 2]; 2],
}

impl Axis {
    fn of(tile: Tile, size: usize, dilation: usize) -> Axis {
        let [(larger, most), (_, least)] = phases(size, dilation);
        let output = tile.output();
        let phases = [most, least].map(|outputs| [outputs, outputs.div_ceil(output)]);
        let count = tile.count_along(size, dilation);
        Axis { output, dilation, count, larger, of_larger: larger * phases[0][1], phases }
    }

    /// The first output of a tile, and how many it has.
    fn place(&self, index: usize) -> (usize, usize) {
        let (first_phase, index, [outputs, tiles]) = match index.checked_sub(self.of_larger) {
            None => (0, index, self.phases[0]),
            Some(index) => (self.larger, index, self.phases[1]),
        };
        let first = index % tiles * self.output;
        (first_phase + index / tiles + self.dilation * first, self.output.min(outputs - first))
    }
}

/// The pixels of a square, row by row, from the first one on.
#[inline(always)]
fn find_square<const SIDE: usize>(
    first: *const f32,
    down: usize,
    right: usize,
    pixels: &mut [*const f32; LARGEST_INPUT],
) {
    for row in 0..SIDE {
        for column in 0..SIDE {
            pixels[row * SIDE + column] = first.wrapping_add(row * down + column * right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_have_every_output_once() {
        for (size, dilation, stride) in
            (1..40).flat_map(|size| (1..9).map(move |d| (size, d, 1))).chain([(13, 1, 2)])
        {
            let axis = Axis::of(Tile::of(stride), size, dilation);
            let mut outputs = Vec::new();
            for index in 0..axis.count {
                let (first, inside) = axis.place(index);
                assert!((1..=axis.output).contains(&inside));
                outputs.extend((0..inside).map(|output| first + output * dilation));
            }
            outputs.sort_unstable();
            assert!(outputs.into_iter().eq(0..size), "{size} outputs, dilation {dilation}");
        }
    }
}
