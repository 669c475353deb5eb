//! Runs a graph, value by value, over the runtime's naive kernels, with formula weights.

use std::collections::HashMap;

use resnet_dsl::ir::param::{BiasParam, KernelParam, KernelTensor, Layout, Norm};
use resnet_dsl::ir::{Graph, Op};
use resnet_dsl::ops::Pool;
use resnet_dsl::ops::{Padding, Sides};
use resnet_runtime::reference::{self, Image, Window};
use resnet_runtime::weights::fill::Filler;
use resnet_runtime::weights::{Role, Tensor};

/// All values of a graph, by name.
pub(crate) fn evaluate(graph: &Graph, input: &Image) -> HashMap<String, Image> {
    let mut values: HashMap<String, Image> = HashMap::new();
    let mut flattened: HashMap<String, [usize; 4]> = HashMap::new();
    for value in graph.topological() {
        let node = graph.node(value);
        let names: Vec<&str> =
            graph.operands(value).iter().map(|operand| graph.node(*operand).name.as_str()).collect();
        let inputs: Vec<&Image> = names.iter().map(|name| &values[*name]).collect();
        let mut op = node.op.clone();
        let dims: Vec<_> = inputs.iter().map(|image| image.dims).collect();
        let output = op.infer(&dims).unwrap_or_else(|error| panic!("%{}: {error}", node.name));
        let result = match &op {
            Op::Input(_) => input.clone(),
            Op::ZeroPad(sides) => reference::zero_pad(inputs[0], array(*sides)),
            Op::Conv2d(conv) => {
                let [.., channels] = inputs[0].dims;
                let shape = [conv.kernel[0], conv.kernel[1], channels, conv.filters];
                let kernel = kernel(&conv.weights, shape);
                let bias = bias(conv.bias.as_ref(), conv.filters);
                let window = window(conv.kernel, conv.stride, conv.padding, output);
                let mut y = reference::conv2d(inputs[0], &kernel, &bias, conv.filters, &window);
                if let Some(residual) = inputs.get(1) {
                    y = reference::add(&y, residual);
                }
                if conv.relu { reference::relu(&y) } else { y }
            }
            Op::BatchNorm(batch_norm) => {
                let [gamma, beta, mean, variance] = norm(&batch_norm.norm, output[3]);
                reference::batch_norm(inputs[0], [&gamma, &beta, &mean, &variance], batch_norm.norm.epsilon)
            }
            Op::Relu => reference::relu(inputs[0]),
            Op::Add { relu } => {
                let y = reference::add(inputs[0], inputs[1]);
                if *relu { reference::relu(&y) } else { y }
            }
            Op::MaxPool(pool) => reference::max_pool(inputs[0], &pool_window(pool, output)),
            Op::AveragePool(pool) => {
                let window = pool_window(&pool.pool.unwrap(), output);
                reference::average_pool(inputs[0], &window, pool.count_padding)
            }
            Op::Subsample(subsample) => {
                reference::subsample(inputs[0], subsample.stride, subsample.front, subsample.back)
            }
            Op::Flatten => {
                flattened.insert(node.name.clone(), inputs[0].dims);
                Image { dims: output, data: inputs[0].data.clone() }
            }
            Op::Dense(dense) => {
                let [_, height, width, channels] = flattened.get(names[0]).copied().unwrap_or(inputs[0].dims);
                let kernel = kernel(&dense.weights, [height, width, channels, dense.units]);
                reference::dense(inputs[0], &kernel, &bias(dense.bias.as_ref(), dense.units), dense.units)
            }
            Op::Convert => unreachable!("graphs are evaluated in f32"),
            Op::Softmax => reference::softmax(inputs[0]),
        };
        assert_eq!(result.dims, output, "%{}", node.name);
        values.insert(node.name.clone(), result);
    }
    values
}

fn array(Sides { top, bottom, left, right }: Sides) -> [usize; 4] {
    [top, bottom, left, right]
}

fn window(size: [usize; 2], stride: [usize; 2], padding: Padding, output: [usize; 4]) -> Window {
    let Padding::Sides(sides) = padding else { panic!("padding in numbers") };
    Window { size, stride, padding: array(sides), output: [output[1], output[2]] }
}

fn pool_window(pool: &Pool, output: [usize; 4]) -> Window {
    window(pool.window, pool.stride, pool.padding, output)
}

fn load(name: &str, dims: &[usize], role: Role) -> Vec<f32> {
    Filler::Formula.fill(Tensor { name, dims, role })
}

/// A kernel as `[KH, KW, C, OC]`.
fn kernel(param: &KernelParam, shape: [usize; 4]) -> Vec<f32> {
    let (KernelParam::Load(tensor) | KernelParam::Folded(tensor, _)) = param;
    let mut kernel = in_order(tensor, shape);
    if let KernelParam::Folded(_, fold) = param {
        let scale = scale(fold, shape[3]);
        for (index, weight) in kernel.iter_mut().enumerate() {
            *weight = (f64::from(*weight) * scale[index % shape[3]]) as f32;
        }
    }
    kernel
}

fn in_order(tensor: &KernelTensor, [height, width, inputs, outputs]: [usize; 4]) -> Vec<f32> {
    let window = height * width;
    let role = Role::Kernel { fan_in: window * inputs, fan_out: window * outputs };
    let dims = [height, width, inputs, outputs];
    let loaded = load(&tensor.name, &dims, role);
    if matches!(tensor.layout, Layout::Hwio | Layout::Io) {
        return loaded;
    }
    let mut kernel = Vec::with_capacity(loaded.len());
    for position in 0..window {
        for i in 0..inputs {
            kernel.extend((0..outputs).map(|o| loaded[(o * inputs + i) * window + position]));
        }
    }
    kernel
}

fn bias(param: Option<&BiasParam>, filters: usize) -> Vec<f32> {
    let load = |name: &Option<String>| match name {
        Some(name) => load(name, &[filters], Role::Bias),
        None => vec![0.0; filters],
    };
    match param {
        None => Vec::new(),
        Some(BiasParam::Load(name)) => load(&Some(name.clone())),
        Some(BiasParam::Folded(name, fold)) => {
            let [_, beta, mean, _] = norm(fold, filters);
            let scale = scale(fold, filters);
            let folded = load(name).into_iter().enumerate().map(|(o, bias)| {
                ((f64::from(bias) - f64::from(mean[o])) * scale[o] + f64::from(beta[o])) as f32
            });
            folded.collect()
        }
    }
}

fn scale(fold: &Norm, channels: usize) -> Vec<f64> {
    let [gamma, _, _, variance] = norm(fold, channels);
    let scale = gamma.iter().zip(&variance);
    scale.map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + fold.epsilon).sqrt()).collect()
}

fn norm(norm: &Norm, channels: usize) -> [Vec<f32>; 4] {
    let dims = &[channels];
    [
        load(&norm.gamma, dims, Role::Gamma),
        load(&norm.beta, dims, Role::Beta),
        load(&norm.mean, dims, Role::Mean),
        load(&norm.variance, dims, Role::Variance { epsilon: norm.epsilon }),
    ]
}
