//! What changes only how a value lies, or nothing.

use resnet_dsl::ir::Op;

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::constant;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::proto::Node;
use crate::onnx::sizes;
use crate::onnx::tensor;
use crate::onnx::value::{Axis, Image, NCHW, Order, Value};
use crate::onnx::{malformed, unsupported};

/// `Identity`, and `Dropout`, which does nothing but in training.
pub(super) fn identity(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let training = node.op == "Dropout"
        && builder.constant(node, 2)?.is_some_and(|training| elements::get(&training, 0) != 0.0);
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
    Ok(Value::Constant(elements::ints(sizes::shape_part(node, &dims))))
}

/// `Flatten`.
pub(super) fn flatten(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let shape = image.shape();
    let axis = sizes::within(node.int("axis").unwrap_or(1), shape.len() + 1)?;
    let product = |sizes: &[usize]| Tensor::len(sizes).unwrap_or_default();
    let target =
        [product(shape.get(..axis).unwrap_or_default()), product(shape.get(axis..).unwrap_or_default())];
    reshaped(builder, node, image, &target)
}

/// `Reshape`.
pub(super) fn reshape(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let sizes = builder.constant(node, 1)?;
    let sizes = sizes.map(|sizes| elements::to_ints(&sizes)).ok_or_else(|| malformed("has no shape"))?;
    let target = |shape: &[usize]| sizes::target(shape, &sizes, node.int("allowzero") == Some(1));
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
    let axes = builder.ints(node, "axes", 1)?;
    if let Value::Standardized(tensor, epsilon) = builder.required(node, 0)?.clone() {
        let dims = sizes::squeezed(&tensor.dims, axes.as_deref())?;
        return Ok(Value::Standardized(constant::reshaped(&tensor, dims)?, epsilon));
    }
    let image = builder.image(node, 0)?;
    let target = sizes::squeezed(&image.shape(), axes.as_deref())?;
    Ok(Value::Image(
        relabeled(&image, &target).ok_or_else(|| malformed("drops axes of more than one element"))?,
    ))
}

/// `Unsqueeze`.
pub(super) fn unsqueeze(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let axes = builder.ints(node, "axes", 1)?.ok_or_else(|| malformed("has no axes"))?;
    let image = builder.image(node, 0)?;
    let target = sizes::unsqueezed(&image.shape(), &axes)?;
    Ok(Value::Image(relabeled(&image, &target).ok_or_else(|| malformed("has wrong axes"))?))
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
    let perm = sizes::permutation(image.axes.len(), node.ints("perm"))?;
    let axes = perm.iter().filter_map(|axis| image.axes.get(*axis).copied()).collect();
    Ok(Value::Image(Image { axes, ..image }))
}

/// `Expand` of one pixel to an image, for the product that reads it.
pub(super) fn expand(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    if let norm @ Value::Norm(..) = builder.required(node, 0)? {
        return Ok(norm.clone()); // the division repeats it
    }
    let image = builder.image(node, 0)?;
    let sizes = builder.constant(node, 1)?;
    let sizes = sizes.map(|sizes| elements::to_ints(&sizes)).ok_or_else(|| malformed("has no shape"))?;
    let sizes: Vec<usize> = sizes.iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let shape = image.shape();
    let target = sizes::broadcast(&[&shape, &sizes])?;
    if target.len() != shape.len() {
        return Err(unsupported(format!("of {shape:?} to {target:?} has no counterpart")));
    }
    let expanded = target != shape;
    Ok(Value::Image(Image { expanded, ..image }))
}
