//! Convolutions with fewer products than a direct sum, and a large direct one, on every instruction set that this machine has,
//! against the naive one of `reference`. As in `kernels`, geometries are random.

mod common;

use std::num::NonZeroUsize;

use common::placed::{Placed, UNTOUCHED, check, halo, image};
use common::{activation, on_every_isa, slopes};
use proptest::prelude::*;
use resnet_plan::algorithm::Channels;
use resnet_plan::{Activation, Algorithm, Algorithms, ConvGeometry, Convolution, Residual, Split};
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels::{self, PackedConv, pack};
use resnet_runtime::reference::{self, Image, Window};
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, Precision};

/// A panel that outgrows the L2 cache is multiplied in parts: rows of a window, or channels of a 1x1, here on every
/// instruction set, and the last part a smaller one.
#[test]
fn a_large_panel() {
    for (side, inputs) in [(3, 1_000), (1, 9_000)] {
        let outputs = 20;
        let x = Placed { image: tame(image([1, 5, 5, inputs], 1)), halo: [side / 2; 4] };
        let kernel = tame(image([side * side, 1, inputs, outputs], 2)).data;
        let bias = tame(image([1, 1, 1, outputs], 3)).data;
        let y = Placed { image: tame(image([1, 5, 5, outputs], 4)), halo: [1; 4] };
        let window =
            Window { size: [side; 2], stride: [1, 1], dilation: [1, 1], padding: [0; 4], output: [5, 5] };
        let activations = [Activation::None, Activation::Relu, Activation::Prelu, Activation::Silu];
        for (accumulate, activation) in [false, true].into_iter().flat_map(|a| activations.map(|b| (a, b))) {
            let expected = sums(&x, &kernel, &bias, 1, &window, &y, (accumulate, activation));
            let geometry = ConvGeometry {
                batch: 1,
                output: [5, 5],
                rows: side,
                taps: 1,
                run: side * inputs,
                pitch: x.dims()[2] * inputs,
                tap: 0,
                blocks: 1,
                channels: outputs,
                x: x.pixels([0, 0], [1, 1]),
                y: y.interior(),
            };
            let convolution = Convolution {
                geometry,
                algorithms: Algorithms::all(Algorithm::Direct),
                residual: if accumulate { Residual::Same } else { Residual::None },
                activation,
                scale: 1.0,
                gated: false,
                split: Split::Pixels,
            };
            let depth = side * side * inputs;
            for isa in Isa::available() {
                let weights = packed(isa, &kernel, 1, depth, &bias);
                let array = convolved(isa, 2, 0, &convolution, &x, &weights, &y);
                let tolerance = vec![3e-7 * depth as f32; expected.data.len()];
                let expected = Placed { image: expected.clone(), halo: y.halo };
                check(&expected, UNTOUCHED, &tolerance, &array).unwrap();
            }
        }
    }
}

/// Winograd's algorithm: strides of 1 and 2, dilations, blocks of channels, weights transformed in memory and in registers.
#[test]
fn winograd() {
    let case = (
        (1usize..3, 1usize..14, 1usize..14, 1usize..40, 1usize..100),
        (halo(), any::<bool>(), activation(), any::<bool>(), 1usize..4),
        (
            prop::sample::select(vec![(1, 4), (2, 2)]),
            any::<bool>(),
            1usize..20,
            1usize..4,
            prop::array::uniform2(1usize..4),
            prop_oneof![2 => Just(1), 1 => 2usize..5],
        ),
        any::<u64>(),
    );
    on_every_isa("winograd", &case, |isa, ((batch, height, width, inputs, outputs), rest, tile, seed)| {
        let (to_halo, accumulate, activation, by_channels, count) = rest;
        let ((step, output), fused, block, depth, dilation, blocks) = tile;
        let depth = 16 * depth;
        let dilation = if step == 1 { dilation } else { [1, 1] };
        let [down, right] = dilation;
        // What is fused fills vectors and panels.
        let inputs = if fused { inputs.next_multiple_of(16) } else { inputs };
        let outputs = if fused { outputs.next_multiple_of(16 * step) } else { outputs };
        // Blocks of fewer channels are for direct sums only.
        let outputs = if blocks == 1 { outputs } else { outputs.max(32) };
        let (group_inputs, inputs, outputs) = (inputs, blocks * inputs, blocks * outputs);
        let [rows, columns] = [height, width].map(|size| (size - 1) / step + 1);
        let x = Placed {
            image: tame(image([batch, height, width, inputs], seed)),
            halo: [down, down, right, right],
        };
        let y = Placed { image: tame(image([batch, rows, columns, outputs], seed ^ 1)), halo: to_halo };
        let kernel = tame(image([9, 1, group_inputs, outputs], seed ^ 2)).data;
        let bias = tame(image([1, 1, 1, outputs], seed ^ 3)).data;
        let window =
            Window { size: [3, 3], stride: [step, step], dilation, padding: [0; 4], output: [rows, columns] };
        let expected = sums(&x, &kernel, &bias, blocks, &window, &y, (accumulate, activation));
        let mut weights = packed(isa, &kernel, blocks, 9 * group_inputs, &bias);
        if fused {
            weights.0 = packed_fused(isa, &kernel, [group_inputs, outputs], output);
        }
        let geometry = ConvGeometry {
            batch,
            output: [rows, columns],
            rows: 3,
            taps: if right == 1 && blocks == 1 { 1 } else { 3 },
            run: if right == 1 && blocks == 1 { 3 * inputs } else { group_inputs },
            pitch: down * x.dims()[2] * inputs,
            tap: right * inputs,
            blocks,
            channels: outputs,
            x: x.pixels([0, 0], [step, step]),
            y: y.interior(),
        };
        let algorithm = Algorithm::Winograd { output, block, depth, fused };
        let channels = Channels { all: [inputs, outputs], blocks };
        let scratch = algorithm.scratch_len(Precision::F32, [3, 3], [step, step], channels);
        let convolution = Convolution {
            geometry,
            algorithms: Algorithms::all(algorithm),
            residual: if accumulate { Residual::Same } else { Residual::None },
            activation,
            scale: 1.0,
            split: if by_channels { Split::Channels } else { Split::Pixels },
            gated: false,
        };
        let array = convolved(isa, count, scratch, &convolution, &x, &weights, &y);
        // All elements are at most 1, so a sum of n products has a magnitude of at most n; the transforms' own rounding.
        let tolerance = vec![5e-6 + 3e-7 * (9 * group_inputs) as f32; expected.data.len()];
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

/// Winograd's algorithm of rows: strides of 1 to 4, and for each all heights of windows; any width, any number of channels.
#[test]
fn winograd_rows() {
    let case = (
        (1usize..3, 1usize..14, 1usize..20, 1usize..6, 1usize..100),
        (halo(), any::<bool>(), activation(), any::<bool>(), 1usize..4),
        (1usize..5, any::<prop::sample::Index>(), 1usize..8, 1usize..4, 1usize..24),
        any::<u64>(),
    );
    on_every_isa(
        "winograd_rows",
        &case,
        |isa, ((batch, rows, columns, inputs, outputs), rest, shape, seed)| {
            let (to_halo, accumulate, activation, by_channels, count) = rest;
            let (step, height, width, right, block) = shape;
            // Three or four rows of each phase.
            let size = [2 * step + 1 + height.index(2 * step), width];
            let stride = [step, right];
            let output = [rows, columns];
            let covered = [0, 1].map(|axis| (output[axis] - 1) * stride[axis] + size[axis]);
            let x =
                Placed { image: tame(image([batch, covered[0], covered[1], inputs], seed)), halo: [0; 4] };
            let y = Placed { image: tame(image([batch, rows, columns, outputs], seed ^ 1)), halo: to_halo };
            let kernel = tame(image([size[0] * size[1], 1, inputs, outputs], seed ^ 2)).data;
            let bias = tame(image([1, 1, 1, outputs], seed ^ 3)).data;
            let window = Window { size, stride, dilation: [1, 1], padding: [0; 4], output };
            let expected = sums(&x, &kernel, &bias, 1, &window, &y, (accumulate, activation));
            let depth = size[0] * size[1] * inputs;
            let weights = packed(isa, &kernel, 1, depth, &bias);
            let geometry = ConvGeometry {
                batch,
                output,
                rows: size[0],
                taps: 1,
                run: size[1] * inputs,
                pitch: covered[1] * inputs,
                tap: 0,
                blocks: 1,
                channels: outputs,
                x: x.pixels([0, 0], stride),
                y: y.interior(),
            };
            let algorithm = Algorithm::WinogradRows { block };
            let convolution = Convolution {
                geometry,
                algorithms: Algorithms::all(algorithm),
                residual: if accumulate { Residual::Same } else { Residual::None },
                activation,
                scale: 1.0,
                split: if by_channels { Split::Channels } else { Split::Pixels },
                gated: false,
            };
            let channels = Channels::dense([inputs, outputs]);
            let scratch = algorithm.scratch_len(Precision::F32, size, stride, channels);
            let array = convolved(isa, count, scratch, &convolution, &x, &weights, &y);
            let alone = convolved(isa, 1, scratch, &convolution, &x, &weights, &y);
            prop_assert_eq!(&array, &alone, "the bits depend on threads");
            // As above.
            let tolerance = vec![1e-5 + 3e-7 * depth as f32; expected.data.len()];
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

/// Strassen's algorithm: any number of pixels, often one, any stride, whole vectors of halves.
#[test]
fn strassen() {
    let case = (
        (1usize..3, 1usize..14, 1usize..14, 1usize..4, 1usize..6),
        (halo(), halo(), any::<bool>(), activation(), any::<bool>(), 1usize..4),
        (prop::array::uniform2(1usize..4), 1usize..20, any::<bool>()),
        any::<u64>(),
    );
    on_every_isa("strassen", &case, |isa, ((batch, height, width, inputs, outputs), rest, tile, seed)| {
        let (from_halo, to_halo, accumulate, activation, by_channels, count) = rest;
        let (stride, block, gated) = tile;
        let (inputs, outputs) = (32 * inputs, 32 * outputs);
        let [batch, height, width] = if seed.is_multiple_of(4) { [1; 3] } else { [batch, height, width] };
        let output = [(height - 1) / stride[0] + 1, (width - 1) / stride[1] + 1];
        let x = Placed { image: tame(image([batch, height, width, inputs], seed)), halo: from_halo };
        let y =
            Placed { image: tame(image([batch, output[0], output[1], outputs], seed ^ 1)), halo: to_halo };
        let kernel = tame(image([1, 1, inputs, outputs], seed ^ 2)).data;
        let bias = tame(image([1, 1, 1, outputs], seed ^ 3)).data;
        let window = Window { size: [1, 1], stride, dilation: [1, 1], padding: [0; 4], output };
        let inner = Placed { image: x.image.clone(), halo: [0; 4] };
        let mut expected =
            sums(&inner, &kernel, &bias, 1, &window, &y, (accumulate && !gated, Activation::None));
        let gate = if gated { tame(image([batch, 1, 1, outputs], seed ^ 4)).data } else { Vec::new() };
        if gated {
            expected = reference::gate(&expected, &gate);
        }
        if gated && accumulate {
            expected = reference::add(&expected, &y.image);
        }
        let expected = reference::activate(&expected, activation, &slopes(outputs));
        let [rows, columns] = [inputs / 2, outputs / 2];
        let blocks = |row: usize, column: usize| {
            let place =
                move |down: usize, right: usize| (row + down * rows) * outputs + column + right * columns;
            [place(0, 0), place(0, 1), place(1, 0), place(1, 1)].map(|place| f64::from(kernel[place]))
        };
        let factors: Vec<f32> = (0..7 * rows * columns)
            .map(|place| {
                let (plane, row, column) = (place / columns / rows, place / columns % rows, place % columns);
                kernels::strassen::factors(blocks(row, column))[plane] as f32
            })
            .collect();
        let mut weights = packed(isa, &factors, 1, 7 * rows, &[]);
        (weights.1, weights.2) = ([bias.clone(), slopes(outputs)].concat(), gate);
        let geometry = ConvGeometry {
            batch,
            output,
            rows: 1,
            taps: 1,
            run: inputs,
            pitch: x.dims()[2] * inputs,
            tap: 0,
            blocks: 1,
            channels: outputs,
            x: x.pixels([from_halo[0], from_halo[2]], stride),
            y: y.interior(),
        };
        let algorithm = Algorithm::Strassen { block };
        let convolution = Convolution {
            geometry,
            algorithms: Algorithms::all(algorithm),
            residual: if accumulate { Residual::Same } else { Residual::None },
            activation,
            scale: 1.0,
            split: if by_channels { Split::Channels } else { Split::Pixels },
            gated,
        };
        let channels = Channels::dense([inputs, outputs]);
        let scratch = algorithm.scratch_len(Precision::F32, [1, 1], [1, 1], channels);
        let array = convolved(isa, count, scratch, &convolution, &x, &weights, &y);
        // As above; a factor is a sum of up to four elements.
        let tolerance = vec![5e-6 + 6e-7 * inputs as f32; expected.data.len()];
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

/// A value that is not finite reaches more outputs than those of a direct sum: here are none, and none above 1.
fn tame(mut image: Image) -> Image {
    image.data.iter_mut().for_each(|x| *x = if x.abs() <= 1.0 { *x } else { 0.5 });
    image
}

/// The naive convolution of all that `x` holds in so many groups, added to `y` or not, and activated.
fn sums(
    x: &Placed,
    kernel: &[f32],
    bias: &[f32],
    groups: usize,
    window: &Window,
    y: &Placed,
    (accumulate, activation): (bool, Activation),
) -> Image {
    let padded = Image { dims: x.dims(), data: x.array(0.0) };
    let mut expected = reference::conv2d(&padded, kernel, bias, bias.len(), groups, window);
    if accumulate {
        expected = reference::add(&expected, &y.image);
    }
    reference::activate(&expected, activation, &slopes(bias.len()))
}

/// Panels of a kernel of so many blocks and rows, its bias and slopes, and no gate.
fn packed(
    isa: Isa,
    kernel: &[f32],
    blocks: usize,
    depth: usize,
    bias: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let channels = kernel.len() / depth;
    let panels = pack::pack_blocks(isa.kernels(), Elements::F32(kernel), blocks, [1, depth], channels);
    let list = |list: &[f32]| {
        pack::pack_list(isa.kernels(), Precision::F32, blocks, [depth, channels / blocks], list)
    };
    (panels, [list(bias), list(&slopes(channels))].concat(), Vec::new())
}

/// A kernel of nine rows of inputs, as the fused algorithm reads it.
fn packed_fused(isa: Isa, kernel: &[f32], [inputs, outputs]: [usize; 2], output: usize) -> Vec<f32> {
    let width = kernels::winograd::fused::panel(isa.kernels(), output);
    let places = (0..9 * inputs * outputs).map(|place| {
        let (lane, rest) = (place % width, place / width);
        let (position, input, panel) = (rest % 9, rest / 9 % inputs, rest / 9 / inputs);
        (position, (position * inputs + input) * outputs + panel * width + lane)
    });
    let scale = |position| kernels::winograd::fused::scale(output, position) as f32;
    places.map(|(position, place)| scale(position) * kernel[place]).collect()
}

/// The output of so many threads, each with so many elements to work in.
fn convolved(
    isa: Isa,
    threads: usize,
    scratch: usize,
    convolution: &Convolution,
    x: &Placed,
    (panels, bias, gate): &(Vec<f32>, Vec<f32>, Vec<f32>),
    y: &Placed,
) -> Vec<f32> {
    let threads = Threads::new(NonZeroUsize::new(threads).unwrap(), scratch * size_of::<f32>()).unwrap();
    let mut array = y.array(UNTOUCHED);
    let (x, weights) = (x.array(0.0), PackedConv { panels, bias });
    kernels::convolve(
        isa.kernels(),
        &threads,
        convolution,
        Elements::F32(&x),
        weights,
        gate,
        ElementsMut::F32(&mut array),
    );
    array
}
