//! Normalization, and other layers that multiply each channel and add to it.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{self, GroupNorm};
use resnet_plan::{BatchNorm, Text};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::keras::activations::is_last;
use crate::keras::builder::Flow;
use crate::keras::config::Layer;
use crate::keras::network::{Item, Walk};

/// `BatchNormalization`. Without scale or center, gamma is 1 and beta 0.
///
/// # Errors
/// If it is over another axis than channels, or its weights are missing.
pub(super) fn batch_norm(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    over_channels(layer, x)?;
    let ([gamma, beta], [mean, variance]) = tensors(walk, item, x, ["moving_mean", "moving_variance"])?;
    let epsilon = layer.number("epsilon")?.unwrap_or(1e-3);
    let norm = BatchNorm { gamma, beta, mean, variance, epsilon, channels: None };
    walk.builder.add(layer, &item.label, Op::BatchNorm { norm, activation: ops::Activation::NONE }, &[x])
}

/// `GroupNormalization`; -1 groups are as many as channels.
///
/// # Errors
/// If it is over another axis than channels, or its weights are missing.
pub(super) fn group_norm(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    over_channels(layer, x)?;
    let groups = match layer.get("groups").and_then(serde_json::Value::as_i64) {
        Some(-1) => None,
        Some(_) => Some(layer.size("groups")?),
        None => Some(32),
    };
    let affine = match layer.flag("scale", true)? || layer.flag("center", true)? {
        true => Some(tensors(walk, item, x, [])?.0),
        false => None,
    };
    let epsilon = layer.number("epsilon")?.unwrap_or(1e-3);
    let norm = GroupNorm { groups, affine, channels: None, epsilon, activation: ops::Activation::NONE };
    walk.builder.add(layer, &item.label, Op::GroupNorm(norm), &[x])
}

/// `UnitNormalization`
///
/// # Errors
/// If it is over another axis than channels.
pub(super) fn unit_norm(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    over_channels(item.layer, x)?;
    // Keras 2 bounds the square of the norm, Keras 3 the norm.
    let epsilon = if walk.version < 3 { 1e-6 } else { 1e-12 };
    walk.builder.add(item.layer, &item.label, Op::L2Normalize { epsilon }, &[x])
}

/// `Rescaling`: `x * scale + offset`
///
/// # Errors
/// If they are not one a channel.
pub(super) fn rescaling(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    let scale = by_channel(walk, layer, "scale", 1.0, x)?;
    let offset = by_channel(walk, layer, "offset", 0.0, x)?;
    affine(walk, layer, &item.label, &scale, &offset, x)
}

/// `Normalization`: `(x - mean) / max(sqrt(variance), 1e-7)`, of the configuration or of weights.
///
/// # Errors
/// If it is over another axis than channels, or neither is there.
pub(super) fn normalization(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    if layer.get("axis").is_some() {
        over_channels(layer, x)?;
    }
    if layer.flag("invert", false)? {
        return Err(layer.unsupported("with `invert` has no counterpart; the language has `batch_norm`"));
    }
    let (mean, variance) = match (layer.get("mean"), layer.get("variance")) {
        (Some(_), Some(_)) => {
            (by_channel(walk, layer, "mean", 0.0, x)?, by_channel(walk, layer, "variance", 1.0, x)?)
        }
        _ => {
            let found = walk.weights.of(&item.place, &["mean", "variance", "count"])?;
            let [mean, variance, _] = found[..] else { return Err(layer.wrong("mean", "there")) };
            let mut all = |tensor: &Tensor| {
                walk.builder.room(Tensor::len(&tensor.dims).unwrap_or(usize::MAX))?;
                let all = walk.builder.spread(tensor.to_f64(), x.dims[3])?;
                all.ok_or_else(|| layer.unsupported("has not one mean and variance a channel"))
            };
            (all(mean)?, all(variance)?)
        }
    };
    let scale: Vec<f64> = variance.iter().map(|variance| 1.0 / variance.sqrt().max(1e-7)).collect();
    let offset: Vec<f64> = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
    affine(walk, layer, &item.label, &scale, &offset, x)
}

/// `x * scale + offset` of each channel, as a batch norm whose mean is 0 and whose variance is 1.
///
/// # Errors
/// If there are too many operators, or they take too much memory.
pub(super) fn affine(
    walk: &mut Walk<'_>,
    layer: &Layer<'_>,
    name: &str,
    scale: &[f64],
    offset: &[f64],
    x: Flow,
) -> Result<Flow, Error> {
    walk.builder.room(scale.len())?; // beside the tensors, one vector at a time
    let mut made = |role: &str, elements: &[f64]| walk.builder.made(format_args!("{name}/{role}"), elements);
    let norm = BatchNorm {
        gamma: made("gamma", scale)?,
        beta: made("beta", offset)?,
        mean: made("moving_mean", &vec![0.0; scale.len()])?,
        variance: made("moving_variance", &vec![1.0; scale.len()])?,
        epsilon: 0.0,
        channels: None,
    };
    walk.builder.add(layer, name, Op::BatchNorm { norm, activation: ops::Activation::NONE }, &[x])
}

/// The names of gamma and beta, and of other tensors of the layer, which have one element a channel.
fn tensors<const N: usize>(
    walk: &mut Walk<'_>,
    item: &Item<'_>,
    x: Flow,
    others: [&'static str; N],
) -> Result<([Text; 2], [Text; N]), Error> {
    let Item { layer, label, place } = item;
    let channels = x.dims[3];
    let own = [("gamma", layer.flag("scale", true)?, 1.0), ("beta", layer.flag("center", true)?, 0.0)];
    let roles: Vec<&str> =
        own.iter().filter(|(_, is_there, _)| *is_there).map(|(role, ..)| *role).chain(others).collect();
    let found = walk.weights.of(place, &roles)?;
    let name = |role: &str| format!("{label}/{role}");
    for (role, tensor) in roles.iter().zip(found) {
        walk.builder.tensor(layer, name(role), tensor, &[channels])?;
    }
    for (role, _, usual) in own.iter().filter(|(_, is_there, _)| !is_there) {
        walk.builder.room(channels)?;
        walk.builder.made(name(role), &vec![*usual; channels])?;
    }
    Ok((["gamma", "beta"].map(|role| name(role).into()), others.map(|role| name(role).into())))
}

fn over_channels(layer: &Layer<'_>, x: Flow) -> Result<(), Error> {
    let axes = layer.axes("axis")?.unwrap_or_else(|| vec![-1]);
    if is_last(&axes, x.flat) {
        return Ok(());
    }
    Err(layer.unsupported(format!(
        "over the axis {axes:?} has no counterpart; the language normalizes channels, the last axis"
    )))
}

/// A setting with one element a channel, or one for all.
fn by_channel(
    walk: &mut Walk<'_>,
    layer: &Layer<'_>,
    key: &str,
    default: f64,
    x: Flow,
) -> Result<Vec<f64>, Error> {
    let numbers = layer.numbers(key)?.unwrap_or_else(|| vec![default]);
    walk.builder.spread(numbers, x.dims[3])?.ok_or_else(|| layer.wrong(key, "one number, or one a channel"))
}
