//! Every kernel, on every instruction set that this machine has, against the naive one of `reference`.
//!
//! Geometries are random: sizes, strides, windows, halos, threads; now and then an input is infinite or no number at all.
//! `PROPTEST_CASES` sets how many there are for each kernel and instruction set, at least 1,000.

mod common;

use std::num::NonZeroUsize;

use common::{on_any_isa, on_every_isa};
use proptest::prelude::*;
use resnet_runtime::kernels::{
    self, AddGeometry, Algorithm, ConvGeometry, Convolution, CopyGeometry, PackedConv, Pixels, PoolGeometry,
    PoolKind, Residual, Split, pack,
};
use resnet_runtime::numbers::{Numbers, NumbersMut};
use resnet_runtime::reference::{self, Image, Window};
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, Precision};

/// A value inside a larger array, with room around it.
#[derive(Clone, Debug)]
struct Placed {
    image: Image,
    halo: [usize; 4],
}

impl Placed {
    fn dims(&self) -> [usize; 4] {
        let [top, bottom, left, right] = self.halo;
        let [batch, height, width, channels] = self.image.dims;
        [batch, top + height + bottom, left + width + right, channels]
    }

    /// The array, `fill` around the value.
    fn array(&self, fill: f32) -> Vec<f32> {
        let [top, _, left, _] = self.halo;
        let [_, height, width, _] = self.image.dims;
        let inside = |y: usize, x: usize| {
            let (y, x) = (y.checked_sub(top)?, x.checked_sub(left)?);
            (y < height && x < width).then_some((y, x))
        };
        let array = Image::from_fn(self.dims(), |n, y, x, c| match inside(y, x) {
            Some((y, x)) => self.image.pixel(n, y, x)[c],
            None => fill,
        });
        array.data
    }

    /// Where pixels lie that begin at a row and column of the array and are `stride` apart.
    fn pixels(&self, at: [usize; 2], stride: [usize; 2]) -> Pixels {
        let [_, height, width, channels] = self.dims();
        Pixels {
            start: (at[0] * width + at[1]) * channels,
            image: height * width * channels,
            row: stride[0] * width * channels,
            pixel: stride[1] * channels,
        }
    }

    fn interior(&self) -> Pixels {
        self.pixels([self.halo[0], self.halo[2]], [1, 1])
    }
}

/// Numbers from a seed; about one case in eight holds something that is no finite number.
fn image(dims: [usize; 4], seed: u64) -> Image {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let count = dims.iter().product::<usize>();
    let mut data: Vec<f32> = (0..count).map(|_| next() as f32 / (1u32 << 30) as f32 - 1.0).collect();
    if next().is_multiple_of(8) && count > 0 {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 2.0, -0.0];
        data[next() as usize % count] = special[next() as usize % special.len()];
    }
    Image { dims, data }
}

fn placed(dims: [usize; 4], halo: [usize; 4], seed: u64) -> Placed {
    Placed { image: image(dims, seed), halo }
}

fn threads(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap())
}

fn halo() -> impl Strategy<Value = [usize; 4]> {
    prop::array::uniform4(0usize..3)
}

/// `found` is the array around `expected`, in which nothing else was written; numbers may be `tolerance` apart.
fn check(expected: &Placed, fill: f32, tolerance: &[f32], found: &[f32]) -> Result<(), TestCaseError> {
    let tolerance =
        Placed { image: Image { dims: expected.image.dims, data: tolerance.to_vec() }, halo: expected.halo };
    let pairs = expected.array(fill).into_iter().zip(tolerance.array(0.0)).zip(found);
    for (place, ((expected, tolerance), found)) in pairs.enumerate() {
        let same = if expected.is_finite() {
            (expected - found).abs() <= tolerance
        } else {
            expected.is_nan() == found.is_nan() && (expected.is_nan() || expected == *found)
        };
        prop_assert!(same, "at {place}: {found}, expected {expected} +- {tolerance}");
    }
    Ok(())
}

fn exact(image: &Image) -> Vec<f32> {
    vec![0.0; image.data.len()]
}

const UNTOUCHED: f32 = 77.0;

#[test]
fn convolution() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..20, 1usize..100),
        prop::array::uniform2(1usize..5),
        prop::array::uniform2(1usize..4),
        (halo(), any::<bool>(), any::<bool>(), any::<bool>(), 1usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "convolution",
        &case,
        |isa, ((batch, height, width, inputs, outputs), kernel, stride, rest, seed)| {
            let (to_halo, accumulate, relu, by_channels, count) = rest;
            let size = [(height - 1) * stride[0] + kernel[0], (width - 1) * stride[1] + kernel[1]];
            // The padding is part of the array: zeros, some of them or none.
            let padding = [seed as usize % 3, (seed >> 8) as usize % 3].map(|side: usize| side.min(1));
            let inner = [0, 1].map(|axis| size[axis].saturating_sub(2 * padding[axis]).max(1));
            let around = [0, 1].map(|axis| size[axis].saturating_sub(inner[axis]));
            let x_halo = [around[0] / 2, around[0] - around[0] / 2, around[1] / 2, around[1] - around[1] / 2];
            let x = placed([batch, inner[0], inner[1], inputs], x_halo, seed);
            let y = placed([batch, height, width, outputs], to_halo, seed ^ 1);
            let depth = kernel[0] * kernel[1] * inputs;
            let finite = |image: Image| {
                image.data.into_iter().map(|w| if w.is_finite() { w.clamp(-1.0, 1.0) } else { 1.0 })
            };
            let weights: Vec<f32> = finite(image([1, 1, depth, outputs], seed ^ 2)).collect();
            let bias: Vec<f32> = finite(image([1, 1, 1, outputs], seed ^ 3)).collect();

            let window = Window { size: kernel, stride, padding: [0; 4], output: [height, width] };
            let padded = Image { dims: x.dims(), data: x.array(0.0) };
            let mut expected = reference::conv2d(&padded, &weights, &bias, outputs, &window);
            let absolute = |image: &Image| Image {
                dims: image.dims,
                data: image.data.iter().map(|x| x.abs()).collect(),
            };
            let abs = |numbers: &[f32]| numbers.iter().map(|x| x.abs()).collect::<Vec<f32>>();
            let mut bound =
                reference::conv2d(&absolute(&padded), &abs(&weights), &abs(&bias), outputs, &window);
            if accumulate {
                expected = reference::add(&expected, &y.image);
                bound = reference::add(&bound, &absolute(&y.image));
            }
            if relu {
                expected = reference::relu(&expected);
            }
            // Each of the sum's roundings is at most half a unit in the last place of the sum of magnitudes.
            let tolerance: Vec<f32> =
                bound.data.iter().map(|sum| (depth + 2) as f32 * f32::EPSILON * sum).collect();

            let mut panels = vec![0.0; pack::packed_len(isa, Precision::F32, depth, outputs)];
            pack::pack(isa, Numbers::F32(&weights), depth, outputs, &mut panels);
            let mut padded_bias = bias;
            padded_bias.resize(pack::padded(isa, Precision::F32, outputs), 0.0);
            let split = if by_channels { Split::Channels } else { Split::Pixels };
            let geometry = ConvGeometry {
                batch,
                output: [height, width],
                rows: kernel[0],
                run: kernel[1] * inputs,
                pitch: x.dims()[2] * inputs,
                channels: outputs,
                x: x.pixels([0, 0], stride),
                y: y.interior(),
            };
            let mut array = y.array(UNTOUCHED);
            let weights = PackedConv { panels: &panels, bias: &padded_bias };
            let residual = if accumulate { Residual::Same } else { Residual::None };
            let convolution = Convolution { geometry, algorithm: Algorithm::Direct, residual, relu, split };
            let to = NumbersMut::F32(&mut array);
            kernels::convolve(isa, &threads(count), &convolution, Numbers::F32(&x.array(0.0)), weights, to);
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

/// A panel that outgrows the second-level cache is multiplied row by row of the window.
#[test]
fn a_large_panel() {
    let (inputs, outputs) = (1_000, 20);
    let x = Placed { image: tame(image([1, 5, 5, inputs], 1)), halo: [1; 4] };
    let kernel = tame(image([9, 1, inputs, outputs], 2)).data;
    let bias = tame(image([1, 1, 1, outputs], 3)).data;
    let y = Placed { image: tame(image([1, 5, 5, outputs], 4)), halo: [1; 4] };
    let window = Window { size: [3, 3], stride: [1, 1], padding: [0; 4], output: [5, 5] };
    for (accumulate, relu) in [(false, false), (false, true), (true, false), (true, true)] {
        let expected = sums(&x, &kernel, &bias, &window, &y, accumulate, relu);
        let geometry = ConvGeometry {
            batch: 1,
            output: [5, 5],
            rows: 3,
            run: 3 * inputs,
            pitch: x.dims()[2] * inputs,
            channels: outputs,
            x: x.pixels([0, 0], [1, 1]),
            y: y.interior(),
        };
        let convolution = Convolution {
            geometry,
            algorithm: Algorithm::Direct,
            residual: if accumulate { Residual::Same } else { Residual::None },
            relu,
            split: Split::Pixels,
        };
        for isa in Isa::available() {
            let weights = packed(isa, &kernel, 9 * inputs, &bias);
            let array = convolved(isa, 2, 0, &convolution, &x, &weights, &y);
            let tolerance = vec![3e-7 * (9 * inputs) as f32; expected.data.len()];
            let expected = Placed { image: expected.clone(), halo: y.halo };
            check(&expected, UNTOUCHED, &tolerance, &array).unwrap();
        }
    }
}

/// Winograd's algorithm: tiles of all sizes, steps of 1 and 2.
#[test]
fn winograd() {
    let case = (
        (1usize..3, 1usize..14, 1usize..14, 1usize..40, 1usize..100),
        (halo(), any::<bool>(), any::<bool>(), any::<bool>(), 1usize..4),
        (prop::sample::select(vec![(1, 2), (1, 4), (2, 2)]), 1usize..20, 1usize..48),
        any::<u64>(),
    );
    on_every_isa("winograd", &case, |isa, ((batch, height, width, inputs, outputs), rest, tile, seed)| {
        let (to_halo, accumulate, relu, by_channels, count) = rest;
        let ((step, output), block, depth) = tile;
        let [rows, columns] = [height, width].map(|size| (size - 1) / step + 1);
        let x = Placed { image: tame(image([batch, height, width, inputs], seed)), halo: [1; 4] };
        let y = Placed { image: tame(image([batch, rows, columns, outputs], seed ^ 1)), halo: to_halo };
        let kernel = tame(image([9, 1, inputs, outputs], seed ^ 2)).data;
        let bias = tame(image([1, 1, 1, outputs], seed ^ 3)).data;
        let window = Window { size: [3, 3], stride: [step, step], padding: [0; 4], output: [rows, columns] };
        let expected = sums(&x, &kernel, &bias, &window, &y, accumulate, relu);
        let weights = packed(isa, &kernel, 9 * inputs, &bias);
        let geometry = ConvGeometry {
            batch,
            output: [rows, columns],
            rows: 3,
            run: 3 * inputs,
            pitch: x.dims()[2] * inputs,
            channels: outputs,
            x: x.pixels([0, 0], [step, step]),
            y: y.interior(),
        };
        let algorithm = Algorithm::Winograd { output, block, depth };
        let scratch = kernels::winograd::scratch_len(step, output, block, depth, inputs);
        let convolution = Convolution {
            geometry,
            algorithm,
            residual: if accumulate { Residual::Same } else { Residual::None },
            relu,
            split: if by_channels { Split::Channels } else { Split::Pixels },
        };
        let array = convolved(isa, count, scratch, &convolution, &x, &weights, &y);
        // All numbers are at most 1, so a sum of n products has a magnitude of at most n; the transforms' own rounding.
        let tolerance = vec![5e-6 + 3e-7 * (9 * inputs) as f32; expected.data.len()];
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

/// Strassen's algorithm: any number of pixels, any step, whole vectors of halves.
#[test]
fn strassen() {
    let case = (
        (1usize..3, 1usize..14, 1usize..14, 1usize..4, 1usize..6),
        (halo(), halo(), any::<bool>(), any::<bool>(), any::<bool>(), 1usize..4),
        (prop::array::uniform2(1usize..4), 1usize..20),
        any::<u64>(),
    );
    on_every_isa("strassen", &case, |isa, ((batch, height, width, inputs, outputs), rest, tile, seed)| {
        let (from_halo, to_halo, accumulate, relu, by_channels, count) = rest;
        let (stride, block) = tile;
        let (inputs, outputs) = (32 * inputs, 32 * outputs);
        let output = [(height - 1) / stride[0] + 1, (width - 1) / stride[1] + 1];
        let x = Placed { image: tame(image([batch, height, width, inputs], seed)), halo: from_halo };
        let y =
            Placed { image: tame(image([batch, output[0], output[1], outputs], seed ^ 1)), halo: to_halo };
        let kernel = tame(image([1, 1, inputs, outputs], seed ^ 2)).data;
        let bias = tame(image([1, 1, 1, outputs], seed ^ 3)).data;
        let window = Window { size: [1, 1], stride, padding: [0; 4], output };
        let inner = Placed { image: x.image.clone(), halo: [0; 4] };
        let expected = sums(&inner, &kernel, &bias, &window, &y, accumulate, relu);
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
        let mut weights = packed(isa, &factors, 7 * rows, &[]);
        weights.1 = bias.clone();
        let geometry = ConvGeometry {
            batch,
            output,
            rows: 1,
            run: inputs,
            pitch: x.dims()[2] * inputs,
            channels: outputs,
            x: x.pixels([from_halo[0], from_halo[2]], stride),
            y: y.interior(),
        };
        let convolution = Convolution {
            geometry,
            algorithm: Algorithm::Strassen { block },
            residual: if accumulate { Residual::Same } else { Residual::None },
            relu,
            split: if by_channels { Split::Channels } else { Split::Pixels },
        };
        let scratch = kernels::strassen::scratch_len(block, inputs);
        let array = convolved(isa, count, scratch, &convolution, &x, &weights, &y);
        // As above; a factor is a sum of up to four numbers.
        let tolerance = vec![5e-6 + 6e-7 * inputs as f32; expected.data.len()];
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

/// A number that is not finite reaches more outputs than those of a direct sum: here are none, and none above 1.
fn tame(mut image: Image) -> Image {
    image.data.iter_mut().for_each(|x| *x = if x.abs() <= 1.0 { *x } else { 0.5 });
    image
}

/// The naive convolution of all that `x` holds, added to `y` or not.
fn sums(
    x: &Placed,
    kernel: &[f32],
    bias: &[f32],
    window: &Window,
    y: &Placed,
    accumulate: bool,
    relu: bool,
) -> Image {
    let padded = Image { dims: x.dims(), data: x.array(0.0) };
    let mut expected = reference::conv2d(&padded, kernel, bias, bias.len(), window);
    if accumulate {
        expected = reference::add(&expected, &y.image);
    }
    if relu { reference::relu(&expected) } else { expected }
}

/// Panels of a kernel of so many rows, and its bias.
fn packed(isa: Isa, kernel: &[f32], depth: usize, bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = kernel.len() / depth;
    let mut panels = vec![0.0; pack::packed_len(isa, Precision::F32, depth, channels)];
    pack::pack(isa, Numbers::F32(kernel), depth, channels, &mut panels);
    let mut bias = bias.to_vec();
    bias.resize(pack::padded(isa, Precision::F32, channels), 0.0);
    (panels, bias)
}

/// The output of so many threads, each with so many numbers to work in.
fn convolved(
    isa: Isa,
    threads: usize,
    scratch: usize,
    convolution: &Convolution,
    x: &Placed,
    (panels, bias): &(Vec<f32>, Vec<f32>),
    y: &Placed,
) -> Vec<f32> {
    let threads = Threads::with_scratch(NonZeroUsize::new(threads).unwrap(), scratch * size_of::<f32>());
    let mut array = y.array(UNTOUCHED);
    let (x, weights) = (x.array(0.0), PackedConv { panels, bias });
    kernels::convolve(isa, &threads, convolution, Numbers::F32(&x), weights, NumbersMut::F32(&mut array));
    array
}

#[test]
fn pooling() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..40),
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
                let steps = padded.checked_sub(window[axis])?;
                let rounded = if ceil { steps.div_ceil(stride[axis]) } else { steps / stride[axis] };
                let last = (input[axis] + padding[2 * axis] - 1) / stride[axis];
                Some(rounded.min(last) + 1)
            });
            let [Some(rows), Some(columns)] = output else { return Ok(()) };
            let x = placed([batch, height, width, channels], x_halo, seed);
            let y = Placed { image: image([batch, rows, columns, channels], seed ^ 1), halo: y_halo };
            let reference_window = Window { size: window, stride, padding, output: [rows, columns] };
            let expected = match kind {
                PoolKind::Max => reference::max_pool(&x.image, &reference_window),
                PoolKind::Average => reference::average_pool(&x.image, &reference_window, false),
                PoolKind::AverageWithPadding => reference::average_pool(&x.image, &reference_window, true),
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
            kernels::pool(isa, &threads(count), &geometry, Numbers::F32(&from), NumbersMut::F32(&mut array));
            // A sum of f32::MAX and small numbers may round to infinity.
            let near = |y: &f32| if y.abs() > 1e30 { f32::INFINITY } else { 1e-5 };
            let tolerance = match kind {
                PoolKind::Max => exact(&expected),
                _ => expected.data.iter().map(near).collect(),
            };
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

#[test]
fn addition() {
    let case = (
        (1usize..3, 1usize..10, 1usize..10, 1usize..40),
        (halo(), halo(), any::<bool>(), 1usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "addition",
        &case,
        |isa, ((batch, height, width, channels), (x_halo, y_halo, relu, count), seed)| {
            let dims = [batch, height, width, channels];
            let (x, y) = (placed(dims, x_halo, seed), placed(dims, y_halo, seed ^ 1));
            let mut expected = reference::add(&y.image, &x.image);
            if relu {
                expected = reference::relu(&expected);
            }
            let geometry = AddGeometry {
                batch,
                size: [height, width],
                channels,
                x: x.interior(),
                y: y.interior(),
                scale: 1.0,
                residual: Residual::Same,
            };
            let mut array = y.array(UNTOUCHED);
            let (from, to) = (x.array(UNTOUCHED), NumbersMut::F32(&mut array));
            kernels::add(isa, &threads(count), &geometry, relu, Numbers::F32(&from), to);
            let tolerance = exact(&expected);
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
                x: x.pixels(at, stride),
                y: y.interior(),
            };
            let mut array = Placed { image: image(y.image.dims, seed ^ 1), halo: y_halo }.array(UNTOUCHED);
            kernels::copy(&geometry, &x.array(UNTOUCHED), &mut array);
            check(&y, UNTOUCHED, &exact(&y.image), &array)
        },
    );
}

#[test]
fn halos() {
    let case = ((1usize..3, 1usize..10, 1usize..10, 1usize..20), halo(), any::<u64>());
    on_any_isa("halos", &case, |((batch, height, width, channels), halo, seed)| {
        let y = placed([batch, height, width, channels], halo, seed);
        let mut array = y.array(UNTOUCHED);
        kernels::clear_halo(y.dims(), [halo[0], halo[2]], [height, width], NumbersMut::F32(&mut array));
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
