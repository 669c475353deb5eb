//! How a convolution is computed, and the memory that each thread needs for it.

use std::fmt;
use std::str::FromStr;

use crate::constant::{Constant, constant};
use crate::element::Precision;
use crate::pixels::{plus, times};
use crate::winograd::{BAND, MOST_PRODUCTS, Rows, Tile};

/// How a convolution is computed. Weights of f32 are packed for it: by Strassen's algorithm in planes of their own, where products
/// transform them in order of use, else alike. Narrower ones are packed alike for all: see [`Algorithms::packing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A sum of row runs.
    Direct,
    /// Winograd's, for 3x3 kernels: of stride 1, tiles of 4 by 4 outputs; of stride 2, tiles of 2 by 2. Several blocks of channels only
    /// of 32 outputs or more each.
    Winograd {
        /// Output pixels of a tile, a side.
        output: usize,
        /// Tiles that are transformed and multiplied together.
        block: usize,
        /// Wide words of the input channels (f32 and bf16: channels; int8: pairs of them) whose weights are transformed at a time.
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

/// Channels of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Inputs and outputs of all blocks.
    pub all: [usize; 2],
    /// Blocks, each of which is computed from as large a part of the inputs: see [`blocks`](crate::conv::blocks).
    pub blocks: usize,
}

/// What an instruction set does with elements narrower than f32. Which algorithm is the fastest depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// They are widened, bf16 to f32 and int8 to int16, and multiplied as such; f32 always are in this class.
    Wide,
    /// An instruction multiplies words of them and adds the products up: VNNI, AVX-512 bf16.
    Dots,
    /// An instruction multiplies matrices of them: AMX.
    Tiles,
}

/// An algorithm for each class of instruction sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// For [`Class::Wide`].
    pub wide: Algorithm,
    /// For [`Class::Dots`].
    pub dots: Algorithm,
    /// For [`Class::Tiles`].
    pub tiles: Algorithm,
}

/// The widest panel of any instruction set: output channels whose weights are multiplied together.
pub const PANEL: usize = 64;
/// The widest vector of any instruction set.
pub const VECTOR: usize = 16;
/// Elements between two planes of scratch memory: keeps them from falling into the same set of the L1 cache.
pub const SKEW: usize = 16;
/// Tiles whose products are computed together, where they transform their weights.
pub const GROUP: usize = 4;
/// The least outputs of a block of channels that Winograd's algorithm computes, where there are several. Blocks of up to 16 share panels on some
/// instruction sets, and its panels are of one block each; between 16 and 32 nothing was measured.
const LEAST_OF_BLOCK: usize = 2 * VECTOR;
/// The most tiles of a block.
pub const LARGEST_BLOCK: usize = 128;
/// The most wide words of the input channels whose weights are transformed at a time.
pub const LARGEST_DEPTH: usize = 64;
/// The most columns of a block of [`Algorithm::WinogradRows`].
pub const LARGEST_COLUMNS: usize = 64;
/// The most pairs of a block of [`Algorithm::Strassen`].
pub const LARGEST_PAIRS: usize = 108;
/// The most pixels whose inputs are widened together: twice as many do not make it faster.
pub const LARGEST_WIDENED: usize = 168;
/// The most wide words of a row of the window whose weights are widened together: 128 KB of the widest panel.
pub const LARGEST_PART: usize = 512;
/// The words of widened inputs of a block: half of an L2 cache.
const WIDENED_WORDS: usize = 1 << 17;
/// The least pixels of a block: whole tiles of every instruction set.
const LEAST_WIDENED: usize = 12;
/// Products of Strassen's algorithm, for two pixels and the halves of their channels.
pub const PRODUCTS: usize = 7;
/// Products of it for a single pixel.
pub const PRODUCTS_OF_ONE: usize = 4;
/// Sums of inputs that it makes.
pub const SUMS: usize = 4;
/// Sums of products that it keeps.
pub const PLANES: usize = 2;

constant!(enum Algorithm {
    Direct,
    Winograd { output, block, depth, fused },
    WinogradRows { block },
    Strassen { block },
});

/// The short form where all are one.
impl Constant for Algorithms {
    fn write(&self, to: &mut String) {
        let Algorithms { wide, dots, tiles } = self;
        if *self == Algorithms::all(*wide) {
            *to += &format!("plan::Algorithms::all({})", wide.constant());
        } else {
            let [wide, dots, tiles] = [wide, dots, tiles].map(Constant::constant);
            *to += &format!("plan::Algorithms {{ wide: {wide}, dots: {dots}, tiles: {tiles} }}");
        }
    }
}

impl Channels {
    /// Of one block.
    pub const fn dense(all: [usize; 2]) -> Self {
        Channels { all, blocks: 1 }
    }

    /// Inputs and outputs of a block, rounded down; of all blocks, if `blocks` is 0.
    pub const fn of_block(self) -> [usize; 2] {
        let blocks = if self.blocks == 0 { 1 } else { self.blocks };
        [self.all[0] / blocks, self.all[1] / blocks]
    }
}

impl Algorithm {
    /// Whether it computes convolutions of such kernels and channels, and its own sizes are within bounds.
    pub const fn computes(self, kernel: [usize; 2], stride: [usize; 2], channels: Channels) -> bool {
        let (Channels { blocks, .. }, [inputs, outputs]) = (channels, channels.of_block());
        match self {
            Algorithm::Direct => true,
            Algorithm::Winograd { output, block, depth, fused } => {
                let side = stride[0];
                let square =
                    kernel[0] == 3 && kernel[1] == 3 && stride[1] == side && (side == 1 || side == 2);
                square
                    && output == Tile::of(side).output()
                    && within(block, LARGEST_BLOCK)
                    && within(depth, LARGEST_DEPTH)
                    && depth.is_multiple_of(VECTOR)
                    && (blocks == 1 || outputs >= LEAST_OF_BLOCK)
                    && (!fused || self.fills(Precision::F32, side, channels))
            }
            Algorithm::WinogradRows { block } => {
                blocks == 1 && within(block, LARGEST_COLUMNS) && Rows::of(kernel, stride, inputs).is_some()
            }
            Algorithm::Strassen { block } => {
                blocks == 1
                    && within(block, LARGEST_PAIRS)
                    && kernel[0] == 1
                    && kernel[1] == 1
                    && self.fills(Precision::F32, stride[0], channels)
            }
        }
    }

    /// Whether it computes such convolutions in a precision: elements that are narrower than f32 have to be widened by it.
    pub const fn computes_in(
        self,
        precision: Precision,
        kernel: [usize; 2],
        stride: [usize; 2],
        channels: Channels,
    ) -> bool {
        let widens = match (precision, self) {
            (Precision::F32, _) | (_, Algorithm::Direct) => true,
            (_, Algorithm::Winograd { fused, depth, .. }) => !fused && depth <= largest_depth(precision),
            (_, Algorithm::Strassen { .. }) => self.fills(precision, stride[0], channels),
            (Precision::Bf16, Algorithm::WinogradRows { .. }) => true,
            (Precision::Int8, Algorithm::WinogradRows { .. }) => {
                times(times(kernel[0], kernel[1]), channels.all[0]) <= MOST_PRODUCTS
            }
        };
        widens && self.computes(kernel, stride, channels)
    }

    /// What the input and output channels of a block have to be multiples of, in a precision and with a stride.
    pub const fn multiples(self, precision: Precision, stride: usize) -> [usize; 2] {
        match (self, precision) {
            // Whole vectors of inputs and whole panels of outputs.
            (Algorithm::Winograd { fused: true, .. }, _) => [VECTOR, Tile::of(stride).fused_panel()],
            // Halves are whole vectors.
            (Algorithm::Strassen { .. }, Precision::F32) => [2 * VECTOR, 2 * VECTOR],
            // Halves are whole vectors of words. Weights are packed as for a direct sum, and no panel has channels of both halves.
            (Algorithm::Strassen { .. }, _) => [4 * VECTOR, 2 * PANEL],
            _ => [1, 1],
        }
    }

    const fn fills(self, precision: Precision, stride: usize, channels: Channels) -> bool {
        let ([inputs, outputs], of_block) = (self.multiples(precision, stride), channels.of_block());
        of_block[0].is_multiple_of(inputs) && of_block[1].is_multiple_of(outputs)
    }

    /// Whether it computes convolutions with a dilation: Winograd's of a stride of 2 would take two phases at once.
    pub const fn dilates(self) -> bool {
        match self {
            Algorithm::Direct => true,
            Algorithm::Winograd { output, .. } => output == Tile::Four.output(),
            Algorithm::WinogradRows { .. } | Algorithm::Strassen { .. } => false,
        }
    }

    /// Its name without the sizes of its blocks: `winograd4fused`.
    pub fn name(self) -> String {
        self.to_string().split(':').take(1).collect()
    }

    /// Whether it multiplies its sums with a gate.
    pub const fn gates(self) -> bool {
        matches!(self, Algorithm::Direct | Algorithm::Strassen { .. })
    }

    /// Words of four bytes that each thread needs to work in, for such kernels and channels; or [`usize::MAX`]. Direct sums widen the
    /// inputs of all blocks of channels at once; other algorithms compute a block after the other.
    pub const fn scratch_len(
        self,
        precision: Precision,
        kernel: [usize; 2],
        stride: [usize; 2],
        channels: Channels,
    ) -> usize {
        let [inputs, outputs] = channels.of_block();
        let inputs = wide_words(precision, inputs);
        match self {
            Algorithm::Direct => match precision {
                Precision::F32 => 0,
                // Widened inputs, widened weights, sums.
                Precision::Bf16 | Precision::Int8 => {
                    let depth = times(times(kernel[0], kernel[1]), wide_words(precision, channels.all[0]));
                    let block = widened_block(depth);
                    plus(times(block, depth), plus(plane(LARGEST_PART), times(block, PANEL)))
                }
            },
            // Zeros, transformed inputs with a row of a group that nobody reads, and sums.
            Algorithm::Winograd { block, fused: true, .. } => {
                let tile = Tile::of(stride[0]);
                let tiles = times(block.div_ceil(GROUP), GROUP);
                let rows = plus(times(tile.side(), tiles), GROUP);
                let sums = times(block, tile.sums() * 2 * VECTOR);
                plus(plus(inputs, times(times(rows, tile.side()), inputs)), sums)
            }
            // Zeros, transformed inputs, transformed weights, sums; outputs that are still to be narrowed.
            Algorithm::Winograd { block, depth, .. } => {
                let tile = Tile::of(stride[0]);
                let inputs = padded(inputs);
                let depth = if depth < inputs { depth } else { inputs };
                let parts = times(if depth == 0 { 0 } else { inputs.div_ceil(depth) }, depth);
                let transformed = times(tile.products(), plus(times(block, parts), SKEW));
                let weights = times(tile.kernels(), plane(depth));
                let wide = match precision {
                    Precision::F32 => 0,
                    Precision::Bf16 | Precision::Int8 => times(block, tile.output() * tile.output() * PANEL),
                };
                let sums = plus(times(tile.sums(), plane(block)), wide);
                plus(plus(inputs, transformed), plus(weights, sums))
            }
            // Zeros, transformed rows, transformed weights, sums.
            Algorithm::WinogradRows { block } => match Rows::of(kernel, stride, inputs) {
                None => 0,
                Some(rows) => {
                    let transformed = times(plus(1, rows.runs), rows.row(block));
                    let weights = times(times(rows.runs, rows.run), padded(outputs));
                    let wide = if matches!(precision, Precision::F32) {
                        0
                    } else {
                        times(times(BAND, block), PANEL)
                    };
                    plus(plus(transformed, weights), plus(times(rows.points, plane(block)), wide))
                }
            },
            // Sums of inputs, and of products; widened inputs, factors, and outputs that are still to be narrowed.
            Algorithm::Strassen { block } => {
                let half = inputs / 2;
                let wide = match precision {
                    Precision::F32 => 0,
                    Precision::Bf16 | Precision::Int8 => {
                        let factors = times(times(PRODUCTS, half), PANEL);
                        plus(times(times(4, half), block), plus(factors, times(4 * PANEL, block)))
                    }
                };
                let sums = plus(times(SUMS, plus(times(block, half), SKEW)), times(PLANES, plane(block)));
                plus(sums, wide)
            }
        }
    }
}

impl Algorithms {
    /// The same for all classes.
    pub const fn all(algorithm: Algorithm) -> Algorithms {
        Algorithms { wide: algorithm, dots: algorithm, tiles: algorithm }
    }

    /// For wide elements, dots and tiles.
    pub const fn each(&self) -> [Algorithm; 3] {
        [self.wide, self.dots, self.tiles]
    }

    /// The one for a class.
    pub const fn of(&self, class: Class) -> Algorithm {
        match class {
            Class::Wide => self.wide,
            Class::Dots => self.dots,
            Class::Tiles => self.tiles,
        }
    }

    /// What weights are packed for: f32 for their algorithm; others for all classes alike, as direct sums read them.
    pub const fn packing(&self, precision: Precision) -> Algorithm {
        match precision {
            Precision::F32 => self.wide,
            Precision::Bf16 | Precision::Int8 => Algorithm::Direct,
        }
    }

    /// Whether each computes convolutions with a dilation.
    pub const fn dilate(&self) -> bool {
        self.wide.dilates() && self.dots.dilates() && self.tiles.dilates()
    }

    /// Whether each multiplies its sums with a gate.
    pub const fn gate(&self) -> bool {
        self.wide.gates() && self.dots.gates() && self.tiles.gates()
    }

    /// Whether each computes such convolutions in a precision. Tiles are multiplied by direct sums only.
    pub const fn compute(
        &self,
        precision: Precision,
        kernel: [usize; 2],
        stride: [usize; 2],
        channels: Channels,
    ) -> bool {
        let direct = matches!(precision, Precision::F32) || matches!(self.tiles, Algorithm::Direct);
        direct
            && self.wide.computes_in(precision, kernel, stride, channels)
            && self.dots.computes_in(precision, kernel, stride, channels)
            && self.tiles.computes_in(precision, kernel, stride, channels)
    }

    /// The most that [`Algorithm::scratch_len`] gives for wide elements and dots (which need none for direct sums, and are counted
    /// as if they did). Tiles need none.
    pub const fn scratch_len(
        &self,
        precision: Precision,
        kernel: [usize; 2],
        stride: [usize; 2],
        channels: Channels,
    ) -> usize {
        let wide = self.wide.scratch_len(precision, kernel, stride, channels);
        let dots = self.dots.scratch_len(precision, kernel, stride, channels);
        if wide > dots { wide } else { dots }
    }
}

/// Words of so many elements, each widened: bf16 to f32, int8 to int16.
pub const fn wide_words(precision: Precision, elements: usize) -> usize {
    match precision {
        Precision::F32 | Precision::Bf16 => elements,
        Precision::Int8 => elements.div_ceil(2),
    }
}

/// The most words of transformed weights that a sum of products by Winograd's algorithm takes in one go. Those of int8 in tiles of
/// 4x4 are computed modulo 2^32 and divided by 576, so they have to be below 2^25: 255 * 127 * 9 times 115 channels. Weights are from -127 to 127, and depths whole vectors.
pub const fn largest_depth(precision: Precision) -> usize {
    match precision {
        Precision::F32 | Precision::Bf16 => LARGEST_DEPTH,
        Precision::Int8 => 48,
    }
}

/// Pixels whose inputs are widened together by a direct sum of so many words: as many as fit a part of the L2 cache, and a tile at
/// least. The more, the less often weights are widened.
pub const fn widened_block(depth: usize) -> usize {
    let most = WIDENED_WORDS / if depth == 0 { 1 } else { depth };
    if most < LEAST_WIDENED {
        LEAST_WIDENED
    } else if most < LARGEST_WIDENED {
        most
    } else {
        LARGEST_WIDENED
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

/// `strassen:48` for all classes; `strassen:48|direct|direct` for wide elements, dots and tiles.
impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Algorithms { wide, dots, tiles } = self;
        if *self == Algorithms::all(*wide) { wide.fmt(f) } else { write!(f, "{wide}|{dots}|{tiles}") }
    }
}

impl FromStr for Algorithms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found: Vec<Algorithm> = text.split('|').map(str::parse).collect::<Result<_, _>>()?;
        match found[..] {
            [algorithm] => Ok(Algorithms::all(algorithm)),
            [wide, dots, tiles] => Ok(Algorithms { wide, dots, tiles }),
            _ => Err(format!(
                "`{text}` is not one algorithm for all instruction sets, nor three: for wide elements, dots and tiles"
            )),
        }
    }
}
