//! The tensors that a graph is computed with, node by node.

use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::ir::param::{BiasParam, KernelParam};
use resnet_dsl::ir::{Op, Type};
use resnet_dsl::ops::{Activation, Exponent};
use resnet_plan::{BatchNorm, KernelLayout};

/// A tensor that a network needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    /// Its name.
    pub name: String,
    /// The node that it belongs to, by its value's name.
    pub node: String,
    /// Its sizes.
    pub dims: Vec<usize>,
    /// What it is for.
    pub part: Part,
}

/// What a tensor is for in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A kernel, and the height, width, inputs of a group and outputs that it is for.
    Kernel(KernelLayout, [usize; 4]),
    /// What is added to the sums of a kernel.
    Bias,
    /// A norm's scale.
    Gamma,
    /// A norm's offset.
    Beta,
    /// A batch norm's mean.
    Mean,
    /// A batch norm's variance.
    Variance,
    /// The slopes of a PReLU.
    Slope,
    /// The exponent of a generalized mean.
    Exponent,
    /// The kernel of a convolution along channels.
    ChannelKernel,
}

/// The tensors of a [`typed`](crate::passes::typed) graph, operands first, each once.
pub(crate) fn slots(graph: &Graph) -> Vec<Slot> {
    let mut slots: Vec<Slot> =
        graph.topological().into_iter().flat_map(|value| of_node(graph, value)).collect();
    let mut seen = std::collections::HashSet::new();
    slots.retain(|slot| seen.insert(slot.name.clone()));
    slots
}

/// The tensors of one node.
pub(crate) fn of_node(graph: &Graph, value: Value) -> Vec<Slot> {
    let node = graph.node(value);
    let channels_of = |ty: Option<Type>| ty.map_or(0, |ty| ty.dims[3]);
    let outputs = channels_of(node.ty);
    let inputs = graph.operands(value).first().map_or(0, |operand| channels_of(graph.node(*operand).ty));
    let mut slots = Vec::new();
    let mut add = |name: &str, dims: Vec<usize>, part| {
        slots.push(Slot { name: name.to_owned(), node: node.name.clone(), dims, part });
    };
    match &node.op {
        Op::Conv2d(conv) => {
            let [height, width] = conv.kernel;
            let shape = [height, width, inputs / conv.groups.max(1), conv.filters];
            kernel(&conv.weights, conv.bias.as_ref(), shape, &mut add);
            slope(&conv.activation, outputs, &mut add);
        }
        Op::Dense(dense) => {
            kernel(&dense.weights, dense.bias.as_ref(), [1, 1, inputs, dense.units], &mut add);
            slope(&dense.activation, outputs, &mut add);
        }
        Op::BatchNorm { norm, activation } => {
            batch_norm(norm, outputs, &mut add);
            slope(activation, outputs, &mut add);
        }
        Op::GroupNorm(norm) => {
            if let Some([gamma, beta]) = &norm.affine {
                let channels = vec![norm.normalized(outputs)];
                add(gamma, channels.clone(), Part::Gamma);
                add(beta, channels, Part::Beta);
            }
            slope(&norm.activation, outputs, &mut add);
        }
        Op::Activation(activation) | Op::Add { activation } | Op::Multiply { activation } => {
            slope(activation, outputs, &mut add);
        }
        Op::GemPool(pool) => {
            if let Exponent::Load(name) = &pool.exponent {
                add(name, vec![1], Part::Exponent);
            }
        }
        Op::ChannelConv(conv) => add(&conv.weights, vec![1, 1, conv.kernel], Part::ChannelKernel),
        Op::Input(_)
        | Op::ZeroPad(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::Blur(_)
        | Op::StatisticsPool(_)
        | Op::Upsample(_)
        | Op::Subsample(_)
        | Op::Flatten
        | Op::Softmax
        | Op::L2Normalize { .. }
        | Op::Convert => {}
    }
    slots
}

fn kernel(
    weights: &KernelParam,
    bias: Option<&BiasParam>,
    shape: [usize; 4],
    add: &mut impl FnMut(&str, Vec<usize>, Part),
) {
    let layout = weights.tensor.layout;
    add(&weights.tensor.name, layout.dims(shape), Part::Kernel(layout, shape));
    if let Some(name) = bias.and_then(|bias| bias.tensor.as_deref()) {
        add(name, vec![shape[3]], Part::Bias);
    }
    if let Some(norm) = &weights.batch_norm {
        batch_norm(norm, shape[3], add);
    }
}

fn batch_norm(norm: &BatchNorm, channels: usize, add: &mut impl FnMut(&str, Vec<usize>, Part)) {
    let channels = norm.normalized(channels);
    for (name, part) in [
        (&norm.gamma, Part::Gamma),
        (&norm.beta, Part::Beta),
        (&norm.mean, Part::Mean),
        (&norm.variance, Part::Variance),
    ] {
        add(name, vec![channels], part);
    }
}

fn slope(activation: &Activation, channels: usize, add: &mut impl FnMut(&str, Vec<usize>, Part)) {
    if let Some(slope) = &activation.slope {
        add(&slope.name, vec![slope.len(channels)], Part::Slope);
    }
}
