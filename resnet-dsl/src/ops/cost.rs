//! What the ways to compute a convolution cost.

use resnet_plan::algorithm::{
    GROUP, LARGEST_BLOCK, LARGEST_COLUMNS, LARGEST_PAIRS, PANEL, PLANES, PRODUCTS, SUMS, VECTOR,
    largest_depth, wide_words, widened_block,
};
use resnet_plan::winograd::{BAND, Rows, Tile};
use resnet_plan::{Algorithm, Class, Dims, Precision};

use crate::ops::Conv2d;

// Costs are in multiply-adds that take the same time; measured on a Zen 5 with AVX-512, 32 multiply-adds a cycle.
/// A number of transformed inputs or of sums of products: written, read and added to others.
const TRANSFORM: usize = 8;
/// A number of the weights, transformed when it is used: read from, or written to, the L2 cache.
const MAKE: usize = 6;
/// A wide word of the weights or inputs, widened: read from, and written to, the L2 cache.
const WIDEN: usize = 3;
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

/// All that can compute a convolution, the direct sum first.
pub(crate) fn candidates(conv: &Conv2d, precision: Precision, x: Dims, y: Dims) -> Vec<Algorithm> {
    let mut candidates = vec![Algorithm::Direct];
    if conv.kernel == [3, 3] && matches!(conv.stride, [1, 1] | [2, 2]) {
        let tile = Tile::of(conv.stride[0]);
        let tiles = tiles_of(tile, y);
        // Blocks of one size, so that none is nearly empty.
        let block = |most: usize| tiles.div_ceil(tiles.div_ceil(most.clamp(1, LARGEST_BLOCK)));
        let words = wide_words(precision, x[3]);
        // As many at a time as may be, in parts of one size.
        let depth = words.div_ceil(words.div_ceil(largest_depth(precision))).next_multiple_of(VECTOR);
        let made = if precision == Precision::F32 { made_inputs_of(tile) } else { tile.products() };
        let inputs = size_of::<f32>() * made * words;
        let most = if made_once(depth, words, conv) {
            let sums = size_of::<f32>() * tile.sums() * PANEL;
            (BLOCK_BYTES - MADE_BYTES) / (inputs + sums)
        } else {
            TILES_BYTES / inputs
        };
        let output = tile.output();
        candidates.push(Algorithm::Winograd { output, block: block(most), depth, fused: false });
        let most = BLOCK_BYTES / (size_of::<f32>() * tile.products() * x[3]);
        candidates.push(Algorithm::Winograd { output, block: block(most), depth: FUSED_DEPTH, fused: true });
    }
    let rows = Rows::of(conv.kernel, conv.stride, x[3]);
    if rows.is_some_and(|rows| size_of::<f32>() * rows.runs * rows.run * conv.filters <= MADE_BYTES) {
        let block = y[2].div_ceil(y[2].div_ceil(LARGEST_COLUMNS));
        candidates.push(Algorithm::WinogradRows { block });
    }
    // Factors are stored in f32 only.
    let growth = if precision == Precision::F32 { size_of::<f32>() * x[3] * conv.filters * 3 / 4 } else { 0 };
    if growth <= LARGEST_GROWTH {
        let most = BLOCK_BYTES / (size_of::<f32>() * 2 * wide_words(precision, x[3])) / PAIRS * PAIRS;
        let pairs = (y[0] * y[1] * y[2]).div_ceil(2);
        let block = pairs.div_ceil(pairs.div_ceil(most.clamp(PAIRS, LARGEST_PAIRS)));
        candidates.push(Algorithm::Strassen { block: block.next_multiple_of(PAIRS) });
    }
    let channels = [x[3].next_multiple_of(precision.per_word()), conv.filters];
    candidates.retain(|algorithm| algorithm.computes_in(precision, conv.kernel, conv.stride, channels));
    candidates
}

/// What a convolution costs on a class of instruction sets, in multiply-adds of f32: products, transforms, and weights that are
/// transformed or read from memory.
pub(crate) fn cost(
    algorithm: Algorithm,
    class: Class,
    precision: Precision,
    conv: &Conv2d,
    x: Dims,
    y: Dims,
) -> usize {
    let rate = rate(algorithm, class, precision);
    // While products are computed, weights come from memory: whichever takes longer.
    let read = READ * weights(algorithm, precision, conv, x) / precision.per_word();
    match algorithm {
        Algorithm::Direct => {
            let (pixels, weights) = (y[0] * y[1] * y[2], weights(algorithm, precision, conv, x));
            let products = read.max(pixels * weights / rate);
            if class != Class::Wide || precision == Precision::F32 {
                return products;
            }
            // What is widened: weights, once a block, and inputs, once a row of the window.
            let words = wide_words(precision, x[3]);
            let depth = conv.kernel[0] * conv.kernel[1] * words;
            let blocks = pixels.div_ceil(widened_block(depth));
            products + WIDEN * (blocks * depth * conv.filters + pixels * conv.kernel[0] * words)
        }
        Algorithm::Winograd { block, depth, fused, .. } => {
            let tile = Tile::of(conv.stride[0]);
            let tiles = tiles_of(tile, y);
            let products = y[0] * products_of(tile, y[1]) * products_of(tile, y[2]) * x[3] * conv.filters;
            let words = wide_words(precision, x[3]);
            // Whole sums of products are transformed part by part.
            let parts = if precision == Precision::Int8 { words.div_ceil(depth) } else { 1 };
            let sums = tiles * tile.sums() * conv.filters * parts;
            let made = wide_words(precision, made_inputs(algorithm, conv, x, y));
            let transforms = TRANSFORM * (made + sums);
            if fused {
                let made = tiles.div_ceil(GROUP) * made_weights(algorithm, conv, x);
                return read.max(products + made * FUSE / 100) + transforms;
            }
            let times = if made_once(depth, words, conv) { 1 } else { tiles.div_ceil(block) };
            let moved = times * (weights(algorithm, precision, conv, x) + made_weights(algorithm, conv, x));
            read.max(products / rate) + transforms + MAKE * wide_words(precision, moved)
        }
        Algorithm::WinogradRows { .. } => {
            let Some(rows) = Rows::of(conv.kernel, conv.stride, x[3]) else { return usize::MAX };
            let columns = y[0] * y[1].div_ceil(BAND) * y[2];
            let products = columns * rows.runs * rows.run * conv.filters;
            let sums = columns * rows.points * conv.filters;
            read.max(products)
                + TRANSFORM * (made_inputs(algorithm, conv, x, y) + sums)
                + MAKE * made_weights(algorithm, conv, x)
        }
        Algorithm::Strassen { block } => {
            let pairs = (y[0] * y[1] * y[2]).div_ceil(2);
            let products = pairs * x[3] * conv.filters / 4 * PRODUCTS;
            // Those that are kept, and the outputs that are made of them without a product.
            let sums = pairs * (PLANES + 1) * (conv.filters / 2);
            let made = wide_words(precision, made_inputs(algorithm, conv, x, y));
            let widened = if precision == Precision::F32 {
                0
            } else {
                let words = wide_words(precision, x[3]);
                WIDEN * (pairs.div_ceil(block) * words * conv.filters / 4 * PRODUCTS + 2 * pairs * words)
            };
            read.max(products / rate) + TRANSFORM * (made + sums) + widened
        }
    }
}

/// Numbers of the kernel as it is stored.
pub(crate) fn weights(algorithm: Algorithm, precision: Precision, conv: &Conv2d, x: Dims) -> usize {
    let weights = conv.kernel[0] * conv.kernel[1] * x[3] * conv.filters;
    match algorithm {
        Algorithm::Direct | Algorithm::Winograd { .. } | Algorithm::WinogradRows { .. } => weights,
        Algorithm::Strassen { .. } if precision == Precision::F32 => weights / 4 * PRODUCTS,
        Algorithm::Strassen { .. } => weights,
    }
}

/// Numbers of the kernel that are transformed when they are used: in memory, once a block, or once a thread if only rows are
/// transformed; by products themselves, once a group of tiles.
pub(crate) fn made_weights(algorithm: Algorithm, conv: &Conv2d, x: Dims) -> usize {
    match algorithm {
        Algorithm::Direct | Algorithm::Strassen { .. } => 0,
        Algorithm::Winograd { fused, .. } => {
            let tile = Tile::of(conv.stride[0]);
            (if fused { fused_kernels_of(tile) } else { made_kernels_of(tile) }) * x[3] * conv.filters
        }
        Algorithm::WinogradRows { .. } => {
            Rows::of(conv.kernel, conv.stride, x[3]).map_or(0, |rows| rows.runs * rows.run * conv.filters)
        }
    }
}

/// Numbers of the input that are transformed.
pub(crate) fn made_inputs(algorithm: Algorithm, conv: &Conv2d, x: Dims, y: Dims) -> usize {
    match algorithm {
        Algorithm::Direct => 0,
        Algorithm::Winograd { fused, .. } => {
            let tile = Tile::of(conv.stride[0]);
            tiles_of(tile, y) * if fused { tile.products() } else { made_inputs_of(tile) } * x[3]
        }
        Algorithm::WinogradRows { block } => Rows::of(conv.kernel, conv.stride, x[3]).map_or(0, |rows| {
            y[0] * y[1].div_ceil(BAND) * y[2].div_ceil(block) * rows.runs * rows.row(block)
        }),
        Algorithm::Strassen { .. } => (y[0] * y[1] * y[2]).div_ceil(2) * SUMS * (x[3] / 2),
    }
}

/// Multiply-adds in the time of one of f32. Fewer products than a direct sum has are products of widened elements.
fn rate(algorithm: Algorithm, class: Class, precision: Precision) -> usize {
    match (precision, class) {
        (Precision::F32, _) | (Precision::Bf16, Class::Wide) => 1,
        (Precision::Bf16, Class::Dots) => {
            if algorithm == Algorithm::Direct {
                2
            } else {
                1
            }
        }
        (Precision::Int8, Class::Wide) => 2,
        (Precision::Int8, Class::Dots) => {
            if algorithm == Algorithm::Direct {
                4
            } else {
                2
            }
        }
        (_, Class::Tiles) => 16,
    }
}

/// Whether the transformed weights of so many words of inputs are there at the same time, to be used by one block after the other.
fn made_once(depth: usize, words: usize, conv: &Conv2d) -> bool {
    depth >= words && conv.filters <= PANEL
}

/// Tiles of an output.
fn tiles_of(tile: Tile, [batch, height, width, _]: Dims) -> usize {
    batch * tile.count([height, width])
}

/// Products along a side of the image: the last tile takes those that its outputs need.
fn products_of(tile: Tile, size: usize) -> usize {
    let side = |outputs: usize| match (tile, outputs) {
        (_, 0) => 0,
        (Tile::Four, _) => outputs + 2,
        (Tile::TwoOfStride2, _) => 2 * outputs + 1,
    };
    size / tile.output() * side(tile.output()) + side(size % tile.output())
}

/// Inputs of a tile that are transformed: of stride 2, nine are taken as they are.
fn made_inputs_of(tile: Tile) -> usize {
    match tile {
        Tile::Four => tile.products(),
        Tile::TwoOfStride2 => tile.products() - 9,
    }
}

/// Weights that are transformed in memory: of stride 1, four are taken as they are, of stride 2, nine.
fn made_kernels_of(tile: Tile) -> usize {
    match tile {
        Tile::Four => tile.kernels() - 4,
        Tile::TwoOfStride2 => tile.kernels() - 9,
    }
}

/// Weights that products make for a group of tiles: rows of the first side, then of each row the second side.
fn fused_kernels_of(tile: Tile) -> usize {
    match tile {
        Tile::Four => 4 * 6 + 6 * 6,
        Tile::TwoOfStride2 => 3 + 5,
    }
}
