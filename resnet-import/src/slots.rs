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
    /// Of a convolution's or dense layer's kernel its order, and the height, width, inputs of a group and outputs that it is for.
    pub kernel: Option<(KernelLayout, [usize; 4])>,
}

/// What a tensor is for in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// What sums are weighted with.
    Kernel,
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
    /// Something else: the exponent of a generalized mean.
    Other,
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
    let mut add = |name: &str, part: Part, sizes: Sizes| {
        let (dims, kernel) = match sizes {
            Sizes::Plain(dims) => (dims, None),
            Sizes::Kernel(layout, shape) => (layout.dims(shape), Some((layout, shape))),
        };
        slots.push(Slot { name: name.to_owned(), node: node.name.clone(), dims, part, kernel });
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
                let channels = norm.normalized(outputs);
                add(gamma, Part::Gamma, Sizes::Plain(vec![channels]));
                add(beta, Part::Beta, Sizes::Plain(vec![channels]));
            }
            slope(&norm.activation, outputs, &mut add);
        }
        Op::Activation(activation) | Op::Add { activation } | Op::Multiply { activation } => {
            slope(activation, outputs, &mut add);
        }
        Op::GemPool(pool) => {
            if let Exponent::Load(name) = &pool.exponent {
                add(name, Part::Other, Sizes::Plain(vec![1]));
            }
        }
        Op::ChannelConv(conv) => add(&conv.weights, Part::Kernel, Sizes::Plain(vec![1, 1, conv.kernel])),
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

/// The sizes of a tensor; those of a kernel follow from what it is for.
enum Sizes {
    Plain(Vec<usize>),
    Kernel(KernelLayout, [usize; 4]),
}

fn kernel(
    weights: &KernelParam,
    bias: Option<&BiasParam>,
    shape: [usize; 4],
    add: &mut dyn FnMut(&str, Part, Sizes),
) {
    add(&weights.tensor.name, Part::Kernel, Sizes::Kernel(weights.tensor.layout, shape));
    if let Some(name) = bias.and_then(|bias| bias.tensor.as_deref()) {
        add(name, Part::Bias, Sizes::Plain(vec![shape[3]]));
    }
    if let Some(norm) = &weights.batch_norm {
        batch_norm(norm, shape[3], add);
    }
}

fn batch_norm(norm: &BatchNorm, channels: usize, add: &mut dyn FnMut(&str, Part, Sizes)) {
    let channels = norm.normalized(channels);
    for (name, part) in [
        (&norm.gamma, Part::Gamma),
        (&norm.beta, Part::Beta),
        (&norm.mean, Part::Mean),
        (&norm.variance, Part::Variance),
    ] {
        add(name, part, Sizes::Plain(vec![channels]));
    }
}

fn slope(activation: &Activation, channels: usize, add: &mut dyn FnMut(&str, Part, Sizes)) {
    if let Some(slope) = &activation.slope {
        add(&slope.name, Part::Slope, Sizes::Plain(vec![slope.len(channels)]));
    }
}
