//! Images whose channels are split, normalized in different ways and put together again (Pan et al. 2018, "Two at Once: Enhancing Learning
//! and Generalization Capacities via IBN-Net").

use resnet_dsl::ir::Op;

use crate::error::Error;
use crate::onnx::graph::Builder;
use crate::onnx::ops::conv::own_name;
use crate::onnx::proto::Node;
use crate::onnx::value::{Axis, Image, NCHW, Part, Value};
use crate::onnx::{malformed, sizes, unsupported};

/// `Split` along channels: a value for each output.
pub(in crate::onnx) fn split(builder: &mut Builder<'_>, node: &Node) -> Result<Vec<Value>, Error> {
    let image = builder.nchw(node, 0)?;
    let axis = sizes::within(node.int("axis").unwrap_or(0), image.axes.len())?;
    if image.axes.get(axis) != Some(&Axis::Channel) {
        return Err(unsupported("of another axis than channels has no counterpart"));
    }
    let (channels, count) = (image.dims[3], node.outputs.len());
    let parts: Vec<usize> = match builder.ints(node, "split", 1)? {
        Some(list) => list.iter().filter_map(|size| usize::try_from(*size).ok()).collect(),
        None => vec![channels.div_ceil(count.max(1)); count],
    };
    let mut first = 0usize;
    let mut values = Vec::with_capacity(count);
    for size in &parts {
        let end = first.saturating_add(*size);
        let part = Part { image: image.clone(), channels: [first, end.min(channels)], norm: None };
        values.push(Value::Part(part));
        first = end;
    }
    if values.len() == count && (first == channels || node.has("num_outputs") && first > channels) {
        return Ok(values);
    }
    Err(malformed(format!("splits {channels} channels into {parts:?} for {count} outputs")))
}

/// `Concat` of all parts of an image. Batch norms come first: the convolution before takes them.
pub(super) fn concat(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let mut parts = Vec::with_capacity(node.inputs.len());
    for index in 0..node.inputs.len() {
        match builder.required(node, index)? {
            Value::Part(part) => parts.push(part.clone()),
            _ => {
                return Err(unsupported(
                    "of several values has no counterpart; the language adds and multiplies values",
                ));
            }
        }
    }
    let Some(Part { image, .. }) = parts.first().cloned() else { return Err(malformed("has no inputs")) };
    let axis = sizes::within(node.int("axis").unwrap_or(0), image.axes.len())?;
    let mut end = 0;
    for part in &parts {
        if part.image.value != image.value || part.channels[0] != end {
            return Err(unsupported(
                "puts channels together in another order than they were split, which has no counterpart",
            ));
        }
        end = part.channels[1];
    }
    if end != image.dims[3] || image.axes.get(axis) != Some(&Axis::Channel) {
        return Err(unsupported(
            "does not put together all channels that were split, which has no counterpart",
        ));
    }
    let mut norms: Vec<(Op, String)> =
        parts.into_iter().filter_map(|part| part.norm).map(|norm| *norm).collect();
    norms.sort_by_key(|(op, _)| !matches!(op, Op::BatchNorm { .. }));
    let mut whole = image;
    for (op, name) in norms {
        whole = builder.add_named(&name, op, &[&whole], NCHW.to_vec())?;
    }
    Ok(Value::Image(whole))
}

/// What a norm is of: an image, or some of its channels, and how many there are.
pub(super) fn normalizes(
    builder: &mut Builder<'_>,
    node: &Node,
) -> Result<(Image, Option<[usize; 2]>, usize), Error> {
    match builder.required(node, 0)?.clone() {
        Value::Part(Part { norm: Some(_), .. }) => {
            Err(unsupported("normalizes channels that are normalized already, which has no counterpart"))
        }
        Value::Part(Part { image, channels: [first, end], .. }) => {
            Ok((image, Some([first, end]), end.saturating_sub(first)))
        }
        _ => {
            let image = builder.image(node, 0)?;
            let channels = image.dims[3];
            Ok((image, None, channels))
        }
    }
}

/// The value of a norm of an image, or of some of its channels.
pub(super) fn normalized(
    builder: &mut Builder<'_>,
    node: &Node,
    op: Op,
    image: Image,
    channels: Option<[usize; 2]>,
) -> Result<Value, Error> {
    match channels {
        None => builder.unary(node, op, &image),
        Some(channels) => {
            let norm = Some(Box::new((op, own_name(node).to_owned())));
            Ok(Value::Part(Part { image, channels, norm }))
        }
    }
}
