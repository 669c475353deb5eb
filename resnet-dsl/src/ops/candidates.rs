//! The ways to compute a convolution: the algorithms for its window and stride, and why some of them are refused.

use std::fmt;

use resnet_plan::algorithm::{
    Channels, LARGEST_BLOCK, LARGEST_COLUMNS, LARGEST_PAIRS, PANEL, VECTOR, largest_depth,
};
use resnet_plan::winograd::{Rows, Tile};
use resnet_plan::{Algorithm, Precision};

use crate::ops::cost::{Layer, MADE_BYTES, tiles_of};

/// Why an algorithm for windows of this size and stride does not compute a convolution. `Display`: in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The convolution has groups; without them, the algorithm would compute as many channels.
    Groups,
    /// It has a dilation.
    Dilation,
    /// It has a gate.
    Gate,
    /// Its input or output channels, or those of a group, are no multiples of these numbers.
    Channels {
        /// What inputs and outputs would have to be multiples of.
        multiples: [usize; 2],
        /// Whether these are a group's.
        grouped: bool,
    },
    /// Elements are narrower than f32.
    Narrow,
    /// Sums of products could overflow their integers.
    Range,
    /// Stored weights would take so many more bytes than a direct sum's: more than the limit.
    Growth(usize),
    /// Transformed weights would take so many bytes: more than the limit.
    Transformed(usize),
}

/// The most bytes of a block's transformed inputs: an L2 cache. Where weights are transformed once and for all of them, those,
/// the inputs and the sums of products stay in it together.
const BLOCK_BYTES: usize = 1 << 20;
/// The same for Winograd's inputs: each is read once a panel and in order, which the L3 cache is fast enough for, and the
/// larger the block, the less often all weights are transformed.
const TILES_BYTES: usize = 3 << 20;
/// Input channels whose weights are transformed at a time where products transform them: all nine weights of a window stay in the
/// L1 cache.
const FUSED_DEPTH: usize = 32;
/// What Strassen's algorithm may add to the weights of a layer, in bytes: they are stored, so this much memory is the price.
const LARGEST_GROWTH: usize = 3 << 19;
/// What blocks of pairs of pixels are made of: a multiple of the tiles of all instruction sets.
const PAIRS: usize = 12;

impl Layer<'_> {
    /// All that can compute it, the direct sum first.
    pub(crate) fn candidates(&self) -> Vec<Algorithm> {
        self.proposed().into_iter().filter(|algorithm| self.refusal(*algorithm).is_none()).collect()
    }

    /// Algorithms for such windows that are refused, and why.
    pub(crate) fn refused(&self) -> Vec<(Algorithm, Refusal)> {
        self.proposed()
            .into_iter()
            .filter_map(|algorithm| Some((algorithm, self.refusal(algorithm)?)))
            .collect()
    }

    /// All algorithms for such windows, refused ones too.
    fn proposed(&self) -> Vec<Algorithm> {
        let Layer { conv, precision, x, y } = *self;
        let (words, pixels) = (self.words(x[3]), self.pixels());
        let mut proposed = vec![Algorithm::Direct];
        if conv.kernel == [3, 3] && matches!(conv.stride, [1, 1] | [2, 2]) {
            let tile = Tile::of(conv.stride[0]);
            let tiles = tiles_of(conv, tile, y);
            // Blocks of one size, so that none is nearly empty.
            let block = |most: usize| tiles.div_ceil(tiles.div_ceil(most.clamp(1, LARGEST_BLOCK)));
            // Blocks of channels are transformed one after the other.
            let words = self.words(self.block_inputs());
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
            proposed.push(Algorithm::Winograd { output, block: block(most), depth, fused: false });
            let most = BLOCK_BYTES / (size_of::<f32>() * tile.products() * words);
            proposed.push(Algorithm::Winograd {
                output,
                block: block(most),
                depth: FUSED_DEPTH,
                fused: true,
            });
        }
        if Rows::of(conv.kernel, conv.stride, words).is_some() {
            let block = y[2].div_ceil(y[2].div_ceil(LARGEST_COLUMNS));
            proposed.push(Algorithm::WinogradRows { block });
        }
        if conv.kernel == [1, 1] {
            let most = BLOCK_BYTES / (size_of::<f32>() * 2 * words) / PAIRS * PAIRS;
            let pairs = pixels.div_ceil(2);
            let block = pairs.div_ceil(pairs.div_ceil(most.clamp(PAIRS, LARGEST_PAIRS)));
            proposed.push(Algorithm::Strassen { block: block.next_multiple_of(PAIRS) });
        }
        proposed
    }

    /// Why an algorithm is refused, if it is.
    fn refusal(&self, algorithm: Algorithm) -> Option<Refusal> {
        let Layer { conv, precision, x, .. } = *self;
        if conv.gated && !algorithm.gates() {
            return Some(Refusal::Gate);
        }
        if conv.dilation != [1, 1] && !algorithm.dilates() {
            return Some(Refusal::Dilation);
        }
        // As the graph has them, and filled up to whole words, as kernels do.
        let graph = conv.channels(x[3], precision);
        let [inputs, filters] = graph.all;
        let stored = Channels { all: [inputs.next_multiple_of(precision.per_word()), filters], ..graph };
        let multiples = |precision: Precision| Refusal::Channels {
            multiples: algorithm.multiples(precision, conv.stride[0]),
            grouped: conv.groups > 1,
        };
        if !conv.allows(algorithm, inputs) {
            let dense = algorithm.computes(conv.kernel, conv.stride, Channels::dense(graph.all));
            return Some(if dense { Refusal::Groups } else { multiples(Precision::F32) });
        }
        if !algorithm.computes_in(precision, conv.kernel, conv.stride, stored) {
            return Some(match algorithm {
                Algorithm::Winograd { .. } => Refusal::Narrow,
                Algorithm::WinogradRows { .. } => Refusal::Range,
                Algorithm::Direct | Algorithm::Strassen { .. } => multiples(precision),
            });
        }
        let bytes = |words: usize| size_of::<f32>() * words;
        match algorithm {
            Algorithm::Direct | Algorithm::Winograd { .. } => None,
            Algorithm::WinogradRows { .. } => {
                let made = bytes(self.made_weights(algorithm));
                (made > MADE_BYTES).then_some(Refusal::Transformed(made))
            }
            Algorithm::Strassen { .. } => {
                let growth = bytes(self.weights(algorithm).saturating_sub(self.weights(Algorithm::Direct)));
                (growth > LARGEST_GROWTH).then_some(Refusal::Growth(growth))
            }
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
            Refusal::Channels { multiples: [a, b], grouped } => {
                let whose = if grouped { " of a group" } else { "" };
                if a == b {
                    write!(f, "channels{whose} are no multiples of {a}")
                } else {
                    write!(f, "inputs{whose} are no multiples of {a}, or outputs of {b}")
                }
            }
            Refusal::Narrow => f.write_str("f32 only"),
            Refusal::Range => f.write_str("sums could overflow"),
            Refusal::Growth(bytes) => {
                let (bytes, most) = (megabytes(bytes), megabytes(LARGEST_GROWTH));
                write!(f, "weights would take {bytes:.1} MB more, the limit is {most:.1}")
            }
            Refusal::Transformed(bytes) => {
                let (bytes, most) = (megabytes(bytes), megabytes(MADE_BYTES));
                write!(f, "transformed weights would take {bytes:.1} MB, the limit is {most:.1}")
            }
        }
    }
}
