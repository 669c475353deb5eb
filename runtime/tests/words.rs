//! The kernels of bf16 and int8, on every instruction set that this machine has, against sums that are worked out element by
//! element here. int8 agree to the bit. `PROPTEST_CASES` sets how many cases there are, at least 1,000.

mod common;
#[path = "words/shape.rs"]
mod shape;

use std::num::NonZeroUsize;

use common::{activation, on_every_isa, on_isa, slopes};
use proptest::prelude::*;
use resnet_plan::{
    Activation, Algorithm, CopyGeometry, Elementwise, Operator, Pixels, PoolGeometry, PoolKind, Residual,
    Scales,
};
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels::{self, PackedConv, pack};
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, Precision, bf16};
use shape::{Shape, shapes};

/// Elements from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// In [-1, 1).
    fn number(&mut self) -> f32 {
        self.next() as f32 / (1u32 << 30) as f32 - 1.0
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| byte.cast_signed()).collect()
}

/// The packed weights of a shape.
fn packed(isa: Isa, shape: &Shape, kernel: Elements<'_>) -> Vec<f32> {
    let Shape { inputs, outputs, kernel: [height, width], blocks, .. } = *shape;
    pack::pack_blocks(isa.kernels(), kernel, blocks, [height * width, inputs / blocks], outputs)
}

/// Lists of an element for each output, one after the other.
fn lists<const N: usize>(isa: Isa, precision: Precision, shape: &Shape, lists: [&[f32]; N]) -> Vec<f32> {
    let block = [shape.inputs, shape.outputs].map(|channels| channels / shape.blocks);
    let list = |list: &[f32]| pack::pack_list(isa.kernels(), precision, shape.blocks, block, list);
    lists.map(list).concat()
}

/// For kernels that need no memory to work in.
fn team(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap(), 0).unwrap()
}

/// As the kernels round: cut to the range, to the nearest, an even one in the middle; NaN becomes the least.
fn rounded(value: f32, is_signed: bool) -> u8 {
    let (least, most) = if is_signed { (-128.0, 127.0) } else { (0.0, 255.0) };
    let value = if value.is_nan() { least } else { value };
    (value.clamp(least, most).round_ties_even() as i32) as u8
}

/// What is compared: NaN are equal.
fn bits((bytes, numbers): &(Vec<u8>, Vec<f32>)) -> (Vec<u8>, Vec<Option<u32>>) {
    (
        bytes.clone(),
        numbers.iter().map(|number| Some(number.to_bits()).filter(|_| !number.is_nan())).collect(),
    )
}

fn number(byte: u8, is_signed: bool) -> i32 {
    if is_signed { i32::from(byte.cast_signed()) } else { i32::from(byte) }
}

/// A convolution of int8 and its elements.
struct Int8 {
    shape: Shape,
    x_signed: bool,
    y_signed: bool,
    activation: Activation,
    /// Of the output.
    quantization: f32,
    residual: Residual,
    x: Vec<u8>,
    kernel: Vec<i8>,
    before: Vec<u8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

/// Signed or not: input, output, residual; whether there is one; what follows.
type Flags = (bool, bool, bool, bool, Activation);

fn int8_cases() -> impl Strategy<Value = (Shape, Flags, u64)> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), activation());
    (shapes(), flags, any::<u64>())
}

impl Int8 {
    fn new((shape, flags, seed): (Shape, Flags, u64)) -> Self {
        let (x_signed, y_signed, residual_signed, accumulate, activation) = flags;
        let mut random = Random(seed);
        let x = random.bytes(shape.input_len());
        let kernel = random.bytes(shape.depth() * shape.outputs);
        let kernel = kernel.iter().map(|b| b.cast_signed().max(-127)).collect();
        let before = random.bytes(shape.output_len());
        let scale = random.numbers(shape.outputs).iter().map(|n| n * 1e-2).collect();
        let mut bias: Vec<f32> = random.numbers(shape.outputs).iter().map(|n| n * 50.0).collect();
        // Far outside of any integer's range.
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e20, -1e20, 3e9, -3e9];
        if random.next().is_multiple_of(4) {
            let place = random.next() as usize % bias.len();
            bias[place] = special[random.next() as usize % special.len()];
        }
        let residual = if accumulate {
            Residual::Quantized { signed: residual_signed, scale: random.number().abs() + 0.1 }
        } else {
            Residual::None
        };
        let quantization = random.number().abs() / 16.0 + 1e-3;
        Int8 { shape, x_signed, y_signed, activation, quantization, residual, x, kernel, before, scale, bias }
    }

    /// The values before they are rounded, where there are any, and those in f32 without a residual.
    fn expected(&self) -> [Vec<Option<f32>>; 2] {
        let mut values = [vec![None; self.before.len()], vec![None; self.before.len()]];
        let slopes = slopes(self.shape.outputs);
        self.shape.products(|place, o, products| {
            let products =
                products.map(|(x, w)| number(self.x[x], self.x_signed) * i32::from(self.kernel[w]));
            let sum: i32 = products.sum();
            let activated = |value: f32, scale: f32| {
                let scale = f64::from(if self.activation.is_homogeneous() { 1.0 } else { scale });
                (self.activation.apply(f64::from(value) * scale, f64::from(slopes[o])) / scale) as f32
            };
            let mut value = (sum as f32).mul_add(self.scale[o], self.bias[o]);
            values[1][place] = Some(activated(value, 1.0));
            if let Residual::Quantized { signed, scale } = self.residual {
                value = (number(self.before[place], signed) as f32).mul_add(scale, value);
            }
            values[0][place] = Some(activated(value, self.quantization));
        });
        values
    }

    /// Whether that is what kernels have found: to the bit, but for functions that are not exact.
    fn check(&self, (bytes, numbers): &(Vec<u8>, Vec<f32>)) -> Result<(), TestCaseError> {
        let slack = if self.activation.is_homogeneous() { 0.0 } else { 1e-6 };
        let [values, expected] = self.expected();
        for (place, ((byte, value), (single, expected))) in
            bytes.iter().zip(values).zip(numbers.iter().zip(expected)).enumerate()
        {
            let (Some(value), Some(expected)) = (value, expected) else {
                prop_assert_eq!((*byte, *single), (self.before[place], 7.0), "at {}", place);
                continue;
            };
            let size = |value: f32| if value.is_finite() { 1.0 + value.abs() } else { 0.0 };
            let around = |value: f32| [-1.0, 1.0].map(|side| value + side * slack * size(value));
            let [least, most] =
                around(value).map(|value| number(rounded(value, self.y_signed), self.y_signed));
            let found = number(*byte, self.y_signed);
            prop_assert!((least..=most).contains(&found), "at {place}: {found}, not {value}");
            let [least, most] = around(expected);
            let near = (least..=most).contains(single) || expected.is_nan() && single.is_nan();
            prop_assert!(near || *single == expected, "at {place}: {single}, not {expected}");
        }
        Ok(())
    }

    /// The same, computed by kernels.
    fn found(&self, isa: Isa) -> (Vec<u8>, Vec<f32>) {
        let Shape { outputs, .. } = self.shape;
        let panels = packed(isa, &self.shape, Elements::I8(&self.kernel));
        let block = [self.shape.inputs, outputs].map(|channels| channels / self.shape.blocks);
        let moved = self.x_signed && pack::moves_signed(isa.kernels(), self.shape.blocks, block);
        let start = |output: usize| {
            let column = self.kernel.iter().skip(output).step_by(outputs);
            if moved { -128 * column.map(|w| i32::from(*w)).sum::<i32>() } else { 0 }
        };
        let starts: Vec<f32> =
            (0..outputs).map(|output| f32::from_bits(start(output).cast_unsigned())).collect();
        let parts = [&starts[..], &self.scale, &self.bias, &slopes(outputs)];
        let lists = lists(isa, Precision::Int8, &self.shape, parts);
        let weights = PackedConv { panels: &panels, bias: &lists };
        let x = signed(&self.x);
        let x = if self.x_signed { Elements::I8(&x) } else { Elements::U8(&self.x) };
        let threads = self.shape.team(Precision::Int8);
        let run = |residual, scale, y: ElementsMut<'_>| {
            let convolution = self.shape.convolution(Precision::Int8, residual, self.activation, scale);
            kernels::convolve(isa.kernels(), &threads, &convolution, x, weights, &[], y);
        };
        let mut bytes = self.before.clone();
        if self.y_signed {
            let mut y = signed(&bytes);
            run(self.residual, self.quantization, ElementsMut::I8(&mut y));
            bytes = y.into_iter().map(i8::cast_unsigned).collect();
        } else {
            run(self.residual, self.quantization, ElementsMut::U8(&mut bytes));
        }
        let mut numbers = vec![7.0f32; self.before.len()];
        run(Residual::None, 1.0, ElementsMut::F32(&mut numbers));
        (bytes, numbers)
    }
}

#[test]
fn int8_convolution() {
    on_every_isa("int8 convolution", &int8_cases(), |isa, case| {
        let case = Int8::new(case);
        let found = case.found(isa);
        // All instruction sets have the same bits.
        prop_assert_eq!(bits(&found), bits(&case.found(Isa::Scalar)));
        case.check(&found)
    });
}

#[test]
fn amx_and_its_emulation_agree() {
    on_isa(Isa::Amx, "AMX and its emulation", &int8_cases(), |case| {
        let case = Int8::new(case);
        prop_assert_eq!(bits(&case.found(Isa::Amx)), bits(&case.found(Isa::AmxEmulated)));
        Ok(())
    });
}

#[test]
fn bf16_convolution() {
    let flags = (any::<bool>(), activation());
    on_every_isa("bf16 convolution", &(shapes(), flags, any::<u64>()), |isa, (shape, flags, seed)| {
        let (accumulate, activation) = flags;
        let mut random = Random(seed);
        let mut numbers =
            |count| random.numbers(count).into_iter().map(bf16::from_f32).collect::<Vec<bf16>>();
        let x = numbers(shape.input_len());
        let kernel = numbers(shape.depth() * shape.outputs);
        let before = numbers(shape.output_len());
        let bias: Vec<f32> = numbers(shape.outputs).into_iter().map(bf16::to_f32).collect();

        let slopes = slopes(shape.outputs);
        let mut expected = vec![7.0f64; shape.output_len()];
        let mut bound = vec![0.0f64; shape.output_len()];
        let mut touched = vec![false; shape.output_len()];
        shape.products(|place, o, products| {
            let mut sum = f64::from(bias[o]);
            let mut size = sum.abs();
            for (x_place, w) in products {
                let product = f64::from(x[x_place].to_f32()) * f64::from(kernel[w].to_f32());
                sum += product;
                size += product.abs();
            }
            if accumulate {
                sum += f64::from(before[place].to_f32());
                size += f64::from(before[place].to_f32()).abs();
            }
            expected[place] = activation.apply(sum, f64::from(slopes[o]));
            bound[place] = size;
            touched[place] = true;
        });

        let panels = packed(isa, &shape, Elements::Bf16(&kernel));
        let lists = lists(isa, Precision::Bf16, &shape, [&bias, &slopes]);
        let weights = PackedConv { panels: &panels, bias: &lists };
        let residual = if accumulate { Residual::Same } else { Residual::None };
        let convolution = shape.convolution(Precision::Bf16, residual, activation, 1.0);
        let threads = shape.team(Precision::Bf16);
        let mut y = before.clone();
        kernels::convolve(
            isa.kernels(),
            &threads,
            &convolution,
            Elements::Bf16(&x),
            weights,
            &[],
            ElementsMut::Bf16(&mut y),
        );
        let mut single: Vec<f32> = before.iter().map(|number| number.to_f32()).collect();
        let to = ElementsMut::F32(&mut single);
        kernels::convolve(isa.kernels(), &threads, &convolution, Elements::Bf16(&x), weights, &[], to);
        for place in 0..y.len() {
            if !touched[place] {
                prop_assert_eq!(y[place], before[place]);
                continue;
            }
            // Sums in single precision, each rounding of which is at most a unit in the last place of the sum of magnitudes; bf16
            // has eight bits, so rounding to it adds half of 2^-8.
            // The transforms round as well, whatever the size of the sum: elements are at most 1.
            let transforms =
                if shape.algorithm == Algorithm::Direct { 0.0 } else { 5e-6 + 3e-7 * shape.depth() as f64 };
            // Activations have slopes of at most 1.5, and some roundings of their own.
            let sums = (shape.depth() + 8) as f64 * f64::from(f32::EPSILON) * bound[place] + transforms;
            let sums = 1.5 * sums + 2e-7;
            let error = (f64::from(single[place]) - expected[place]).abs();
            prop_assert!(error <= sums, "at {place}: {error:e} above {sums:e}");
            let error = (f64::from(y[place].to_f32()) - expected[place]).abs();
            let most = sums + expected[place].abs() / 256.0;
            prop_assert!(error <= most, "at {place}: {error:e} above {most:e}");
        }
        Ok(())
    });
}

/// Pixels of a dense array.
fn dense(height: usize, width: usize, channels: usize) -> Pixels {
    Pixels { start: 0, image: height * width * channels, row: width * channels, pixel: channels }
}

#[test]
fn int8_pooling_and_sums() {
    let sizes = (1usize..3, 1usize..7, 1usize..7, 1usize..140);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 1usize..4);
    on_every_isa("int8 pooling and sums", &(sizes, flags, any::<u64>()), |isa, (sizes, flags, seed)| {
        let (batch, height, width, channels) = sizes;
        let (x_signed, y_signed, old_signed, relu, count) = flags;
        let mut random = Random(seed);
        let threads = team(count);
        let pixels = dense(height, width, channels);
        let total = batch * height * width * channels;
        let x = random.bytes(total);
        let x_i8 = signed(&x);
        let from = if x_signed { Elements::I8(&x_i8) } else { Elements::U8(&x) };
        let write = |to: &mut Vec<u8>, to_signed: bool, f: &mut dyn FnMut(ElementsMut<'_>)| {
            if to_signed {
                let mut numbers = signed(to);
                f(ElementsMut::I8(&mut numbers));
                *to = numbers.into_iter().map(i8::cast_unsigned).collect();
            } else {
                f(ElementsMut::U8(to));
            }
        };

        // The whole image's maximum and mean.
        let scale = random.number().abs() + 0.1;
        for kind in [PoolKind::Max, PoolKind::Average] {
            let geometry = PoolGeometry {
                kind,
                scale,
                batch,
                input: [height, width],
                output: [1, 1],
                channels,
                window: [height, width],
                stride: [1, 1],
                padding: [0; 4],
                x: pixels,
                y: dense(1, 1, channels),
            };
            let mut y = vec![0u8; batch * channels];
            write(&mut y, x_signed, &mut |to| kernels::pool(isa.kernels(), &threads, &geometry, from, to));
            for (place, found) in y.iter().enumerate() {
                let (image, channel) = (place / channels, place % channels);
                let numbers = (0..height * width)
                    .map(|pixel| number(x[(image * height * width + pixel) * channels + channel], x_signed));
                let value = match kind {
                    PoolKind::Max => numbers.max().unwrap() as f32,
                    _ => numbers.sum::<i32>() as f32 * (scale / (height * width) as f32),
                };
                prop_assert_eq!(*found, rounded(value, x_signed), "{:?} at {}", kind, place);
            }
        }

        let old = random.bytes(total);
        let old_scale = random.number().abs() + 0.1;
        let geometry = Elementwise {
            operator: Operator::Add,
            activation: if relu { Activation::Relu } else { Activation::None },
            batch,
            size: [height, width],
            channels,
            x: pixels,
            y: pixels,
            held: Residual::Quantized { signed: old_signed, scale: old_scale },
            scales: Scales { x: scale, ..Scales::NONE },
        };
        let mut y = old.clone();
        write(&mut y, y_signed, &mut |to| {
            kernels::elementwise(isa.kernels(), &threads, &geometry, &[], from, to)
        });
        for place in 0..total {
            let sum =
                number(x[place], x_signed) as f32 * scale + number(old[place], old_signed) as f32 * old_scale;
            let sum = if relu { sum.max(0.0) } else { sum };
            prop_assert_eq!(y[place], rounded(sum, y_signed));
        }
        Ok(())
    });
}

#[test]
fn conversions() {
    // Any, and such as are images: some channels, and as many zeros as make four.
    let depths = (1usize..120, 0usize..3, 0usize..4);
    let depths = prop_oneof![3 => depths, 1 => (1usize..4).prop_map(|channels| (channels, 0, 4 - channels))];
    let sizes = (1usize..3, 1usize..7, 1usize..40, depths);
    on_every_isa("conversions", &(sizes, any::<u64>(), 1usize..4), |isa, (sizes, seed, count)| {
        let (batch, height, width, (channels, front, back)) = sizes;
        let mut random = Random(seed);
        let threads = team(count);
        let mut x: Vec<f32> =
            random.numbers(batch * height * width * channels).iter().map(|n| n * 400.0).collect();
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, -0.0, 0.5, 1.5, 2.5];
        let place = random.next() as usize % x.len();
        x[place] = special[random.next() as usize % special.len()];
        let scale = if seed.is_multiple_of(2) { 1.0 } else { 0.37 };
        let stored = front + channels + back;
        let geometry = CopyGeometry {
            batch,
            size: [height, width],
            channels,
            front,
            back,
            times: [1, 1],
            x: dense(height, width, channels),
            y: dense(height, width, stored),
        };
        let total = batch * height * width * stored;
        let from = Elements::F32(&x);
        let (mut as_bf16, mut as_u8, mut as_i8) =
            (vec![bf16::ONE; total], vec![1u8; total], vec![1i8; total]);
        kernels::convert(isa.kernels(), &threads, &geometry, scale, from, ElementsMut::Bf16(&mut as_bf16));
        kernels::convert(isa.kernels(), &threads, &geometry, scale, from, ElementsMut::U8(&mut as_u8));
        kernels::convert(isa.kernels(), &threads, &geometry, scale, from, ElementsMut::I8(&mut as_i8));
        for place in 0..total {
            let channel = place % stored;
            let inside = (front..front + channels).contains(&channel);
            let number = if inside { x[place / stored * channels + channel - front] * scale } else { 0.0 };
            prop_assert_eq!(as_bf16[place].to_bits(), bf16::from_f32(number).to_bits());
            prop_assert_eq!(as_u8[place], rounded(number, false));
            prop_assert_eq!(as_i8[place].cast_unsigned(), rounded(number, true));
        }
        // And back, without the channels around.
        let geometry = CopyGeometry {
            front: 0,
            back: 0,
            x: Pixels { start: front, ..dense(height, width, stored) },
            y: dense(height, width, channels),
            ..geometry
        };
        let mut y = vec![0.0f32; x.len()];
        kernels::convert(
            isa.kernels(),
            &threads,
            &geometry,
            0.5,
            Elements::I8(&as_i8),
            ElementsMut::F32(&mut y),
        );
        for (place, found) in y.iter().enumerate() {
            let byte = as_i8[place / channels * stored + front + place % channels];
            prop_assert_eq!(*found, f32::from(byte) * 0.5);
        }
        Ok(())
    });
}
