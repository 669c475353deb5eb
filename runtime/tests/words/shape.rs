//! Convolutions of bf16 and int8 to be tested, and which elements are multiplied for an output.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use resnet_plan::algorithm::Channels;
use resnet_plan::winograd::MOST_PRODUCTS;
use resnet_plan::{Activation, Algorithm, Algorithms, ConvGeometry, Convolution, Pixels, Residual, Split};
use resnet_runtime::Precision;
use resnet_runtime::threads::Threads;

use crate::common::dilation;

/// A convolution of an input without halo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) output: [usize; 2],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Blocks of channels.
    pub(crate) blocks: usize,
    /// Columns that the output has more.
    pub(crate) margin: usize,
    pub(crate) by_channels: bool,
    pub(crate) threads: usize,
    /// How it is computed, but on tiles.
    pub(crate) algorithm: Algorithm,
}

impl Shape {
    pub(crate) fn size(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            (self.output[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
        })
    }

    /// Weights of an output.
    pub(crate) fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs / self.blocks
    }

    pub(crate) fn input_len(&self) -> usize {
        self.batch * self.size()[0] * self.size()[1] * self.inputs
    }

    pub(crate) fn output_len(&self) -> usize {
        self.batch * self.output[0] * (self.output[1] + self.margin) * self.outputs
    }

    /// Threads with as much memory to work in as they need.
    pub(crate) fn team(&self, precision: Precision) -> Threads {
        let channels = Channels { all: [self.inputs, self.outputs], blocks: self.blocks };
        let scratch = self.algorithm.scratch_len(precision, self.kernel, self.stride, channels);
        Threads::new(NonZeroUsize::new(self.threads).unwrap(), size_of::<f32>() * scratch).unwrap()
    }

    pub(crate) fn convolution(
        &self,
        precision: Precision,
        residual: Residual,
        activation: Activation,
        scale: f32,
    ) -> Convolution {
        let [height, width] = self.size();
        let words = self.inputs / precision.per_word();
        let row = (self.output[1] + self.margin) * self.outputs;
        let taps = if self.blocks > 1 || self.dilation[1] > 1 { self.kernel[1] } else { 1 };
        let geometry = ConvGeometry {
            batch: self.batch,
            output: self.output,
            rows: self.kernel[0],
            taps,
            run: self.kernel[1] / taps * words / self.blocks,
            pitch: self.dilation[0] * width * words,
            tap: self.dilation[1] * words,
            blocks: self.blocks,
            channels: self.outputs,
            x: Pixels {
                start: 0,
                image: height * width * words,
                row: self.stride[0] * width * words,
                pixel: self.stride[1] * words,
            },
            y: Pixels { start: 0, image: self.output[0] * row, row, pixel: self.outputs },
        };
        let split = if self.by_channels { Split::Channels } else { Split::Pixels };
        let algorithms = Algorithms { tiles: Algorithm::Direct, ..Algorithms::all(self.algorithm) };
        Convolution { geometry, algorithms, residual, activation, scale, split, gated: false }
    }

    /// Calls `each` with a place in the output, its channel, and the places of input and kernel that are multiplied for it.
    pub(crate) fn products(
        &self,
        mut each: impl FnMut(usize, usize, &mut dyn Iterator<Item = (usize, usize)>),
    ) {
        let [height, width] = self.size();
        let Shape { output, inputs, outputs, kernel, stride, dilation, blocks, .. } = *self;
        let of_block = inputs / blocks;
        for image in 0..self.batch {
            for (y, x) in (0..output[0]).flat_map(|y| (0..output[1]).map(move |x| (y, x))) {
                for o in 0..outputs {
                    let place = ((image * output[0] + y) * (output[1] + self.margin) + x) * outputs + o;
                    let mut products = (0..self.depth()).map(|k| {
                        let (position, input) =
                            (k / of_block, o / (outputs / blocks) * of_block + k % of_block);
                        let (row, column) = (position / kernel[1], position % kernel[1]);
                        let line = (image * height + y * stride[0] + row * dilation[0]) * width
                            + x * stride[1]
                            + column * dilation[1];
                        (line * inputs + input, k * outputs + o)
                    });
                    each(place, o, &mut products);
                }
            }
        }
    }
}

/// Small ones of any kind, and some that fill tiles: rows of 7 and 14, more pixels than a block of tiles has, runs that are not
/// made of equal parts, one pixel, several images.
pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let small = (1usize..3, 1usize..8, 1usize..8, 1usize..7, 1usize..100);
    let small = (small, prop::array::uniform2(1usize..4), prop::array::uniform2(1usize..3));
    let output = prop::sample::select(vec![[1, 1], [7, 7], [14, 14], [1, 19], [33, 33], [3, 16], [2, 47]]);
    let words = prop::sample::select(vec![1usize, 2, 5, 13, 16, 17, 32, 37]);
    let outputs = prop::sample::select(vec![1usize, 8, 16, 17, 32, 40, 64, 70]);
    let window = prop::sample::select(vec![[1, 1], [3, 3], [1, 7], [2, 1]]);
    let large = (1usize..5, output, words, outputs).prop_map(|(batch, output, words, outputs)| {
        // No more products than some hundred thousand, as far as images and inputs can be fewer.
        let batch = if output[0] * output[1] * words > 2_000 { 1 } else { batch };
        let words = if output[0] * output[1] * words > 4_000 { words % 5 + 1 } else { words };
        (batch, output[0], output[1], words, outputs)
    });
    let large = (large, window, prop::array::uniform2(1usize..4));
    let sizes = prop_oneof![19 => small.boxed(), 1 => large.boxed()];
    // A third by Winograd's algorithm, of as many channels as need several parts.
    let winograd = (1usize..4, 0usize..3, 1usize..20, prop::sample::select(vec![1usize, 7, 24, 25, 48, 70]));
    let rest = (0usize..2, any::<bool>(), 1usize..4, dilation(), 1usize..5);
    (sizes, rest, winograd).prop_map(|(sizes, (margin, by_channels, threads, dilation, blocks), winograd)| {
        let ((batch, height, width, words, outputs), kernel, stride) = sizes;
        let shape = Shape {
            batch,
            output: [height, width],
            inputs: 4 * words,
            outputs,
            kernel,
            stride,
            dilation: [1, 1],
            blocks: 1,
            margin,
            by_channels,
            threads,
            algorithm: Algorithm::Direct,
        };
        let (depth, step, block, words) = winograd;
        if step == 0 && height * width > 20 && words <= 25 {
            let algorithm = Algorithm::Strassen { block };
            let inputs = 64 * words.min(3);
            let (batch, output) = if depth == 1 { (1, [1, 1]) } else { (batch, shape.output) };
            let outputs = 128 * depth.min(2);
            return Shape { algorithm, batch, output, inputs, outputs, kernel: [1, 1], ..shape };
        }
        if step == 0 && height * width <= 20 {
            // Three or four rows of each phase, and no more products than are exact in int8.
            let kernel = [2 * stride[0] + 1 + words % (2 * stride[0]), kernel[1]];
            let fits = kernel[0] * kernel[1] * shape.inputs <= MOST_PRODUCTS;
            let algorithm = if fits { Algorithm::WinogradRows { block } } else { Algorithm::Direct };
            return Shape { algorithm, kernel, ..shape };
        }
        if !(1..=2).contains(&step) || height * width > 100 {
            // Groups of four or eight, or few blocks.
            let group = 4 + words % 2 * 4;
            let channels = outputs.next_multiple_of(group);
            let (blocks, inputs, outputs) = match blocks {
                4 => (channels / group, channels, channels),
                _ => (blocks, shape.inputs * blocks, outputs.div_ceil(blocks) * blocks),
            };
            return Shape { dilation, blocks, inputs, outputs, ..shape };
        }
        let algorithm = Algorithm::Winograd { output: 4 / step, block, depth: 16 * depth, fused: false };
        let inputs = if outputs < 20 { 4 * words } else { shape.inputs };
        // A third in two or three blocks, which it computes of 32 outputs or more.
        let (blocks, outputs) =
            if outputs % 3 == 0 { (2 + outputs % 2, outputs.max(32)) } else { (1, outputs) };
        let (inputs, outputs) = (blocks * inputs, blocks * outputs);
        Shape { algorithm, inputs, outputs, blocks, kernel: [3, 3], stride: [step; 2], ..shape }
    })
}
