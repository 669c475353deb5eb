//! Computes all values of an int8 graph after all passes by plain loops, with the bits that kernels give.
//!
//! ```text
//! quantize a kernel, by output:  scale = max|w| / 127;  w = round(w / scale)               in f64
//! input:        y = x * (1 / y's scale)
//! convolution:  y = sum * factor + bias + residual * (its scale / y's scale)
//!               factor = x's scale * kernel's scale / y's scale;  bias = bias / y's scale   in f64, rounded to f32 once
//! sum of two:   y = a * (a's scale / y's scale) + b * (b's scale / y's scale)
//! mean:         y = sum * (x's scale / y's scale / count)
//! then:         ReLU; if y is quantized, cut to its range and rounded, half to even
//! others:       the operator's definition in f64, of elements times their scales; kernels may be a step away
//! ```
//! Sums of products are exact. A convolution's `.. * .. + ..` is rounded to f32 once; each operation of the other lines by itself. The
//! scale of f32 is 1.

use std::collections::HashMap;

use resnet_dsl::evaluate::operators::{self, Window};
use resnet_dsl::evaluate::weights::{self, Filters};
use resnet_dsl::evaluate::{Array, Load};
use resnet_dsl::ir::{Element, Graph, Op, Type, Value};
use resnet_dsl::ops::{Activation, Conv2d};
use resnet_plan::Activation as Function;

/// A value: elements as they are stored, which are integers if they are quantized.
pub(crate) struct Stored {
    pub(crate) element: Element,
    pub(crate) array: Array,
    /// How far a kernel's elements may be from these.
    pub(crate) tolerance: f64,
}

/// All values of an optimized graph, by name. `load` gives f32 weights. Where `found` has what a kernel gave, operators are computed of
/// that, so that a step of one is not taken for a mistake of the next.
///
/// # Panics
/// If the loader fails.
pub(crate) fn evaluate(
    graph: &Graph,
    load: Load<'_>,
    input: &[f32],
    found: &HashMap<&str, &[f32]>,
) -> HashMap<String, Stored> {
    let mut values: HashMap<String, Stored> = HashMap::new();
    let mut sources: HashMap<String, Stored> = HashMap::new();
    for value in graph.topological() {
        let node = graph.node(value);
        let Type { element, dims } = node.ty.expect("a typed graph");
        let operands = graph.operands(value);
        let operands: Vec<&Stored> =
            operands.iter().map(|operand| &sources[&graph.node(*operand).name]).collect();
        let (array, tolerance) = if let Op::Input(_) = node.op {
            let data: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
            let input = Stored { element: Element::F32, array: Array { dims, data }, tolerance: 0.0 };
            (convert(&input, element), 0.0)
        } else if let Op::Conv2d(conv) = &node.op {
            convolve(conv, operands[0], operands.get(1).copied(), element, load)
        } else if let Some(array) = exactly(&node.op, &operands, element) {
            (array, 0.0)
        } else {
            nearly(graph, value, &operands, element, load)
        };
        assert_eq!(array.dims, dims, "%{}", node.name);
        let data = match found.get(&*node.name) {
            Some(found) => found.iter().map(|x| f64::from(*x)).collect(),
            None => array.data.clone(),
        };
        sources.insert(node.name.clone(), Stored { element, array: Array { dims, data }, tolerance });
        values.insert(node.name.clone(), Stored { element, array, tolerance });
    }
    values
}

/// A value by its definition, and how far a kernel may be from it.
fn nearly(
    graph: &Graph,
    value: Value,
    operands: &[&Stored],
    element: Element,
    load: Load<'_>,
) -> (Array, f64) {
    let real = |x: &&Stored| {
        let scale = f64::from(x.element.scale());
        Array { dims: x.array.dims, data: x.array.data.iter().map(|x| x * scale).collect() }
    };
    let reals: Vec<Array> = operands.iter().map(real).collect();
    let mut y = resnet_dsl::evaluate::compute(graph, value, &reals.iter().collect::<Vec<_>>(), load)
        .expect("a value of its operands");
    let largest = |array: &Array| array.data.iter().fold(0.0, |largest: f64, x| x.abs().max(largest));
    let size = reals.iter().chain([&y]).map(largest).fold(0.0, f64::max);
    y.data.iter_mut().for_each(|y| *y = store((*y / f64::from(element.scale())) as f32, element));
    (y, if element.is_quantized() { 1.0 } else { 1e-5 * size })
}

/// A value with the bits that kernels give; `None` if kernels are free in how they round.
fn exactly(op: &Op, operands: &[&Stored], element: Element) -> Option<Array> {
    let x = operands[0];
    let rounds_alike = |activation: &Activation| activation.is_none() || *activation == Activation::RELU;
    if op.clone().activation_mut().is_some_and(|activation| !rounds_alike(activation)) {
        return None;
    }
    Some(match op {
        Op::Add { activation } => {
            let relu = !activation.is_none();
            let (a, b) = (x, operands[1]);
            let [a_ratio, b_ratio] = [a, b].map(|x| ratio(x.element, element));
            let terms = a.array.data.iter().zip(&b.array.data);
            let data = terms.map(|(a, b)| {
                let sum = *a as f32 * a_ratio + *b as f32 * b_ratio;
                store(if relu { positive(sum) } else { sum }, element)
            });
            Array { dims: a.array.dims, data: data.collect() }
        }
        Op::AveragePool(average) if element.is_quantized() => {
            let pool = average.pool.expect("a window in numbers");
            let window = window(&x.array, pool.window, pool.stride, pool.padding, pool.ceil);
            let mut y = operators::sum_pool(&x.array, &window);
            let counts = operators::counts(x.array.dims, &window, average.count_padding);
            for (pixel, count) in y.data.chunks_exact_mut(y.dims[3]).zip(counts) {
                let factor = ratio(x.element, element) / count as f32;
                pixel.iter_mut().for_each(|sum| *sum = store(*sum as f32 * factor, element));
            }
            y
        }
        Op::MaxPool(pool) => {
            let window = window(&x.array, pool.window, pool.stride, pool.padding, pool.ceil);
            operators::max_pool(&x.array, &window)
        }
        Op::Softmax => softmax(&x.array),
        Op::ZeroPad(sides) => operators::zero_pad(&x.array, *sides),
        Op::Subsample(subsample) => subsample.evaluate(&x.array).expect("a shape that fits"),
        Op::Flatten => {
            let dims = op.clone().infer(&[x.array.dims]).expect("any shape can be flattened");
            Array { dims, data: x.array.data.clone() }
        }
        Op::Upsample(times) => operators::upsample(&x.array, *times),
        Op::Convert => convert(x, element),
        _ => return None,
    })
}

/// A convolution, and how far a kernel may be from it: activations but ReLU, and what weights are divided by, may be rounded otherwise.
fn convolve(
    conv: &Conv2d,
    x: &Stored,
    residual: Option<&Stored>,
    element: Element,
    load: Load<'_>,
) -> (Array, f64) {
    let outputs = conv.filters;
    let [mut kernel, bias] = Filters::of_conv(conv, x.array.dims[3]).load(load).expect("weights");
    let slopes = weights::slopes(&conv.activation, outputs, load).expect("slopes");
    let kernel_scales = quantize(&mut kernel, outputs);
    let window = Window::of_conv(x.array.dims, conv).expect("a window that fits");
    // In f64 sums of integers are exact.
    let mut y = operators::convolve(&x.array, &kernel, &vec![0.0; outputs], conv.groups, &window);
    let [x_scale, y_scale] = [x.element, element].map(|element| f64::from(element.scale()));
    let exact = conv.standardized.is_none()
        && conv.weights.input_norm.is_none()
        && (conv.activation.is_none() || conv.activation == Activation::RELU);
    let mut largest = 0.0f64;
    for (index, sum) in y.data.iter_mut().enumerate() {
        let output = index % outputs;
        let factor = (x_scale * kernel_scales[output] / y_scale) as f32;
        let bias = (bias[output] / y_scale) as f32;
        let mut value = (*sum as f32).mul_add(factor, bias);
        if let Some(residual) = residual {
            value = (residual.array.data[index] as f32).mul_add(ratio(residual.element, element), value);
        }
        largest = largest.max(f64::from(value.abs()));
        let slope = slopes.get(output).copied().unwrap_or_default();
        let value = match conv.activation.function {
            Function::None => value,
            Function::Relu => positive(value),
            function => (function.apply(f64::from(value) * y_scale, slope) / y_scale) as f32,
        };
        *sum = store(value, element);
    }
    let tolerance = match (exact, element.is_quantized()) {
        (true, _) => 0.0,
        (false, true) => 1.0,
        (false, false) => 1e-5 * largest,
    };
    (y, tolerance)
}

/// Makes a kernel of so many outputs integers; gives the scale of each output.
fn quantize(kernel: &mut [f64], outputs: usize) -> Vec<f64> {
    let mut scales = vec![0.0; outputs];
    for (index, weight) in kernel.iter().enumerate() {
        scales[index % outputs] = weight.abs().max(scales[index % outputs]);
    }
    for scale in &mut scales {
        *scale = if *scale > 0.0 { *scale / 127.0 } else { 1.0 };
    }
    for (index, weight) in kernel.iter_mut().enumerate() {
        *weight = (*weight / scales[index % outputs]).round_ties_even();
    }
    scales
}

/// The same value in another type.
fn convert(x: &Stored, to: Element) -> Array {
    let ratio = ratio(x.element, to);
    let data = x.array.data.iter().map(|x| store(*x as f32 * ratio, to)).collect();
    Array { dims: x.array.dims, data }
}

/// Softmax of f32 over the channels of each pixel.
fn softmax(x: &Array) -> Array {
    let mut y = x.clone();
    for pixel in y.data.chunks_exact_mut(x.dims[3]) {
        let largest = pixel.iter().fold(f32::NEG_INFINITY, |largest, x| largest.max(*x as f32));
        let powers: Vec<f32> = pixel.iter().map(|x| (*x as f32 - largest).exp()).collect();
        let sum = powers.iter().map(|power| f64::from(*power)).sum::<f64>() as f32;
        pixel.iter_mut().zip(powers).for_each(|(y, power)| *y = f64::from(power / sum));
    }
    y
}

/// One scale in units of the other.
fn ratio(from: Element, to: Element) -> f32 {
    (f64::from(from.scale()) / f64::from(to.scale())) as f32
}

fn positive(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// A value as it is stored; NaN is stored as the least integer.
fn store(value: f32, element: Element) -> f64 {
    let range = |least: f32, most: f32| f64::from(value.max(least).min(most).round_ties_even() as i16);
    match element {
        Element::F32 => f64::from(value),
        Element::U8(_) => range(0.0, 255.0),
        Element::I8(_) => range(-128.0, 127.0),
        Element::Bf16 => panic!("bf16 is not int8"),
    }
}

fn window(
    x: &Array,
    size: [usize; 2],
    stride: [usize; 2],
    padding: resnet_dsl::ops::Padding,
    ceil: bool,
) -> Window {
    Window::new(x.dims, size, stride, padding, ceil).expect("a window that fits")
}
