//! A checked spec becomes a graph, one node a layer.

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::op::Op;
use resnet_plan::text::is_name;
use resnet_plan::{BatchNorm, Kernel, KernelLayout as Layout};

use crate::ir::param::{BiasParam, KernelParam};
use crate::ops;
use crate::spec::network::{KernelLayout, LayerKind, Network, Operand, Pool, Sides, Weights};

/// The graph of a network, without types.
///
/// # Errors
/// If there are no layers, or a name cannot be written in the text form.
pub fn build(network: &Network) -> Result<Graph, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut graph = Graph::new(&network.name);
    graph.precision = network.precision.clone();
    let input = graph.add(
        Node {
            name: "input".to_owned(),
            op: Op::Input(network.input),
            ty: None,
            halo: Sides::default(),
            block: network.layers.first().map_or_else(String::new, |first| first.block.clone()),
            span: network.input_span,
        },
        &[],
    );
    let mut values: Vec<Value> = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        for name in std::iter::once(layer.name.as_str()).chain(tensors(&layer.kind)) {
            if !is_name(name) {
                errors.push(
                    Diagnostic::new(format!("`{name}` cannot be a name"), layer.span)
                        .help("names are made of letters, digits and _ . / -"),
                );
            }
        }
        let operands: Vec<Value> = layer
            .inputs
            .iter()
            .map(|operand| match operand {
                Operand::Input => input,
                Operand::Layer(index) => values[*index],
            })
            .collect();
        let node = Node {
            name: layer.name.clone(),
            op: operator(&layer.kind),
            ty: None,
            halo: Sides::default(),
            block: layer.block.clone(),
            span: layer.span,
        };
        values.push(graph.add(node, &operands));
    }
    match values.last() {
        Some(output) => graph.set_output(*output),
        None => errors.push(Diagnostic::new("the network has no layers", network.input_span)),
    }
    if errors.is_empty() { Ok(graph) } else { Err(errors) }
}

fn operator(kind: &LayerKind) -> Op {
    match kind {
        LayerKind::ZeroPad(sides) => Op::ZeroPad(*sides),
        LayerKind::Conv { filters, kernel, stride, padding, weights, winograd } => Op::Conv2d(ops::Conv2d {
            filters: *filters,
            kernel: *kernel,
            stride: *stride,
            padding: *padding,
            weights: kernel_param(weights, [Layout::Hwio, Layout::Oihw]),
            bias: weights.bias.clone().map(|name| BiasParam::Load(name.into())),
            relu: false,
            algorithm: (!winograd).then_some(resnet_plan::Algorithm::Direct),
            split: None,
        }),
        LayerKind::BatchNorm { epsilon, gamma, beta, mean, variance } => Op::BatchNorm(BatchNorm {
            gamma: gamma.clone().into(),
            beta: beta.clone().into(),
            mean: mean.clone().into(),
            variance: variance.clone().into(),
            epsilon: *epsilon,
        }),
        LayerKind::Relu => Op::Relu,
        LayerKind::Add => Op::Add { relu: false },
        LayerKind::MaxPool(window) => Op::MaxPool(pool(window)),
        LayerKind::AveragePool { pool: window, count_padding } => {
            Op::AveragePool(ops::AveragePool { pool: Some(pool(window)), count_padding: *count_padding })
        }
        LayerKind::GlobalAveragePool => {
            Op::AveragePool(ops::AveragePool { pool: None, count_padding: false })
        }
        LayerKind::Subsample { stride, front, back } => {
            Op::Subsample(ops::Subsample { stride: *stride, front: *front, back: *back })
        }
        LayerKind::Flatten => Op::Flatten,
        LayerKind::Dense { units, weights } => Op::Dense(ops::Dense {
            units: *units,
            weights: kernel_param(weights, [Layout::Io, Layout::Oi]),
            bias: weights.bias.clone().map(|name| BiasParam::Load(name.into())),
        }),
        LayerKind::Softmax => Op::Softmax,
    }
}

fn kernel_param(weights: &Weights, [keras, torch]: [Layout; 2]) -> KernelParam {
    let layout = match weights.layout {
        KernelLayout::Hwio => keras,
        KernelLayout::Oihw => torch,
    };
    KernelParam::Load(Kernel { name: weights.kernel.clone().into(), layout })
}

fn pool(window: &Pool) -> ops::Pool {
    let Pool { window, stride, padding, ceil } = *window;
    ops::Pool { window, stride, padding, ceil }
}

/// The tensor names of a layer.
fn tensors(kind: &LayerKind) -> Vec<&str> {
    match kind {
        LayerKind::Conv { weights, .. } | LayerKind::Dense { weights, .. } => {
            std::iter::once(weights.kernel.as_str()).chain(weights.bias.as_deref()).collect()
        }
        LayerKind::BatchNorm { gamma, beta, mean, variance, .. } => vec![gamma, beta, mean, variance],
        _ => Vec::new(),
    }
}
