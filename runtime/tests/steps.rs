//! Steps that are no convolutions, on every instruction set that this machine has, against naive loops in f64.

mod common;

use std::num::NonZeroUsize;

use common::on_every_isa;
use common::placed::{Placed, UNTOUCHED, check, halo, image, placed};
use proptest::prelude::*;
use resnet_plan::list::WIDTH;
use resnet_plan::{Action, Activation, Area, Element, Operand, Pool, PoolKind, Task};
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels;
use resnet_runtime::reference::Image;
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, bf16};

fn threads(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap(), 0).unwrap()
}

/// A value as a step reads or writes it.
fn operand(placed: &Placed, element: Element) -> Operand {
    let [_, height, width, _] = placed.image.dims;
    let at = [placed.halo[0], placed.halo[2]];
    Operand { area: Area { dims: placed.dims(), at, size: [height, width] }, element }
}

fn task(action: Action, x: &Placed, y: &Placed) -> Task {
    Task::new(action, Some(operand(x, Element::F32)), None, operand(y, Element::F32)).unwrap()
}

/// Does a step whose weights these are.
fn run(isa: Isa, count: usize, task: &Task, weights: &[f32], x: Elements<'_>, y: ElementsMut<'_>) {
    let (table, threads) = (isa.kernels(), threads(count));
    match task {
        Task::Elementwise(geometry, _) => kernels::elementwise(table, &threads, geometry, weights, x, y),
        Task::Copy(geometry, scale) => kernels::convert(table, &threads, geometry, *scale, x, y),
        Task::Pool(geometry) => kernels::pool(table, &threads, geometry, x, y),
        other => match (x, y) {
            (Elements::F32(x), ElementsMut::F32(y)) => match other {
                Task::GroupNorm(norm, _) => kernels::group_norm(table, &threads, norm, weights, x, y),
                Task::Reduce(reduce, _) => {
                    kernels::reduce(table, &threads, reduce, weights.first().copied(), x, y);
                }
                Task::L2Normalize(channels, epsilon) => kernels::l2_normalize(*channels, *epsilon, x, y),
                Task::ChannelConv { channels, .. } => kernels::channel_conv(*channels, weights, x, y),
                other => panic!("{other:?}"),
            },
            _ => panic!("{other:?}"),
        },
    }
}

/// Rows of weights, each filled up.
fn packed(rows: &[&[f32]]) -> Vec<f32> {
    let fill = |row: &&[f32]| [row, &vec![0.0; row.len().next_multiple_of(WIDTH) - row.len()][..]].concat();
    rows.iter().flat_map(fill).collect()
}

/// Near each expected value; large ones may be infinite.
fn near(expected: &Image, relative: f32) -> Vec<f32> {
    let near = |y: &f32| if y.abs() > 1e30 { f32::INFINITY } else { relative * y.abs().max(1.0) };
    expected.data.iter().map(near).collect()
}

const ACTIVATIONS: [Activation; 9] = [
    Activation::None,
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu(0.1),
    Activation::Prelu,
    Activation::Silu,
    Activation::HardSwish,
    Activation::Sigmoid,
    Activation::HardSigmoid,
];

/// What an elementwise action gives for an element, in f64.
fn elementwise(action: Action, weights: [f32; 3], x: f32, held: f32) -> f64 {
    let [scale, shift, slope] = weights.map(f64::from);
    let (x, held) = (f64::from(x), f64::from(held));
    let value = match action {
        Action::Add { .. } => x + held,
        Action::Multiply { .. } => x * held,
        Action::Affine { .. } => x * scale + shift,
        _ => x,
    };
    action.activation().apply(value, slope)
}

fn elementwise_action(kind: usize, activation: Activation, held: Element) -> Action {
    let list = (activation == Activation::Prelu).then_some(0);
    match kind {
        0 => Action::Add { residual: held, activation, list },
        1 | 2 => Action::Multiply { held, activation, list },
        3 => Action::Affine { activation, list: 0 },
        _ => Action::Activate { activation, list },
    }
}

#[test]
fn elements_in_f32() {
    let case = (
        (1usize..3, 1usize..7, 1usize..7, 1usize..40),
        (halo(), halo(), 0usize..5, 0..ACTIVATIONS.len(), 1usize..4),
        any::<u64>(),
    );
    on_every_isa("elements in f32", &case, |isa, ((n, height, width, channels), rest, seed)| {
        let (x_halo, y_halo, kind, activation, count) = rest;
        let action = elementwise_action(kind, ACTIVATIONS[activation], Element::F32);
        let one = kind == 2;
        let x = placed(if one { [n, 1, 1, channels] } else { [n, height, width, channels] }, x_halo, seed);
        let y = placed([n, height, width, channels], y_halo, seed ^ 1);
        let weights = [2, 3, 4].map(|salt| around([1, 1, 1, channels], seed ^ salt, 0.0).data);
        let expected = Image::from_fn(y.image.dims, |n, row, column, c| {
            let from = if one { x.image.pixel(n, 0, 0) } else { x.image.pixel(n, row, column) };
            let weights = [0, 1, 2].map(|row: usize| weights[row][c]);
            elementwise(action, weights, from[c], y.image.pixel(n, row, column)[c]) as f32
        });
        let rows: Vec<&[f32]> = match action {
            Action::Affine { .. } => weights.iter().map(|row| &row[..]).collect(),
            _ => vec![&weights[2]],
        };
        let mut array = y.array(UNTOUCHED);
        let from = x.array(UNTOUCHED);
        let task = task(action, &x, &y);
        run(isa, count, &task, &packed(&rows), Elements::F32(&from), ElementsMut::F32(&mut array));
        let tolerance = near(&expected, 4e-6);
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

#[test]
fn elements_of_few_bits() {
    let case = (
        (1usize..3, 1usize..5, 1usize..5, 1usize..40),
        0usize..5,
        0..ACTIVATIONS.len(),
        0usize..9,
        any::<u64>(),
    );
    on_every_isa(
        "elements of few bits",
        &case,
        |isa, ((n, height, width, channels), kind, activation, types, seed)| {
            let one = kind == 2;
            let dims = [n, height, width, channels];
            let x_dims = if one { [n, 1, 1, channels] } else { dims };
            let kinds = [Element::U8(0.02), Element::I8(0.03)];
            let of = |index: usize| if types == 8 { Element::Bf16 } else { kinds[types >> index & 1] };
            let (x_element, y_element, held_element) = (of(0), of(1), of(2));
            let action = elementwise_action(kind, ACTIVATIONS[activation], held_element);
            let bytes = |dims: [usize; 4], seed: u64| -> Vec<u8> {
                image(dims, seed)
                    .data
                    .iter()
                    .map(|x| if x.is_finite() { (x * 128.0) as i32 as u8 } else { 5 })
                    .collect()
            };
            let real = |element: Element, byte: u8| match element {
                Element::U8(scale) => f32::from(byte) * scale,
                Element::I8(scale) => f32::from(byte.cast_signed()) * scale,
                _ => bf16::from_f32(f32::from(byte.cast_signed()) / 64.0).to_f32(),
            };
            let (x, held) = (bytes(x_dims, seed), bytes(dims, seed ^ 1));
            let weights = [2, 3, 4].map(|salt| around([1, 1, 1, channels], seed ^ salt, 0.0).data);
            let rows: Vec<&[f32]> = match action {
                Action::Affine { .. } => weights.iter().map(|row| &row[..]).collect(),
                _ => vec![&weights[2]],
            };
            let list = packed(&rows);
            let operands = [(x_dims, x_element), (dims, y_element)]
                .map(|(dims, element)| Operand { area: Area::dense(dims), element });
            let task = Task::new(action, Some(operands[0]), None, operands[1]).unwrap();
            let found: Vec<f32> = if types == 8 {
                let x: Vec<bf16> = x.iter().map(|byte| bf16::from_f32(real(x_element, *byte))).collect();
                let mut y: Vec<bf16> =
                    held.iter().map(|byte| bf16::from_f32(real(held_element, *byte))).collect();
                run(isa, 2, &task, &list, Elements::Bf16(&x), ElementsMut::Bf16(&mut y));
                y.iter().map(|y| y.to_f32()).collect()
            } else {
                let signed: Vec<i8> = x.iter().map(|x| x.cast_signed()).collect();
                let from = if x_element.is_signed() { Elements::I8(&signed) } else { Elements::U8(&x) };
                let mut y = held.clone();
                if y_element.is_signed() {
                    let mut signed: Vec<i8> = y.iter().map(|y| y.cast_signed()).collect();
                    run(isa, 2, &task, &list, from, ElementsMut::I8(&mut signed));
                    y = signed.iter().map(|y| y.cast_unsigned()).collect();
                } else {
                    run(isa, 2, &task, &list, from, ElementsMut::U8(&mut y));
                }
                y.iter().map(|y| real(y_element, *y)).collect()
            };
            for (place, found) in found.iter().enumerate() {
                let (pixel, channel) = (place / channels, place % channels);
                let from = if one { pixel / (height * width) } else { pixel };
                let weights = [0, 1, 2].map(|row: usize| weights[row][channel]);
                let x = real(x_element, x[from * channels + channel]);
                let expected = elementwise(action, weights, x, real(held_element, held[place]));
                let (low, high, step) = match y_element {
                    Element::U8(scale) => (0.0, 255.0 * scale, scale * 0.5001),
                    Element::I8(scale) => (-128.0 * scale, 127.0 * scale, scale * 0.5001),
                    _ => (f32::MIN, f32::MAX, expected.abs() as f32 / 256.0 + 1e-6),
                };
                let expected = (expected as f32).clamp(low, high);
                prop_assert!(
                    (found - expected).abs() <= step + 1e-5,
                    "{:?} at {}: {} and not {}",
                    action,
                    place,
                    found,
                    expected
                );
            }
            Ok(())
        },
    );
}

#[test]
fn upsampling() {
    let case = (
        (1usize..3, 1usize..5, 1usize..5, 1usize..20),
        (halo(), halo(), 1usize..4),
        prop::array::uniform2(1usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "upsampling",
        &case,
        |isa, ((n, height, width, channels), (x_halo, y_halo, count), times, seed)| {
            let x = placed([n, height, width, channels], x_halo, seed);
            let dims = [n, height * times[0], width * times[1], channels];
            let expected = Image::from_fn(dims, |n, row, column, c| {
                x.image.pixel(n, row / times[0], column / times[1])[c]
            });
            let y = placed(dims, y_halo, seed ^ 1);
            let mut array = y.array(UNTOUCHED);
            let from = x.array(UNTOUCHED);
            let task = task(Action::Upsample { times }, &x, &y);
            run(isa, count, &task, &[], Elements::F32(&from), ElementsMut::F32(&mut array));
            let tolerance = vec![0.0; expected.data.len()];
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

#[test]
fn blurring() {
    let case = (
        (1usize..3, 1usize..12, 1usize..12, 1usize..40),
        (halo(), halo(), 1usize..4),
        1usize..10,
        prop::array::uniform2(1usize..4),
        any::<u64>(),
    );
    on_every_isa(
        "blurring",
        &case,
        |isa, ((n, height, width, channels), (x_halo, y_halo, count), size, stride, seed)| {
            let side = stride.map(|stride| (stride + size).saturating_sub(2) / 2);
            let input = [height, width];
            let output = [0, 1].map(|axis| {
                let padded = input[axis] + 2 * side[axis];
                Some(padded.checked_sub(size)? / stride[axis] + 1)
            });
            let [Some(rows), Some(columns)] = output else { return Ok(()) };
            if side[0] >= height || side[1] >= width {
                return Ok(());
            }
            let x = placed([n, height, width, channels], x_halo, seed);
            let mut weights = vec![1.0f64];
            for _ in 1..size {
                weights = (0..=weights.len())
                    .map(|i| {
                        (weights.get(i).unwrap_or(&0.0) + i.checked_sub(1).map_or(0.0, |i| weights[i])) / 2.0
                    })
                    .collect();
            }
            let mirrored = |position: usize, axis: usize| {
                let place = position as isize - side[axis] as isize;
                let last = input[axis] as isize - 1;
                (if place < 0 {
                    -place
                } else if place > last {
                    2 * last - place
                } else {
                    place
                }) as usize
            };
            let dims = [n, rows, columns, channels];
            let expected = Image::from_fn(dims, |n, row, column, c| {
                let mut sum = 0.0;
                for (i, row_weight) in weights.iter().enumerate() {
                    for (j, weight) in weights.iter().enumerate() {
                        let at = [mirrored(row * stride[0] + i, 0), mirrored(column * stride[1] + j, 1)];
                        sum += row_weight * weight * f64::from(x.image.pixel(n, at[0], at[1])[c]);
                    }
                }
                sum as f32
            });
            let y = placed(dims, y_halo, seed ^ 1);
            let padding = [side[0], side[0], side[1], side[1]];
            let pool = Pool { kind: PoolKind::Blur, window: [size; 2], stride, padding };
            let mut array = y.array(UNTOUCHED);
            let from = x.array(UNTOUCHED);
            let task = task(Action::Pool(pool), &x, &y);
            run(isa, count, &task, &[], Elements::F32(&from), ElementsMut::F32(&mut array));
            let tolerance = near(&expected, 4e-6);
            check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
        },
    );
}

/// The mean and the variance without bias of the elements of some pixels.
fn moments(x: impl Iterator<Item = f64> + Clone) -> (f64, f64, f64) {
    let count = x.clone().count() as f64;
    let mean = x.clone().sum::<f64>() / count;
    (mean, x.map(|x| (x - mean) * (x - mean)).sum::<f64>(), count)
}

/// Finite, around a mean.
fn around(dims: [usize; 4], seed: u64, mean: f32) -> Image {
    let image = image(dims, seed);
    let finite = |x: &f32| if x.abs() < 10.0 { x + mean } else { mean };
    Image { dims, data: image.data.iter().map(finite).collect() }
}

#[test]
fn group_norms() {
    let case = (
        // (Groups and images that are wider than what is measured at once, too.)
        (1usize..3, 1usize..7, 1usize..50, 1usize..6, prop_oneof![7 => 1usize..24, 1 => 100usize..300]),
        (halo(), halo(), 0usize..4, 0usize..4, any::<bool>(), 0..ACTIVATIONS.len(), 1usize..4),
        0usize..3,
        any::<u64>(),
    );
    on_every_isa("group norms", &case, |isa, ((n, height, width, groups, of_group), rest, scale, seed)| {
        let (x_halo, y_halo, front, back, affine, activation, count) = rest;
        let channels = front + groups * of_group + back;
        let range = [front, front + groups * of_group];
        let dims = [n, height, width, channels];
        let mean = [0.0, 1.0, 1000.0][scale];
        let x = Placed { image: around(dims, seed, mean), halo: x_halo };
        let y = placed(dims, y_halo, seed ^ 1);
        let activation = ACTIVATIONS[activation];
        let weights = [2, 3, 4].map(|salt| around([1, 1, 1, channels], seed ^ salt, 0.0).data);
        let mut rows: Vec<&[f32]> = if affine { vec![&weights[0], &weights[1]] } else { vec![] };
        if activation == Activation::Prelu {
            rows.push(&weights[2]);
        }
        let epsilon = 1e-3;
        let list = (!rows.is_empty()).then_some(0);
        let action = Action::GroupNorm { groups, channels: range, epsilon, activation, affine, list };
        let normals: Vec<(f64, f64)> = (0..n * groups)
            .map(|index| {
                let (image, first) = (index / groups, front + index % groups * of_group);
                let pixels =
                    (0..height * width).map(|pixel| x.image.pixel(image, pixel / width, pixel % width));
                let elements =
                    pixels.flat_map(|pixel| pixel[first..first + of_group].iter().map(|x| f64::from(*x)));
                let (mean, squares, count) = moments(elements);
                (mean, squares / count)
            })
            .collect();
        let expected = Image::from_fn(dims, |n, row, column, c| {
            let value = f64::from(x.image.pixel(n, row, column)[c]);
            let normalized = if (range[0]..range[1]).contains(&c) {
                let (mean, variance) = normals[n * groups + (c - front) / of_group];
                let value = (value - mean) / (variance + epsilon).sqrt();
                if affine { value * f64::from(weights[0][c]) + f64::from(weights[1][c]) } else { value }
            } else {
                value
            };
            activation.apply(normalized, f64::from(weights[2][c])) as f32
        });
        let (mut array, from) = (y.array(UNTOUCHED), x.array(UNTOUCHED));
        let task = task(action, &x, &y);
        run(isa, count, &task, &packed(&rows), Elements::F32(&from), ElementsMut::F32(&mut array));
        let mut alone = y.array(UNTOUCHED);
        run(isa, 1, &task, &packed(&rows), Elements::F32(&from), ElementsMut::F32(&mut alone));
        prop_assert!(
            array.iter().map(|x| x.to_bits()).eq(alone.iter().map(|x| x.to_bits())),
            "bits of {count} threads"
        );
        let tolerance = near(&expected, 2e-5);
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

#[test]
fn reductions() {
    let case = (
        (1usize..3, 1usize..7, 1usize..50, 1usize..40),
        (halo(), halo(), 0usize..3, 1usize..4),
        0usize..3,
        any::<u64>(),
    );
    on_every_isa("reductions", &case, |isa, ((n, height, width, channels), rest, scale, seed)| {
        let (x_halo, y_halo, kind, count) = rest;
        let rows = if kind == 1 { height } else { 1 };
        let part = height / rows;
        if kind < 2 && part * width < 2 {
            return Ok(());
        }
        let mean = [0.0, 1.0, 1000.0][scale];
        let x = Placed { image: around([n, height, width, channels], seed, mean), halo: x_halo };
        let (epsilon, exponent) = (1e-3, 2.75);
        let action = match kind {
            2 => Action::Gem { epsilon, exponent, list: None },
            _ => Action::Statistics { epsilon },
        };
        let dims = [n, rows, 1, if kind == 2 { channels } else { 2 * channels }];
        let expected = Image::from_fn(dims, |n, row, _, c| {
            let pixels = (row * part * width..(row + 1) * part * width)
                .map(|pixel| f64::from(x.image.pixel(n, pixel / width, pixel % width)[c % channels]));
            if kind == 2 {
                let (mean, ..) = moments(pixels.map(|x| x.max(epsilon).powf(exponent)));
                return mean.powf(1.0 / exponent) as f32;
            }
            let (mean, squares, count) = moments(pixels);
            (if c < channels { mean } else { (squares / (count - 1.0) + epsilon).sqrt() }) as f32
        });
        let y = placed(dims, y_halo, seed ^ 1);
        let (mut array, from) = (y.array(UNTOUCHED), x.array(UNTOUCHED));
        let task = task(action, &x, &y);
        run(isa, count, &task, &[], Elements::F32(&from), ElementsMut::F32(&mut array));
        let tolerance = near(&expected, 4e-6);
        check(&Placed { image: expected, halo: y.halo }, UNTOUCHED, &tolerance, &array)
    });
}

#[test]
fn nan_reaches_what_is_computed_of_it() {
    let (dims, pixel) = ([1, 2, 2, 4], [1, 1, 1, 4]);
    let mut x = vec![1.0; 16];
    x[5] = f32::NAN;
    let of = |dims| Operand { area: Area::dense(dims), element: Element::F32 };
    let norm = Action::GroupNorm {
        groups: 2,
        channels: [0, 4],
        epsilon: 1e-5,
        activation: Activation::Relu,
        affine: false,
        list: None,
    };
    let gem = Action::Gem { epsilon: 1e-6, exponent: 3.0, list: None };
    for isa in Isa::available() {
        for (action, to, expected) in [
            (norm, dims, vec![0, 1, 4, 5, 8, 9, 12, 13]),
            (gem, pixel, vec![1]),
            (Action::Statistics { epsilon: 0.0 }, [1, 1, 1, 8], vec![1, 5]),
            (Action::L2Normalize { epsilon: 1e-6 }, dims, vec![4, 5, 6, 7]),
        ] {
            let task = Task::new(action, Some(of(dims)), None, of(to)).unwrap();
            let mut y = vec![0.0; to.iter().product()];
            run(isa, 1, &task, &[], Elements::F32(&x), ElementsMut::F32(&mut y));
            let found: Vec<usize> = (0..y.len()).filter(|place| y[*place].is_nan()).collect();
            assert_eq!(found, expected, "{isa}: {action}");
        }
    }
}

#[test]
fn channels_of_a_pixel() {
    let x = [3.0, -4.0, 0.0, 0.0, 0.25, 0.0];
    let mut y = [0.0; 6];
    kernels::l2_normalize(2, 0.5, &x, &mut y);
    assert_eq!(y, [0.6, -0.8, 0.0, 0.0, 0.5, 0.0]);
    let mut y = [0.0; 6];
    kernels::channel_conv(3, &[1.0, 10.0, 100.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut y);
    assert_eq!(y, [210.0, 321.0, 32.0, 540.0, 654.0, 65.0]);
    let mut y = [0.0; 2];
    kernels::channel_conv(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &[1.0, 10.0], &mut y);
    assert_eq!(y, [54.0, 43.0]);
}
