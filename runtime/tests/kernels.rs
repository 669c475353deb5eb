//! Every kernel, on every instruction set that this machine has, against the naive one of `reference`.
//!
//! Geometries are random: sizes, strides, windows, halos, threads; now and then an input is infinite or NaN.
//! `PROPTEST_CASES` sets how many there are for each kernel and instruction set, at least 1,000.

mod common;

use std::num::NonZeroUsize;

use common::placed::{Placed, UNTOUCHED, check, halo, image, placed};
use common::{activation, dilation, on_any_isa, on_every_isa, slopes};
use proptest::prelude::*;
use resnet_plan::{
    Activation, Algorithm, Algorithms, Area, ConvGeometry, Convolution, CopyGeometry, Elementwise, Operator,
    Pixels, Pool, PoolGeometry, PoolKind, Residual, Scales, Split,
};
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels::{self, PackedConv, pack};
use resnet_runtime::reference::{self, Image, Window};
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, Precision};

fn threads(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap(), 0).unwrap()
}

fn exact(image: &Image) -> Vec<f32> {
    vec![0.0; image.data.len()]
}

/// The blocks of a convolution.
#[derive(Clone, Copy, Debug)]
enum Blocks {
    /// So many, of any channels.
    Any(usize),
    /// Groups of so many inputs and as many outputs.
    Groups(usize),
}

fn blocks() -> impl Strategy<Value = Blocks> {
    prop_oneof![
        (1usize..4).prop_map(Blocks::Any),
        prop::sample::select(vec![1, 2, 4, 8, 16, 32]).prop_map(Blocks::Groups),
    ]
}

#[test]
fn convolution() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..20, 1usize..100),
        prop::array::uniform2(1usize..6),
        prop::array::uniform2(1usize..4),
        (dilation(), blocks(), any::<bool>()),
        (halo(), any::<bool>(), activation(), any::<bool>(), 1usize..4),
        any::<u64>(),
    );
    on_every_isa("convolution", &case, convolved_as_the_reference);
}

/// Rows that are cut, and a number of channels that fills no vectors.
#[test]
fn groups_in_long_rows() {
    for isa in Isa::available() {
        for (size, stride) in [(1, 1), (2, 1), (4, 1), (4, 2), (8, 1), (16, 1), (16, 2), (32, 1)] {
            for accumulate in [false, true] {
                let rest = ([1, 0, 0, 1], accumulate, Activation::Relu, false, 3);
                let sizes = (1, 2, 340, 1, if size < 16 { 36 } else { 64 });
                let case = (sizes, [3, 3], [1, stride], ([1, 1], Blocks::Groups(size), false), rest, 2);
                convolved_as_the_reference(isa, case).unwrap();
            }
        }
    }
}

/// A window without rows, of groups and of one block: the sums are the bias.
#[test]
fn windows_without_rows() {
    let channels = 64;
    let bias: Vec<f32> = (0..channels).map(|channel| channel as f32).collect();
    let pixels = Pixels { start: 0, image: 8 * channels, row: 8 * channels, pixel: channels };
    for isa in Isa::available() {
        for blocks in [1, 2, 4, 8, 16, 64] {
            let run = channels / blocks;
            let geometry = ConvGeometry {
                batch: 1,
                output: [1, 8],
                rows: 0,
                taps: 1,
                run,
                pitch: 0,
                tap: channels,
                blocks,
                channels,
                x: pixels,
                y: pixels,
            };
            let convolution = Convolution {
                geometry,
                algorithms: Algorithms::all(Algorithm::Direct),
                residual: Residual::None,
                activation: Activation::None,
                scale: 1.0,
                split: Split::Pixels,
                gated: false,
            };
            let list = pack::pack_list(isa.kernels(), Precision::F32, blocks, [run, run], &bias);
            let weights = PackedConv { panels: &[], bias: &list };
            let (x, mut y) = (vec![1.0; 8 * channels], vec![UNTOUCHED; 8 * channels]);
            let (elements, output) = (Elements::F32(&x), ElementsMut::F32(&mut y));
            kernels::convolve(isa.kernels(), &threads(1), &convolution, elements, weights, &[], output);
            assert!(y.chunks(channels).all(|y| y == bias), "{isa}, {blocks} blocks: {y:?}");
        }
    }
}

/// Batch, output, inputs and outputs; kernel; stride; dilation, blocks and whether there is a gate; and what is done with the sums.
type Case = (
    (usize, usize, usize, usize, usize),
    [usize; 2],
    [usize; 2],
    ([usize; 2], Blocks, bool),
    ([usize; 4], bool, Activation, bool, usize),
    u64,
);

fn convolved_as_the_reference(
    isa: Isa,
    ((batch, height, width, inputs, outputs), kernel, stride, (dilation, blocks, gated), rest, seed): Case,
) -> Result<(), TestCaseError> {
    let (blocks, inputs, outputs) = match blocks {
        Blocks::Any(blocks) => (blocks, inputs * blocks, outputs.div_ceil(blocks) * blocks),
        Blocks::Groups(size) => {
            let channels = outputs.next_multiple_of(size);
            (channels / size, channels, channels)
        }
    };
    let (to_halo, accumulate, activation, by_channels, count) = rest;
    let gated = gated && blocks == 1;
    let covered = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
    let size = [(height - 1) * stride[0] + covered[0], (width - 1) * stride[1] + covered[1]];
    // The padding is part of the array: zeros, some of them or none.
    let padding = [seed as usize % 3, (seed >> 8) as usize % 3].map(|side: usize| side.min(1));
    let inner = [0, 1].map(|axis| size[axis].saturating_sub(2 * padding[axis]).max(1));
    let around = [0, 1].map(|axis| size[axis].saturating_sub(inner[axis]));
    let x_halo = [around[0] / 2, around[0] - around[0] / 2, around[1] / 2, around[1] - around[1] / 2];
    let x = placed([batch, inner[0], inner[1], inputs], x_halo, seed);
    let y = placed([batch, height, width, outputs], to_halo, seed ^ 1);
    let depth = kernel[0] * kernel[1] * inputs / blocks;
    let finite =
        |image: Image| image.data.into_iter().map(|w| if w.is_finite() { w.clamp(-1.0, 1.0) } else { 1.0 });
    let weights: Vec<f32> = finite(image([1, 1, depth, outputs], seed ^ 2)).collect();
    let bias: Vec<f32> = finite(image([1, 1, 1, outputs], seed ^ 3)).collect();

    let window = Window { size: kernel, stride, dilation, padding: [0; 4], output: [height, width] };
    let padded = Image { dims: x.dims(), data: x.array(0.0) };
    let mut expected = reference::conv2d(&padded, &weights, &bias, outputs, blocks, &window);
    let absolute =
        |image: &Image| Image { dims: image.dims, data: image.data.iter().map(|x| x.abs()).collect() };
    let abs = |numbers: &[f32]| numbers.iter().map(|x| x.abs()).collect::<Vec<f32>>();
    let mut bound =
        reference::conv2d(&absolute(&padded), &abs(&weights), &abs(&bias), outputs, blocks, &window);
    let gate: Vec<f32> = finite(image([batch, 1, 1, outputs], seed ^ 4)).collect();
    if gated {
        expected = reference::gate(&expected, &gate);
    }
    if accumulate {
        expected = reference::add(&expected, &y.image);
        bound = reference::add(&bound, &absolute(&y.image));
    }
    expected = reference::activate(&expected, activation, &slopes(outputs));
    // Each of the sum's roundings is at most half a unit in the last place of the sum of magnitudes; activations have slopes of at most
    // 1.5, and some more roundings.
    let tolerance: Vec<f32> =
        bound.data.iter().map(|sum| (depth + 8) as f32 * 1.5 * f32::EPSILON * sum + 2e-7).collect();

    let (block, window) = ([inputs / blocks, outputs / blocks], kernel[0] * kernel[1]);
    let of_window = [window, inputs / blocks];
    let panels = pack::pack_blocks(isa.kernels(), Elements::F32(&weights), blocks, of_window, outputs);
    let list = |list: &[f32]| pack::pack_list(isa.kernels(), Precision::F32, blocks, block, list);
    let lists = [list(&bias), list(&slopes(outputs))].concat();
    let split = if by_channels { Split::Channels } else { Split::Pixels };
    let taps = if blocks > 1 || dilation[1] > 1 { kernel[1] } else { 1 };
    let geometry = ConvGeometry {
        batch,
        output: [height, width],
        rows: kernel[0],
        taps,
        run: kernel[1] / taps * inputs / blocks,
        pitch: dilation[0] * x.dims()[2] * inputs,
        tap: dilation[1] * inputs,
        blocks,
        channels: outputs,
        x: x.pixels([0, 0], stride),
        y: y.interior(),
    };
    let residual = if accumulate { Residual::Same } else { Residual::None };
    let convolution = Convolution {
        geometry,
        algorithms: Algorithms::all(Algorithm::Direct),
        residual,
        activation,
        scale: 1.0,
        split,
        gated,
    };
    let convolved = |count: usize| {
        let mut array = y.array(UNTOUCHED);
        kernels::convolve(
            isa.kernels(),
            &threads(count),
            &convolution,
            Elements::F32(&x.array(0.0)),
            PackedConv { panels: &panels, bias: &lists },
            &gate,
            ElementsMut::F32(&mut array),
        );
        array
    };
    let array = convolved(count);
    let bits = |array: &[f32]| array.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    prop_assert_eq!(bits(&array), bits(&convolved(1)), "the bits depend on threads");
    check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
}

#[test]
fn pooling() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..140),
        prop::array::uniform2(1usize..5),
        prop::array::uniform2(1usize..4),
        (halo(), halo(), 0usize..3, any::<bool>(), 1usize..4),
        prop::array::uniform4(0usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "pooling",
        &case,
        |isa, ((batch, height, width, channels), window, stride, rest, sides, seed)| {
            let (x_halo, y_halo, kind, ceil, count) = rest;
            let kind = [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding][kind];
            let padding = [0, 1, 2, 3].map(|side: usize| sides[side].min(window[side / 2] - 1));
            let input = [height, width];
            let output = [0, 1].map(|axis| {
                let padded = input[axis] + padding[2 * axis] + padding[2 * axis + 1];
                let room = if ceil { padded + stride[axis] - 1 } else { padded };
                let rounded = room.checked_sub(window[axis])? / stride[axis];
                let last = (input[axis] + padding[2 * axis] - 1) / stride[axis];
                Some(rounded.min(last) + 1)
            });
            let [Some(rows), Some(columns)] = output else { return Ok(()) };
            let x = placed([batch, height, width, channels], x_halo, seed);
            let y = Placed { image: image([batch, rows, columns, channels], seed ^ 1), halo: y_halo };
            let reference_window =
                Window { size: window, stride, dilation: [1, 1], padding, output: [rows, columns] };
            let expected = match kind {
                PoolKind::Max => reference::max_pool(&x.image, &reference_window),
                PoolKind::Average => reference::average_pool(&x.image, &reference_window, false),
                _ => reference::average_pool(&x.image, &reference_window, true),
            };
            let geometry = PoolGeometry {
                kind,
                scale: 1.0,
                batch,
                input,
                output: [rows, columns],
                channels,
                window,
                stride,
                padding,
                x: x.interior(),
                y: y.interior(),
            };
            let mut array = y.array(UNTOUCHED);
            let from = x.array(UNTOUCHED);
            kernels::pool(
                isa.kernels(),
                &threads(count),
                &geometry,
                Elements::F32(&from),
                ElementsMut::F32(&mut array),
            );
            // A sum of f32::MAX and small elements may round to infinity.
            let near = |y: &f32| if y.abs() > 1e30 { f32::INFINITY } else { 1e-5 };
            let tolerance = match kind {
                PoolKind::Max => exact(&expected),
                _ => expected.data.iter().map(near).collect(),
            };
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

/// The mean of equal values is that value, whatever the size of the image: one sum of all pixels in f32 would be off by 1e-4.
#[test]
fn a_mean_of_many_pixels() {
    let (input, value) = ([300, 200], 1.485_284_6);
    let image = vec![value; 300 * 200];
    let pool = Pool { kind: PoolKind::Average, window: input, stride: [1, 1], padding: [0; 4] };
    let [from, to] = [Area::dense([1, 300, 200, 1]), Area::dense([1; 4])];
    let geometry = PoolGeometry::new(pool, from, to, 1.0).unwrap();
    for isa in Isa::available() {
        let mut mean = [0.0];
        let to = ElementsMut::F32(&mut mean);
        kernels::pool(isa.kernels(), &threads(1), &geometry, Elements::F32(&image), to);
        assert!((mean[0] - value).abs() <= 4e-6 * value, "{isa}: {}", mean[0]);
    }
}

#[test]
fn addition() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..40),
        (halo(), halo(), activation(), 1usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "addition",
        &case,
        |isa, ((batch, height, width, channels), (x_halo, y_halo, activation, count), seed)| {
            // A sum has no slopes of its own.
            let activation = if activation == Activation::Prelu { Activation::None } else { activation };
            let dims = [batch, height, width, channels];
            let (x, y) = (placed(dims, x_halo, seed), placed(dims, y_halo, seed ^ 1));
            let mut expected = reference::add(&y.image, &x.image);
            expected = reference::activate(&expected, activation, &[]);
            let geometry = Elementwise {
                operator: Operator::Add,
                activation,
                batch,
                size: [height, width],
                channels,
                x: x.interior(),
                y: y.interior(),
                held: Residual::Same,
                scales: Scales::NONE,
            };
            let mut array = y.array(UNTOUCHED);
            let (from, to) = (x.array(UNTOUCHED), ElementsMut::F32(&mut array));
            kernels::elementwise(isa.kernels(), &threads(count), &geometry, &[], Elements::F32(&from), to);
            let exact = exact(&expected);
            let near = expected.data.iter().map(|y| 4e-7 * y.abs() + 2e-7).collect();
            let tolerance = if activation.is_homogeneous() { exact } else { near };
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

#[test]
fn copies() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..20),
        prop::array::uniform2(1usize..4),
        (halo(), halo(), 0usize..3, 0usize..3),
        any::<u64>(),
    );
    on_any_isa(
        "copies",
        &case,
        |((batch, height, width, channels), stride, (x_halo, y_halo, front, back), seed)| {
            let x = placed([batch, height, width, channels], x_halo, seed);
            let expected = reference::subsample(&x.image, stride, front, back);
            let [_, rows, columns, _] = expected.dims;
            let y = Placed { image: expected, halo: y_halo };
            let at = [x.halo[0], x.halo[2]];
            let geometry = CopyGeometry {
                batch,
                size: [rows, columns],
                channels,
                front,
                back,
                times: [1, 1],
                x: x.pixels(at, stride),
                y: y.interior(),
            };
            let mut array = Placed { image: image(y.image.dims, seed ^ 1), halo: y_halo }.array(UNTOUCHED);
            kernels::copy(&threads(2), &geometry, &x.array(UNTOUCHED), &mut array);
            check(&y, UNTOUCHED, &exact(&y.image), &array)
        },
    );
}

/// Threads write pixels without a look at each other.
#[test]
#[should_panic(expected = "pixels lie outside the output, or overlap")]
fn rows_that_lie_in_each_other() {
    let x = Pixels { start: 0, image: 0, row: 4, pixel: 1 };
    let y = Pixels { row: 3, ..x };
    let geometry =
        CopyGeometry { batch: 1, size: [2, 4], channels: 1, front: 0, back: 0, times: [1, 1], x, y };
    kernels::copy(&threads(2), &geometry, &[0.0f32; 8], &mut [0.0; 8]);
}

#[test]
fn halos() {
    let case = ((1usize..3, 1usize..10, 1usize..10, 1usize..20), halo(), any::<u64>());
    on_any_isa("halos", &case, |((batch, height, width, channels), halo, seed)| {
        let y = placed([batch, height, width, channels], halo, seed);
        let mut array = y.array(UNTOUCHED);
        let area = Area { dims: y.dims(), at: [halo[0], halo[2]], size: [height, width] };
        kernels::clear_halo(&area, ElementsMut::F32(&mut array));
        check(&y, 0.0, &exact(&y.image), &array)
    });
}

#[test]
fn softmax() {
    let case = (1usize..4, 1usize..40, any::<u64>(), 0.1f32..100.0);
    on_any_isa("softmax", &case, |(batch, channels, seed, scale)| {
        let mut x = image([batch, 1, 1, channels], seed);
        x.data.iter_mut().for_each(|x| *x *= scale);
        let expected = reference::softmax(&x);
        let mut y = vec![UNTOUCHED; x.data.len()];
        kernels::softmax(channels, &x.data, &mut y);
        let tolerance: Vec<f32> = expected.data.iter().map(|y| 1e-5 * y + 1e-30).collect();
        check(&Placed { image: expected, halo: [0; 4] }, UNTOUCHED, &tolerance, &y)
    });
}

/// Sums of many terms are no worse than those of few.
#[test]
fn softmax_over_many_channels() {
    let x = image([1, 1, 1, 200_000], 0);
    let mut y = vec![UNTOUCHED; x.data.len()];
    kernels::softmax(x.data.len(), &x.data, &mut y);
    let errors =
        reference::softmax(&x).data.into_iter().zip(y).map(|(expected, y)| (y / expected - 1.0).abs());
    let error = errors.fold(0.0, f32::max);
    assert!(error <= 5e-7, "{error:e}");
}
