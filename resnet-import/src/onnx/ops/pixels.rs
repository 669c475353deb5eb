//! What adds, leaves out or repeats pixels.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{Sides, Subsample};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::proto::Node;
use crate::onnx::sizes;
use crate::onnx::value::{Axis, Image, NCHW, Value};
use crate::onnx::{malformed, unsupported};

/// `Pad`: zeros around images, zero channels, or mirrored pixels for a blur.
pub(super) fn pad(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let rank = image.axes.len();
    let pads = builder.ints(node, "pads", 1)?.ok_or_else(|| malformed("has no `pads`"))?;
    let fill = match builder.constant(node, 2)? {
        Some(fill) => elements::get(&fill, 0),
        None => node.float("value").unwrap_or(0.0),
    };
    let places = match builder.constant(node, 3)? {
        Some(axes) => sizes::all_within(&elements::to_ints(&axes), rank)?,
        None => (0..rank).collect(),
    };
    let sizes: Vec<usize> = pads.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    if sizes.len() != pads.len() || pads.len() != 2 * places.len() {
        return Err(unsupported(format!(
            "by {pads:?} has no counterpart; the language adds rows, columns and channels"
        )));
    }
    let side = |axis: Axis, end: usize| {
        let place = places.iter().position(|place| image.axes.get(*place) == Some(&axis));
        place.and_then(|place| sizes.get(place + end * places.len())).copied().unwrap_or(0)
    };
    let sides = Sides {
        top: side(Axis::Height, 0),
        bottom: side(Axis::Height, 1),
        left: side(Axis::Width, 0),
        right: side(Axis::Width, 1),
    };
    let [front, back] = [side(Axis::Channel, 0), side(Axis::Channel, 1)];
    let known: usize = [sides.top, sides.bottom, sides.left, sides.right, front, back]
        .iter()
        .fold(0, |sum, side| sum.saturating_add(*side));
    let others = sizes.iter().fold(0usize, |sum, size| sum.saturating_add(*size)) != known;
    let padded = sides != Sides::default();
    if known == 0 && !others {
        return Ok(Value::Image(image));
    }
    match node.text("mode").unwrap_or("constant") {
        "constant" if fill == 0.0 && !others && [front, back] == [0, 0] => {
            builder.unary(node, Op::ZeroPad(sides), &image)
        }
        "constant" if fill == 0.0 && !others && !padded => {
            subsampled(builder, node, &image, Subsample { stride: [1, 1], front, back })
        }
        "reflect" if !others && [front, back] == [0, 0] && image.is(&NCHW) => {
            Ok(Value::Mirrored(image, sides))
        }
        mode => Err(unsupported(format!(
            "by {pads:?} in mode `{mode}` with {fill} has no counterpart; the language has `zero_pad` around images, and zero channels"
        ))),
    }
}

/// `Slice`: every n-th pixel.
pub(super) fn slice(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let list = |name: &str, index: usize| builder.ints(node, name, index);
    let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
    let (axes, steps) = (list("axes", 3)?, list("steps", 4)?);
    let shape = image.shape();
    let mut stride = [1, 1];
    for range in sizes::ranges(&shape, &starts, &ends, axes.as_deref(), steps.as_deref())? {
        let (axis, size) = (image.axes.get(range.axis), shape.get(range.axis).copied().unwrap_or(0));
        let step = usize::try_from(range.step).unwrap_or(0).max(1);
        let all = range.first == 0 && range.step > 0 && range.count == size.div_ceil(step);
        match axis {
            _ if all && step == 1 => {}
            Some(Axis::Height) if all => stride[0] = step,
            Some(Axis::Width) if all => stride[1] = step,
            _ => {
                return Err(unsupported(
                    "takes a part of a value, which has no counterpart but every n-th pixel from the first on",
                ));
            }
        }
    }
    if stride == [1, 1] {
        return Ok(Value::Image(image));
    }
    subsampled(builder, node, &image, Subsample { stride, front: 0, back: 0 })
}

/// Every n-th pixel, zero channels. Several of these, one after the other, are one operator.
fn subsampled(
    builder: &mut Builder<'_>,
    node: &Node,
    image: &Image,
    subsample: Subsample,
) -> Result<Value, Error> {
    let Subsample { stride, front, back } = subsample;
    if let Op::Subsample(Subsample { stride: before, front: 0, back: 0 }) = builder.graph.node(image.value).op
        && builder.read_once(node, 0)
        && let [source] = builder.graph.operands(image.value)[..]
    {
        let whole = Image { value: source, dims: builder.dims(source), ..image.clone() };
        let stride = [0, 1].map(|axis: usize| stride[axis].saturating_mul(before[axis]));
        let op = Op::Subsample(Subsample { stride, front, back });
        return Ok(Value::Image(builder.add(node, op, &[&whole], image.axes.clone())?));
    }
    builder.unary(node, Op::Subsample(subsample), image)
}

/// `Resize` and `Upsample`: each pixel several times.
pub(super) fn resize(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let mode = node.text("mode").unwrap_or("nearest");
    if mode != "nearest" {
        return Err(unsupported(format!(
            "in mode `{mode}` has no counterpart; the language has `upsample` (nearest)"
        )));
    }
    let shape = image.shape();
    let (scales, sizes) = match (node.op.as_str(), builder.opset) {
        ("Upsample", _) | (_, ..11) => (builder.constant(node, 1)?, None),
        _ => (builder.constant(node, 2)?, builder.constant(node, 3)?),
    };
    let filled =
        |tensor: Option<Tensor>| tensor.map(|tensor| tensor.to_f64()).filter(|list| !list.is_empty());
    let factors: Vec<f64> = match (filled(scales), filled(sizes)) {
        (Some(scales), _) => scales,
        (None, Some(sizes)) => sizes.iter().zip(&shape).map(|(size, old)| size / *old as f64).collect(),
        (None, None) => return Err(malformed("has neither scales nor sizes")),
    };
    if factors.len() != shape.len() || node.has("axes") {
        return Err(unsupported(format!("has {} scales for {} axes", factors.len(), shape.len())));
    }
    let mut times = [1, 1];
    for (axis, factor) in image.axes.iter().zip(&factors) {
        let whole = factor.round();
        let near = (factor - whole).abs() < 1e-6 && (1.0..=1024.0).contains(&whole);
        match axis {
            _ if *factor == 1.0 => {}
            Axis::Height if near => times[0] = whole as usize,
            Axis::Width if near => times[1] = whole as usize,
            _ => {
                return Err(unsupported(format!(
                    "by {factors:?} has no counterpart; the language has `upsample` by whole factors of height and width"
                )));
            }
        }
    }
    if !times.iter().all(|times| repeats(node, *times)) {
        return Err(unsupported(format!(
            "with `{}` and `{}` takes other pixels than the nearest, which has no counterpart",
            node.text("coordinate_transformation_mode").unwrap_or("half_pixel"),
            node.text("nearest_mode").unwrap_or("round_prefer_floor")
        )));
    }
    builder.unary(node, Op::Upsample(times), &image)
}

/// Whether each pixel is taken so many times, by the rules of the node.
fn repeats(node: &Node, times: usize) -> bool {
    let old =
        node.op == "Upsample" || !node.has("coordinate_transformation_mode") && !node.has("nearest_mode");
    let place = |output: usize| {
        let (output, scale) = (output as f64, times as f64);
        match node.text("coordinate_transformation_mode").unwrap_or("half_pixel") {
            _ if old => output / scale,
            "half_pixel" | "pytorch_half_pixel" => (output + 0.5) / scale - 0.5,
            "asymmetric" => output / scale,
            _ => f64::NAN,
        }
    };
    let rounded = |place: f64| match node.text("nearest_mode").unwrap_or("round_prefer_floor") {
        _ if old => place.floor(),
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        _ => f64::NAN,
    };
    (0..4 * times).all(|output| rounded(place(output)).max(0.0) == (output / times) as f64)
}
