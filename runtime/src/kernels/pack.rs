//! Weights in the order in which the convolution reads them.
//!
//! ```text
//! for each panel of output channels (the last one as wide as its channels fill vectors):
//!     for each word of the KH * KW * C inputs:  the panel's channels, filled up with zeros
//! ```
//! A word is one f32, or two bf16 or four int8 of inputs that follow each other.

use std::ops::Range;

use resnet_plan::Precision;

use crate::elements::Elements;
use crate::kernels::Kernels;

/// Words of a packed kernel of `depth` words of inputs and `channels` outputs.
pub fn packed_len(kernels: &Kernels, precision: Precision, depth: usize, channels: usize) -> usize {
    depth.saturating_mul(padded(kernels, precision, channels))
}

/// Output channels, filled up to whole vectors: the length of a packed bias.
pub fn padded(kernels: &Kernels, precision: Precision, channels: usize) -> usize {
    channels.div_ceil(shape(kernels, precision).0).saturating_mul(shape(kernels, precision).0)
}

/// The panels of `channels` output channels: which channels each holds, and its width in the packed kernel.
pub fn panels(
    kernels: &Kernels,
    precision: Precision,
    channels: usize,
) -> impl Iterator<Item = (Range<usize>, usize)> {
    let (lanes, panel) = shape(kernels, precision);
    (0..channels).step_by(panel).map(move |first| {
        let range = first..first.saturating_add(panel).min(channels);
        let width = range.len().next_multiple_of(lanes);
        (range, width)
    })
}

/// Whether signed int8 inputs are moved by 128 to be multiplied, so that the sums of an output must begin with
/// -128 times the sum of its weights.
pub fn moves_signed(kernels: &Kernels) -> bool {
    kernels.int8.as_ref().is_none_or(|dots| dots.moves_signed)
}

/// Vector and panel.
fn shape(kernels: &Kernels, precision: Precision) -> (usize, usize) {
    kernels.dots(precision).map_or((kernels.lanes, kernels.panel), |dots| (dots.lanes, dots.panel))
}

/// Packs a kernel given as `[depth, channels]`, row by row: f32, bf16 or i8.
///
/// # Panics
/// If `kernel` does not hold `depth * channels` elements, or `packed` not [`packed_len`]; if `depth` is not whole words.
pub fn pack(kernels: &Kernels, kernel: Elements<'_>, depth: usize, channels: usize, packed: &mut [f32]) {
    let precision = match kernel {
        Elements::F32(_) => Precision::F32,
        Elements::Bf16(_) => Precision::Bf16,
        Elements::U8(_) | Elements::I8(_) => Precision::Int8,
    };
    let per_word = precision.per_word();
    assert_eq!(kernel.len(), depth.saturating_mul(channels), "the kernel has another shape");
    assert!(depth.is_multiple_of(per_word), "the kernel is not whole words");
    let words = depth / per_word;
    assert_eq!(
        packed.len(),
        packed_len(kernels, precision, words, channels),
        "the packed kernel has another length"
    );
    let mut rest = packed;
    for (range, width) in panels(kernels, precision, channels) {
        let (panel, behind) = rest.split_at_mut(words * width);
        rest = behind;
        panel.fill(0.0);
        for input in 0..depth {
            let row = &mut panel[input / per_word * width..][..range.len()];
            for (word, output) in row.iter_mut().zip(range.clone()) {
                let place = input * channels + output;
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
}

/// Puts an element's bits into its place in a word that is zero there.
#[inline(always)]
pub(crate) fn put(word: &mut f32, precision: Precision, place: usize, bits: u32) {
    *word = f32::from_bits(word.to_bits() | bits << (32 / precision.per_word() * place));
}
