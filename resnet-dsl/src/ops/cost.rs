//! What the ways to compute a convolution cost.

use std::fmt;

use resnet_plan::algorithm::{
    GROUP, LARGEST_BLOCK, LARGEST_COLUMNS, LARGEST_PAIRS, PANEL, PLANES, PRODUCTS, SUMS, VECTOR,
    largest_depth, wide_words, widened_block,
};
use resnet_plan::conv::blocks;
use resnet_plan::winograd::{BAND, Rows, Tile};
use resnet_plan::{Algorithm, Class, Dims, Precision};

use crate::ops::Conv2d;

// Costs are in multiply-adds that take the same time; measured on a Zen 5 with AVX-512, 32 multiply-adds a cycle.
/// A number of transformed inputs or of sums of products: written, read and added to others.
const TRANSFORM: usize = 8;
/// A number of the weights, transformed when it is used: read from, or written to, the L2 cache.
const MAKE: usize = 6;
/// The same two for int8 beside an instruction that multiplies four of them: integers take more instructions, and products less time (Emerald
/// Rapids, VNNI and AVX-VNNI).
const TRANSFORM_BESIDE_DOTS: usize = 13;
const MAKE_BESIDE_DOTS: usize = 16;
/// The first of the two where only rows are transformed: against a stem's direct sum, whose runs are short.
const ROWS_BESIDE_DOTS: usize = 5;
/// A wide word of the weights or inputs, widened: read from, and written to, the L2 cache.
const WIDEN: usize = 6;
/// A number of the weights, transformed in a register for a group of tiles, in hundredths: it waits for what it is made of.
const FUSE: usize = 125;
/// A number of the weights, read from memory: some 37 GB/s.
const READ: usize = 15;

/// The most bytes of a block's transformed inputs: an L2 cache. Where weights are transformed once and for all blocks, those,
/// the inputs and the sums of products stay in it together.
const BLOCK_BYTES: usize = 1 << 20;
/// The same for Winograd's inputs: each is read once a panel and in order, which the L3 cache is fast enough for, and the
/// larger the block, the less often all weights are transformed.
const TILES_BYTES: usize = 3 << 20;
/// The most bytes of the weights that are transformed once and for all blocks: half of an L2 cache.
const MADE_BYTES: usize = 1 << 19;
/// Input channels whose weights are transformed at a time where products transform them: all nine weights of a window stay in the
/// L1 cache.
const FUSED_DEPTH: usize = 32;
/// What Strassen's algorithm may add to the weights of a layer, in bytes: they are stored, so this much memory is the price.
const LARGEST_GROWTH: usize = 3 << 19;

/// What blocks of pairs of pixels are made of: a multiple of the tiles of all instruction sets.
const PAIRS: usize = 12;

/// A convolution that is to be computed.
pub(crate) struct Layer<'a> {
    pub(crate) conv: &'a Conv2d,
    pub(crate) precision: Precision,
    /// Its input and its output.
    pub(crate) x: Dims,
    pub(crate) y: Dims,
}

/// Why an algorithm that is made for windows as these does not compute a convolution. `Display`: in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The convolution has groups.
    Groups,
    /// It has a dilation.
    Dilation,
    /// It has a gate.
    Gate,
    /// Its channels do not fill whole vectors, or the halves of some.
    Channels,
    /// Elements are narrower than f32.
    Narrow,
    /// Sums could be larger than integers can be.
    Range,
    /// Weights would be stored in so many bytes more.
    Growth(usize),
    /// Transformed weights take so many bytes.
    Transformed(usize),
}

impl Layer<'_> {
    /// All that can compute it, the direct sum first.
    pub(crate) fn candidates(&self) -> Vec<Algorithm> {
        self.proposed().into_iter().filter(|algorithm| self.refusal(*algorithm).is_none()).collect()
    }

    /// What is made for such windows and does not compute it all the same, and why.
    pub(crate) fn refused(&self) -> Vec<(Algorithm, Refusal)> {
        self.proposed()
            .into_iter()
            .filter_map(|algorithm| Some((algorithm, self.refusal(algorithm)?)))
            .collect()
    }

    /// What is made for such windows.
    fn proposed(&self) -> Vec<Algorithm> {
        let Layer { conv, precision, x, y } = *self;
        let (words, pixels) = (self.words(x[3]), self.pixels());
        let mut candidates = vec![Algorithm::Direct];
        if conv.kernel == [3, 3] && matches!(conv.stride, [1, 1] | [2, 2]) {
            let tile = Tile::of(conv.stride[0]);
            let tiles = tiles_of(conv, tile, y);
            // Blocks of one size, so that none is nearly empty.
            let block = |most: usize| tiles.div_ceil(tiles.div_ceil(most.clamp(1, LARGEST_BLOCK)));
            // As many words at a time as may be, in parts of one size.
            let depth = words.div_ceil(words.div_ceil(largest_depth(precision))).next_multiple_of(VECTOR);
            let inputs = size_of::<f32>() * self.made_inputs_of(tile) * words;
            let most = if self.made_once(depth) {
                let sums = size_of::<f32>() * tile.sums() * PANEL;
                (BLOCK_BYTES - MADE_BYTES) / (inputs + sums)
            } else {
                TILES_BYTES / inputs
            };
            let output = tile.output();
            candidates.push(Algorithm::Winograd { output, block: block(most), depth, fused: false });
            let most = BLOCK_BYTES / (size_of::<f32>() * tile.products() * words);
            candidates.push(Algorithm::Winograd {
                output,
                block: block(most),
                depth: FUSED_DEPTH,
                fused: true,
            });
        }
        if Rows::of(conv.kernel, conv.stride, words).is_some() {
            let block = y[2].div_ceil(y[2].div_ceil(LARGEST_COLUMNS));
            candidates.push(Algorithm::WinogradRows { block });
        }
        if conv.kernel == [1, 1] {
            let most = BLOCK_BYTES / (size_of::<f32>() * 2 * words) / PAIRS * PAIRS;
            let pairs = pixels.div_ceil(2);
            let block = pairs.div_ceil(pairs.div_ceil(most.clamp(PAIRS, LARGEST_PAIRS)));
            candidates.push(Algorithm::Strassen { block: block.next_multiple_of(PAIRS) });
        }
        candidates
    }

    /// Why it is not computed so, if it is not.
    fn refusal(&self, algorithm: Algorithm) -> Option<Refusal> {
        let Layer { conv, precision, x, .. } = *self;
        if !conv.allows(algorithm) {
            return Some(match (conv.groups, conv.dilation) {
                (2.., _) => Refusal::Groups,
                (_, [1, 1]) => Refusal::Gate,
                _ => Refusal::Dilation,
            });
        }
        // As the graph has them, and filled up to whole words, as kernels do.
        let graph = [x[3], conv.filters];
        let stored = [x[3].next_multiple_of(precision.per_word()), conv.filters];
        if !algorithm.computes(conv.kernel, conv.stride, graph) {
            return Some(Refusal::Channels);
        }
        if !algorithm.computes_in(precision, conv.kernel, conv.stride, stored) {
            return Some(match algorithm {
                Algorithm::Winograd { .. } => Refusal::Narrow,
                Algorithm::WinogradRows { .. } => Refusal::Range,
                Algorithm::Direct | Algorithm::Strassen { .. } => Refusal::Channels,
            });
        }
        let bytes = |weights: usize| size_of::<f32>() * weights;
        let growth = bytes(self.weights(algorithm).saturating_sub(self.weights(Algorithm::Direct)));
        if growth > LARGEST_GROWTH {
            return Some(Refusal::Growth(growth));
        }
        match algorithm {
            Algorithm::WinogradRows { .. } => Some(bytes(self.made_weights(algorithm)))
                .filter(|bytes| *bytes > MADE_BYTES)
                .map(Refusal::Transformed),
            _ => None,
        }
    }

    /// What it costs on a class of instruction sets, in multiply-adds of f32: products, transforms, and weights that are transformed
    /// or read from memory.
    pub(crate) fn cost(&self, algorithm: Algorithm, class: Class) -> usize {
        let Layer { conv, precision, x, y } = *self;
        let (words, pixels, filters) = (self.words(x[3]), self.pixels(), conv.filters);
        let rate = self.rate(algorithm, class);
        // While products are computed, weights come from memory: whichever takes longer.
        let read = READ * self.weights(algorithm) / precision.per_word();
        let narrow = precision != Precision::F32;
        let (transform, make) = match (precision, class, algorithm) {
            (Precision::Int8, Class::Dots, Algorithm::WinogradRows { .. }) => {
                (ROWS_BESIDE_DOTS, MAKE_BESIDE_DOTS)
            }
            (Precision::Int8, Class::Dots, _) => (TRANSFORM_BESIDE_DOTS, MAKE_BESIDE_DOTS),
            _ => (TRANSFORM, MAKE),
        };
        match algorithm {
            Algorithm::Direct => {
                let products = read.max(pixels * self.multiplied(class) / rate);
                // What is widened: weights, once a block, and inputs, once a row of the window.
                let depth = conv.kernel[0] * conv.kernel[1] * words;
                let blocks = pixels.div_ceil(widened_block(depth));
                let widened = blocks * depth * filters + pixels * conv.kernel[0] * words;
                products + if narrow && class == Class::Wide { WIDEN * widened } else { 0 }
            }
            Algorithm::Winograd { block, depth, fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                let tiles = tiles_of(conv, tile, y);
                let [rows, columns] = [0, 1].map(|axis| products_of(tile, y[1 + axis], conv.dilation[axis]));
                let products = y[0] * rows * columns * x[3] * filters;
                // Whole sums of products are transformed part by part.
                let parts = if precision == Precision::Int8 { words.div_ceil(depth) } else { 1 };
                let sums = tiles * tile.sums() * filters * parts;
                let transforms = transform * (self.made_inputs(algorithm) + sums);
                if fused {
                    let made = tiles.div_ceil(GROUP) * self.made_weights(algorithm);
                    return read.max(products + made * FUSE / 100) + transforms;
                }
                let times = if self.made_once(depth) { 1 } else { tiles.div_ceil(block) };
                let moved = times * (self.words(self.weights(algorithm)) + self.made_weights(algorithm));
                read.max(products / rate) + transforms + make * moved
            }
            Algorithm::WinogradRows { .. } => {
                let Some(rows) = Rows::of(conv.kernel, conv.stride, words) else { return usize::MAX };
                let columns = y[0] * y[1].div_ceil(BAND) * y[2];
                let products = columns * rows.runs * conv.kernel[1] * x[3] * filters;
                let sums = columns * rows.points * filters;
                read.max(products / rate)
                    + transform * (self.made_inputs(algorithm) + sums)
                    + make * self.made_weights(algorithm)
            }
            Algorithm::Strassen { block } => {
                let pairs = pixels.div_ceil(2);
                let products = pairs * (x[3] * filters / 4 * PRODUCTS);
                // Those that are kept, and the outputs that are made of them without a product.
                let sums = pairs * (PLANES + 1) * (filters / 2);
                let factors = pairs.div_ceil(block) * self.made_weights(algorithm);
                let widened = if narrow { WIDEN * (factors + pixels * words) } else { 0 };
                read.max(products / rate) + transform * (self.made_inputs(algorithm) + sums) + widened
            }
        }
    }

    /// Numbers of the kernel as it is stored.
    pub(crate) fn weights(&self, algorithm: Algorithm) -> usize {
        let Conv2d { kernel, filters, .. } = self.conv;
        let weights = kernel[0] * kernel[1] * (self.x[3] / self.conv.groups) * filters;
        match algorithm {
            Algorithm::Strassen { .. } if self.precision == Precision::F32 => weights / 4 * PRODUCTS,
            _ => weights,
        }
    }

    /// Numbers of the kernel as a direct sum multiplies it: with the zeros between the groups of a block, and those that fill a word.
    fn multiplied(&self, class: Class) -> usize {
        let Conv2d { kernel, filters, groups, .. } = self.conv;
        let inputs = self.x[3] / blocks(*groups, [self.x[3], *filters], self.precision);
        let inputs = match (self.precision, class) {
            (Precision::Int8, Class::Dots) => inputs.next_multiple_of(self.precision.per_word()),
            _ => inputs,
        };
        kernel[0] * kernel[1] * inputs * filters
    }

    /// Words of the kernel that are transformed when they are used: in memory, once a block, or once a thread if only rows are
    /// transformed; by products themselves, once a group of tiles. (Strassen's factors of f32 are stored.)
    pub(crate) fn made_weights(&self, algorithm: Algorithm) -> usize {
        let words = self.words(self.x[3]) * self.conv.filters;
        match algorithm {
            Algorithm::Strassen { .. } if self.precision != Precision::F32 => words / 4 * PRODUCTS,
            Algorithm::Direct | Algorithm::Strassen { .. } => 0,
            Algorithm::Winograd { fused, .. } => {
                let tile = Tile::of(self.conv.stride[0]);
                (if fused { fused_kernels_of(tile) } else { self.made_kernels_of(tile) }) * words
            }
            Algorithm::WinogradRows { .. } => {
                Rows::of(self.conv.kernel, self.conv.stride, self.words(self.x[3]))
                    .map_or(0, |rows| rows.runs * rows.run * self.conv.filters)
            }
        }
    }

    /// Words of the input that are transformed.
    pub(crate) fn made_inputs(&self, algorithm: Algorithm) -> usize {
        let Layer { conv, x, y, .. } = *self;
        let words = self.words(x[3]);
        match algorithm {
            Algorithm::Direct => 0,
            Algorithm::Winograd { fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                tiles_of(conv, tile, y)
                    * if fused { tile.products() } else { self.made_inputs_of(tile) }
                    * words
            }
            Algorithm::WinogradRows { block } => Rows::of(conv.kernel, conv.stride, words)
                .map_or(0, |rows| {
                    y[0] * y[1].div_ceil(BAND) * y[2].div_ceil(block) * rows.runs * rows.row(block)
                }),
            Algorithm::Strassen { .. } => self.pixels().div_ceil(2) * SUMS * (words / 2),
        }
    }

    /// Multiply-adds in the time of one of f32. Fewer products than a direct sum has are products of widened elements. (Nobody asks for
    /// tiles, which compute direct sums only.)
    fn rate(&self, algorithm: Algorithm, class: Class) -> usize {
        let wide = if self.precision == Precision::Int8 { 2 } else { 1 };
        let dots = class == Class::Dots && self.precision != Precision::F32;
        if dots && algorithm == Algorithm::Direct { 2 * wide } else { wide }
    }

    /// Words that so many elements are computed in.
    fn words(&self, numbers: usize) -> usize {
        wide_words(self.precision, numbers)
    }

    /// Output pixels.
    fn pixels(&self) -> usize {
        self.y[..3].iter().product()
    }

    /// Whether all transformed weights are there at the same time, to be used by one block after the other, if so many words are
    /// transformed at a time.
    fn made_once(&self, depth: usize) -> bool {
        depth >= self.words(self.x[3]) && self.conv.filters <= PANEL
    }

    /// Inputs of a tile that are transformed: f32 of stride 2 take nine as they are.
    fn made_inputs_of(&self, tile: Tile) -> usize {
        match (self.precision, tile) {
            (Precision::F32, Tile::TwoOfStride2) => tile.products() - 9,
            _ => tile.products(),
        }
    }

    /// Weights that are transformed in memory: f32 of stride 1 take four as they are, of stride 2 nine.
    fn made_kernels_of(&self, tile: Tile) -> usize {
        match (self.precision, tile) {
            (Precision::F32, Tile::Four) => tile.kernels() - 4,
            (Precision::F32, Tile::TwoOfStride2) => tile.kernels() - 9,
            _ => tile.kernels(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        match *self {
            Refusal::Groups => f.write_str("groups"),
            Refusal::Dilation => f.write_str("dilation"),
            Refusal::Gate => f.write_str("gate"),
            Refusal::Channels => f.write_str("channels fill no vectors"),
            Refusal::Narrow => f.write_str("f32 only"),
            Refusal::Range => f.write_str("sums too large"),
            Refusal::Growth(bytes) => write!(f, "weights {:.1} MB larger", megabytes(bytes)),
            Refusal::Transformed(bytes) => write!(f, "transformed weights of {:.1} MB", megabytes(bytes)),
        }
    }
}

/// Tiles of an output.
fn tiles_of(conv: &Conv2d, tile: Tile, [batch, height, width, _]: Dims) -> usize {
    batch * tile.count([height, width], conv.dilation)
}

/// Products along a side of the image: the last tiles take those that their outputs need, if the phases of a dilation are of one size; else
/// all.
fn products_of(tile: Tile, size: usize, dilation: usize) -> usize {
    let side = |outputs: usize| match (tile, outputs) {
        (_, 0) => 0,
        (Tile::Four, _) => outputs + 2,
        (Tile::TwoOfStride2, _) => 2 * outputs + 1,
    };
    let output = tile.output();
    if !size.is_multiple_of(dilation) {
        return tile.count_along(size, dilation) * side(output);
    }
    let phase = size / dilation;
    dilation * (phase / output * side(output) + side(phase % output))
}

/// Weights that products make for a group of tiles: rows of the first side, then of each row the second side.
fn fused_kernels_of(tile: Tile) -> usize {
    match tile {
        Tile::Four => 4 * 6 + 6 * 6,
        Tile::TwoOfStride2 => 3 + 5,
    }
}
