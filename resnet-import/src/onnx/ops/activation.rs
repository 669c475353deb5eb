//! Functions of each element, and softmax.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::Activation;
use resnet_plan::{Activation as Function, Slope};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::ops::conv::own_name;
use crate::onnx::proto::Node;
use crate::onnx::sizes;
use crate::onnx::value::{Affine, Axis, Image, Value};
use crate::onnx::{malformed, unsupported};

/// An operator that is an activation by itself.
pub(super) fn plain(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let function = match node.op.as_str() {
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu(node.float("alpha").unwrap_or(0.01) as f32),
        "Sigmoid" => Function::Sigmoid,
        "HardSwish" => Function::HardSwish,
        "Swish" if node.float("alpha").unwrap_or(1.0) == 1.0 => Function::Silu,
        "HardSigmoid" => {
            let (slope, offset) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
            if (slope * 6.0 - 1.0).abs() > 1e-4 || offset != 0.5 {
                return Err(unsupported(format!(
                    "of slope {slope} has no counterpart; the language has `hard_sigmoid` of slope 1/6 (relu6(x + 3) / 6)"
                )));
            }
            Function::HardSigmoid
        }
        "PRelu" => return prelu(builder, node),
        _ => return Err(unsupported("has no counterpart")),
    };
    let image = builder.image(node, 0)?;
    Ok(Value::Image(activate(builder, node, &image, function)?))
}

/// `function(image)`.
pub(super) fn activate(
    builder: &mut Builder<'_>,
    node: &Node,
    image: &Image,
    function: Function,
) -> Result<Image, Error> {
    let op = Op::Activation(Activation { function, slope: None });
    let result = builder.add(node, op, &[image], image.axes.clone())?;
    Ok(Image { flat: image.flat, ..result })
}

fn prelu(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let slope = builder.constant(node, 1)?.ok_or_else(|| malformed("has no slopes"))?;
    let single = Tensor::len(&slope.dims) == Some(1);
    if !single && image.by_channel(&slope).is_none() {
        return Err(unsupported(format!(
            "has slopes of the sizes {:?}, not one for each channel",
            slope.dims
        )));
    }
    let count = if single { 1 } else { image.dims[3] };
    let name = builder.tensor(&slope, &[count], &format!("{}.weight", own_name(node)))?;
    let op = Op::Activation(Activation { function: Function::Prelu, slope: Some(Slope { name, single }) });
    let result = builder.add(node, op, &[&image], image.axes.clone())?;
    Ok(Value::Image(Image { flat: image.flat, ..result }))
}

/// `Clip`: the limits are attributes before opset 11, inputs from then on.
pub(super) fn clip(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let limit = |index: usize, name: &str, none: f64| match builder.constant(node, index)? {
        Some(tensor) if Tensor::len(&tensor.dims) == Some(1) => Ok(elements::get(&tensor, 0)),
        Some(tensor) => Err(malformed(format!("has limits of the sizes {:?}", tensor.dims))),
        None => Ok(node.float(name).unwrap_or(none)),
    };
    let largest = f64::from(f32::MAX);
    let (low, high) = (limit(1, "min", -largest)?, limit(2, "max", largest)?);
    if let Value::Norm(image, least) = builder.required(node, 0)?
        && high >= largest
    {
        return Ok(Value::Norm(image.clone(), least.max(low)));
    }
    if let Value::Image(Image { affine: Some(affine), .. }) = builder.required(node, 0)? {
        // relu6(x + 3) = 6 * hard_sigmoid(x), and x / 6 + 1/2 within 0 and 1 = hard_sigmoid(x)
        let all = |list: &[f64], number: f64| list.iter().all(|x| (x - number).abs() < 1e-6);
        let factor = match (low, high) {
            (0.0, 6.0) if all(&affine.scale, 1.0) && all(&affine.offset, 3.0) => Some(6.0),
            (0.0, 1.0) if all(&affine.scale, 1.0 / 6.0) && all(&affine.offset, 0.5) => Some(1.0),
            _ => None,
        };
        if let (Some(factor), Value::Image(image)) = (factor, builder.required(node, 0)?.clone()) {
            let plain = Image { affine: None, ..image };
            let result = activate(builder, node, &plain, Function::HardSigmoid)?;
            let name = own_name(node).to_owned();
            let affine = Affine { scale: vec![factor], offset: vec![0.0], name };
            return Ok(Value::Image(Image { affine: Some(affine), ..result }));
        }
    }
    let function = match (low, high) {
        (0.0, 6.0) => Function::Relu6,
        (0.0, high) if high >= largest => Function::Relu,
        _ => {
            return Err(unsupported(format!(
                "to {low}..{high} has no counterpart; the language has `relu` (0 and more) and `relu6` (0..6)"
            )));
        }
    };
    let image = builder.image(node, 0)?;
    Ok(Value::Image(activate(builder, node, &image, function)?))
}

/// `Softmax`, over channels. Before opset 13 over all axes from `axis` on.
pub(super) fn softmax(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let old = builder.opset < 13;
    let first = sizes::within(node.int("axis").unwrap_or(if old { 1 } else { -1 }), image.axes.len())?;
    let end = if old { image.axes.len() } else { first + 1 };
    let within: Vec<Axis> = image.axes.get(first..end).unwrap_or_default().to_vec();
    let others = within.iter().filter(|axis| **axis != Axis::Channel && image.size(**axis) != 1);
    if others.count() != 0 || !within.contains(&Axis::Channel) && image.dims[3] != 1 || image.flat.is_some() {
        return Err(unsupported("is over other axes than channels, which has no counterpart"));
    }
    builder.unary(node, Op::Softmax, &image)
}
