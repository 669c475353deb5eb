//! Winograd's minimal filtering: a tile of 2x2 or 4x4 outputs of a 3x3 convolution from 4x4 or 6x6 inputs, with 16 or 36
//! products a channel instead of 36 or 144 (Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks").
//!
//! ```text
//! Y = A^T [ (G g G^T) * (B^T d B) ] A                           g, d, Y: window, input tile, output tile
//!
//! for each block of tiles:
//!     V[i][tile][c] = (B^T d B)[i]                              i: the place in the tile, 0 .. 16 or 36
//!     for each panel of output channels:
//!         for each i:     M[i][tile][:] = V[i][tile][:] . U[i]  the micro-kernel; U = G g G^T, packed when loaded
//!         for each tile:  y = relu?(A^T M A + bias + y?)
//! ```
//! 4x4 tiles use the points 0, +-sqrt(1/2), +-sqrt(2), infinity, whose error is about twice that of a direct sum (Barabasz
//! et al. 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks"); 2x2 tiles
//! 0, +-1, infinity. A tile that hangs over the image's lower or right edge takes zeros there. A number that is not finite
//! reaches all outputs of the tiles it lies in.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::isa::{Kernels, Simd};
use crate::kernels::Residual;
use crate::kernels::conv::{Algorithm, ConvTask, Convolution};
use crate::kernels::product::{LINE, Product};

/// The widest panel and vector of any instruction set.
const WIDEST_PANEL: usize = 64;
const WIDEST_VECTOR: usize = 16;

/// Between two planes of V and of M: keeps them from falling into the same set of the first-level cache.
const SKEW: usize = 16;

/// The most tiles of a block.
const LARGEST_BLOCK: usize = 128;

/// A side's worth of `G`, in rows: how a window's three numbers become four or six.
pub fn kernel_matrix(output: usize) -> &'static [[f64; 3]] {
    const SQRT_2: f64 = std::f64::consts::SQRT_2;
    const TWO: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    const FOUR: [[f64; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [-2.0 / 3.0, -SQRT_2 / 3.0, -1.0 / 3.0],
        [-2.0 / 3.0, SQRT_2 / 3.0, -1.0 / 3.0],
        [1.0 / 6.0, SQRT_2 / 6.0, 1.0 / 3.0],
        [1.0 / 6.0, -SQRT_2 / 6.0, 1.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];
    if output == 2 { &TWO } else { &FOUR }
}

/// Elements of scratch memory that a thread needs.
pub const fn scratch_len(output: usize, block: usize, channels: usize) -> usize {
    let planes = (output + 2) * (output + 2);
    let channels = channels.next_multiple_of(WIDEST_VECTOR);
    channels + planes * (block * channels + SKEW) + planes * (block * WIDEST_PANEL + SKEW)
}

/// # Panics
/// If the convolution is not one that Winograd's algorithm computes, or the scratch memory is too small.
pub(super) fn check(convolution: &Convolution, scratch: usize) {
    let Convolution { geometry, algorithm, .. } = convolution;
    let &Algorithm::Winograd { output, block } = algorithm else { return };
    assert!(output == 2 || output == 4, "tiles are 2x2 or 4x4");
    assert!((1..=LARGEST_BLOCK).contains(&block), "a block has 1 to {LARGEST_BLOCK} tiles");
    assert!(geometry.rows == 3 && geometry.run == 3 * geometry.x.pixel, "windows are 3x3");
    assert!(geometry.x.row == geometry.pitch, "windows have step 1");
    assert!(
        scratch >= scratch_len(output, block, geometry.x.pixel),
        "a thread has too little scratch memory"
    );
}

/// The part of a tile's input transform that is the same for all channels.
pub(crate) struct InputTile<'a> {
    /// The tile's pixels, 4x4 or 6x6.
    pixels: &'a [*const f32],
    channels: usize,
    /// Where the tile's numbers go, and how far apart its planes are.
    v: *mut f32,
    plane: usize,
    output: usize,
}

/// The part of a tile's output transform that is the same for all channels of a panel.
pub(crate) struct OutputTile {
    /// The tile's numbers, and how far apart its planes are.
    m: *const f32,
    plane: usize,
    bias: *const f32,
    /// The tile's first pixel, and how far apart rows and pixels are.
    y: *mut f32,
    row: usize,
    pixel: usize,
    /// Rows and columns that lie in the image.
    inside: [usize; 2],
    channels: usize,
    accumulate: bool,
    relu: bool,
    output: usize,
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all tiles and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels, whose instruction set the
/// machine has. [`check`] holds for the task, and for `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask, scratch: &mut [f32]) {
    let ConvTask { convolution: Convolution { geometry, algorithm, residual, relu, .. }, .. } = *task;
    let Algorithm::Winograd { output, block } = algorithm else { return };
    let side = output + 2;
    let planes = side * side;
    let channels = geometry.x.pixel;
    let depth = channels.next_multiple_of(WIDEST_VECTOR);
    let v_plane = block * depth + SKEW;
    let m_plane = block * WIDEST_PANEL + SKEW;
    let (zeros, rest) = scratch.split_at_mut(depth);
    let (v, m) = rest.split_at_mut(planes * v_plane);
    zeros.fill(0.0);
    let mut v_offsets = [0; LARGEST_BLOCK];
    let mut m_offsets = [0; LARGEST_BLOCK];
    for tile in 0..block {
        v_offsets[tile] = tile * depth;
        m_offsets[tile] = tile * WIDEST_PANEL;
    }
    for start in task.units.clone().step_by(block) {
        let count = block.min(task.units.end - start);
        let tiles = || (start..start + count).map(|tile| Place::of(tile, output, geometry.output));
        for (slot, place) in tiles().enumerate() {
            let mut pixels = [zeros.as_ptr(); 36];
            for row in 0..side.min(geometry.output[0] + 2 - place.row) {
                for column in 0..side.min(geometry.output[1] + 2 - place.column) {
                    let offset = geometry.x.at(place.image, place.row + row, place.column + column);
                    pixels[row * side + column] = task.x.wrapping_add(offset);
                }
            }
            let v = &mut v[slot * depth..];
            let tile = InputTile { pixels: &pixels, channels, v: v.as_mut_ptr(), plane: v_plane, output };
            // SAFETY: the caller's contract: rows and columns below the output's plus two are in some window; all
            // others are the `channels` zeros. Each plane has `depth` numbers for each slot.
            unsafe { (kernels.winograd_input)(&tile) };
        }
        for panel in task.panel_range.clone() {
            let channel = panel * kernels.panel;
            let panel_channels = (geometry.channels - channel).min(kernels.panel);
            let width = panel_channels.next_multiple_of(kernels.lanes);
            for plane in 0..planes {
                for first in (0..count).step_by(kernels.tile) {
                    let last = (first + kernels.tile).min(count);
                    let weights = (channel * planes + plane * width) * channels;
                    let next = weights + width * channels + first / kernels.tile * channels * LINE;
                    // SAFETY: the slots lie in V and M; earlier panels are all full, each of `planes * channels` times
                    // its width; the bias is as long as the widest panel.
                    unsafe {
                        (kernels.product)(&Product {
                            x: v.as_ptr().add(plane * v_plane),
                            x_offsets: &v_offsets[first..last],
                            rows: 1,
                            run: channels,
                            pitch: 0,
                            weights: task.panels.add(weights),
                            prefetch: task.panels.wrapping_add(next),
                            bias: NO_BIAS.as_ptr(),
                            y: m.as_mut_ptr().add(plane * m_plane),
                            y_offsets: &m_offsets[first..last],
                            channels: width,
                            accumulate: false,
                            relu: false,
                        });
                    }
                }
            }
            for (slot, place) in tiles().enumerate() {
                let tile = OutputTile {
                    m: m[slot * WIDEST_PANEL..].as_ptr(),
                    plane: m_plane,
                    bias: task.bias.wrapping_add(channel),
                    y: task.y.wrapping_add(geometry.y.at(place.image, place.row, place.column) + channel),
                    row: geometry.y.row,
                    pixel: geometry.y.pixel,
                    inside: [
                        output.min(geometry.output[0] - place.row),
                        output.min(geometry.output[1] - place.column),
                    ],
                    channels: panel_channels,
                    accumulate: residual == Residual::Same,
                    relu,
                    output,
                };
                // SAFETY: the caller's contract, for the pixels of the tile that are inside and the panel's channels.
                unsafe { (kernels.winograd_output)(&tile) };
            }
        }
    }
}

static NO_BIAS: [f32; WIDEST_PANEL] = [0.0; WIDEST_PANEL];

/// A tile's image, and the row and column of its first output.
struct Place {
    image: usize,
    row: usize,
    column: usize,
}

impl Place {
    fn of(tile: usize, output: usize, [height, width]: [usize; 2]) -> Place {
        let (rows, columns) = (height.div_ceil(output), width.div_ceil(output));
        Place {
            image: tile / columns / rows,
            row: tile / columns % rows * output,
            column: tile % columns * output,
        }
    }
}

/// The transforms of a line: `N` inputs, `O` outputs.
///
/// (Functions and not closures, which are not inlined into code for an instruction set of its own.)
trait Lines<const N: usize, const O: usize> {
    /// `B^T d`
    fn input<S: Simd>(simd: S, d: [S::Vector; N]) -> [S::Vector; N];
    /// `A^T m`
    fn output<S: Simd>(simd: S, m: [S::Vector; N]) -> [S::Vector; O];
}

/// Points 0, +-1, infinity.
struct Two;

impl Lines<4, 2> for Two {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::Vector; 4]) -> [S::Vector; 4] {
        [simd.sub(d[0], d[2]), simd.add(d[1], d[2]), simd.sub(d[2], d[1]), simd.sub(d[1], d[3])]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::Vector; 4]) -> [S::Vector; 2] {
        let sum = simd.add(m[0], simd.add(m[1], m[2]));
        [sum, simd.sub(simd.sub(m[1], m[2]), m[3])]
    }
}

/// Points 0, +-sqrt(1/2), +-sqrt(2), infinity.
struct Four;

impl Lines<6, 4> for Four {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
        let even_a = times(simd, -2.0, d[2], d[4]);
        let odd_a = times(simd, -2.0, d[1], d[3]);
        let even_b = times(simd, -0.5, d[2], d[4]);
        let odd_b = times(simd, -0.5, d[1], d[3]);
        [
            times(simd, -2.5, d[2], simd.add(d[0], d[4])),
            times(simd, FRAC_1_SQRT_2, odd_a, even_a),
            times(simd, -FRAC_1_SQRT_2, odd_a, even_a),
            times(simd, SQRT_2, odd_b, even_b),
            times(simd, -SQRT_2, odd_b, even_b),
            times(simd, -2.5, d[3], simd.add(d[1], d[5])),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
        let (sum_a, difference_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (sum_b, difference_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        let scaled = simd.mul(simd.splat(FRAC_1_SQRT_2), difference_a);
        [
            simd.add(m[0], simd.add(sum_a, sum_b)),
            times(simd, SQRT_2, difference_b, scaled),
            times(simd, 2.0, sum_b, simd.mul(simd.splat(0.5), sum_a)),
            times(simd, 2.0 * SQRT_2, difference_b, times(simd, 0.5, scaled, m[5])),
        ]
    }
}

/// `factor * x + y`
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, x: S::Vector, y: S::Vector) -> S::Vector {
    simd.mul_add(simd.splat(factor), x, y)
}

/// `B^T d B`, all channels of a tile.
///
/// # Safety
/// The tile's pixels hold `channels` numbers; its planes have room for them, filled up to whole vectors. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn input<S: Simd>(simd: S, tile: &InputTile<'_>) {
    let whole = tile.channels / S::LANES * S::LANES;
    let rest = tile.channels - whole;
    // SAFETY: the caller's contract; `rest` numbers are left behind the whole vectors.
    unsafe {
        for channel in (0..whole).step_by(S::LANES) {
            match tile.output {
                2 => input_of::<S, Two, 4, 2>(simd, tile, channel, S::LANES),
                _ => input_of::<S, Four, 6, 4>(simd, tile, channel, S::LANES),
            }
        }
        if rest > 0 {
            match tile.output {
                2 => input_of::<S, Two, 4, 2>(simd, tile, whole, rest),
                _ => input_of::<S, Four, 6, 4>(simd, tile, whole, rest),
            }
        }
    }
}

/// Columns, then rows, of `N` by `N` vectors of `count` channels.
///
/// # Safety
/// As [`input`], for the channels from `channel` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn input_of<S: Simd, L: Lines<N, O>, const N: usize, const O: usize>(
    simd: S,
    tile: &InputTile<'_>,
    channel: usize,
    count: usize,
) {
    let mut half = [[simd.splat(0.0); N]; N];
    for column in 0..N {
        let mut d = [simd.splat(0.0); N];
        for row in 0..N {
            // SAFETY: the caller's contract.
            unsafe {
                let from = tile.pixels.get_unchecked(row * N + column).add(channel);
                d[row] = if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) };
            }
        }
        let d = L::input(simd, d);
        for row in 0..N {
            half[row][column] = d[row];
        }
    }
    for row in 0..N {
        let v = L::input(simd, half[row]);
        for column in 0..N {
            // SAFETY: the caller's contract: planes have room for whole vectors.
            unsafe { simd.store(tile.v.add((row * N + column) * tile.plane + channel), v[column]) };
        }
    }
}

/// `relu?(A^T m A + bias + y?)`, all channels of a tile in a panel.
///
/// # Safety
/// The tile's planes hold the panel's channels, filled up to whole vectors, and so does the bias; the pixels that are
/// inside lie in the output, where nobody else reads or writes. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn output<S: Simd>(simd: S, tile: &OutputTile) {
    for channel in (0..tile.channels).step_by(S::LANES) {
        let count = (tile.channels - channel).min(S::LANES);
        // SAFETY: the caller's contract.
        unsafe {
            match tile.output {
                2 => output_of::<S, Two, 4, 2>(simd, tile, channel, count),
                _ => output_of::<S, Four, 6, 4>(simd, tile, channel, count),
            }
        }
    }
}

/// Columns, then rows, of `N` by `N` vectors of `count` channels to `O` by `O`.
///
/// # Safety
/// As [`output`], for the channels from `channel` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // rows and columns change places
unsafe fn output_of<S: Simd, L: Lines<N, O>, const N: usize, const O: usize>(
    simd: S,
    tile: &OutputTile,
    channel: usize,
    count: usize,
) {
    let mut half = [[simd.splat(0.0); N]; O];
    for column in 0..N {
        let mut m = [simd.splat(0.0); N];
        for row in 0..N {
            // SAFETY: the caller's contract: planes hold whole vectors.
            m[row] = unsafe { simd.load(tile.m.add((row * N + column) * tile.plane + channel)) };
        }
        let m = L::output(simd, m);
        for row in 0..O {
            half[row][column] = m[row];
        }
    }
    let floor = simd.splat(if tile.relu { 0.0 } else { f32::NEG_INFINITY });
    // SAFETY: the caller's contract, here and below: of the last vector only the channels that there are get read and
    // written, of the tile only the pixels that are inside.
    let bias = unsafe { simd.load(tile.bias.add(channel)) };
    for row in 0..O {
        if row >= tile.inside[0] {
            break;
        }
        let y = L::output(simd, half[row]);
        for column in 0..O {
            if column >= tile.inside[1] {
                break;
            }
            // SAFETY: as above.
            unsafe {
                let to = tile.y.add(row * tile.row + column * tile.pixel + channel);
                let mut sum = simd.add(y[column], bias);
                if count == S::LANES {
                    if tile.accumulate {
                        sum = simd.add(sum, simd.load(to));
                    }
                    simd.store(to, simd.at_least(floor, sum));
                } else {
                    if tile.accumulate {
                        sum = simd.add(sum, simd.load_partial(to, count));
                    }
                    simd.store_partial(to, simd.at_least(floor, sum), count);
                }
            }
        }
    }
}
