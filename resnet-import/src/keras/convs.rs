//! Convolutions and dense layers.

use resnet_dsl::ir::Op;
use resnet_dsl::ir::param::Param;
use resnet_dsl::ops::{self, Conv2d};
use resnet_plan::{Kernel, KernelLayout, Text};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::keras::builder::Flow;
use crate::keras::layers::{activated, image, padding};
use crate::keras::network::{Item, Walk};

/// What a convolution of Keras says, and the sizes of its kernel.
struct Shape {
    /// Height, width, inputs of a group, filters.
    kernel: [usize; 4],
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
    padding: ops::Padding,
}

/// `Conv2D`
///
/// # Errors
/// If it does not fit its input, or its weights are missing.
pub(super) fn conv(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    let channels = image(layer, x)?.dims[3];
    let groups = layer.get("groups").map_or(Ok(1), |_| layer.size("groups"))?;
    let Some(inputs) = channels.checked_div(groups) else { return Err(layer.wrong("groups", "at least 1")) };
    let [kernel, stride, dilation] = window(item)?;
    let kernel = [kernel[0], kernel[1], inputs, layer.size("filters")?];
    let shape = Shape { kernel, stride, dilation, groups, padding: padding(layer)? };
    let weights = weights(walk, item, &["kernel"])?;
    let y = add(walk, item, &item.label, "kernel", shape, &weights, x)?;
    activated(walk, item, y)
}

/// `DepthwiseConv2D`: each channel is a group. Its kernel, `[height, width, channel, filter of the channel]`, has the order of one of
/// groups.
///
/// # Errors
/// If it does not fit its input, or its weights are missing.
pub(super) fn depthwise(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let shape = depthwise_shape(item, x)?;
    let weights = weights(walk, item, &["kernel"])?;
    let y = add(walk, item, &item.label, "kernel", shape, &weights, x)?;
    activated(walk, item, y)
}

/// `SeparableConv2D`: a depthwise convolution, and one of 1x1 behind it.
///
/// # Errors
/// If it does not fit its input, or its weights are missing.
pub(super) fn separable(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let depthwise = depthwise_shape(item, x)?;
    let weights = weights(walk, item, &["depthwise_kernel", "pointwise_kernel"])?;
    let [first, rest @ ..] = &weights[..] else { return Err(item.layer.wrong("depthwise_kernel", "there")) };
    let name = format!("{}_depthwise", item.label);
    let y = add(walk, item, &name, "depthwise_kernel", depthwise, std::slice::from_ref(first), x)?;
    let kernel = [1, 1, y.dims[3], item.layer.size("filters")?];
    let pointwise =
        Shape { kernel, stride: [1, 1], dilation: [1, 1], groups: 1, padding: ops::Padding::Valid };
    let y = add(walk, item, &item.label, "pointwise_kernel", pointwise, rest, y)?;
    activated(walk, item, y)
}

/// `Dense`. On an image, it is a convolution of 1x1.
///
/// # Errors
/// If its weights are missing or of another size.
pub(super) fn dense(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    let ([_, height, width, inputs], units) = (x.dims, layer.size("units")?);
    let weights = weights(walk, item, &["kernel"])?;
    if [height, width] != [1, 1] {
        let shape = Shape {
            kernel: [1, 1, inputs, units],
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
            padding: ops::Padding::Valid,
        };
        let y = add(walk, item, &item.label, "kernel", shape, &weights, x)?;
        return activated(walk, item, y);
    }
    let [weights, bias] = tensors(walk, item, "kernel", &weights, &[inputs, units], units)?;
    let Some(name) = weights else { return Err(layer.wrong("kernel", "there")) };
    let weights = Param::load(Kernel { name, layout: KernelLayout::Io });
    let bias = bias.map(|bias| Param::load(Some(bias)));
    let op = Op::Dense(ops::Dense { units, weights, bias, activation: ops::Activation::NONE });
    let y = walk.builder.add(layer, &item.label, op, &[x])?;
    activated(walk, item, y)
}

fn depthwise_shape(item: &Item<'_>, x: Flow) -> Result<Shape, Error> {
    let layer = item.layer;
    let channels = image(layer, x)?.dims[3];
    let multiplier = layer.get("depth_multiplier").map_or(Ok(1), |_| layer.size("depth_multiplier"))?;
    let Some(filters) = channels.checked_mul(multiplier) else {
        return Err(layer.wrong("depth_multiplier", "a size"));
    };
    let [kernel, stride, dilation] = window(item)?;
    let kernel = [kernel[0], kernel[1], 1, filters];
    Ok(Shape { kernel, stride, dilation, groups: channels, padding: padding(layer)? })
}

/// Kernel size, stride and dilation.
fn window(item: &Item<'_>) -> Result<[[usize; 2]; 3], Error> {
    let layer = item.layer;
    let kernel =
        layer.pair("kernel_size")?.ok_or_else(|| layer.wrong("kernel_size", "a size or two of them"))?;
    Ok([kernel, layer.pair("strides")?.unwrap_or([1, 1]), layer.pair("dilation_rate")?.unwrap_or([1, 1])])
}

/// The layer's kernels and, if it has one, its bias.
fn weights<'w>(walk: &Walk<'w>, item: &Item<'_>, kernels: &[&str]) -> Result<Vec<&'w Tensor>, Error> {
    let mut roles = kernels.to_vec();
    if item.layer.flag("use_bias", true)? {
        roles.push("bias");
    }
    walk.weights.of(&item.place, &roles)
}

/// Names of the kernel and the bias among the layer's tensors.
fn tensors(
    walk: &mut Walk<'_>,
    item: &Item<'_>,
    role: &str,
    tensors: &[&Tensor],
    kernel: &[usize],
    outputs: usize,
) -> Result<[Option<Text>; 2], Error> {
    let Item { layer, label, .. } = item;
    let mut name = |role: &str, tensor: Option<&&Tensor>, dims: &[usize]| {
        tensor
            .map(|tensor| walk.builder.tensor(layer, format_args!("{label}/{role}"), tensor, dims))
            .transpose()
    };
    Ok([name(role, tensors.first(), kernel)?, name("bias", tensors.get(1), &[outputs])?])
}

fn add(
    walk: &mut Walk<'_>,
    item: &Item<'_>,
    name: &str,
    role: &str,
    shape: Shape,
    weights: &[&Tensor],
    x: Flow,
) -> Result<Flow, Error> {
    let Shape { kernel, stride, dilation, groups, padding } = shape;
    let [height, width, _, filters] = kernel;
    let [weights, bias] = tensors(walk, item, role, weights, &kernel, filters)?;
    let Some(weights) = weights else { return Err(item.layer.wrong(role, "there")) };
    let op = Op::Conv2d(Conv2d {
        filters,
        kernel: [height, width],
        stride,
        dilation,
        groups,
        padding,
        weights: Param::load(Kernel { name: weights, layout: KernelLayout::Hwio }),
        bias: bias.map(|bias| Param::load(Some(bias))),
        standardized: None,
        gated: false,
        activation: ops::Activation::NONE,
        algorithms: None,
        split: None,
    });
    walk.builder.add(item.layer, name, op, &[x])
}
