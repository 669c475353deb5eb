//! Norms.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{Activation, GroupNorm};
use resnet_plan::{BatchNorm, Text};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::constant;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::ops::conv::own_name;
use crate::onnx::ops::parts;
use crate::onnx::proto::Node;
use crate::onnx::sizes;
use crate::onnx::value::{Affine, Axis, Image, NCHW, Value};
use crate::onnx::{malformed, unsupported};

/// What a pixel is divided by at least, where a file leaves that open.
const LEAST_NORM: f64 = 1e-12;

/// Standardized weights: a batch norm of a constant by its own mean and variance, without scale and offset.
pub(in crate::onnx) fn standardized(node: &Node, opset: i64, inputs: &[Option<Tensor>]) -> Option<Value> {
    let [Some(x), Some(gamma), Some(beta), Some(mean), Some(variance)] = inputs else { return None };
    if node.op != "BatchNormalization" {
        return None;
    }
    let moments = constant::moments(x);
    let near = |x: f64, to: f64| (x - to).abs() <= 1e-4 * to.abs() + 1e-9;
    let fits = |(channel, [own_mean, own_variance]): (usize, &[f64; 2])| {
        let own = constant::is_training(node, opset)
            || (elements::get(mean, channel) - own_mean).abs() <= 1e-4 * own_variance.sqrt()
                && near(elements::get(variance, channel), *own_variance);
        own && elements::get(gamma, channel) == 1.0 && elements::get(beta, channel) == 0.0
    };
    let of_channels = [gamma, beta, mean, variance].iter().all(|tensor| tensor.dims == [moments.len()]);
    let all = !moments.is_empty() && of_channels && moments.iter().enumerate().all(fits);
    all.then(|| Value::Standardized(x.clone(), node.float("epsilon").unwrap_or(1e-5)))
}

/// `BatchNormalization` by running means and variances.
pub(super) fn batch(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    if constant::is_training(node, builder.opset) {
        return Err(unsupported("is in training mode: export the model after `model.eval()`"));
    }
    let (image, channels, count) = parts::normalizes(builder, node)?;
    if image.axes.get(1) != Some(&Axis::Channel) && image.dims[3] != 1 || image.flat.is_some() {
        return Err(unsupported(format!(
            "is over the second axis of a value that lies as {:?}, not over channels",
            image.axes
        )));
    }
    let mut tensor = |index: usize, what: &str| named(builder, node, index, count, what);
    let norm = BatchNorm {
        gamma: tensor(1, "weight")?,
        beta: tensor(2, "bias")?,
        mean: tensor(3, "running_mean")?,
        variance: tensor(4, "running_var")?,
        epsilon: node.float("epsilon").unwrap_or(1e-5),
        channels,
    };
    parts::normalized(builder, node, Op::BatchNorm { norm, activation: Activation::NONE }, image, channels)
}

/// A tensor of so many elements, which is an input of the node.
fn named(
    builder: &mut Builder<'_>,
    node: &Node,
    index: usize,
    count: usize,
    what: &str,
) -> Result<Text, Error> {
    let tensor = builder.constant(node, index)?.ok_or_else(|| malformed(format!("has no {what}")))?;
    builder.tensor(&tensor, &[count], &format!("{}.{what}", own_name(node)))
}

/// `InstanceNormalization`, of an image or of its groups of channels.
pub(super) fn instance(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    if let Value::Grouped(image, groups) = builder.required(node, 0)?.clone() {
        let image = normalized(builder, node, image, Some(groups))?;
        return Ok(Value::Grouped(image, groups));
    }
    if let Value::Part(_) = builder.required(node, 0)? {
        let (image, channels, count) = parts::normalizes(builder, node)?;
        let affine =
            Some([named(builder, node, 1, count, "weight")?, named(builder, node, 2, count, "bias")?]);
        let epsilon = node.float("epsilon").unwrap_or(1e-5);
        let norm = GroupNorm { groups: None, affine, channels, epsilon, activation: Activation::NONE };
        return parts::normalized(builder, node, Op::GroupNorm(norm), image, channels);
    }
    let image = builder.nchw(node, 0)?;
    Ok(Value::Image(normalized(builder, node, image, None)?))
}

/// `GroupNormalization`: scale and offset are for each group before opset 21, for each channel from then on.
pub(super) fn group(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let groups = node.int("num_groups").and_then(|groups| usize::try_from(groups).ok());
    let groups = groups.ok_or_else(|| malformed("has no number of groups"))?;
    let image = builder.nchw(node, 0)?;
    Ok(Value::Image(normalized(builder, node, image, Some(groups))?))
}

/// The norm of an image in groups (`None`: each channel is one), with scale and offset for each channel or group.
fn normalized(
    builder: &mut Builder<'_>,
    node: &Node,
    image: Image,
    groups: Option<usize>,
) -> Result<Image, Error> {
    let channels = image.dims[3];
    let groups = groups.filter(|groups| *groups != channels);
    let constant = |builder: &Builder<'_>, index| {
        builder.constant(node, index)?.ok_or_else(|| malformed("has no scale or offset"))
    };
    let (scale, offset) = (constant(builder, 1)?, constant(builder, 2)?);
    let is_all = |tensor: &Tensor, number: f64| {
        (0..Tensor::len(&tensor.dims).unwrap_or(0)).all(|index| elements::get(tensor, index) == number)
    };
    let plain = is_all(&scale, 1.0) && is_all(&offset, 0.0);
    let by_channel = [&scale, &offset].iter().all(|tensor| tensor.dims == [channels]);
    let name = own_name(node);
    let affine = match by_channel && !plain {
        true => Some([
            builder.tensor(&scale, &[channels], &format!("{name}.weight"))?,
            builder.tensor(&offset, &[channels], &format!("{name}.bias"))?,
        ]),
        false => None,
    };
    let repeated = if affine.is_none() && !plain {
        builder.spend(channels.saturating_mul(2 * size_of::<f64>()))?;
        let size = (channels / groups.unwrap_or(channels).max(1)).max(1);
        let count = |tensor: &Tensor| Tensor::len(&tensor.dims).unwrap_or(0).saturating_mul(size);
        let repeat = |tensor: &Tensor| -> Vec<f64> {
            (0..count(tensor).min(channels)).map(|channel| elements::get(tensor, channel / size)).collect()
        };
        Some(Affine { scale: repeat(&scale), offset: repeat(&offset), name: name.to_owned() })
    } else {
        None
    };
    if repeated
        .as_ref()
        .is_some_and(|affine| affine.scale.len() != channels || affine.offset.len() != channels)
    {
        return Err(malformed(format!("has a scale of {:?} and an offset of {:?}", scale.dims, offset.dims)));
    }
    let epsilon = node.float("epsilon").unwrap_or(1e-5);
    let op =
        Op::GroupNorm(GroupNorm { groups, affine, channels: None, epsilon, activation: Activation::NONE });
    let result = builder.add(node, op, &[&image], NCHW.to_vec())?;
    Ok(Image { affine: repeated, ..result })
}

/// `ReduceL2` over channels, which what follows divides by.
pub(super) fn l2(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let axes = builder.ints(node, "axes", 1)?;
    let axes = axes.ok_or_else(|| unsupported("over all axes has no counterpart"))?;
    let axes = sizes::all_within(&axes, image.axes.len())?;
    if !over_channels(&image, &axes) {
        return Err(unsupported("over other axes than channels has no counterpart"));
    }
    Ok(Value::Norm(image, LEAST_NORM))
}

/// `LpNormalization`.
pub(super) fn lp(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let axis = sizes::within(node.int("axis").unwrap_or(-1), image.axes.len())?;
    if node.int("p").unwrap_or(2) != 2 || !over_channels(&image, &[axis]) {
        return Err(unsupported(
            "has no counterpart but `l2_normalize`, by the Euclidean norm over channels",
        ));
    }
    let op = Op::L2Normalize { epsilon: LEAST_NORM };
    builder.unary(node, op, &image)
}

fn over_channels(image: &Image, axes: &[usize]) -> bool {
    let of_axes = axes.iter().filter_map(|axis| image.axes.get(*axis)).filter(|axis| image.size(**axis) > 1);
    image.flat.is_none() && of_axes.copied().collect::<Vec<_>>() == [Axis::Channel]
}
