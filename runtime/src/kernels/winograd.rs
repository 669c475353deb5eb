//! Winograd's minimal filtering: a tile of 4x4 outputs of a 3x3 convolution, or of 2x2 where its step is 2, with fewer products than
//! a direct sum (Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks").
//!
//! ```text
//! Y = A^T [ (G g G^T) * (B^T d B) ] A                           g, d, Y: window, input tile, output tile
//!
//! for each block of tiles:
//!     V[i][tile][c] = (B^T d B)[i]                              i: the place in the transformed tile
//!     for each panel of output channels:
//!         for some input channels c at a time:
//!             U[j][c][:] = (G g G^T)[j]                         from the packed weights, into the second-level cache
//!             for each i:  M[i][tile][:] += V[i][tile][c] . U[j(i)][c][:]           the micro-kernel
//!         for each tile:   y = relu?(A^T M A + bias + y?)
//! ```
//! Weights are stored as those of a direct sum and transformed when they are used: stored transformed, they would take up to
//! four times the memory. (Where there are few tiles, `winograd/fused.rs` transforms them in registers.) `winograd/sides.rs` has
//! the matrices. A tile that hangs over the image's lower or right edge takes only the products that its outputs inside need. A
//! number that is not finite reaches all outputs of the tiles it lies in.

pub mod fused;
pub(crate) mod row_product;
pub(crate) mod sides;
pub(crate) mod transform;

use std::ops::Range;

use resnet_plan::algorithm::{LARGEST_BLOCK, PANEL, SKEW, VECTOR};
use resnet_plan::winograd::Tile;
use resnet_plan::{Algorithm, ConvGeometry, Convolution, Residual};

use crate::kernels::conv::{ConvTask, NO_BIAS};
use crate::kernels::product::{Begun, Fetch, LINE, Product};
use crate::kernels::{Kernels, blocks};
use sides::{Factor, LARGEST_INPUT};
use transform::{InputTile, KernelTile, OutputTile};

/// # Panics
/// If the convolution is not one that Winograd's algorithm computes, or the scratch memory is too small.
pub(super) fn check(convolution: &Convolution, scratch: usize) {
    let Convolution { geometry, algorithm, .. } = convolution;
    let (inputs, stride) = shape(geometry);
    let (kernel, strides, channels) = ([3, 3], [stride, stride], [inputs, geometry.channels]);
    let computes = algorithm.computes(kernel, strides, channels);
    assert!(computes, "Winograd's algorithm does not compute this convolution");
    assert!(geometry.rows == 3 && geometry.run == 3 * inputs, "windows are 3x3");
    let even =
        geometry.x.pixel == stride * inputs && Some(geometry.x.row) == stride.checked_mul(geometry.pitch);
    assert!(even, "windows have one stride");
    let needed = algorithm.scratch_len(kernel, strides, channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// Input channels, and the windows' step.
fn shape(geometry: &ConvGeometry) -> (usize, usize) {
    let channels = (geometry.run / 3).max(1);
    (channels, geometry.x.pixel / channels)
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all tiles and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels, whose instruction set the
/// machine has. [`check`] holds for the task, and for `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask, scratch: &mut [f32]) {
    let ConvTask { convolution: Convolution { geometry, algorithm, .. }, .. } = *task;
    let Algorithm::Winograd { output, block, depth, .. } = algorithm else { return };
    let (channels, step) = shape(&geometry);
    let tile = Tile::of(step);
    let row = channels.next_multiple_of(VECTOR);
    let depth = depth.min(row);
    let v_plane = block * row.next_multiple_of(depth) + SKEW;
    let u_plane = depth * PANEL + SKEW;
    let m_plane = block * PANEL + SKEW;
    let (zeros, rest) = scratch.split_at_mut(row);
    let (v, rest) = rest.split_at_mut(tile.products() * v_plane);
    let (u, m) = rest.split_at_mut(tile.kernels() * u_plane);
    zeros.fill(0.0);
    // Tiles that take a product: all, or all but the last of each column (1), of each row (2), or both (3).
    let mut slots =
        [Slots { count: 0, x: [0; LARGEST_BLOCK], v: [0; LARGEST_BLOCK], m: [0; LARGEST_BLOCK] }; 4];
    let last = geometry.output.map(|size| (size - 1) % output + 1);
    let mut products = [(0, Factor::Made(0), Factor::Made(0), 0); LARGEST_INPUT];
    let products = &mut products[..tile.products()];
    for (index, product) in products.iter_mut().enumerate() {
        let (sum, input, kernel) = sides::product(tile, index);
        let [rows, columns] = [0, 1].map(|axis| {
            let product = if axis == 0 { index / tile.side() } else { index % tile.side() };
            sides::takes(tile, product, last[axis])
        });
        *product = (sum, input, kernel, usize::from(!rows) + 2 * usize::from(!columns));
    }
    // Weights that no other block reads again: fetched as such, they leave V in the second-level cache.
    let fetch = if task.units.len() <= block { Fetch::Once } else { Fetch::One };
    let mut made = None;
    for tiles in blocks(task.units.clone(), block, 1) {
        let places = || tiles.clone().map(|index| Place::of(index, output, geometry.output));
        for (lasts, slots) in slots.iter_mut().enumerate() {
            slots.count = 0;
            for (slot, place) in places().enumerate() {
                if (lasts & 1 == 0 || place.inside[0] == output)
                    && (lasts & 2 == 0 || place.inside[1] == output)
                {
                    slots.x[slots.count] = geometry.x.at(place.image, place.row, place.column);
                    slots.v[slots.count] = slot * depth;
                    slots.m[slots.count] = slot * PANEL;
                    slots.count += 1;
                }
            }
        }
        for (slot, place) in places().enumerate() {
            let pixels = pixels(task, tile, &place, zeros);
            for first in (0..channels).step_by(depth) {
                let input = InputTile {
                    tile,
                    pixels: &pixels,
                    channels: first..channels.min(first + depth),
                    v: std::array::from_fn(|row| {
                        let row = row.min(tile.side() - 1) * tile.side() * v_plane;
                        v[row + first * block + slot * depth..].as_mut_ptr()
                    }),
                    plane: v_plane,
                    vector: kernels.lanes,
                    raw: false,
                    inside: place.inside,
                };
                // SAFETY: the caller's contract: the rows and columns that are not beyond the last window's are in some window;
                // all others are the `channels` zeros. Each plane has `depth` numbers for each slot.
                unsafe { (kernels.winograd_input)(&input) };
            }
        }
        for panel in task.panel_range.clone() {
            let channel = panel * kernels.panel;
            let panel_channels = (geometry.channels - channel).min(kernels.panel);
            let width = panel_channels.next_multiple_of(kernels.lanes);
            // Earlier panels are all full, each of `9 * channels` times its width.
            let weights = task.panels.wrapping_add(channel * 9 * channels);
            for first in (0..channels).step_by(depth) {
                let depth = depth.min(channels - first);
                let g = weights.wrapping_add(first * width);
                let kernel = KernelTile {
                    tile,
                    g,
                    position: channels * width,
                    count: depth * width,
                    u: u.as_mut_ptr(),
                    plane: u_plane,
                };
                // With one panel, all of whose channels are transformed at a time, U serves all blocks.
                if made != Some((panel, first)) {
                    made = Some((panel, first));
                    // SAFETY: the caller's contract: `depth` channels of each of the window's nine positions; a plane of U has
                    // room for `depth` rows of the widest panel.
                    unsafe { (kernels.winograd_kernel)(&kernel) };
                }
                // The same channels of the next panel follow the last ones of this.
                let ahead =
                    if first + depth < channels { depth * width } else { (9 * channels - first) * width };
                let mut upcoming = Upcoming {
                    next: g.wrapping_add(ahead),
                    position: channels * width,
                    part: depth * LINE,
                    parts: width.div_ceil(LINE),
                    fetched: [0, 0],
                };
                let mut begun = 0u64;
                for (product, &(sum, input, kernel, lasts)) in products.iter().enumerate() {
                    let slots = &slots[lasts];
                    let (x, offsets) = match input {
                        Factor::Raw(pixel) => {
                            let offset =
                                pixel / tile.side() * geometry.pitch + pixel % tile.side() * channels;
                            (task.x.wrapping_add(offset + first), &slots.x)
                        }
                        Factor::Made(_) => (v[product * v_plane + first * block..].as_ptr(), &slots.v),
                    };
                    let weights = match kernel {
                        Factor::Raw(position) => g.wrapping_add(position * channels * width),
                        Factor::Made(plane) => u[plane * u_plane..].as_ptr(),
                    };
                    let accumulate = first > 0 || begun >> sum & 1 == 1;
                    begun |= 1 << sum;
                    let y = m[sum * m_plane..].as_mut_ptr();
                    let (x_offsets, y_offsets) = (&offsets[..slots.count], &slots.m[..slots.count]);
                    let held = [Begun { sums: y, offsets: y_offsets }];
                    let tiles = slots.count.div_ceil(kernels.tile);
                    // SAFETY: the slots lie in V and M, pixels of whole tiles in the input, weights in U or among the packed ones; the
                    // bias is as long as the widest panel.
                    unsafe {
                        (kernels.product)(&Product {
                            x,
                            x_offsets,
                            rows: 1,
                            run: depth,
                            pitch: 0,
                            weights,
                            prefetch: upcoming.parts(tiles, weights),
                            prefetch_apart: upcoming.position,
                            fetch,
                            bias: NO_BIAS.as_ptr(),
                            y,
                            y_offsets,
                            channels: width,
                            begun: &held[..usize::from(accumulate)],
                            relu: false,
                        });
                    }
                }
            }
            for (slot, place) in places().enumerate() {
                let sums = m[slot * PANEL..].as_ptr();
                let output = outputs(task, tile, &place, sums, m_plane, channel..channel + panel_channels);
                // SAFETY: the caller's contract, for the pixels of the tile that are inside and the panel's channels.
                unsafe { (kernels.winograd_output)(&output) };
            }
        }
    }
}

/// Tiles of a block that take a product, and where their numbers are: in the input, in a plane of V and of M.
#[derive(Clone, Copy)]
struct Slots {
    count: usize,
    x: [usize; LARGEST_BLOCK],
    v: [usize; LARGEST_BLOCK],
    m: [usize; LARGEST_BLOCK],
}

/// The weights that are transformed next: of each of the window's nine positions some parts, of which a tile fetches one.
/// Parts of all positions, then the next parts.
struct Upcoming {
    next: *const f32,
    /// From one of the window's positions to the next.
    position: usize,
    /// From one part to the next, and how many there are of a position.
    part: usize,
    parts: usize,
    /// Parts, and positions of the next part.
    fetched: [usize; 2],
}

impl Upcoming {
    /// The parts for so many tiles; when there are no more, what is there already.
    fn parts(&mut self, tiles: usize, idle: *const f32) -> *const f32 {
        let [part, position] = self.fetched;
        // No tile fetches beyond the last position: rather one of them twice.
        let first = position.min(9 - tiles.min(9));
        self.fetched = if position + tiles < 9 { [part, position + tiles] } else { [part + 1, 0] };
        if part < self.parts {
            self.next.wrapping_add(first * self.position + part * self.part)
        } else {
            idle
        }
    }
}

/// A tile's image, the row and column of its first output, and how many rows and columns of outputs lie in the image.
struct Place {
    image: usize,
    row: usize,
    column: usize,
    inside: [usize; 2],
}

impl Place {
    fn of(tile: usize, output: usize, [height, width]: [usize; 2]) -> Place {
        let (rows, columns) = (height.div_ceil(output), width.div_ceil(output));
        let (row, column) = (tile / columns % rows * output, tile % columns * output);
        let inside = [output.min(height - row), output.min(width - column)];
        Place { image: tile / columns / rows, row, column, inside }
    }
}

/// A tile's pixels, row by row: those that are beyond the last window's are zeros.
fn pixels(task: &ConvTask, tile: Tile, place: &Place, zeros: &[f32]) -> [*const f32; LARGEST_INPUT] {
    let geometry = &task.convolution.geometry;
    let (channels, step) = shape(geometry);
    let mut pixels = [zeros.as_ptr(); LARGEST_INPUT];
    let x = task.x.wrapping_add(geometry.x.at(place.image, place.row, place.column));
    let count = |axis: usize| tile.side().min(step * (place.inside[axis] - 1) + 3);
    for row in 0..count(0) {
        for column in 0..count(1) {
            pixels[row * tile.side() + column] = x.wrapping_add(row * geometry.pitch + column * channels);
        }
    }
    pixels
}

/// What becomes of a tile's sums of some output channels, whose planes are so far apart.
fn outputs(
    task: &ConvTask,
    tile: Tile,
    place: &Place,
    sums: *const f32,
    plane: usize,
    channels: Range<usize>,
) -> OutputTile {
    let Convolution { geometry, residual, relu, .. } = &task.convolution;
    let pixel = geometry.y.at(place.image, place.row, place.column);
    OutputTile {
        tile,
        m: sums,
        plane,
        bias: task.bias.wrapping_add(channels.start),
        y: task.y.wrapping_add(pixel + channels.start),
        row: geometry.y.row,
        pixel: geometry.y.pixel,
        inside: place.inside,
        channels: channels.len(),
        accumulate: *residual == Residual::Same,
        relu: *relu,
    }
}
