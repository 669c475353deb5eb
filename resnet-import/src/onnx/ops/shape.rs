//! What changes only how a value lies, its size, or nothing.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{Dims, Sides, Subsample};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::constant;
use crate::onnx::graph::Builder;
use crate::onnx::proto::Node;
use crate::onnx::tensor;
use crate::onnx::value::{Axis, Image, NCHW, Order, Value};
use crate::onnx::{malformed, unsupported};

/// `Identity`, and `Dropout`, which does nothing but in training.
pub(super) fn identity(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let training = node.op == "Dropout"
        && builder.constant(node, 2)?.is_some_and(|training| constant::get(&training, 0) != 0.0);
    if training {
        return Err(unsupported("is in training mode: export the model after `model.eval()`"));
    }
    Ok(builder.required(node, 0)?.clone())
}

/// `Cast` of a value of the network: it is as precise as the network is.
pub(super) fn cast(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    use crate::Element::{Bf16, F16, F32, F64};
    match tensor::element(node.int("to").unwrap_or_default()) {
        Ok(F32 | F64 | F16 | Bf16) => Ok(builder.required(node, 0)?.clone()),
        _ => Err(unsupported("makes whole numbers of a value, which has no counterpart")),
    }
}

/// `Shape`.
pub(super) fn shape(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let Value::Image(image) = builder.required(node, 0)? else {
        return Err(unsupported("of a reshaped image has no counterpart"));
    };
    let dims: Vec<i64> = image.shape().iter().map(|size| size.cast_signed() as i64).collect();
    Ok(Value::Constant(constant::ints(constant::shape_part(node, &dims))))
}

/// `Flatten`.
pub(super) fn flatten(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let shape = image.shape();
    let axis = constant::within(node.int("axis").unwrap_or(1), shape.len() + 1)?;
    let product = |sizes: &[usize]| Tensor::len(sizes).unwrap_or_default();
    let target =
        [product(shape.get(..axis).unwrap_or_default()), product(shape.get(axis..).unwrap_or_default())];
    reshaped(builder, node, image, &target)
}

/// `Reshape`.
pub(super) fn reshape(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let sizes = builder.constant(node, 1)?;
    let sizes = sizes.map(|sizes| constant::to_ints(&sizes)).ok_or_else(|| malformed("has no shape"))?;
    let target = |shape: &[usize]| constant::target(shape, &sizes, node.int("allowzero") == Some(1));
    match builder.required(node, 0)?.clone() {
        Value::Standardized(tensor, epsilon) => {
            let dims = target(&tensor.dims)?;
            Ok(Value::Standardized(constant::reshaped(&tensor, dims)?, epsilon))
        }
        Value::Grouped(image, groups) => {
            let [batch, height, width, channels] = image.dims;
            let within = channels.checked_div(groups).unwrap_or(0) * height * width;
            if target(&[batch, groups, within])? == image.shape() {
                return Ok(Value::Image(image));
            }
            Err(unsupported(
                "of an image whose channels are reshaped into groups gives another one, which has no counterpart",
            ))
        }
        _ => {
            let image = builder.image(node, 0)?;
            let target = target(&image.shape())?;
            reshaped(builder, node, image, &target)
        }
    }
}

/// `Squeeze`.
pub(super) fn squeeze(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let axes = axes(builder, node)?;
    if let Value::Standardized(tensor, epsilon) = builder.required(node, 0)?.clone() {
        let dims = constant::squeezed(&tensor.dims, axes.as_deref())?;
        return Ok(Value::Standardized(constant::reshaped(&tensor, dims)?, epsilon));
    }
    let image = builder.image(node, 0)?;
    let target = constant::squeezed(&image.shape(), axes.as_deref())?;
    Ok(Value::Image(
        relabeled(&image, &target).ok_or_else(|| malformed("drops axes of more than one element"))?,
    ))
}

/// `Unsqueeze`.
pub(super) fn unsqueeze(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let axes = axes(builder, node)?.ok_or_else(|| malformed("has no axes"))?;
    let image = builder.image(node, 0)?;
    let target = constant::unsqueezed(&image.shape(), &axes)?;
    Ok(Value::Image(relabeled(&image, &target).ok_or_else(|| malformed("has wrong axes"))?))
}

/// The axes of an attribute, or of the second input.
fn axes(builder: &Builder<'_>, node: &Node) -> Result<Option<Vec<i64>>, Error> {
    match node.ints("axes") {
        Some(axes) => Ok(Some(axes.to_vec())),
        None => Ok(builder.constant(node, 1)?.map(|axes| constant::to_ints(&axes))),
    }
}

/// The value with other axes of size 1, in a shape that differs in nothing else.
fn relabeled(image: &Image, target: &[usize]) -> Option<Image> {
    let mut matter = image.axes.iter().filter(|axis| image.size(**axis) != 1);
    let axis = |size: &usize| match size {
        1 => Some(Axis::One),
        size => matter.next().copied().filter(|axis| image.size(*axis) == *size),
    };
    let axes: Vec<Axis> = target.iter().map(axis).collect::<Option<_>>()?;
    matter.next().is_none().then(|| Image { axes, ..image.clone() })
}

/// A shape of the same elements.
fn reshaped(builder: &mut Builder<'_>, node: &Node, image: Image, target: &[usize]) -> Result<Value, Error> {
    let shape = image.shape();
    let flattens = target.len() == 2 && shape.len() > 2;
    if let Some(relabeled) = relabeled(&image, target) {
        if !flattens || !target.starts_with(&[image.dims[0]]) || image.dims[1..3] != [1, 1] {
            return Ok(Value::Image(relabeled));
        }
        let flat = builder.add(node, Op::Flatten, &[&image], vec![Axis::Batch, Axis::Channel])?;
        return Ok(Value::Image(Image { flat: image.flat, ..flat }));
    }
    let [batch, height, width, channels] = image.dims;
    let in_order = |axes: &[Axis]| {
        let matter =
            |axes: &[Axis]| axes.iter().copied().filter(|axis| image.size(*axis) != 1).collect::<Vec<_>>();
        matter(&image.axes) == matter(axes)
    };
    let (first, last) = (in_order(&NCHW), in_order(&crate::onnx::value::NHWC));
    let all = height * width * channels;
    if image.flat.is_none() && (first || last) && *target == [batch, all] {
        let order = match (first, last) {
            (true, true) => None, // one row of pixels, or of channels
            (true, false) => Some(Order::ChannelsFirst),
            (false, _) => Some(Order::ChannelsLast),
        };
        let flat = builder.add(node, Op::Flatten, &[&image], vec![Axis::Batch, Axis::Channel])?;
        return Ok(Value::Image(Image { flat: order, ..flat }));
    }
    match *target {
        [n, groups, _] if n == batch && image.is(&NCHW) && groups > 0 && channels.is_multiple_of(groups) => {
            Ok(Value::Grouped(Image { axes: NCHW.to_vec(), ..image }, groups))
        }
        _ => Err(unsupported(format!(
            "of {shape:?} to {target:?} has no counterpart; the language has `flatten`, and group norms"
        ))),
    }
}

/// `Transpose`.
pub(super) fn transpose(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = match builder.required(node, 0)? {
        // Arithmetic that was put off stays so.
        Value::Image(image) if !image.expanded => image.clone(),
        _ => builder.image(node, 0)?,
    };
    let perm = constant::permutation(image.axes.len(), node.ints("perm"))?;
    let axes = perm.iter().filter_map(|axis| image.axes.get(*axis).copied()).collect();
    let affine = image.affine.clone().map(|mut affine| {
        affine.sole &= builder.read_once(node, 0);
        affine
    });
    Ok(Value::Image(Image { axes, affine, ..image }))
}

/// `Expand` of one pixel to an image, for the product that reads it.
pub(super) fn expand(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let sizes = builder.constant(node, 1)?;
    let sizes = sizes.map(|sizes| constant::to_ints(&sizes)).ok_or_else(|| malformed("has no shape"))?;
    let sizes: Vec<usize> = sizes.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let shape = image.shape();
    let target = constant::broadcast(&[&shape, &sizes])?;
    if target.len() != shape.len() {
        return Err(unsupported(format!("of {shape:?} to {target:?} has no counterpart")));
    }
    let expanded = target != shape;
    Ok(Value::Image(Image { expanded, ..image }))
}

/// `Pad`: zeros around images, zero channels, or mirrored pixels for a blur.
pub(super) fn pad(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let rank = image.axes.len();
    let pads = match (node.ints("pads"), builder.constant(node, 1)?) {
        (Some(pads), _) => pads.to_vec(),
        (None, Some(pads)) => constant::to_ints(&pads),
        (None, None) => return Err(malformed("has no `pads`")),
    };
    let fill = match builder.constant(node, 2)? {
        Some(fill) => constant::get(&fill, 0),
        None => node.float("value").unwrap_or(0.0),
    };
    let places = match builder.constant(node, 3)? {
        Some(axes) => constant::to_ints(&axes)
            .into_iter()
            .map(|axis| constant::within(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
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
            Ok(Value::Image(builder.add(node, Op::ZeroPad(sides), &[&image], image.axes.clone())?))
        }
        "constant" if fill == 0.0 && !others && !padded => {
            let subsample = Subsample { stride: [1, 1], front, back };
            // A shortcut that leaves out pixels and adds channels is one operator.
            if let Op::Subsample(Subsample { stride, front: 0, back: 0 }) = builder.graph.node(image.value).op
                && builder.read_once(node, 0)
                && let [before] = builder.graph.operands(image.value)[..]
            {
                let dims: Dims = builder.dims(before);
                let whole = Image { value: before, dims, ..image.clone() };
                let op = Op::Subsample(Subsample { stride, ..subsample });
                return Ok(Value::Image(builder.add(node, op, &[&whole], image.axes.clone())?));
            }
            Ok(Value::Image(builder.add(node, Op::Subsample(subsample), &[&image], image.axes.clone())?))
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
    let list = |name: &str, index: usize| match node.ints(name) {
        Some(list) => Ok(Some(list.to_vec())),
        None => Ok(builder.constant(node, index)?.map(|list| constant::to_ints(&list))),
    };
    let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
    let (axes, steps) = (list("axes", 3)?, list("steps", 4)?);
    let shape = image.shape();
    let mut stride = [1, 1];
    for range in constant::ranges(&shape, &starts, &ends, axes.as_deref(), steps.as_deref())? {
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
    let op = Op::Subsample(Subsample { stride, front: 0, back: 0 });
    Ok(Value::Image(builder.add(node, op, &[&image], image.axes.clone())?))
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
    Ok(Value::Image(builder.add(node, Op::Upsample(times), &[&image], image.axes.clone())?))
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
