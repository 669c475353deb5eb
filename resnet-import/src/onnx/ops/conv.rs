//! Convolutions, and what else is exported as one: convolutions along channels, blurs.

use resnet_dsl::ir::Op;
use resnet_dsl::ir::param::Param;
use resnet_dsl::ops::{Activation, Blur, ChannelConv, Conv2d, Padding, Sides};
use resnet_plan::{Kernel, KernelLayout};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::proto::Node;
use crate::onnx::value::{Axis, Image, Value};
use crate::onnx::{malformed, unsupported};

/// Two numbers of an attribute, of at least `least`; `None`: it is not there.
pub(super) fn pair(node: &Node, name: &str, least: usize) -> Result<Option<[usize; 2]>, Error> {
    let Some(list) = node.ints(name) else { return Ok(None) };
    let sizes: Vec<usize> =
        list.iter().filter_map(|size| usize::try_from(*size).ok()).filter(|size| *size >= least).collect();
    match (sizes[..].try_into(), list.len()) {
        (Ok(pair), 2) => Ok(Some(pair)),
        _ => Err(unsupported(format!("has `{name}` {list:?}, where two sizes are expected"))),
    }
}

/// The padding of a window.
pub(super) fn padding(
    node: &Node,
    image: &Image,
    window: [usize; 2],
    stride: [usize; 2],
) -> Result<Padding, Error> {
    let sides = |pads: &[i64]| {
        let sides: Vec<usize> = pads.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
        match (&sides[..], pads.len()) {
            (&[top, left, bottom, right], 4) => Ok(Padding::Sides(Sides { top, bottom, left, right })),
            _ => Err(unsupported(format!("has `pads` {pads:?}, where four sizes are expected"))),
        }
    };
    match node.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" | "" => sides(node.ints("pads").unwrap_or(&[0; 4])),
        "VALID" => Ok(Padding::Sides(Sides::default())),
        "SAME_UPPER" => Ok(Padding::Same),
        "SAME_LOWER" => {
            let total = |axis: usize, size: usize| {
                let reach = size.div_ceil(stride[axis]).max(1).saturating_sub(1).saturating_mul(stride[axis]);
                reach.saturating_add(window[axis]).saturating_sub(size)
            };
            let (rows, columns) = (total(0, image.dims[1]), total(1, image.dims[2]));
            let (top, left) = (rows.div_ceil(2), columns.div_ceil(2));
            Ok(Padding::Sides(Sides { top, bottom: rows - top, left, right: columns - left }))
        }
        other => Err(malformed(format!("has the padding `{other}`"))),
    }
}

/// `Conv`.
pub(super) fn conv(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let (weights, standardized) = match builder.required(node, 1)? {
        Value::Constant(tensor) => (tensor.clone(), None),
        Value::Standardized(tensor, epsilon) => (tensor.clone(), Some(*epsilon)),
        _ => return Err(unsupported("computes its kernel from the input, where a constant is expected")),
    };
    if let Value::Mirrored(image, sides) = builder.required(node, 0)? {
        let (image, sides) = (image.clone(), *sides);
        return blur(builder, node, image, sides, &weights);
    }
    if weights.dims.len() == 3 {
        return along_channels(builder, node, &weights);
    }
    let image = builder.nchw(node, 0)?;
    let [filters, inputs, height, width] = weights.dims[..] else {
        return Err(malformed(format!("has a kernel of the sizes {:?}", weights.dims)));
    };
    let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
    if inputs.checked_mul(groups) != Some(image.dims[3]) {
        return Err(malformed(format!(
            "has a kernel of {inputs} channels in {groups} groups for an image of {}",
            image.dims[3]
        )));
    }
    let kernel = [height, width];
    if pair(node, "kernel_shape", 1)?.is_some_and(|shape| shape != kernel) {
        return Err(malformed(format!("has a kernel of {height}x{width} and says that it is another one")));
    }
    let stride = pair(node, "strides", 1)?.unwrap_or([1, 1]);
    let dilation = pair(node, "dilations", 1)?.unwrap_or([1, 1]);
    let mut conv = Conv2d {
        filters,
        kernel,
        stride,
        dilation,
        groups,
        padding: Padding::Valid,
        weights: Param::load(Kernel { name: "".into(), layout: KernelLayout::Oihw }),
        bias: None,
        standardized,
        gated: false,
        activation: Activation::NONE,
        algorithms: None,
        split: None,
    };
    conv.padding = padding(node, &image, conv.window(), stride)?;
    let name = own_name(node);
    conv.weights.tensor.name = builder.tensor(&weights, &weights.dims, &format!("{name}.weight"))?;
    if let Some(bias) = builder.constant(node, 2)? {
        conv.bias = Some(Param::load(Some(builder.tensor(&bias, &[filters], &format!("{name}.bias"))?)));
    }
    builder.unary(node, Op::Conv2d(conv), &image)
}

/// What a node or its value is called.
pub(super) fn own_name(node: &Node) -> &str {
    match node.outputs.first() {
        Some(output) if node.name.is_empty() => output,
        _ => &node.name,
    }
}

/// A convolution of one channel whose only axis is the channels of an image.
fn along_channels(builder: &mut Builder<'_>, node: &Node, weights: &Tensor) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let axes = [Axis::Batch, Axis::One, Axis::Channel];
    let ([1, 1, kernel], true) = (&weights.dims[..], image.is(&axes)) else {
        return Err(unsupported(
            "is a convolution of one dimension, which is known along channels only, as in ECA",
        ));
    };
    let is = |name: &str, wanted: i64| {
        node.ints(name).is_none_or(|list| list.iter().all(|number| *number == wanted))
    };
    let half = (kernel / 2) as i64;
    let centered = match node.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" => node.ints("pads").map_or(half == 0, |pads| pads == [half, half]),
        "VALID" => half == 0,
        _ => true,
    };
    if !centered || !is("strides", 1) || !is("dilations", 1) || builder.value(node, 2).is_some() {
        return Err(unsupported(
            "is a convolution along channels with a stride, a bias or a padding that changes their number, which has no counterpart",
        ));
    }
    let name = builder.tensor(weights, &[1, 1, *kernel], &format!("{}.weight", own_name(node)))?;
    let op = Op::ChannelConv(ChannelConv { kernel: *kernel, weights: name });
    Ok(Value::Image(builder.add(node, op, &[&image], axes.to_vec())?))
}

/// A convolution of each channel by itself, with binomial weights, of an image continued by reflection.
fn blur(
    builder: &mut Builder<'_>,
    node: &Node,
    image: Image,
    sides: Sides,
    weights: &Tensor,
) -> Result<Value, Error> {
    let channels = image.dims[3];
    let stride = pair(node, "strides", 1)?.unwrap_or([1, 1]);
    let unpadded = node.ints("pads").is_none_or(|pads| pads.iter().all(|side| *side == 0));
    let undilated = node.ints("dilations").is_none_or(|list| list.iter().all(|number| *number == 1));
    let no_blur = || {
        unsupported(
            "of an image padded by reflection has no counterpart but a blur: binomial weights, the same for each channel",
        )
    };
    let [filters, 1, size, width] = weights.dims[..] else { return Err(no_blur()) };
    let blur = Blur { size, stride };
    let by_channel = filters == channels && node.int("group") == i64::try_from(channels).ok();
    if !(by_channel
        && size == width
        && size <= Blur::LARGEST
        && unpadded
        && undilated
        && builder.value(node, 2).is_none())
    {
        return Err(no_blur());
    }
    let [rows, columns] = blur.padding();
    if sides != (Sides { top: rows, bottom: rows, left: columns, right: columns }) {
        return Err(no_blur());
    }
    let row = blur.weights();
    let window: Vec<f64> = row.iter().flat_map(|down| row.iter().map(move |right| down * right)).collect();
    let is_binomial = (0..filters * window.len()).zip(window.iter().cycle());
    if !is_binomial.into_iter().all(|(index, weight)| (elements::get(weights, index) - weight).abs() < 1e-6) {
        return Err(no_blur());
    }
    builder.unary(node, Op::Blur(blur), &image)
}
