//! How a convolution is computed, and the memory that each thread needs for it.

use std::fmt;
use std::str::FromStr;

use crate::pixels::{plus, times};
use crate::winograd::{BAND, Rows, Tile};

/// How a convolution is computed. Its weights are packed for it: by Strassen's algorithm in planes of their own, where products
/// transform them in order of use, else alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A sum of row runs.
    Direct,
    /// Winograd's, for 3x3 kernels: of stride 1, tiles of 4 by 4 outputs; of stride 2, tiles of 2 by 2.
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
    /// Winograd's, of rows only: four output rows of kernels that have three or four rows of each phase of their stride.
    WinogradRows {
        /// Columns that are transformed and multiplied together.
        block: usize,
    },
    /// Strassen's, for 1x1 kernels.
    Strassen {
        /// Pairs of pixels that are multiplied together.
        block: usize,
    },
}

/// The widest panel of any instruction set: output channels whose weights are multiplied together.
pub const PANEL: usize = 64;
/// The widest vector of any instruction set.
pub const VECTOR: usize = 16;
/// Elements between two planes of scratch memory: keeps them from falling into the same set of the L1 cache.
pub const SKEW: usize = 16;
/// Tiles whose products are computed together, where they transform their weights.
pub const GROUP: usize = 4;
/// The most tiles of a block.
pub const LARGEST_BLOCK: usize = 128;
/// The most input channels whose weights are transformed at a time.
pub const LARGEST_DEPTH: usize = 64;
/// The most columns of a block of [`Algorithm::WinogradRows`].
pub const LARGEST_COLUMNS: usize = 64;
/// The most pairs of a block of [`Algorithm::Strassen`].
pub const LARGEST_PAIRS: usize = 96;
/// Products of Strassen's algorithm, for two pixels and the halves of their channels.
pub const PRODUCTS: usize = 7;
/// Sums of inputs that it makes.
pub const SUMS: usize = 4;
/// Sums of products that it keeps.
pub const PLANES: usize = 3;

impl Algorithm {
    /// Whether it computes convolutions of such kernels, from so many channels to so many, and its own sizes are within bounds.
    pub const fn computes(self, kernel: [usize; 2], stride: [usize; 2], channels: [usize; 2]) -> bool {
        match self {
            Algorithm::Direct => true,
            Algorithm::Winograd { output, block, depth, fused } => {
                let side = stride[0];
                let square =
                    kernel[0] == 3 && kernel[1] == 3 && stride[1] == side && (side == 1 || side == 2);
                let tile = Tile::of(side);
                // What is fused has whole vectors of inputs and whole panels of outputs.
                let whole =
                    channels[0].is_multiple_of(VECTOR) && channels[1].is_multiple_of(tile.fused_panel());
                square
                    && output == tile.output()
                    && within(block, LARGEST_BLOCK)
                    && within(depth, LARGEST_DEPTH)
                    && depth.is_multiple_of(VECTOR)
                    && (whole || !fused)
            }
            Algorithm::WinogradRows { block } => {
                within(block, LARGEST_COLUMNS) && Rows::of(kernel, stride, channels[0]).is_some()
            }
            Algorithm::Strassen { block } => {
                // Halves are whole vectors.
                within(block, LARGEST_PAIRS)
                    && kernel[0] == 1
                    && kernel[1] == 1
                    && channels[0].is_multiple_of(2 * VECTOR)
                    && channels[1].is_multiple_of(2 * VECTOR)
            }
        }
    }

    /// Elements of f32 that each thread needs to work in, for such kernels, from so many channels to so many; or [`usize::MAX`].
    pub const fn scratch_len(self, kernel: [usize; 2], stride: [usize; 2], channels: [usize; 2]) -> usize {
        let [inputs, outputs] = channels;
        match self {
            Algorithm::Direct => 0,
            // Zeros, transformed inputs with a row of a group that nobody reads, and sums.
            Algorithm::Winograd { block, fused: true, .. } => {
                let tile = Tile::of(stride[0]);
                let tiles = times(block.div_ceil(GROUP), GROUP);
                let rows = plus(times(tile.side(), tiles), GROUP);
                let sums = times(block, tile.sums() * 2 * VECTOR);
                plus(plus(inputs, times(times(rows, tile.side()), inputs)), sums)
            }
            // Zeros, transformed inputs, transformed weights, sums.
            Algorithm::Winograd { block, depth, .. } => {
                let tile = Tile::of(stride[0]);
                let inputs = padded(inputs);
                let depth = if depth < inputs { depth } else { inputs };
                let parts = times(if depth == 0 { 0 } else { inputs.div_ceil(depth) }, depth);
                let transformed = times(tile.products(), plus(times(block, parts), SKEW));
                let weights = times(tile.kernels(), plane(depth));
                plus(plus(inputs, transformed), plus(weights, times(tile.sums(), plane(block))))
            }
            // Zeros, transformed rows, transformed weights, sums.
            Algorithm::WinogradRows { block } => match Rows::of(kernel, stride, inputs) {
                None => 0,
                Some(rows) => {
                    let transformed = times(plus(1, rows.runs), rows.row(block));
                    let weights = times(times(rows.runs, rows.run), padded(outputs));
                    plus(plus(transformed, weights), times(rows.points, plane(block)))
                }
            },
            Algorithm::Strassen { block } => {
                plus(times(SUMS, plus(times(block, inputs / 2), SKEW)), times(PLANES, plane(block)))
            }
        }
    }
}

/// Channels, filled up to whole vectors.
const fn padded(channels: usize) -> usize {
    times(channels.div_ceil(VECTOR), VECTOR)
}

/// Elements of a plane of so many rows of the widest panel.
const fn plane(rows: usize) -> usize {
    plus(times(rows, PANEL), SKEW)
}

const fn within(number: usize, most: usize) -> bool {
    1 <= number && number <= most
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
            let depth = number(depth, LARGEST_DEPTH).filter(|depth| depth.is_multiple_of(VECTOR))?;
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
