//! How a convolution is computed, and what that costs.

use std::fmt;
use std::str::FromStr;

use crate::ops::{Conv2d, Dims};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A sum of row runs.
    Direct,
    /// Winograd's, for 3x3 windows: of step 1, tiles of 4 by 4 outputs; of step 2, tiles of 2 by 2.
    Winograd {
        /// Output pixels of a tile, a side.
        output: usize,
        /// Tiles that are transformed and multiplied together.
        block: usize,
        /// Input channels whose weights are transformed at a time.
        depth: usize,
        /// Whether products transform their weights themselves: for few tiles.
        fused: bool,
    },
    /// Winograd's, of rows only: four output rows of windows that have three or four rows of each phase of their step.
    WinogradRows {
        /// Columns that are transformed and multiplied together.
        block: usize,
    },
    /// Strassen's, for 1x1 windows.
    Strassen {
        /// Pairs of pixels that are multiplied together.
        block: usize,
    },
}

// Costs are in multiply-adds that take the same time; measured on a Zen 5 with AVX-512, 32 multiply-adds a cycle.
/// A number of transformed inputs or of sums of products: written, read and added to others.
const TRANSFORM: usize = 8;
/// A number of the weights, transformed when it is used: read from, or written to, the second-level cache.
const MAKE: usize = 6;
/// A number of the weights, transformed in a register for a group of tiles, in hundredths: it waits for what it is made of.
const FUSE: usize = 125;
/// A number of the weights, read from memory: some 37 GB/s.
const READ: usize = 15;

/// The most bytes of a block's transformed inputs: a second-level cache. Where weights are transformed once and for all blocks, those,
/// the inputs and the sums of products stay in it together.
const BLOCK_BYTES: usize = 1 << 20;
/// The same for Winograd's inputs: each is read once a panel and in order, which the third-level cache is fast enough for, and the
/// larger the block, the less often all weights are transformed.
const TILES_BYTES: usize = 3 << 20;
/// The most bytes of the weights that are transformed once and for all blocks: half of a second-level cache.
const MADE_BYTES: usize = 1 << 19;
/// Input channels whose weights are transformed at a time: those of a panel stay in the first-level cache from tile to tile.
const DEPTH: usize = 64;
/// The same where products transform them, and all nine numbers of a window stay there.
const FUSED_DEPTH: usize = 32;
/// What Strassen's algorithm may add to the weights of a layer, in bytes: they are stored, so this much memory is the price.
const LARGEST_GROWTH: usize = 3 << 19;

/// The most tiles of a block (`resnet_runtime::kernels::winograd`).
const LARGEST_BLOCK: usize = 128;
/// The most columns of a block (`resnet_runtime::kernels::winograd_rows`), and the output rows of a band.
const LARGEST_COLUMNS: usize = 64;
const BAND: usize = 4;
/// The most pairs of a block (`resnet_runtime::kernels::strassen`), and what blocks are made of: a multiple of the tiles of all
/// instruction sets.
const LARGEST_PAIRS: usize = 96;
const PAIRS: usize = 12;
/// Of two pixels and the halves of their channels: products, sums of inputs that are made, and sums of products that are kept.
const PRODUCTS: usize = 7;
const SUMS: usize = 4;
const PLANES: usize = 3;
/// Tiles whose products are computed together, where they transform their weights (`resnet_runtime::kernels::winograd::fused`).
const GROUP: usize = 4;
/// The widest panel and vector of any instruction set, and what lies between two planes (the same module).
const PANEL: usize = 64;
const VECTOR: usize = 16;
const SKEW: usize = 16;

impl Algorithm {
    /// All that can compute a convolution, the direct sum first.
    pub fn candidates(conv: &Conv2d, x: Dims, y: Dims) -> Vec<Algorithm> {
        let mut candidates = vec![Algorithm::Direct];
        if conv.kernel == [3, 3] && matches!(conv.stride, [1, 1] | [2, 2]) {
            let tile = Tile::of(conv.stride[0]);
            let tiles = tile.count(y);
            // Blocks of one size, so that none is nearly empty.
            let block = |most: usize| tiles.div_ceil(tiles.div_ceil(most.clamp(1, LARGEST_BLOCK)));
            let inputs = size_of::<f32>() * tile.made_inputs() * x[3];
            let most = if made_once(DEPTH, conv, x) {
                let sums = size_of::<f32>() * tile.sums() * PANEL;
                (BLOCK_BYTES - MADE_BYTES) / (inputs + sums)
            } else {
                TILES_BYTES / inputs
            };
            let output = tile.output();
            candidates.push(Algorithm::Winograd { output, block: block(most), depth: DEPTH, fused: false });
            let most = BLOCK_BYTES / (size_of::<f32>() * tile.area() * x[3]);
            candidates.push(Algorithm::Winograd {
                output,
                block: block(most),
                depth: FUSED_DEPTH,
                fused: true,
            });
        }
        let rows = Rows::of(conv.kernel, conv.stride, x[3]);
        if rows.is_some_and(|rows| size_of::<f32>() * rows.runs * rows.run * conv.filters <= MADE_BYTES) {
            let block = y[2].div_ceil(y[2].div_ceil(LARGEST_COLUMNS));
            candidates.push(Algorithm::WinogradRows { block });
        }
        if size_of::<f32>() * x[3] * conv.filters * 3 / 4 <= LARGEST_GROWTH {
            let most = BLOCK_BYTES / (size_of::<f32>() * 2 * x[3]) / PAIRS * PAIRS;
            let pairs = (y[0] * y[1] * y[2]).div_ceil(2);
            let block = pairs.div_ceil(pairs.div_ceil(most.clamp(PAIRS, LARGEST_PAIRS)));
            candidates.push(Algorithm::Strassen { block: block.next_multiple_of(PAIRS) });
        }
        candidates.retain(|algorithm| algorithm.computes(conv.kernel, conv.stride, [x[3], conv.filters]));
        candidates
    }

    /// Whether it computes convolutions of such windows, from so many channels to so many.
    pub fn computes(self, kernel: [usize; 2], stride: [usize; 2], channels: [usize; 2]) -> bool {
        match self {
            Algorithm::Direct => true,
            Algorithm::Winograd { output, fused, .. } => {
                let steps = kernel == [3, 3] && matches!(stride, [1, 1] | [2, 2]);
                let tile = Tile::of(stride[0]);
                // What is fused has whole vectors of inputs and whole panels of outputs.
                let whole =
                    channels[0].is_multiple_of(VECTOR) && channels[1].is_multiple_of(tile.fused_panel());
                steps && output == tile.output() && (whole || !fused)
            }
            Algorithm::WinogradRows { .. } => Rows::of(kernel, stride, channels[0]).is_some(),
            Algorithm::Strassen { .. } => {
                // Halves are whole vectors.
                kernel == [1, 1] && channels.iter().all(|channels| channels.is_multiple_of(2 * VECTOR))
            }
        }
    }

    /// What a convolution costs, in multiply-adds: products, transforms, and weights that are transformed or read from memory.
    pub fn cost(self, conv: &Conv2d, x: Dims, y: Dims) -> usize {
        // While products are computed, weights come from memory: whichever takes longer.
        let read = READ * self.weights(conv, x);
        match self {
            Algorithm::Direct => read.max(y[0] * y[1] * y[2] * self.weights(conv, x)),
            Algorithm::Winograd { block, depth, fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                let tiles = tile.count(y);
                let products = y[0] * tile.products(y[1]) * tile.products(y[2]) * x[3] * conv.filters;
                let sums = tiles * tile.sums() * conv.filters;
                let transforms = TRANSFORM * (self.made_inputs(conv, x, y) + sums);
                if fused {
                    let made = tiles.div_ceil(GROUP) * self.made_weights(conv, x);
                    return read.max(products + made * FUSE / 100) + transforms;
                }
                let times = if made_once(depth, conv, x) { 1 } else { tiles.div_ceil(block) };
                let moved = times * (self.weights(conv, x) + self.made_weights(conv, x));
                read.max(products) + transforms + MAKE * moved
            }
            Algorithm::WinogradRows { .. } => {
                let Some(rows) = Rows::of(conv.kernel, conv.stride, x[3]) else { return usize::MAX };
                let columns = y[0] * y[1].div_ceil(BAND) * y[2];
                let products = columns * rows.runs * rows.run * conv.filters;
                let sums = columns * rows.points * conv.filters;
                read.max(products)
                    + TRANSFORM * (self.made_inputs(conv, x, y) + sums)
                    + MAKE * self.made_weights(conv, x)
            }
            Algorithm::Strassen { .. } => {
                let pairs = (y[0] * y[1] * y[2]).div_ceil(2);
                let products = pairs * self.weights(conv, x);
                // Those that are kept, and the outputs that are made of them without a product.
                let sums = pairs * (PLANES + 1) * (conv.filters / 2);
                read.max(products) + TRANSFORM * (self.made_inputs(conv, x, y) + sums)
            }
        }
    }

    /// Numbers of the kernel as it is stored.
    pub fn weights(self, conv: &Conv2d, x: Dims) -> usize {
        let weights = conv.kernel[0] * conv.kernel[1] * x[3] * conv.filters;
        match self {
            Algorithm::Direct | Algorithm::Winograd { .. } | Algorithm::WinogradRows { .. } => weights,
            Algorithm::Strassen { .. } => weights / 4 * PRODUCTS,
        }
    }

    /// Numbers of the kernel that are transformed when they are used: in memory, once a block, or once a thread if only rows are
    /// transformed; by products themselves, once a group of tiles.
    pub fn made_weights(self, conv: &Conv2d, x: Dims) -> usize {
        match self {
            Algorithm::Direct | Algorithm::Strassen { .. } => 0,
            Algorithm::Winograd { fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                (if fused { tile.fused_kernels() } else { tile.made_kernels() }) * x[3] * conv.filters
            }
            Algorithm::WinogradRows { .. } => {
                Rows::of(conv.kernel, conv.stride, x[3]).map_or(0, |rows| rows.runs * rows.run * conv.filters)
            }
        }
    }

    /// Numbers of the input that are transformed.
    pub fn made_inputs(self, conv: &Conv2d, x: Dims, y: Dims) -> usize {
        match self {
            Algorithm::Direct => 0,
            Algorithm::Winograd { fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                tile.count(y) * if fused { tile.area() } else { tile.made_inputs() } * x[3]
            }
            Algorithm::WinogradRows { block } => Rows::of(conv.kernel, conv.stride, x[3]).map_or(0, |rows| {
                y[0] * y[1].div_ceil(BAND) * y[2].div_ceil(block) * rows.runs * rows.row(block)
            }),
            Algorithm::Strassen { .. } => (y[0] * y[1] * y[2]).div_ceil(2) * SUMS * (x[3] / 2),
        }
    }

    /// Memory that each thread works in, beside the arena, for such windows, from so many channels to so many.
    pub fn scratch_bytes(self, kernel: [usize; 2], stride: [usize; 2], channels: [usize; 2]) -> usize {
        let numbers = match self {
            Algorithm::Direct => 0,
            Algorithm::Winograd { block, fused: true, .. } => {
                let tile = Tile::of(stride[0]);
                let rows = tile.side() * block.next_multiple_of(GROUP) + GROUP;
                channels[0] + rows * tile.side() * channels[0] + block * tile.sums() * 2 * VECTOR
            }
            Algorithm::Winograd { block, depth, .. } => {
                let tile = Tile::of(stride[0]);
                let channels = channels[0].next_multiple_of(VECTOR);
                let depth = depth.min(channels);
                channels
                    + tile.area() * (block * channels.next_multiple_of(depth) + SKEW)
                    + tile.kernels() * (depth * PANEL + SKEW)
                    + tile.sums() * (block * PANEL + SKEW)
            }
            Algorithm::WinogradRows { block } => Rows::of(kernel, stride, channels[0]).map_or(0, |rows| {
                (1 + rows.runs) * rows.row(block)
                    + rows.runs * rows.run * channels[1].next_multiple_of(VECTOR)
                    + rows.points * (block * PANEL + SKEW)
            }),
            Algorithm::Strassen { block } => {
                SUMS * (block * (channels[0] / 2) + SKEW) + PLANES * (block * PANEL + SKEW)
            }
        };
        numbers * size_of::<f32>()
    }
}

/// Whether all transformed weights are there at the same time, to be used by one block after the other.
fn made_once(depth: usize, conv: &Conv2d, x: Dims) -> bool {
    depth >= x[3] && conv.filters <= PANEL
}

/// What the transforms of `resnet_runtime::kernels::winograd` make of a tile and of a window. For a side of a tile of step 2:
/// five products of four weights make three sums; three inputs and three weights are taken as they are.
#[derive(Clone, Copy)]
enum Tile {
    Four,
    TwoOfStep2,
}

impl Tile {
    fn of(step: usize) -> Tile {
        if step == 1 { Tile::Four } else { Tile::TwoOfStep2 }
    }

    /// Outputs of a side.
    fn output(self) -> usize {
        match self {
            Tile::Four => 4,
            Tile::TwoOfStep2 => 2,
        }
    }

    /// Tiles of an output.
    fn count(self, [batch, height, width, _]: Dims) -> usize {
        batch * height.div_ceil(self.output()) * width.div_ceil(self.output())
    }

    /// Products of a side.
    fn side(self) -> usize {
        self.products(self.output())
    }

    /// Products of a whole tile.
    fn area(self) -> usize {
        self.side() * self.side()
    }

    /// Products along a side of the image: the last tile takes those that its outputs need.
    fn products(self, size: usize) -> usize {
        let side = |outputs: usize| match (self, outputs) {
            (_, 0) => 0,
            (Tile::Four, _) => outputs + 2,
            (Tile::TwoOfStep2, _) => 2 * outputs + 1,
        };
        size / self.output() * side(self.output()) + side(size % self.output())
    }

    fn made_inputs(self) -> usize {
        match self {
            Tile::Four => self.area(),
            Tile::TwoOfStep2 => self.area() - 9,
        }
    }

    fn kernels(self) -> usize {
        match self {
            Tile::Four => 36,
            Tile::TwoOfStep2 => 16,
        }
    }

    fn made_kernels(self) -> usize {
        match self {
            Tile::Four => self.kernels() - 4,
            Tile::TwoOfStep2 => self.kernels() - 9,
        }
    }

    /// Those that products make for a group of tiles: rows of the first side, then of each row the second side.
    fn fused_kernels(self) -> usize {
        match self {
            Tile::Four => 4 * 6 + 6 * 6,
            Tile::TwoOfStep2 => 3 + 5,
        }
    }

    /// The widest panel of products that transform their weights.
    fn fused_panel(self) -> usize {
        match self {
            Tile::Four => VECTOR,
            Tile::TwoOfStep2 => 2 * VECTOR,
        }
    }

    fn sums(self) -> usize {
        match self {
            Tile::Four => 36,
            Tile::TwoOfStep2 => 9,
        }
    }
}

/// What `resnet_runtime::kernels::winograd_rows` makes of windows.
#[derive(Clone, Copy)]
struct Rows {
    /// Points of the transform, and row runs that are multiplied: for the last point only those of phases that have all taps.
    points: usize,
    runs: usize,
    /// Numbers of a row run, and from one pixel's to the next one's.
    run: usize,
    pixel: usize,
}

impl Rows {
    /// `None` where a phase has neither three nor four taps.
    fn of(kernel: [usize; 2], stride: [usize; 2], channels: usize) -> Option<Rows> {
        let taps = kernel[0].div_ceil(stride[0]);
        let full = kernel[0] - (taps - 1) * stride[0];
        let points = taps + BAND - 1;
        let runs = (points - 1) * stride[0] + full;
        let (run, pixel) = (kernel[1] * channels, stride[1] * channels);
        matches!(taps, 3 | 4).then_some(Rows { points, runs, run, pixel })
    }

    /// Numbers of a transformed row, for so many columns.
    fn row(self, columns: usize) -> usize {
        ((columns - 1) * self.pixel + self.run).next_multiple_of(VECTOR)
    }
}

/// `direct`; `winograd4:24x64`: tiles of 4 by 4, blocks of 24, 64 channels at a time; `winograd4fused:4x32`: products transform
/// their weights; `winograd4rows:56`: bands of 4 rows, blocks of 56 columns; `strassen:48`: blocks of 48 pairs.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Direct => f.write_str("direct"),
            Algorithm::Winograd { output, block, depth, fused } => {
                write!(f, "winograd{output}{}:{block}x{depth}", if *fused { "fused" } else { "" })
            }
            Algorithm::WinogradRows { block } => write!(f, "winograd{BAND}rows:{block}"),
            Algorithm::Strassen { block } => write!(f, "strassen:{block}"),
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, most: usize| text.parse().ok().filter(|number| (1..=most).contains(number));
        let parse = || {
            if text == "direct" {
                return Some(Algorithm::Direct);
            }
            if let Some(block) = text.strip_prefix("strassen:") {
                return Some(Algorithm::Strassen { block: number(block, LARGEST_PAIRS)? });
            }
            if let Some(block) = text.strip_prefix("winograd4rows:") {
                return Some(Algorithm::WinogradRows { block: number(block, LARGEST_COLUMNS)? });
            }
            let (output, rest) = text.strip_prefix("winograd")?.split_once(':')?;
            let (block, depth) = rest.split_once('x')?;
            let (output, fused) = match output.strip_suffix("fused") {
                Some(output) => (output, true),
                None => (output, false),
            };
            let output = number(output, 4).filter(|output| output % 2 == 0)?;
            let depth = number(depth, DEPTH).filter(|depth| depth.is_multiple_of(VECTOR))?;
            let block = number(block, LARGEST_BLOCK)?;
            Some(Algorithm::Winograd { output, block, depth, fused })
        };
        parse().ok_or_else(|| {
            format!(
                "`{text}` is not an algorithm: direct, winograd2:NxM, winograd4:NxM, winograd2fused:NxM or winograd4fused:NxM \
                 with M a multiple of {VECTOR}, winograd4rows:N, or strassen:N"
            )
        })
    }
}
