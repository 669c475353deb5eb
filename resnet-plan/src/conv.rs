//! Convolutions: what is computed, and the geometry that kernels take.

use std::fmt;
use std::str::FromStr;

use crate::activation::Activation;
use crate::algorithm::{Algorithms, Channels, VECTOR};
use crate::constant::constant;
use crate::element::{Element, Precision};
use crate::pixels::{Area, Fault, Pixels, plus, same_batch, times, try_const};

/// Blocks of channels that a convolution of so many groups is computed in, from so many channels to so many. Narrow groups of
/// as many inputs as outputs are blocks of their own, or as many as fill a word are one; kernels put several into a vector. Of others, as many
/// neighbours are merged as have 16 outputs together, and whole words. 1: all, as zeros stand where a kernel has no weights.
pub const fn blocks(groups: usize, [inputs, outputs]: [usize; 2], precision: Precision) -> usize {
    /// Of more groups, most of a block would be zeros.
    const MOST_MERGED: usize = 64;
    let narrow = groups > 1 && inputs == outputs && outputs >= VECTOR && inputs.is_multiple_of(groups);
    if narrow && matches!(inputs / groups, 1 | 2 | 4 | 8) {
        let whole_words = inputs / precision.per_word();
        if whole_words >= groups {
            return groups;
        } else if whole_words * precision.per_word() == inputs {
            return whole_words;
        }
    }
    let mut merged = 1;
    while merged <= MOST_MERGED && merged < groups {
        let blocks = groups / merged;
        let whole = blocks * merged == groups
            && inputs.is_multiple_of(times(4, blocks))
            && outputs.is_multiple_of(times(4, blocks));
        if whole && outputs / blocks >= VECTOR {
            return blocks;
        }
        merged += 1;
    }
    1
}

/// A convolution between two values, and what is done with its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// From a window's row or column to the next, in rows or columns of the input: 1 where it has no gaps.
    pub dilation: [usize; 2],
    /// Blocks of channels, each of which is computed from as large a part of the input's; see [`blocks`].
    pub blocks: usize,
    /// Row and column of the input tensor at which the first window begins.
    pub from: [usize; 2],
    /// What the output holds, to be added.
    pub residual: Residual,
    /// What becomes of the sums.
    pub activation: Activation,
    /// How it is computed.
    pub algorithms: Algorithms,
    /// What the threads share out.
    pub split: Split,
}

/// What the output of a convolution or sum holds, to be added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Residual {
    /// Nothing.
    None,
    /// Elements of the output's type.
    Same,
    /// int8, with a quantization scale of its own.
    Quantized {
        /// Whether they are signed.
        signed: bool,
        /// The ratio of that to the output's scale.
        scale: f32,
    },
}

/// What the threads of a convolution share out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Output pixels: every thread reads all weights.
    Pixels,
    /// Output channels: every thread reads its own part of the weights, and the whole input.
    Channels,
}

/// A convolution as kernels take it: its geometry, and what is done with its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convolution {
    /// Its geometry.
    pub geometry: ConvGeometry,
    /// How it is computed.
    pub algorithms: Algorithms,
    /// What the output holds, to be added.
    pub residual: Residual,
    /// What becomes of the sums.
    pub activation: Activation,
    /// The output's quantization scale, with which activations multiply its integers; 1 where there is none.
    pub scale: f32,
    /// What the threads share out.
    pub split: Split,
    /// Whether each channel's sums are multiplied with an element of the image's gate, before what the output holds is added.
    pub gated: bool,
}

/// A convolution as row runs: for each row of the kernel, the elements that an output pixel needs lie next to each other. Where columns of the
/// window have gaps in between, or only a block of their channels is needed, a row is several runs: its taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Images.
    pub batch: usize,
    /// Output height and width.
    pub output: [usize; 2],
    /// Rows of the kernel: KH.
    pub rows: usize,
    /// Runs of a row: 1, or KW.
    pub taps: usize,
    /// Words of a run: KW * C elements, or a block's channels. (A word is four bytes: one f32, two bf16 or four int8.)
    pub run: usize,
    /// Words from one row of the window to the next.
    pub pitch: usize,
    /// Words from one tap to the next.
    pub tap: usize,
    /// Blocks of channels; a run further on begins the input of the next one.
    pub blocks: usize,
    /// Output channels of all blocks.
    pub channels: usize,
    /// Where the windows begin in the input, in words.
    pub x: Pixels,
    /// Where the pixels lie in the output, in elements.
    pub y: Pixels,
}

constant!(struct Conv { kernel, stride, dilation, blocks, from, residual, activation, algorithms, split });
constant!(enum Residual { None, Same, Quantized { signed, scale } });
constant!(
    enum Split {
        Pixels,
        Channels,
    }
);

impl Residual {
    /// What elements are that lie where others are written.
    pub const fn of(before: Option<Element>, output: Element) -> Residual {
        match before {
            None => Residual::None,
            Some(Element::F32 | Element::Bf16) => Residual::Same,
            Some(before) => Residual::Quantized { signed: before.is_signed(), scale: before.ratio(output) },
        }
    }

    /// Whether there is something to add.
    pub const fn is_some(self) -> bool {
        !matches!(self, Residual::None)
    }
}

impl Conv {
    /// The rows and columns of the input that the windows of so many output rows and columns cover: `[top, bottom, left, right]`, the
    /// second and fourth exclusive, or [`usize::MAX`]. There is at least one output.
    pub const fn reads(&self, output: [usize; 2]) -> [usize; 4] {
        let Conv { from, stride, .. } = self;
        let bottom = plus(plus(from[0], times(output[0] - 1, stride[0])), self.covered(0));
        let right = plus(plus(from[1], times(output[1] - 1, stride[1])), self.covered(1));
        [from[0], bottom, from[1], right]
    }

    /// Words of four bytes that each thread needs to work in, from so many channels to so many; or [`usize::MAX`].
    pub const fn scratch_len(&self, precision: Precision, channels: [usize; 2]) -> usize {
        let channels = Channels { all: channels, blocks: self.blocks };
        self.algorithms.scratch_len(precision, self.kernel, self.stride, channels)
    }

    /// Rows or columns from the first of a window to the end of its last.
    const fn covered(&self, axis: usize) -> usize {
        plus(times(self.kernel[axis].saturating_sub(1), self.dilation[axis]), 1)
    }
}

impl Convolution {
    /// The convolution from `x`, whose elements a layer computes with in a precision, to `y`, whose elements have a quantization `scale`, or 1.
    ///
    /// # Errors
    /// If batches differ, a pixel of `x` is not whole words, a window reaches outside `x`, a value outside its tensor, channels
    /// are not as many blocks of whole words, or the algorithm does not compute such windows.
    pub const fn new(conv: Conv, x: Area, precision: Precision, y: Area, scale: f32) -> Result<Self, Fault> {
        let Conv { kernel, stride, dilation, blocks, from, residual, activation, algorithms, split } = conv;
        let per_word = precision.per_word();
        try_const!(same_batch(&x, &y));
        try_const!(y.check());
        if !x.dims[3].is_multiple_of(per_word) {
            return Err(Fault::new("a pixel of the input is not whole words"));
        }
        if kernel[0] == 0 || kernel[1] == 0 || x.is_empty() {
            return Err(Fault::new("a window is empty"));
        }
        if dilation[0] == 0 || dilation[1] == 0 {
            return Err(Fault::new("a dilation is 0"));
        }
        let (inputs, outputs) = (x.dims[3], y.dims[3]);
        let channels = Channels { all: [inputs, outputs], blocks };
        if blocks == 0 || !inputs.is_multiple_of(times(blocks, per_word)) || !outputs.is_multiple_of(blocks) {
            return Err(Fault::new("the channels are not as many blocks of whole words"));
        }
        let [_, bottom, _, right] = conv.reads(y.size);
        if bottom > x.dims[1] {
            return Err(Fault::new("a window reaches below the input"));
        }
        if right > x.dims[2] {
            return Err(Fault::new("a window reaches beyond the right edge of the input"));
        }
        if (dilation[0] > 1 || dilation[1] > 1) && !algorithms.dilate()
            || !algorithms.compute(precision, kernel, stride, channels)
        {
            return Err(Fault::new("the algorithm does not compute this convolution"));
        }
        let gaps = kernel[1] > 1 && (dilation[1] > 1 || blocks > 1);
        let (taps, columns) = if gaps { (kernel[1], 1) } else { (1, kernel[1]) };
        let geometry = ConvGeometry {
            batch: y.dims[0],
            output: y.size,
            rows: kernel[0],
            taps,
            run: times(columns, inputs / blocks) / per_word,
            pitch: times(dilation[0], times(x.dims[2], inputs)) / per_word,
            tap: times(dilation[1], inputs) / per_word,
            blocks,
            channels: outputs,
            x: x.pixels(from, stride).words(per_word),
            y: y.interior(),
        };
        Ok(Convolution { geometry, algorithms, residual, activation, scale, split, gated: false })
    }

    /// The same with a gate: one pixel an image, of as many channels as the output `y`.
    ///
    /// # Errors
    /// If the gate has another shape or a halo, the convolution has groups, or the algorithm does not multiply its sums.
    pub const fn gated(self, gate: Area, y: Area) -> Result<Self, Fault> {
        try_const!(same_batch(&gate, &y));
        if !gate.is_dense() || gate.dims[1] != 1 || gate.dims[2] != 1 || gate.dims[3] != y.dims[3] {
            return Err(Fault::new("the gate is not one pixel an image, of the output's channels"));
        }
        if self.geometry.blocks > 1 {
            return Err(Fault::new("a convolution in groups has no gate"));
        }
        if !self.algorithms.gate() {
            return Err(Fault::new("the algorithm does not multiply its sums with a gate"));
        }
        Ok(Convolution { gated: true, ..self })
    }
}

impl ConvGeometry {
    /// Whether nothing is computed.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.output[0] == 0 || self.output[1] == 0 || self.channels == 0
    }

    /// Words of the kernel of one output channel, or [`usize::MAX`].
    pub const fn depth(&self) -> usize {
        times(times(self.rows, self.taps), self.run)
    }

    /// Where a run begins in the window of a pixel, counted row by row; 0 if rows have no runs. Of a geometry that fits.
    pub const fn run_at(&self, index: usize) -> usize {
        match self.taps {
            0 => 0,
            taps => index / taps * self.pitch + index % taps * self.tap,
        }
    }

    /// Output channels of a block.
    pub const fn block_channels(&self) -> usize {
        self.channels / self.blocks
    }

    /// Whether all windows lie in an input of so many words, and each output pixel has elements of its own among so many.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_words: usize, y_elements: usize) -> Result<(), Fault> {
        if self.blocks == 0 || !self.channels.is_multiple_of(self.blocks) {
            return Err(Fault::new("the channels are not as many blocks"));
        }
        let last_tap = plus(
            times(self.rows.saturating_sub(1), self.pitch),
            times(self.taps.saturating_sub(1), self.tap),
        );
        let reach = plus(last_tap, times(self.blocks, self.run));
        if self.x.end(self.batch, self.output, reach) > x_words {
            return Err(Fault::new("windows reach outside the input"));
        }
        if !self.y.hold(self.batch, self.output, self.channels, y_elements) {
            return Err(Fault::new("pixels lie outside the output, or overlap"));
        }
        Ok(())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Pixels => "pixels",
            Split::Channels => "channels",
        })
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pixels" => Ok(Split::Pixels),
            "channels" => Ok(Split::Channels),
            _ => Err(format!("`{text}` is not a split: pixels or channels")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fill_vectors_and_words() {
        for (groups, channels, f32, [bf16, int8]) in [
            (1, [64, 64], 1, [1, 1]),
            // 32 groups of 4, 8, 16 and 32 channels.
            (32, [128, 128], 32, [32, 32]),
            (32, [256, 256], 32, [32, 32]),
            (32, [512, 512], 32, [32, 32]),
            (32, [1024, 1024], 32, [32, 32]),
            // Depthwise, and with more outputs.
            (96, [96, 96], 96, [48, 24]),
            (67, [67, 67], 67, [1, 1]),
            (96, [96, 192], 12, [12, 12]),
            // Too few outputs, or groups that cannot be merged.
            (2, [16, 16], 2, [2, 2]),
            (2, [8, 8], 1, [1, 1]),
            (3, [60, 60], 3, [3, 3]),
            (67, [67, 134], 1, [1, 1]),
            // Pixels are whole words of int8.
            (2, [36, 36], 1, [1, 1]),
            (usize::MAX, [usize::MAX; 2], usize::MAX, [1, 1]),
            (0, [0, 0], 1, [1, 1]),
        ] {
            for (precision, expected) in
                [(Precision::F32, f32), (Precision::Bf16, bf16), (Precision::Int8, int8)]
            {
                let found = blocks(groups, channels, precision);
                assert_eq!(found, expected, "{groups} groups of {channels:?} in {precision}");
            }
        }
    }
}
