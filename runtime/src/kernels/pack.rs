//! Weights in the order in which the convolution reads them.
//!
//! ```text
//! for each panel of output channels (the last one as wide as its channels fill vectors):
//!     for each word of the KH * KW * C inputs:  the panel's channels, filled up with zeros
//! ```
//! A word is one f32, or two bf16 or four int8 of inputs that follow each other.

use resnet_plan::Precision;

use crate::elements::Elements;
use crate::kernels::Kernels;
use crate::kernels::groups;
use crate::kernels::panels::Panels;

/// Words of a packed kernel of `depth` words of inputs and `channels` outputs.
pub fn packed_len(kernels: &Kernels, precision: Precision, depth: usize, channels: usize) -> usize {
    depth.saturating_mul(padded(kernels, precision, channels))
}

/// Output channels, filled up to whole vectors: the length of a packed bias.
pub fn padded(kernels: &Kernels, precision: Precision, channels: usize) -> usize {
    Panels::new(kernels, precision, 1, [0, channels]).padded()
}

/// Whether signed int8 inputs are moved by 128 to be multiplied, so that the sums of an output must begin with
/// -128 times the sum of its weights: of so many blocks, each of so many inputs and outputs.
pub fn moves_signed(kernels: &Kernels, blocks: usize, [inputs, outputs]: [usize; 2]) -> bool {
    let words = inputs.div_ceil(Precision::Int8.per_word());
    groups::panel(kernels, Precision::Int8, blocks, [words, outputs]).is_some()
        || kernels.int8.as_ref().is_none_or(|dots| dots.moves_signed)
}

/// Packs a kernel given as `[depth, channels]`, row by row: f32, bf16 or i8.
///
/// # Panics
/// If `kernel` does not hold `depth * channels` elements, or `packed` not [`packed_len`]; if `depth` is not whole words.
pub fn pack(kernels: &Kernels, kernel: Elements<'_>, depth: usize, channels: usize, packed: &mut [f32]) {
    let blocks = pack_blocks(kernels, kernel, 1, [1, depth], channels);
    assert_eq!(packed.len(), blocks.len(), "the packed kernel has another length");
    packed.copy_from_slice(&blocks);
}

/// The same for so many blocks of channels, of a kernel given as `[positions, inputs, channels]`: inputs of a block, channels of all.
///
/// # Panics
/// If `kernel` does not hold as many elements, the inputs are not whole words, or the channels not as many blocks.
pub fn pack_blocks(
    kernels: &Kernels,
    kernel: Elements<'_>,
    blocks: usize,
    [positions, inputs]: [usize; 2],
    channels: usize,
) -> Vec<f32> {
    let precision = match kernel {
        Elements::F32(_) => Precision::F32,
        Elements::Bf16(_) => Precision::Bf16,
        Elements::U8(_) | Elements::I8(_) => Precision::Int8,
    };
    let (per_word, depth) = (precision.per_word(), positions.saturating_mul(inputs));
    assert_eq!(kernel.len(), depth.saturating_mul(channels), "the kernel has another shape");
    assert!(inputs.is_multiple_of(per_word), "the kernel is not whole words");
    assert!(channels.is_multiple_of(blocks), "the channels are not as many blocks");
    let panels = Panels::new(kernels, precision, blocks, [inputs / per_word, channels / blocks]);
    let mut packed = vec![0.0; (depth / per_word).saturating_mul(panels.padded())];
    let mut rest = &mut packed[..];
    for panel in (0..panels.count()).map(|index| panels.at(index)) {
        let (rows, behind) = rest.split_at_mut(depth / per_word * panel.width);
        rest = behind;
        for input in 0..depth {
            let row = &mut rows[input / per_word * panel.width..][..panel.channels];
            for (lane, word) in row.iter_mut().enumerate() {
                let place = input * channels + panel.first + lane;
                let bits = match kernel {
                    Elements::F32(kernel) => kernel[place].to_bits(),
                    Elements::Bf16(kernel) => u32::from(kernel[place].to_bits()),
                    Elements::U8(kernel) => u32::from(kernel[place]),
                    Elements::I8(kernel) => u32::from(kernel[place].cast_unsigned()),
                };
                put(word, precision, input % per_word, bits);
            }
        }
    }
    packed
}

/// A list of an element for each output channel of so many blocks, each of so many inputs and outputs: filled up to whole vectors.
pub fn pack_list(
    kernels: &Kernels,
    precision: Precision,
    blocks: usize,
    [inputs, outputs]: [usize; 2],
    numbers: &[f32],
) -> Vec<f32> {
    let panels = Panels::new(kernels, precision, blocks, [inputs.div_ceil(precision.per_word()), outputs]);
    let mut list = vec![0.0; panels.padded()];
    for (channel, number) in numbers.iter().enumerate() {
        list[panels.place(channel)] = *number;
    }
    list
}

/// Puts an element's bits into its place in a word that is zero there.
#[inline(always)]
pub(crate) fn put(word: &mut f32, precision: Precision, place: usize, bits: u32) {
    *word = f32::from_bits(word.to_bits() | bits << (32 / precision.per_word() * place));
}
