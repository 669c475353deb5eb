//! Weights in the order in which the convolution reads them.
//!
//! ```text
//! for each panel of output channels (the last one as wide as its channels fill vectors):
//!     for each k of the KH * KW * C inputs:  the panel's channels, filled up with zeros
//! ```

use std::ops::Range;

use crate::isa::Isa;

/// Elements of a packed kernel of `depth` inputs and `channels` outputs.
pub fn packed_len(isa: Isa, depth: usize, channels: usize) -> usize {
    depth * padded(isa, channels)
}

/// Output channels, filled up to whole vectors: the length of a packed bias.
pub fn padded(isa: Isa, channels: usize) -> usize {
    channels.next_multiple_of(isa.kernels().lanes)
}

/// The panels of `channels` output channels: which channels each holds, and its width in the packed kernel.
pub fn panels(isa: Isa, channels: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
    let (lanes, panel) = (isa.kernels().lanes, isa.kernels().panel);
    (0..channels).step_by(panel).map(move |first| {
        let range = first..(first + panel).min(channels);
        let width = range.len().next_multiple_of(lanes);
        (range, width)
    })
}

/// Packs a kernel given as `[depth, channels]`, row by row.
///
/// # Panics
/// If `kernel` does not hold `depth * channels` numbers, or `packed` not [`packed_len`].
pub fn pack(isa: Isa, kernel: &[f32], depth: usize, channels: usize, packed: &mut [f32]) {
    assert_eq!(kernel.len(), depth * channels, "the kernel has another shape");
    assert_eq!(packed.len(), packed_len(isa, depth, channels), "the packed kernel has another length");
    let mut rest = packed;
    for (range, width) in panels(isa, channels) {
        let (panel, behind) = rest.split_at_mut(depth * width);
        rest = behind;
        for (to, from) in panel.chunks_exact_mut(width).zip(kernel.chunks_exact(channels)) {
            let (numbers, padding) = to.split_at_mut(range.len());
            numbers.copy_from_slice(&from[range.clone()]);
            padding.fill(0.0);
        }
    }
}
