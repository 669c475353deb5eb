//! What the ways to compute a convolution cost.

use resnet_plan::algorithm::{
    GROUP, PANEL, PLANES, PRODUCTS, PRODUCTS_OF_ONE, SUMS, VECTOR, wide_words, widened_block,
};
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
/// How many times as much a transform is counted where channels are several blocks: for what products of few channels lose (Emerald
/// Rapids, AVX-512 and AVX2).
const GROUPED: usize = 2;
/// A wide word of the weights or inputs, widened: read from, and written to, the L2 cache.
const WIDEN: usize = 6;
/// A number of the weights, transformed in a register for a group of tiles, in hundredths: it waits for what it is made of.
const FUSE: usize = 125;
/// A number of the weights, read from memory: some 37 GB/s.
const READ: usize = 15;

/// The most bytes of the weights that are transformed once and for all blocks of tiles: half of an L2 cache.
pub(crate) const MADE_BYTES: usize = 1 << 19;

/// A convolution that is to be computed.
pub(crate) struct Layer<'a> {
    pub(crate) conv: &'a Conv2d,
    pub(crate) precision: Precision,
    /// Its input and its output.
    pub(crate) x: Dims,
    pub(crate) y: Dims,
}

impl Layer<'_> {
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
        let transform = if self.blocks() > 1 { GROUPED * transform } else { transform };
        match algorithm {
            Algorithm::Direct => {
                let products = read.max(pixels * self.multiplied(class) / rate);
                // What is widened: weights, once for some pixels, and inputs, once a row of the window.
                let window = conv.kernel[0] * conv.kernel[1];
                let times = pixels.div_ceil(widened_block(window * words));
                let weights = window * self.words(self.block_inputs()) * filters;
                let widened = times * weights + pixels * conv.kernel[0] * words;
                let widens = narrow && class == Class::Wide && !self.shares_vectors();
                products + if widens { WIDEN * widened } else { 0 }
            }
            Algorithm::Winograd { block, depth, fused, .. } => {
                let tile = Tile::of(conv.stride[0]);
                let tiles = tiles_of(conv, tile, y);
                let [rows, columns] = [0, 1].map(|axis| products_of(tile, y[1 + axis], conv.dilation[axis]));
                let products = y[0] * rows * columns * self.block_inputs() * filters;
                // Whole sums of products are transformed part by part.
                let of_block = self.words(self.block_inputs());
                let parts = if precision == Precision::Int8 { of_block.div_ceil(depth) } else { 1 };
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
                let taken = if pixels == 1 { PRODUCTS_OF_ONE } else { PRODUCTS };
                let products = pairs * (x[3] * filters / 4 * taken);
                // Factors that are stored are read only if their products are taken.
                let read = if narrow { read } else { read / PRODUCTS * taken };
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
        let Conv2d { kernel, filters, .. } = self.conv;
        let inputs = self.block_inputs();
        let inputs = match (self.precision, class) {
            (Precision::Int8, Class::Dots) => inputs.next_multiple_of(self.precision.per_word()),
            _ => inputs,
        };
        kernel[0] * kernel[1] * inputs * filters
    }

    /// Words of the kernel that are transformed when they are used: in memory, once a block of tiles, or once a thread if only rows are
    /// transformed; by products themselves, once a group of tiles. (Strassen's factors of f32 are stored.)
    pub(crate) fn made_weights(&self, algorithm: Algorithm) -> usize {
        let words = self.words(self.block_inputs()) * self.conv.filters;
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
        // Groups of bf16 that share vectors are widened, whatever instructions there are.
        let widened = self.precision == Precision::Bf16 && self.shares_vectors();
        let dots = class == Class::Dots && self.precision != Precision::F32 && !widened;
        if dots && algorithm == Algorithm::Direct { 2 * wide } else { wide }
    }

    /// Words that so many elements are computed in.
    pub(super) fn words(&self, numbers: usize) -> usize {
        wide_words(self.precision, numbers)
    }

    /// Blocks that its groups are computed in.
    pub(crate) fn blocks(&self) -> usize {
        self.conv.channels(self.x[3], self.precision).blocks
    }

    /// Inputs of a block.
    pub(super) fn block_inputs(&self) -> usize {
        self.conv.channels(self.x[3], self.precision).of_block()[0]
    }

    /// Whether several blocks share a vector.
    fn shares_vectors(&self) -> bool {
        self.blocks() > 1 && self.conv.filters / self.blocks() < VECTOR
    }

    /// Output pixels.
    pub(super) fn pixels(&self) -> usize {
        self.y[..3].iter().product()
    }

    /// Whether all transformed weights are there at the same time, to be used by one block of tiles after the other, if so many words are
    /// transformed at a time.
    pub(super) fn made_once(&self, depth: usize) -> bool {
        self.blocks() == 1 && depth >= self.words(self.x[3]) && self.conv.filters <= PANEL
    }

    /// Inputs of a tile that are transformed: f32 of stride 2 take nine as they are.
    pub(super) fn made_inputs_of(&self, tile: Tile) -> usize {
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

/// Tiles of an output.
pub(super) fn tiles_of(conv: &Conv2d, tile: Tile, [batch, height, width, _]: Dims) -> usize {
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
