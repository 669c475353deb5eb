//! Sums and products, of two values or of one and a constant.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::Activation;
use resnet_plan::Activation as Function;

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::ops::activation::activate;
use crate::onnx::ops::conv::own_name;
use crate::onnx::proto::Node;
use crate::onnx::unsupported;
use crate::onnx::value::{Affine, Image, Value};

/// `Add`.
pub(super) fn add(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    match operands(builder, node)? {
        (Value::Image(image), Value::Constant(by), _) | (Value::Constant(by), Value::Image(image), _) => {
            affine(builder, node, image, &by, |[scale, offset], by| [scale, offset + by])
        }
        _ => {
            let (a, b) = (builder.image(node, 0)?, builder.image(node, 1)?);
            if a.dims != b.dims || a.flat != b.flat || !a.covers(&b) || !b.covers(&a) {
                let sizes = [&a, &b].map(|image| format!("{:?}", image.shape()));
                return Err(unsupported(format!(
                    "of values of {} has no counterpart: both sides of a sum have one shape",
                    sizes.join(" and ")
                )));
            }
            let axes = if a.axes.len() >= b.axes.len() { &a.axes } else { &b.axes };
            let sum = builder.add(node, Op::Add { activation: Activation::NONE }, &[&a, &b], axes.clone())?;
            Ok(Value::Image(Image { flat: a.flat, ..sum }))
        }
    }
}

/// `Sub`, one side of which is a constant.
pub(super) fn sub(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    match operands(builder, node)? {
        (Value::Image(image), Value::Constant(by), _) => {
            affine(builder, node, image, &by, |[scale, offset], by| [scale, offset - by])
        }
        (Value::Constant(by), Value::Image(image), _) => {
            affine(builder, node, image, &by, |[scale, offset], by| [-scale, by - offset])
        }
        _ => Err(unsupported(
            "of two values has no counterpart; the language has `add`, and subtracts constants",
        )),
    }
}

/// `Mul`: a gate, an activation that is written as a product, or a constant.
pub(super) fn mul(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    match operands(builder, node)? {
        (Value::Image(image), Value::Constant(by), _) | (Value::Constant(by), Value::Image(image), _) => {
            affine(builder, node, image, &by, |[scale, offset], by| [scale * by, offset * by])
        }
        (Value::Image(a), Value::Image(b), _) => {
            for (place, gate) in [(0, &b), (1, &a)] {
                if let Some(value) = gated(builder, node, place, gate)? {
                    return Ok(value);
                }
            }
            product(builder, node)
        }
        _ => product(builder, node),
    }
}

/// `Div` by a constant, or of a value by its norm.
pub(super) fn div(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    match operands(builder, node)? {
        (Value::Image(image), Value::Constant(by), _) => {
            affine(builder, node, image, &by, |[scale, offset], by| [scale / by, offset / by])
        }
        (Value::Image(_), Value::Norm(of, least), _) => {
            let image = builder.image(node, 0)?;
            if image.value != of.value {
                return Err(unsupported("of a value by the norm of another one has no counterpart"));
            }
            let op = Op::L2Normalize { epsilon: least };
            builder.unary(node, op, &image)
        }
        _ => Err(unsupported("by a value has no counterpart but `l2_normalize` (by the norm of each pixel)")),
    }
}

/// `Neg`.
pub(super) fn neg(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let Value::Image(image) = builder.required(node, 0)?.clone() else {
        return Err(unsupported("has no counterpart"));
    };
    affine(builder, node, image, &elements::of_floats(vec![], &[-1.0]), |[scale, offset], by| {
        [scale * by, offset * by]
    })
}

/// `Max` with a constant: the least that a norm counts as, or relu.
pub(super) fn max(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let single =
        |by: &Tensor| if Tensor::len(&by.dims) == Some(1) { Some(elements::get(by, 0)) } else { None };
    match operands(builder, node)? {
        (Value::Norm(image, least), Value::Constant(by), _)
        | (Value::Constant(by), Value::Norm(image, least), _) => {
            let by = single(&by).ok_or_else(|| unsupported("of a norm takes one number"))?;
            Ok(Value::Norm(image, least.max(by)))
        }
        (Value::Image(_), Value::Constant(by), place) | (Value::Constant(by), Value::Image(_), place)
            if single(&by) == Some(0.0) =>
        {
            let image = builder.image(node, place)?;
            Ok(Value::Image(activate(builder, node, &image, Function::Relu)?))
        }
        _ => Err(unsupported("has no counterpart; the language has `relu`")),
    }
}

/// Both inputs, and the place of the first that is no constant.
fn operands(builder: &Builder<'_>, node: &Node) -> Result<(Value, Value, usize), Error> {
    if node.inputs.len() != 2 {
        return Err(unsupported(format!("of {} values has no counterpart", node.inputs.len())));
    }
    let (a, b) = (builder.required(node, 0)?.clone(), builder.required(node, 1)?.clone());
    let place = usize::from(matches!(a, Value::Constant(_)));
    Ok((a, b, place))
}

/// Arithmetic with a number for each channel, which is put off until the value is used.
fn affine(
    builder: &mut Builder<'_>,
    node: &Node,
    image: Image,
    by: &Tensor,
    step: impl Fn([f64; 2], f64) -> [f64; 2],
) -> Result<Value, Error> {
    let Some(by) = image.by_channel(by).filter(|_| !image.expanded) else {
        return Err(unsupported(format!(
            "of a value of {:?} and a constant of {:?} has no counterpart: constants are one number for all, or for each channel",
            image.shape(),
            by.dims
        )));
    };
    let name = own_name(node).to_owned();
    let none = || Affine { scale: vec![1.0], offset: vec![0.0], name: String::new() };
    let before = image.affine.clone().unwrap_or_else(none);
    let len = before.scale.len().max(by.len());
    builder.spend(len.saturating_mul(2 * size_of::<f64>()))?;
    let number =
        |list: &[f64], channel: usize| list.get(channel).or(list.first()).copied().unwrap_or_default();
    let step = |channel: usize| {
        let pair = [number(&before.scale, channel), number(&before.offset, channel)];
        step(pair, number(&by, channel)).into()
    };
    let (scale, offset) = (0..len).map(step).unzip();
    Ok(Value::Image(Image { affine: Some(Affine { scale, offset, name }), ..image }))
}

/// `x * sigmoid(x)` and `x * hard_sigmoid(x)`, the latter perhaps times a number that is divided by later.
fn gated(builder: &mut Builder<'_>, node: &Node, place: usize, gate: &Image) -> Result<Option<Value>, Error> {
    let function = match &builder.graph.node(gate.value).op {
        Op::Activation(Activation { function: Function::Sigmoid, .. }) => Function::Silu,
        Op::Activation(Activation { function: Function::HardSigmoid, .. }) => Function::HardSwish,
        _ => return Ok(None),
    };
    let is_uniform = |affine: &Affine| {
        affine.scale.windows(2).all(|pair| pair[0] == pair[1])
            && affine.offset.iter().all(|offset| *offset == 0.0)
    };
    let x = builder.image(node, place)?;
    if builder.graph.operands(gate.value) != [x.value] || !gate.affine.as_ref().is_none_or(is_uniform) {
        return Ok(None);
    }
    let result = activate(builder, node, &x, function)?;
    let name = own_name(node).to_owned();
    let affine = gate.affine.clone().map(|affine| Affine { name, ..affine });
    Ok(Some(Value::Image(Image { affine, ..result })))
}

/// The product of an image with one of its shape, or of one pixel.
fn product(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let mut plain = |place: usize| {
        // A value that is repeated for each pixel is multiplied as it is.
        if let Value::Image(image) = builder.required(node, place)?.clone()
            && image.expanded
        {
            return Ok(Image { expanded: false, ..image });
        }
        builder.image(node, place)
    };
    let (a, b) = (plain(0)?, plain(1)?);
    let pixels = |image: &Image| image.dims[1] * image.dims[2];
    let (x, gate) = if pixels(&a) >= pixels(&b) { (a, b) } else { (b, a) };
    if !x.covers(&gate) || x.flat != gate.flat {
        return Err(unsupported(format!(
            "of values that lie as {:?} and {:?} has no counterpart",
            x.axes, gate.axes
        )));
    }
    let product =
        builder.add(node, Op::Multiply { activation: Activation::NONE }, &[&x, &gate], x.axes.clone())?;
    Ok(Value::Image(Image { flat: x.flat, ..product }))
}
