//! Direct convolution of bf16 and int8 on tile registers: 16 rows of 16 words each, and an instruction that multiplies two.
//!
//! ```text
//! configure the registers
//! for each block of tiles of pixels:                    its inputs stay in the L2 cache
//!     for each panel of output channels:                two vectors wide; the next one is fetched meanwhile
//!         for each two tiles in the block:
//!             sums[2][2] = start
//!             for each run, for each block of its words:  sums[2][2] += inputs[2] * weights[2]
//!             sums -> memory -> epilogue
//! release the registers
//! ```
//! A register is loaded from rows of words at a constant distance. Weights are such rows as they are packed, inputs if a tile's
//! pixels are equally far apart: see [`Tiling`]. Blocks of words are the largest equal parts of a run that fill at most 16
//! columns, so the registers keep one shape for a whole layer and nothing beside a run is read.

use std::mem::MaybeUninit;

use resnet_plan::ConvGeometry;

use crate::kernels::conv::ConvTask;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::Panels;
use crate::kernels::product::LINE;

/// Rows of a register: pixels, or words of weights.
pub(crate) const ROWS: usize = 16;
/// Words in a row of a register: of an input, or channels.
pub(crate) const LANES: usize = 16;
/// Channels of a panel: two registers.
pub(crate) const PANEL: usize = 2 * LANES;

/// The most tiles of a block, an even number.
const BLOCK: usize = 64;
/// Bytes of input that a block reads, more or less: a part of the L2 cache.
const BLOCK_BYTES: usize = 512 * 1024;
/// The output of a pixel that is not written.
const NOWHERE: usize = usize::MAX;

/// The operations of tile registers: eight, of which 0 to 3 are sums, 4 and 5 inputs, 6 and 7 weights. A value of the type shows
/// that the machine has them.
pub(crate) trait Tiles: Sized {
    /// # Safety
    /// The machine must have the instruction set, and the system let this process use it.
    unsafe fn assume() -> Self;

    /// Gives this thread's registers a shape.
    fn configure(&mut self, config: &TileConfig);

    /// Computes the sums of one or two tiles of pixels by one or two vectors of channels.
    ///
    /// # Safety
    /// This thread's registers have the shape of the task: as many rows of sums and inputs as there are pixels, as many rows of
    /// weights, and words in a row of inputs, as there are in a block. All that the task says to read and write is there, for
    /// as many tiles and vectors.
    unsafe fn compute(&mut self, task: &TileTask, tiles: usize, vectors: usize);

    /// Takes their shape from this thread's registers again.
    fn release(&mut self);
}

/// The shape of the registers, as the processor reads it (Intel's "palette 1").
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    /// Bytes in a row of each register.
    pub(crate) bytes: [u16; 16],
    /// Rows of each register.
    pub(crate) rows: [u8; 16],
}

impl TileConfig {
    /// No registers.
    pub(crate) const EMPTY: TileConfig =
        TileConfig { palette: 0, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };

    /// For tiles of so many pixels, and so many words in a block of a run: at most 16 each, at least 1.
    pub(crate) fn new(pixels: usize, words: usize) -> Self {
        debug_assert!((1..=ROWS).contains(&pixels) && (1..=LANES).contains(&words));
        let mut config = TileConfig { palette: 1, ..Self::EMPTY };
        let (row, part) = (4 * LANES as u16, 4 * words as u16);
        config.bytes[..8].copy_from_slice(&[row, row, row, row, part, part, row, row]);
        let (pixels, words) = (pixels as u8, words as u8);
        config.rows[..8].copy_from_slice(&[pixels, pixels, pixels, pixels, pixels, pixels, words, words]);
        config
    }
}

/// One or two tiles of pixels by one or two vectors of channels. Distances are in bytes.
#[repr(C)]
pub(crate) struct TileTask {
    /// What the sums of each pixel begin with.
    pub(crate) start: *const u32,
    /// The first run of each tile's first pixel.
    pub(crate) inputs: [*const u32; 2],
    /// From a pixel to the next.
    pub(crate) input_stride: usize,
    pub(crate) weights: *const u32,
    /// Where each tile's sums go.
    pub(crate) sums: [*mut u32; 2],
    /// From a row of weights or of sums to the next.
    pub(crate) width: usize,
    /// Rows of runs; if 0, there is nothing to be added to the start.
    pub(crate) rows: usize,
    /// Runs of a row, at least 1.
    pub(crate) taps: usize,
    /// Blocks of words in a run, at least 1.
    pub(crate) blocks: usize,
    /// From a block's inputs to the next one's.
    pub(crate) input_step: usize,
    /// From a run's end to the beginning of the next, and what is added to that behind the last of a row (they wrap around).
    pub(crate) run_step: usize,
    pub(crate) row_step: usize,
    /// From a block's weights to the next one's.
    pub(crate) weight_step: usize,
    /// What is needed next, and how many of its lines are fetched in each block: at least 1.
    pub(crate) prefetch: *const u32,
    pub(crate) prefetches: usize,
}

/// How output pixels are put into tiles, whose pixels have their windows at a constant distance.
///
/// A *stretch* is a row of the output, or all rows of an image, or all images, with the pixels between them that the padding
/// has in the input and the output does not have: those are computed too and not written, so that narrow rows fill tiles. It is
/// cut into tiles of equal size; the last one begins earlier if that is too much, and does not write again what the one before it
/// wrote. Of the three, the one of the fewest tiles is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Images, rows and columns, in this order; those of which there is one come first.
    dims: [Dim; 3],
    /// The dimensions of a stretch: so many, the last ones.
    merged: usize,
    /// Words from a pixel of a stretch to the next.
    step: usize,
    /// Pixels of a stretch.
    length: usize,
    /// Tiles of a stretch.
    per_stretch: usize,
    /// Tiles in all.
    tiles: usize,
    /// Pixels of a tile.
    pixels: usize,
}

/// A dimension of the output: its size, and how far apart neighbours are in input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Dim {
    count: usize,
    x: usize,
    y: usize,
}

impl Tiling {
    /// For a convolution that has output pixels.
    pub(crate) fn of(geometry: &ConvGeometry) -> Tiling {
        let ConvGeometry { batch, output: [height, width], x, y, .. } = *geometry;
        let mut dims = [
            Dim { count: batch, x: x.image, y: y.image },
            Dim { count: height, x: x.row, y: y.row },
            Dim { count: width, x: x.pixel, y: y.pixel },
        ];
        // Three are sorted by three exchanges. (The library's `sort` is 7 kB of code.)
        for (first, second) in [(0, 1), (1, 2), (0, 1)] {
            if dims[first].count > 1 && dims[second].count == 1 {
                dims.swap(first, second);
            }
        }
        // One pixel has no neighbour, however far away.
        let step = if dims[2].count > 1 { dims[2].x } else { 0 };
        let of = |merged: usize, length: usize| {
            let stretches: usize = dims[..3 - merged].iter().map(|dim| dim.count).product();
            let per_stretch = length.div_ceil(ROWS);
            let pixels = length.div_ceil(per_stretch);
            Tiling { dims, merged, step, length, per_stretch, tiles: stretches * per_stretch, pixels }
        };
        let mut best = of(1, dims[2].count);
        let mut length = dims[2].count;
        for merged in 2..=3 {
            let Dim { count, x, .. } = dims[3 - merged];
            if count > 1 && (step == 0 || !x.is_multiple_of(step) || x / step < length) {
                break;
            }
            length += if count > 1 { (count - 1) * (x / step) } else { 0 };
            let found = of(merged, length);
            if found.tiles < best.tiles {
                best = found;
            }
        }
        best
    }

    /// How many tiles there are.
    pub(crate) fn tiles(&self) -> usize {
        self.tiles
    }

    /// Where the first window of a tile begins in the input, and where each of its pixels goes.
    fn locate(&self, geometry: &ConvGeometry, tile: usize, y_offsets: &mut [usize]) -> usize {
        let (mut stretch, part) = (tile / self.per_stretch, tile % self.per_stretch);
        let (mut x_start, mut y_start) = (geometry.x.start, geometry.y.start);
        for dim in self.dims[..3 - self.merged].iter().rev() {
            x_start += stretch % dim.count * dim.x;
            y_start += stretch % dim.count * dim.y;
            stretch /= dim.count;
        }
        let [outer @ .., last] = &self.dims[3 - self.merged..] else {
            unreachable!("a stretch has a dimension")
        };
        let wanted = part * self.pixels;
        let first = wanted.min(self.length - self.pixels);
        y_offsets.fill(NOWHERE);
        let mut at = wanted - first;
        while at < self.pixels {
            let mut y = Some(y_start);
            let mut place = first + at;
            let mut left = self.pixels - at;
            for dim in outer {
                let apart = dim.x / self.step;
                let index = place / apart;
                place %= apart;
                left = left.min(apart - place);
                y = y.filter(|_| index < dim.count).map(|y| y + index * dim.y);
            }
            if let Some(y) = y.filter(|_| place < last.count) {
                left = left.min(last.count - place);
                for (to, place) in y_offsets[at..at + left].iter_mut().zip(place..) {
                    *to = y + place * last.y;
                }
            }
            at += left;
        }
        x_start + first * self.step
    }
}

/// Registers that have a shape; they lose it when this is dropped, whatever happens in between.
struct Configured<T: Tiles>(T);

impl<T: Tiles> Drop for Configured<T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The sums of two tiles by two vectors, each row within a cache line.
#[repr(C, align(64))]
struct Sums([u32; 2 * ROWS * PANEL]);

/// One thread's part.
///
/// # Safety
/// For all tiles and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes; `panels` and the
/// lists behind it hold all channels as they are packed for panels of [`PANEL`] and vectors of [`LANES`].
#[inline(always)]
pub(crate) unsafe fn run<T: Tiles>(tiles: T, task: &ConvTask<'_>) {
    let geometry = &task.convolution.geometry;
    let ConvGeometry { rows, taps, run, pitch, tap, .. } = *geometry;
    let tiling = Tiling::of(geometry);
    let (pixels, depth) = (tiling.pixels, geometry.depth());
    let panels = Panels::of_width(LANES, PANEL, geometry);
    let words = (1..=LANES).rev().find(|words| run.is_multiple_of(*words)).unwrap_or(1);
    let block_bytes = 4 * pixels * tiling.step;
    let block = (BLOCK_BYTES / block_bytes.max(1)).clamp(2, BLOCK) & !1;
    let mut registers = Configured(tiles);
    registers.0.configure(&TileConfig::new(pixels, words));
    let mut sums = MaybeUninit::<Sums>::uninit();
    let sums = sums.as_mut_ptr().cast::<u32>();
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [NOWHERE; BLOCK * ROWS];
    for tiles in task.share.blocks(block, block) {
        let (first, count) = (tiles.start, tiles.len());
        for (index, x_offset) in x_offsets[..count].iter_mut().enumerate() {
            *x_offset = tiling.locate(geometry, first + index, &mut y_offsets[index * pixels..][..pixels]);
        }
        let pairs = count.div_ceil(2);
        for panel in task.share.panels(&tiles) {
            let panel = panels.at(panel);
            let finish = task.finish;
            let epilogue = task.epilogue(panel);
            let (width, vectors) = (epilogue.width, epilogue.width / LANES);
            let prefetches = (4 * width * words).div_ceil(64).div_ceil(pairs);
            let next = task.panels.cast::<u32>().wrapping_add((panel.place + width) * depth);
            let x_pairs = x_offsets[..count].chunks(2).zip(y_offsets[..count * pixels].chunks(2 * pixels));
            for (pair, (x_offsets, y_offsets)) in x_pairs.enumerate() {
                // SAFETY: the caller's contract, for these pixels and channels: panels are packed one after the other, each of `depth`
                // times its width. Pixels of a tile that are not in the output lie between two that are, so their windows
                // lie between those of both. The registers have just got this shape. There is room for the sums of two tiles.
                unsafe {
                    let input = task.x.cast::<u32>().add(panel.block * run);
                    let x = |index: usize| input.add(x_offsets[index.min(x_offsets.len() - 1)]);
                    let task = TileTask {
                        start: task.start.add(panel.place).cast(),
                        inputs: [x(0), x(1)],
                        input_stride: 4 * tiling.step,
                        weights: task.panels.add(panel.place * depth).cast(),
                        sums: [sums, sums.add(pixels * width)],
                        width: 4 * width,
                        rows: if depth == 0 { 0 } else { rows },
                        taps,
                        blocks: run / words,
                        input_step: 4 * words,
                        run_step: tap.wrapping_sub(run).wrapping_mul(4),
                        row_step: pitch.wrapping_sub(taps.wrapping_mul(tap)).wrapping_mul(4),
                        weight_step: 4 * words * width,
                        prefetch: next.wrapping_add(pair * (depth / words) * prefetches * LINE),
                        prefetches,
                    };
                    registers.0.compute(&task, x_offsets.len(), vectors);
                    let mut row = 0;
                    for y_offsets in y_offsets.split(|y| *y == NOWHERE) {
                        if !y_offsets.is_empty() {
                            finish(&Epilogue { sums: sums.add(row * width), y_offsets, ..epilogue });
                        }
                        row += y_offsets.len() + 1;
                    }
                }
            }
        }
    }
}

/// The [`DotKernel`](crate::kernels::dot::DotKernel) of an instruction set for a type of elements, compiled under its target features:
/// for inputs that are not signed, and for those that are. With its yardstick, and the words of one of its rounds.
macro_rules! tile_kernel {
    ($isa:literal, $unsigned:ty, $signed:ty, [$($features:literal)?], peak: $peak:expr, words: $words:expr) => {{
        use crate::kernels::tiles::{self, Tiles};
        use crate::kernels::{conv, dot, wide};

        /// # Safety
        /// The machine has the instruction set; the contract of [`tiles::run`] holds.
        $(#[target_feature(enable = $features)])?
        unsafe fn run(task: &conv::ConvTask<'_>) {
            // SAFETY: the caller's contract.
            unsafe {
                if task.kind == wide::Kind::I8 {
                    tiles::run(<$signed>::assume(), task)
                } else {
                    tiles::run(<$unsigned>::assume(), task)
                }
            }
        }

        dot::DotKernel {
            isa: $isa,
            lanes: tiles::LANES,
            panel: tiles::PANEL,
            moves_signed: false,
            method: dot::Method::Tiles(run),
            peak: $peak,
            peak_words: $words,
        }
    }};
}
pub(crate) use tile_kernel;

#[cfg(test)]
mod tests {
    use super::*;
    use resnet_plan::Pixels;

    /// A convolution of `size` outputs that reads an input with `columns` pixels more in a row, and `rows` more rows.
    fn geometry(batch: usize, size: [usize; 2], more: [usize; 2], step: usize) -> ConvGeometry {
        let [height, width] = size;
        let (words, pitch) = (3, 3 * (width * step + more[1]));
        let image = pitch * (height * step + more[0]);
        ConvGeometry {
            batch,
            output: size,
            rows: more[0] + 1,
            taps: 1,
            run: words * (more[1] + 1),
            pitch,
            tap: 0,
            blocks: 1,
            channels: 5,
            x: Pixels { start: 7, image, row: step * pitch, pixel: step * words },
            y: Pixels { start: 2, image: height * width * 5, row: width * 5, pixel: 5 },
        }
    }

    /// Every output is written once, its window is where it should be, and those of other pixels are in the input too.
    #[test]
    fn tiles_have_every_pixel_once() {
        for batch in [1, 2, 3] {
            for size in [[1, 1], [7, 7], [14, 14], [1, 40], [40, 1], [5, 16], [9, 17], [28, 28]] {
                for more in [[0, 0], [2, 2], [0, 3], [1, 0]] {
                    for step in [1, 2, 3] {
                        check(&geometry(batch, size, more, step));
                    }
                }
            }
        }
    }

    fn check(geometry: &ConvGeometry) {
        let ConvGeometry { batch, output: [height, width], rows, run, pitch, x, y, .. } = *geometry;
        let tiling = Tiling::of(geometry);
        let end = x.end(batch, geometry.output, (rows - 1) * pitch + run);
        let mut found = Vec::new();
        for tile in 0..tiling.tiles() {
            let mut y_offsets = [0; ROWS];
            let start = tiling.locate(geometry, tile, &mut y_offsets[..tiling.pixels]);
            for (index, y) in y_offsets[..tiling.pixels].iter().enumerate() {
                let window = start + index * tiling.step;
                assert!(window >= x.start && window + (rows - 1) * pitch + run <= end, "{geometry:?}");
                if *y != NOWHERE {
                    found.push((*y, window));
                }
            }
        }
        found.sort_unstable();
        let pixels = (0..batch * height * width)
            .map(|pixel| (pixel / width / height, pixel / width % height, pixel % width));
        let expected: Vec<(usize, usize)> =
            pixels.map(|(image, row, column)| (y.at(image, row, column), x.at(image, row, column))).collect();
        assert_eq!(found, expected, "{geometry:?}");
    }

    /// 7 and 14 pixels wide, as networks have them: whole rows of tiles are not lost to narrow images.
    #[test]
    fn narrow_images_fill_tiles() {
        let tiles = |geometry: ConvGeometry| (Tiling::of(&geometry).tiles, Tiling::of(&geometry).pixels);
        assert_eq!(tiles(geometry(1, [7, 7], [2, 2], 1)), (4, 16));
        assert_eq!(tiles(geometry(1, [7, 7], [0, 0], 1)), (4, 13));
        assert_eq!(tiles(geometry(1, [14, 14], [2, 2], 1)), (14, 14));
        assert_eq!(tiles(geometry(1, [14, 14], [0, 0], 1)), (13, 16));
        assert_eq!(tiles(geometry(1, [14, 14], [1, 1], 2)), (14, 14));
        assert_eq!(tiles(geometry(8, [1, 1], [0, 0], 1)), (1, 8));
    }
}
