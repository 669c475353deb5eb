//! How a convolution is computed, and what that costs.

use std::fmt;
use std::str::FromStr;

use crate::ops::{Conv2d, Dims};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A sum of row runs.
    Direct,
    /// Winograd's: tiles of `output` by `output` pixels (2 or 4), `block` of them at a time.
    Winograd {
        /// Output pixels of a tile, a side.
        output: usize,
        /// Tiles that are transformed and multiplied together.
        block: usize,
    },
}

/// What one number of a transform costs, in multiply-adds: a handful of vector operations, a load and a store.
const TRANSFORM: usize = 6;
/// What one number of the weights costs: they come from memory, some 20 GB/s against 120 billion multiply-adds a second.
const WEIGHT: usize = 12;
/// The most bytes of a block's transformed input: half of a second-level cache.
const BLOCK_BYTES: usize = 1 << 20;
/// The most tiles of a block (`resnet_runtime::kernels::winograd`).
const LARGEST_BLOCK: usize = 128;
/// The widest panel and vector of any instruction set, and what lies between two planes (the same module).
const PANEL: usize = 64;
const VECTOR: usize = 16;
const SKEW: usize = 16;

impl Algorithm {
    /// All that can compute a convolution, the direct sum first.
    pub fn candidates(conv: &Conv2d, x: Dims, y: Dims) -> Vec<Algorithm> {
        let mut candidates = vec![Algorithm::Direct];
        if conv.kernel == [3, 3] && conv.stride == [1, 1] {
            candidates.extend([4, 2].map(|output| {
                let tiles = tiles(output, y);
                let planes = (output + 2) * (output + 2);
                let most = (BLOCK_BYTES / (size_of::<f32>() * planes * x[3])).clamp(1, LARGEST_BLOCK);
                // Blocks of one size, so that none is nearly empty.
                Algorithm::Winograd { output, block: tiles.div_ceil(tiles.div_ceil(most)) }
            }));
        }
        candidates
    }

    /// What a convolution costs, in multiply-adds: products, transforms, and weights that are read from memory.
    pub fn cost(self, conv: &Conv2d, x: Dims, y: Dims) -> usize {
        let weights = self.weights(conv, x);
        match self {
            Algorithm::Direct => y[0] * y[1] * y[2] * weights + WEIGHT * weights,
            Algorithm::Winograd { output, .. } => {
                let tiles = tiles(output, y);
                let transformed = tiles * (output + 2) * (output + 2) * (x[3] + y[3]);
                tiles * weights + TRANSFORM * transformed + WEIGHT * weights
            }
        }
    }

    /// Numbers of the kernel as it is stored.
    pub fn weights(self, conv: &Conv2d, x: Dims) -> usize {
        let window = match self {
            Algorithm::Direct => conv.kernel[0] * conv.kernel[1],
            Algorithm::Winograd { output, .. } => (output + 2) * (output + 2),
        };
        window * x[3] * conv.filters
    }

    /// Memory that each thread works in, beside the arena.
    pub fn scratch_bytes(self, channels: usize) -> usize {
        let Algorithm::Winograd { output, block } = self else { return 0 };
        let planes = (output + 2) * (output + 2);
        let channels = channels.next_multiple_of(VECTOR);
        let numbers = channels + planes * (block * channels + SKEW) + planes * (block * PANEL + SKEW);
        numbers * size_of::<f32>()
    }
}

fn tiles(output: usize, [batch, height, width, _]: Dims) -> usize {
    batch * height.div_ceil(output) * width.div_ceil(output)
}

/// `direct`, or `winograd4:24`: tiles of 4 by 4, blocks of 24.
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Direct => f.write_str("direct"),
            Algorithm::Winograd { output, block } => write!(f, "winograd{output}:{block}"),
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not an algorithm: direct, winograd2:N or winograd4:N");
        if text == "direct" {
            return Ok(Algorithm::Direct);
        }
        let (output, block) =
            text.strip_prefix("winograd").and_then(|rest| rest.split_once(':')).ok_or_else(error)?;
        let output = match output {
            "2" => 2,
            "4" => 4,
            _ => return Err(error()),
        };
        let block =
            block.parse().ok().filter(|block| (1..=LARGEST_BLOCK).contains(block)).ok_or_else(error)?;
        Ok(Algorithm::Winograd { output, block })
    }
}
