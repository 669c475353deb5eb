//! Where the tiles of Winograd's algorithm are in the input and in the output.
//!
//! Where a kernel has a dilation `d`, outputs that are `d` apart are computed of inputs that are `d` apart, by an undilated kernel: the
//! image is `d` by `d` smaller ones, its phases, whose pixels are further apart.

use std::ops::Range;

use resnet_plan::winograd::{Tile, phases};
use resnet_plan::{Activation, ConvGeometry, Convolution, Residual};

use crate::kernels::conv::ConvTask;
use crate::kernels::panels::Panel;
use crate::kernels::winograd::sides::LARGEST_INPUT;
use crate::kernels::winograd::transform::OutputTile;

/// How the windows of a geometry lie: what Winograd's algorithm asks of it.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// Words of the input channels.
    pub(super) words: usize,
    pub(super) stride: usize,
    pub(super) dilation: [usize; 2],
}

/// A tile's image, the row and column of its first output, and how many rows and columns of outputs lie in the image.
pub(super) struct Place {
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) inside: [usize; 2],
}

impl Windows {
    /// `None` if windows are not 3x3, or have other strides or dilations than Winograd's algorithm computes.
    pub(super) fn of(geometry: &ConvGeometry) -> Option<Windows> {
        let ConvGeometry { rows, taps, run, pitch, tap, ref x, .. } = *geometry;
        let words = if taps == 3 { run } else { run / 3 };
        if rows != 3 || !matches!(taps, 1 | 3) || taps * run != 3 * words || words == 0 {
            return None;
        }
        let (stride, right) = (x.pixel / words, if taps == 3 { tap / words } else { 1 });
        // Rows of the input from an output to the next, and from a row of the window to the next.
        let down = pitch.checked_mul(stride)?.checked_div(x.row)?;
        let windows = Windows { words, stride, dilation: [down, right] };
        let even = x.pixel == stride * words && Some(pitch * stride) == x.row.checked_mul(down);
        let apart = taps == 1 || tap == right * words;
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

/// The places of some tiles.
pub(super) fn places(
    geometry: &ConvGeometry,
    windows: Windows,
    tiles: &Range<usize>,
) -> impl Iterator<Item = Place> + use<> {
    let size = geometry.output;
    tiles.clone().map(move |index| Place::of(index, windows, size))
}

impl Place {
    fn of(tile: usize, windows: Windows, [height, width]: [usize; 2]) -> Place {
        let (of, [down, right]) = (windows.tile(), windows.dilation);
        let (rows, columns) = (of.count_along(height, down), of.count_along(width, right));
        let (row, below) = first_and_count(of, height, down, tile / columns % rows);
        let (column, beside) = first_and_count(of, width, right, tile % columns);
        Place { image: tile / columns / rows, row, column, inside: [below, beside] }
    }
}

/// The first output of a tile along a side, and how many it has: phase by phase, the larger ones first.
fn first_and_count(tile: Tile, size: usize, dilation: usize, index: usize) -> (usize, usize) {
    let [(larger, of_larger), (_, of_smaller)] = phases(size, dilation);
    let [tiles_of_larger, tiles_of_smaller] = [of_larger, of_smaller].map(|of| of.div_ceil(tile.output()));
    let (phase, place, outputs) = match index.checked_sub(larger * tiles_of_larger) {
        None => (index / tiles_of_larger, index % tiles_of_larger, of_larger),
        Some(index) => (larger + index / tiles_of_smaller, index % tiles_of_smaller, of_smaller),
    };
    let first = place * tile.output();
    (phase + dilation * first, tile.output().min(outputs - first))
}

/// A tile's pixels, row by row: those that are beyond the last window's are zeros.
pub(super) fn pixels(
    task: &ConvTask<'_>,
    windows: Windows,
    place: &Place,
    zeros: &[f32],
) -> [*const f32; LARGEST_INPUT] {
    let (geometry, side) = (&task.convolution.geometry, windows.tile().side());
    let mut pixels = [zeros.as_ptr(); LARGEST_INPUT];
    let x = task.x.wrapping_add(geometry.x.at(place.image, place.row, place.column));
    let count = |axis: usize| side.min(windows.stride * (place.inside[axis] - 1) + 3);
    for row in 0..count(0) {
        for column in 0..count(1) {
            pixels[row * side + column] =
                x.wrapping_add(row * geometry.pitch + column * windows.dilation[1] * windows.words);
        }
    }
    pixels
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
        bias: task.start.wrapping_add(panel.first),
        y: task.y.of_f32().wrapping_add(pixel + panel.first),
        row: down * geometry.y.row,
        pixel: right * geometry.y.pixel,
        inside: place.inside,
        channels: panel.channels,
        accumulate: *residual == Residual::Same,
        relu: *activation == Activation::Relu,
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
            let tile = Tile::of(stride);
            let mut outputs = Vec::new();
            for index in 0..tile.count_along(size, dilation) {
                let (first, inside) = first_and_count(tile, size, dilation, index);
                assert!((1..=tile.output()).contains(&inside));
                outputs.extend((0..inside).map(|output| first + output * dilation));
            }
            outputs.sort_unstable();
            assert!(outputs.into_iter().eq(0..size), "{size} outputs, dilation {dilation}");
        }
    }
}
