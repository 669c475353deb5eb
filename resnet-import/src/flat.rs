//! A graph as a spec: a flat list of layers, each of which says what it reads, if that is not the layer before.
//!
//! Subsampling, which the language has in shortcuts only, is written as the convolution that does the same.

use std::collections::HashMap;

use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::ir::param::Param;
use resnet_dsl::ops::{Activation, Conv2d, Exponent, GroupNorm, Over, Padding, Pool, Sides, Subsample};
use resnet_plan::{Activation as Function, Kernel, KernelLayout};

use crate::checkpoint::{Element, Tensor};
use crate::error::Error;
use crate::model::Model;
use crate::names::{Names, legal};
use crate::passes;
use crate::yaml::{number, word};

/// The same network, all of whose operators have layers of their own.
///
/// # Errors
/// If shapes do not fit.
pub(crate) fn expressible(model: &Model) -> Result<Model, Error> {
    let mut model = model.clone();
    let typed = passes::typed(&model.graph)?;
    for value in model.graph.topological() {
        let node = model.graph.node(value);
        let (&Op::Subsample(Subsample { stride, front, back }), name) = (&node.op, node.name.clone()) else {
            continue;
        };
        let source = model.graph.operands(value).first().and_then(|source| typed.node(*source).ty);
        let channels = source.ok_or_else(|| malformed(&name))?.dims[3];
        let filters = front.saturating_add(channels).saturating_add(back);
        let kernel = format!("{name}.kernel");
        let is_own = |place: usize| front + place % channels == place / channels;
        let ones = (0..filters.saturating_mul(channels)).map(|place| f64::from(is_own(place)));
        model.tensors.push(Tensor::new(&kernel, vec![filters, channels, 1, 1], Element::F32, ones));
        model.graph.node_mut(value).op = Op::Conv2d(Conv2d {
            filters,
            kernel: [1, 1],
            stride,
            dilation: [1, 1],
            groups: 1,
            padding: Padding::Valid,
            weights: Param::load(Kernel { name: kernel.into(), layout: KernelLayout::Oihw }),
            bias: None,
            standardized: None,
            gated: false,
            activation: Activation::NONE,
            algorithms: None,
            split: None,
        });
    }
    Ok(model)
}

/// The spec of a file's graph.
///
/// # Errors
/// If an operator has no layer of its own in the language: which one, and where.
pub(crate) fn spec(model: &Model, name: &str) -> Result<String, Error> {
    let graph = &model.graph;
    let order = graph.topological();
    let mut given = Names::default();
    let mut names: HashMap<Value, String> = HashMap::new();
    let outputs = graph.outputs().iter().filter_map(|output| Some((output.value, output.name.as_deref()?)));
    let outputs: HashMap<Value, &str> = outputs.collect();
    let mut text = format!("name: {}\n", word(name));
    let mut layers = Vec::new();
    let mut before = None;
    for value in order {
        let node = graph.node(value);
        if let Op::Input([_, height, width, channels]) = node.op {
            text += &format!("input: {height}x{width}x{channels}\n");
            names.insert(value, "input".to_owned());
            before = Some(value);
            continue;
        }
        let operands = graph.operands(value);
        let operand = |index: usize| {
            let name = operands.get(index).and_then(|operand| names.get(operand));
            name.ok_or_else(|| malformed(&node.name))
        };
        let own = given.give(&layer_name(outputs.get(&value).copied().unwrap_or(&node.name)));
        let mut fields = vec![format!("name: {own}")];
        if before != operands.first().copied() {
            fields.push(format!("from: {}", operand(0)?));
        }
        let kind = match &node.op {
            Op::Add { activation } => {
                fields.push(format!("with: {}", operand(1)?));
                plain(activation, &node.name)?;
                "add"
            }
            Op::Multiply { activation } => {
                fields.push(format!("layers: [from: {}]", operand(1)?));
                plain(activation, &node.name)?;
                "gate"
            }
            op => own_fields(op, &node.name, &mut fields)?,
        };
        layers.push(format!("  - {kind}: {{{}}}\n", fields.join(", ")));
        names.insert(value, own);
        before = Some(value);
    }
    text += &classes(graph);
    text += "batch_norm: false\nactivation: none\n\nstem:\n";
    text.extend(layers);
    if graph.outputs().len() != 1 || before != graph.output() {
        let outputs = graph.outputs().iter().filter_map(|output| names.get(&output.value));
        text += &format!("\noutputs: [{}]\n", outputs.cloned().collect::<Vec<_>>().join(", "));
    }
    Ok(text)
}

/// `classes`, if the network ends in a dense layer, or a softmax of one.
fn classes(graph: &Graph) -> String {
    let mut last = graph.output().filter(|_| graph.outputs().len() == 1);
    while let Some(value) = last.filter(|value| graph.node(*value).op == Op::Softmax) {
        last = graph.operands(value).first().copied();
    }
    match last.map(|value| &graph.node(value).op) {
        Some(Op::Dense(dense)) => format!("classes: {}\n", dense.units),
        _ => String::new(),
    }
}

/// The kind of an operator's layer, and its fields.
fn own_fields(op: &Op, name: &str, fields: &mut Vec<String>) -> Result<&'static str, Error> {
    let mut add = |text: String| fields.push(text);
    Ok(match op {
        Op::ZeroPad(sides) => {
            add(format!("sides: {}", map(*sides)));
            "zero_pad"
        }
        Op::Conv2d(conv) => {
            convolution(conv, name, fields)?;
            "conv"
        }
        Op::BatchNorm { norm, activation } => {
            plain(activation, name)?;
            add(format!("epsilon: {}", number(norm.epsilon)));
            channels(norm.channels, fields);
            "batch_norm"
        }
        Op::GroupNorm(norm) => group_norm(norm, name, fields)?,
        Op::Activation(activation) => match activation.function {
            Function::LeakyRelu(slope) => {
                add(format!("slope: {}", number(f64::from(slope))));
                "leaky_relu"
            }
            Function::Prelu => {
                add(format!("shared: {}", activation.slope.as_ref().is_some_and(|slope| slope.single)));
                "prelu"
            }
            Function::None => return Err(unsupported(op, name)),
            function => function.name(),
        },
        Op::MaxPool(pool) => {
            window(pool, fields);
            "max_pool"
        }
        Op::AveragePool(average) => {
            match &average.pool {
                None => add("window: global".to_owned()),
                Some(pool) => {
                    window(pool, fields);
                    fields.push(format!("count_padding: {}", average.count_padding));
                }
            }
            "average_pool"
        }
        Op::Blur(blur) => {
            add(format!("size: {}", blur.size));
            add(format!("stride: {}", pair(blur.stride)));
            "blur"
        }
        Op::StatisticsPool(pool) => {
            let over = match pool.over {
                Over::Image => "image",
                Over::Width => "width",
            };
            add(format!("over: {over}"));
            add(format!("epsilon: {}", number(pool.epsilon)));
            "statistics_pool"
        }
        Op::GemPool(pool) => {
            match &pool.exponent {
                Exponent::Fixed(exponent) => add(format!("exponent: {}", number(*exponent))),
                Exponent::Load(_) => add("learned: true".to_owned()),
            }
            add(format!("epsilon: {}", number(pool.epsilon)));
            "gem_pool"
        }
        Op::Upsample(scale) => {
            add(format!("scale: {}", pair(*scale)));
            "upsample"
        }
        Op::ChannelConv(conv) => {
            add(format!("kernel: {}", conv.kernel));
            "channel_conv"
        }
        Op::Flatten => "flatten",
        Op::Dense(dense) => {
            plain(&dense.activation, name)?;
            add(format!("units: {}", dense.units));
            add(format!("bias: {}", dense.bias.is_some()));
            "dense"
        }
        Op::Softmax => "softmax",
        Op::L2Normalize { epsilon } => {
            add(format!("epsilon: {}", number(*epsilon)));
            "l2_normalize"
        }
        Op::Input(_) | Op::Add { .. } | Op::Multiply { .. } | Op::Subsample(_) | Op::Convert => {
            return Err(unsupported(op, name));
        }
    })
}

fn convolution(conv: &Conv2d, name: &str, fields: &mut Vec<String>) -> Result<(), Error> {
    plain(&conv.activation, name)?;
    fields.push(format!("filters: {}", conv.filters));
    fields.push(format!("kernel: {}", pair(conv.kernel)));
    if conv.stride != [1, 1] {
        fields.push(format!("stride: {}", pair(conv.stride)));
    }
    padding(conv.padding, fields);
    if conv.dilation != [1, 1] {
        fields.push(format!("dilation: {}", pair(conv.dilation)));
    }
    if conv.groups != 1 {
        fields.push(format!("groups: {}", conv.groups));
    }
    if let Some(epsilon) = conv.standardized {
        fields.push(format!("standardized: {{epsilon: {}}}", number(epsilon)));
    }
    if conv.bias.is_some() {
        fields.push("bias: true".to_owned());
    }
    Ok(())
}

fn group_norm(norm: &GroupNorm, name: &str, fields: &mut Vec<String>) -> Result<&'static str, Error> {
    plain(&norm.activation, name)?;
    if let Some(groups) = norm.groups {
        fields.push(format!("groups: {groups}"));
    }
    fields.push(format!("epsilon: {}", number(norm.epsilon)));
    channels(norm.channels, fields);
    fields.push(format!("affine: {}", norm.affine.is_some()));
    Ok(if norm.groups.is_some() { "group_norm" } else { "instance_norm" })
}

/// An activation that is an operator of its own in files.
fn plain(activation: &Activation, name: &str) -> Result<(), Error> {
    if activation.is_none() {
        return Ok(());
    }
    Err(Error::Unsupported(format!("`{}`, fused into `{name}`, has no layer of its own", activation.name())))
}

fn window(pool: &Pool, fields: &mut Vec<String>) {
    fields.push(format!("window: {}", pair(pool.window)));
    fields.push(format!("stride: {}", pair(pool.stride)));
    padding(pool.padding, fields);
    if pool.ceil {
        fields.push("ceil: true".to_owned());
    }
}

fn padding(padding: Padding, fields: &mut Vec<String>) {
    match padding {
        Padding::Valid => {}
        Padding::Same => fields.push("padding: same".to_owned()),
        Padding::Sides(sides) if sides == Sides::default() => {}
        Padding::Sides(sides) => fields.push(format!("padding: {}", map(sides))),
    }
}

fn channels(range: Option<[usize; 2]>, fields: &mut Vec<String>) {
    if let Some([first, end]) = range {
        fields.push(format!("channels: [{first}, {end}]"));
    }
}

fn map(Sides { top, bottom, left, right }: Sides) -> String {
    if [bottom, left, right] == [top; 3] {
        return top.to_string();
    }
    format!("{{top: {top}, bottom: {bottom}, left: {left}, right: {right}}}")
}

fn pair([height, width]: [usize; 2]) -> String {
    if height == width { height.to_string() } else { format!("{height}x{width}") }
}

fn unsupported(op: &Op, name: &str) -> Error {
    Error::Unsupported(format!("`{}` (`{name}`) has no layer of its own in the language", op.name()))
}

fn malformed(name: &str) -> Error {
    Error::Malformed(format!("`{name}` reads a value that is not there"))
}

/// What a node's layer is called: as the node, as far as a word of YAML can be that.
fn layer_name(name: &str) -> String {
    let name = legal(name.trim_matches('/')).replace(|c: char| !c.is_ascii(), "_");
    // A word that YAML would take for something else, as a number, begins with a letter.
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts && name != "input" { name } else { format!("value_{name}") }
}
