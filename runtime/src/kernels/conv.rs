//! Convolution as row runs.
//!
//! ```text
//! for each block of output pixels:                      its inputs stay in the second-level cache
//!     for each panel of output channels:                its weights are read once a block
//!         for each tile of pixels in the block:
//!             sums[tile][panel] = bias
//!             for each row of the window, for k in 0 .. KW*C:
//!                 sums[p][:] += x[p][row][k] * w[row][k][:]           all sums in registers
//!             y[tile][panel] = relu(sums + y[tile][panel] if accumulating)
//! ```
//! A tile's pixels are any output pixels: each brings its own addresses, so rows of any length fill tiles, across rows
//! and across images. The order of a sum's terms never depends on tiles or threads, so neither do its bits.

use crate::isa::{Isa, Simd};
use crate::kernels::{Pixels, Shared, share};
use crate::threads::Threads;

/// A convolution in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Images.
    pub batch: usize,
    /// Output height and width.
    pub output: [usize; 2],
    /// Rows of the window: KH.
    pub rows: usize,
    /// Elements of a row run: KW * C.
    pub run: usize,
    /// Elements from one row of the input to the next.
    pub pitch: usize,
    /// Output channels.
    pub channels: usize,
    /// Where the windows begin in the input.
    pub x: Pixels,
    /// Where the pixels lie in the output.
    pub y: Pixels,
}

/// A convolution's weights, packed by [`pack`](crate::kernels::pack) for some instruction set.
#[derive(Clone, Copy, Debug)]
pub struct PackedConv<'a> {
    /// Panels of weights.
    pub panels: &'a [f32],
    /// One number a channel, filled up with zeros to whole vectors.
    pub bias: &'a [f32],
}

/// What the threads of a convolution share out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Output pixels: every thread reads all weights.
    Pixels,
    /// Output channels: every thread reads its own part of the weights, and the whole input.
    Channels,
}

/// A convolution, and what is done with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Its numbers.
    pub geometry: ConvGeometry,
    /// Add what the output holds.
    pub accumulate: bool,
    /// Cut negative results off.
    pub relu: bool,
    /// What the threads share out.
    pub split: Split,
}

/// The part of a convolution that one thread does.
pub(crate) struct ConvTask {
    convolution: Convolution,
    x: *const f32,
    panels: *const f32,
    bias: *const f32,
    y: *mut f32,
    pixels: std::ops::Range<usize>,
    panel_range: std::ops::Range<usize>,
}

/// Pixels of a block: tiles of 6 and of 7 and of 4 go into it without a rest.
const BLOCK: usize = 84;

/// `y = relu?(conv(x, weights) + y?)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, or the weights are not packed for `isa`, or the machine lacks it.
pub fn convolve(
    isa: Isa,
    threads: &Threads,
    convolution: &Convolution,
    x: &[f32],
    weights: PackedConv<'_>,
    y: &mut [f32],
) {
    let Convolution { geometry, split, .. } = convolution;
    let ConvGeometry { batch, output, rows, run, pitch, channels, .. } = *geometry;
    let kernels = isa.kernels();
    if batch == 0 || output.contains(&0) || channels == 0 {
        return;
    }
    let padded = channels.next_multiple_of(kernels.lanes);
    let reach = (rows.max(1) - 1) * pitch + run;
    assert!(isa.is_available(), "this machine has no {isa}");
    assert!(geometry.x.end(batch, output, reach) <= x.len(), "windows reach outside the input");
    assert!(geometry.y.end(batch, output, channels) <= y.len(), "pixels lie outside the output");
    assert!(weights.panels.len() >= rows * run * padded, "the weights have another shape");
    assert!(weights.bias.len() >= padded, "the bias has another length");
    let pixels = batch * output[0] * output[1];
    let panels = channels.div_ceil(kernels.panel);
    let by_channels = *split == Split::Channels && panels >= threads.count();
    let shared = Shared(y.as_mut_ptr());
    let count = threads.count();
    threads.run(|index| {
        let (pixels, panel_range) = if by_channels {
            (0..pixels, share(panels, index, count))
        } else {
            let tiles = share(pixels.div_ceil(kernels.tile), index, count);
            (tiles.start * kernels.tile..(tiles.end * kernels.tile).min(pixels), 0..panels)
        };
        let task = ConvTask {
            convolution: *convolution,
            x: x.as_ptr(),
            panels: weights.panels.as_ptr(),
            bias: weights.bias.as_ptr(),
            y: shared.pointer(),
            pixels,
            panel_range,
        };
        // SAFETY: the machine has the instruction set; the assertions above hold for every pixel and panel of the
        // geometry; the pixels and channels of two threads do not meet, and `y` is borrowed exclusively.
        unsafe { (kernels.conv)(&task) }
    });
}

/// One thread's part, in tiles of `TILE` pixels and `VECTORS` vectors.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes, and
/// `panels` and `bias` hold all channels as `pack` lays them out for this tile. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd, const TILE: usize, const VECTORS: usize>(simd: S, task: &ConvTask) {
    let ConvTask { convolution: Convolution { geometry, .. }, pixels, panel_range, .. } = task;
    let width = VECTORS * S::LANES;
    let depth = geometry.rows * geometry.run;
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    let mut start = pixels.start;
    while start < pixels.end {
        let count = BLOCK.min(pixels.end - start);
        locate(geometry, start, &mut x_offsets[..count], &mut y_offsets[..count]);
        for panel in panel_range.clone() {
            let channel = panel * width;
            let channels = (geometry.channels - channel).min(width);
            let mut first = 0;
            while first < count {
                let tile = Tile {
                    task,
                    x: &x_offsets[first..count],
                    y: &y_offsets[first..count],
                    // SAFETY: earlier panels are all full, each of `depth` times `width` numbers.
                    weights: unsafe { task.panels.add(channel * depth) },
                    channel,
                    channels,
                };
                // SAFETY: the caller's contract, for these pixels and channels.
                unsafe { tile_of::<S, TILE, VECTORS>(simd, &tile, (count - first).min(TILE)) };
                first += TILE;
            }
        }
        start += count;
    }
}

/// A tile to be computed: pixels by their offsets, channels of one panel.
struct Tile<'a> {
    task: &'a ConvTask,
    x: &'a [usize],
    y: &'a [usize],
    weights: *const f32,
    channel: usize,
    channels: usize,
}

/// Where the pixels from `start` on have their windows and their outputs.
#[inline(always)]
fn locate(geometry: &ConvGeometry, start: usize, x: &mut [usize], y: &mut [usize]) {
    let [height, width] = geometry.output;
    let mut column = start % width;
    let mut row = start / width % height;
    let mut image = start / width / height;
    for (x, y) in x.iter_mut().zip(y) {
        *x = geometry.x.at(image, row, column);
        *y = geometry.y.at(image, row, column);
        column += 1;
        if column == width {
            (column, row) = (0, row + 1);
            if row == height {
                (row, image) = (0, image + 1);
            }
        }
    }
}

/// Chooses the instance for `pixels` pixels (1 to `TILE`) and for as many vectors as the panel's channels fill.
///
/// # Safety
/// As [`run`], for the pixels and channels of the tile.
#[inline(always)]
unsafe fn tile_of<S: Simd, const TILE: usize, const VECTORS: usize>(simd: S, tile: &Tile<'_>, pixels: usize) {
    macro_rules! instance {
        ($vectors:literal) => {
            // SAFETY: the caller's contract; an instance takes as many pixels and vectors as there are.
            unsafe {
                match pixels {
                    1 => compute::<S, 1, $vectors>(simd, tile),
                    2 => compute::<S, 2, $vectors>(simd, tile),
                    3 => compute::<S, 3, $vectors>(simd, tile),
                    4 => compute::<S, 4, $vectors>(simd, tile),
                    5 if TILE >= 5 => compute::<S, 5, $vectors>(simd, tile),
                    6 if TILE >= 6 => compute::<S, 6, $vectors>(simd, tile),
                    7 if TILE >= 7 => compute::<S, 7, $vectors>(simd, tile),
                    _ => unreachable!("a tile has at most {TILE} pixels"),
                }
            }
        };
    }
    match tile.channels.div_ceil(S::LANES) {
        1 => instance!(1),
        2 => instance!(2),
        3 if VECTORS >= 3 => instance!(3),
        4 if VECTORS >= 4 => instance!(4),
        _ => unreachable!("a panel has at most {VECTORS} vectors"),
    }
}

/// Computes `P` pixels by `V` vectors of channels.
///
/// The sums stay in registers only if every loop over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`run`], for the tile's first `P` pixels and its channels, which fill `V` vectors (the last one in part).
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn compute<S: Simd, const P: usize, const V: usize>(simd: S, tile: &Tile<'_>) {
    let Tile { task, channel, channels, .. } = *tile;
    let Convolution { geometry: ConvGeometry { rows, run, pitch, .. }, accumulate, relu, .. } =
        task.convolution;
    let last = channels - (V - 1) * S::LANES;
    // SAFETY: pixel offsets lie in `x` and `y`; the bias is filled up to whole vectors; the loops stay in the `rows` runs
    // of each pixel's window and in the panel's `rows * run` times `V` vectors; of the last vector only the channels
    // that there are get read and written.
    unsafe {
        let bias: [S::Vector; V] = std::array::from_fn(|v| simd.load(task.bias.add(channel + v * S::LANES)));
        let y: [*mut f32; P] = std::array::from_fn(|p| task.y.add(*tile.y.get_unchecked(p) + channel));
        let mut sums = [bias; P];
        if accumulate {
            for p in 0..P {
                for v in 0..V - 1 {
                    sums[p][v] = simd.add(sums[p][v], simd.load(y[p].add(v * S::LANES)));
                }
                let old = simd.load_partial(y[p].add((V - 1) * S::LANES), last);
                sums[p][V - 1] = simd.add(sums[p][V - 1], old);
            }
        }
        let mut weights = tile.weights;
        for row in 0..rows {
            let x: [*const f32; P] =
                std::array::from_fn(|p| task.x.add(*tile.x.get_unchecked(p) + row * pitch));
            for k in 0..run {
                let w: [S::Vector; V] = std::array::from_fn(|v| simd.load(weights.add(v * S::LANES)));
                weights = weights.add(V * S::LANES);
                for p in 0..P {
                    let x = simd.splat(*x[p].add(k));
                    for v in 0..V {
                        sums[p][v] = simd.mul_add(x, w[v], sums[p][v]);
                    }
                }
            }
        }
        let floor = simd.splat(if relu { 0.0 } else { f32::NEG_INFINITY });
        for p in 0..P {
            for v in 0..V - 1 {
                simd.store(y[p].add(v * S::LANES), simd.at_least(floor, sums[p][v]));
            }
        }
        if last == S::LANES {
            for p in 0..P {
                simd.store(y[p].add((V - 1) * S::LANES), simd.at_least(floor, sums[p][V - 1]));
            }
        } else {
            for p in 0..P {
                simd.store_partial(y[p].add((V - 1) * S::LANES), simd.at_least(floor, sums[p][V - 1]), last);
            }
        }
    }
}
