//! Pooling.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{AveragePool, Padding, Pool, Sides};

use crate::error::Error;
use crate::onnx::graph::Builder;
use crate::onnx::ops::conv::{padding, pair};
use crate::onnx::proto::Node;
use crate::onnx::sizes;
use crate::onnx::value::{Axis, Image, Value};
use crate::onnx::{malformed, unsupported};

/// `MaxPool`.
pub(super) fn max(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let (image, pool) = pool(builder, node)?;
    builder.unary(node, Op::MaxPool(pool), &image)
}

/// `AveragePool`.
pub(super) fn average(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let (image, pool) = pool(builder, node)?;
    // Without padding there is nothing to be counted.
    let padded = pool.padding != Padding::Sides(Sides::default());
    let count_padding = padded && node.int("count_include_pad").unwrap_or(0) != 0;
    let op = Op::AveragePool(AveragePool { pool: Some(pool), count_padding });
    builder.unary(node, op, &image)
}

fn pool(builder: &mut Builder<'_>, node: &Node) -> Result<(Image, Pool), Error> {
    let image = builder.nchw(node, 0)?;
    let window = pair(node, "kernel_shape", 1)?.ok_or_else(|| malformed("has no `kernel_shape`"))?;
    let stride = pair(node, "strides", 1)?.unwrap_or([1, 1]);
    if node.ints("dilations").is_some_and(|dilations| dilations.iter().any(|dilation| *dilation != 1)) {
        return Err(unsupported("with dilations has no counterpart"));
    }
    let padding = padding(node, &image, window, stride)?;
    Ok((image, Pool { window, stride, padding, ceil: node.int("ceil_mode").unwrap_or(0) != 0 }))
}

/// `GlobalAveragePool`.
pub(super) fn global_average(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.nchw(node, 0)?;
    builder.unary(node, GLOBAL, &image)
}

/// `GlobalMaxPool`.
pub(super) fn global_max(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.nchw(node, 0)?;
    let [_, height, width, _] = image.dims;
    let pool = Pool {
        window: [height, width],
        stride: [1, 1],
        padding: Padding::Sides(Sides::default()),
        ceil: false,
    };
    builder.unary(node, Op::MaxPool(pool), &image)
}

/// `ReduceMean` over all pixels.
pub(super) fn reduce_mean(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let axes = builder.ints(node, "axes", 1)?;
    let all = "over all axes has no counterpart; the language has `average_pool: global`";
    let axes = axes.ok_or_else(|| unsupported(all))?;
    let keep = node.int("keepdims") != Some(0);
    let rank = match builder.required(node, 0)? {
        Value::Grouped(..) => 3,
        _ => builder.image(node, 0)?.axes.len(),
    };
    let axes = sizes::all_within(&axes, rank)?;
    let unsupported =
        || unsupported("has no counterpart but over height and width, as `average_pool: global`");
    let image = match builder.required(node, 0)?.clone() {
        // Each channel is a group, and its pixels are one axis.
        Value::Grouped(image, groups) if groups == image.dims[3] && axes == [2] => {
            let axes = vec![Axis::Batch, Axis::Channel];
            let pooled = builder.add(node, GLOBAL, &[&image], axes)?;
            let one = if keep { vec![Axis::One] } else { vec![] };
            return Ok(Value::Image(Image { axes: [pooled.axes.clone(), one].concat(), ..pooled }));
        }
        Value::Grouped(..) => return Err(unsupported()),
        _ => builder.image(node, 0)?,
    };
    let is_over = |axis: &Axis| axes.iter().any(|place| image.axes.get(*place) == Some(axis));
    let pixels = [Axis::Height, Axis::Width];
    let all = pixels.iter().all(|axis| is_over(axis) || image.size(*axis) == 1);
    let others =
        image.axes.iter().any(|axis| is_over(axis) && !pixels.contains(axis) && image.size(*axis) > 1);
    if !all || others || image.flat.is_some() {
        return Err(unsupported());
    }
    let mut left = image.axes.clone();
    if !keep {
        let kept = image.axes.iter().enumerate().filter(|(place, _)| !axes.contains(place));
        left = kept.map(|(_, axis)| *axis).collect();
    }
    Ok(Value::Image(builder.add(node, GLOBAL, &[&image], left)?))
}

const GLOBAL: Op = Op::AveragePool(AveragePool { pool: None, count_padding: false });
