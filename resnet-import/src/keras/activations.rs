//! Activations: layers, and the ends of other layers.

use serde_json::Value;

use resnet_dsl::ir::Op;
use resnet_dsl::ops;
use resnet_plan::{Activation as Function, Slope};

use crate::error::Error;
use crate::keras::builder::Flow;
use crate::keras::config::{Layer, refuse_own_class, short};
use crate::keras::network::{Item, Walk};
use crate::keras::norms;

/// What an activation becomes.
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// A function of each element.
    Function(ops::Activation),
    /// Softmax over channels.
    Softmax,
    /// `clip(0.2 x + 0.5, 0, 1)`: that of Keras 3, of 1.2 times the element.
    HardSigmoid2,
}

impl Step {
    fn plain(function: Function) -> Self {
        Step::Function(ops::Activation { function, slope: None })
    }

    /// What names are made of.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Step::Nothing => "linear",
            Step::Function(activation) => activation.name(),
            Step::Softmax => "softmax",
            Step::HardSigmoid2 => "hard_sigmoid",
        }
    }
}

/// Adds it under a name.
///
/// # Errors
/// If there are too many operators.
pub(super) fn apply(
    walk: &mut Walk<'_>,
    layer: &Layer<'_>,
    step: Step,
    name: &str,
    x: Flow,
) -> Result<Flow, Error> {
    match step {
        Step::Nothing => Ok(x),
        Step::Function(activation) => walk.builder.add(layer, name, Op::Activation(activation), &[x]),
        Step::Softmax => walk.builder.add(layer, name, Op::Softmax, &[x]),
        Step::HardSigmoid2 => {
            let channels = x.dims[3];
            walk.builder.room(2 * channels)?;
            let scaled = norms::affine(
                walk,
                layer,
                &format!("{name}_scale"),
                &vec![1.2; channels],
                &vec![0.0; channels],
                x,
            )?;
            let op = Op::Activation(ops::Activation { function: Function::HardSigmoid, slope: None });
            walk.builder.add(layer, name, op, &[scaled])
        }
    }
}

/// That of a layer.
///
/// # Errors
/// If it has no counterpart, or its weights are missing.
pub(super) fn of_layer(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Step, Error> {
    let layer = item.layer;
    match layer.class {
        "Activation" => {
            let value = layer.get("activation").ok_or_else(|| layer.wrong("activation", "an activation"))?;
            of_value(layer, value, walk.version)
        }
        "PReLU" => prelu(walk, item, x),
        "Softmax" if !is_last(&layer.axes("axis")?.unwrap_or_else(|| vec![-1]), x.flat) => Err(layer
            .unsupported(
                "over other axes than the last has no counterpart; the language has that over channels",
            )),
        _ => plain(layer, walk.version),
    }
}

/// Whether it is the axis of channels.
pub(super) fn is_last(axes: &[i64], flat: bool) -> bool {
    matches!((axes, flat), ([-1], _) | ([3], false) | ([1], true))
}

/// `"relu"`, `{"class_name": "function", "config": "relu"}` or `{"class_name": "LeakyReLU", "config": {..}}`.
///
/// # Errors
/// If it has no counterpart.
pub(super) fn of_value(layer: &Layer<'_>, value: &Value, version: u32) -> Result<Step, Error> {
    let class = value.get("class_name").and_then(Value::as_str);
    match (value.as_str(), class, value.get("config")) {
        (Some(name), ..) => named(layer, name, version),
        (None, Some("function"), Some(config)) if config.is_string() => of_value(layer, config, version),
        (None, Some(class), Some(config)) => {
            refuse_own_class(value, layer.name)?;
            let inner = Layer {
                class,
                name: layer.name,
                config,
                is_operation: false,
                model: None,
                calls: Vec::new(),
            };
            match class {
                "Activation" => match inner.get("activation").and_then(Value::as_str) {
                    Some(name) => named(layer, name, version),
                    None => Err(inner.wrong("activation", "the name of an activation")),
                },
                _ => plain(&inner, version),
            }
        }
        _ => Err(layer.wrong("activation", "an activation")),
    }
}

/// Activations that have names.
fn named(layer: &Layer<'_>, name: &str, version: u32) -> Result<Step, Error> {
    Ok(match name {
        "linear" => Step::Nothing,
        "softmax" => Step::Softmax,
        "hard_sigmoid" if version < 3 => Step::HardSigmoid2,
        "hard_sigmoid" => Step::plain(Function::HardSigmoid),
        "hard_swish" | "hard_silu" => Step::plain(Function::HardSwish),
        "silu" | "swish" => Step::plain(Function::Silu),
        "relu" => Step::plain(Function::Relu),
        "relu6" => Step::plain(Function::Relu6),
        "leaky_relu" => Step::plain(Function::LeakyRelu(0.2)),
        "sigmoid" => Step::plain(Function::Sigmoid),
        _ => {
            return Err(layer.unsupported(format!(
                "has the activation `{}`, which has no counterpart; the language has relu, relu6, leaky_relu, prelu, silu, hard_swish, sigmoid, hard_sigmoid and softmax",
                short(name)
            )));
        }
    })
}

/// Layers without weights.
fn plain(layer: &Layer<'_>, version: u32) -> Result<Step, Error> {
    match layer.class {
        "Softmax" => Ok(Step::Softmax),
        "LeakyReLU" => {
            let slope = layer.number("negative_slope")?.or(layer.number("alpha")?).unwrap_or(0.3);
            Ok(Step::plain(Function::LeakyRelu(slope as f32)))
        }
        "ReLU" => {
            let (most, slope) = (layer.number("max_value")?, layer.number("negative_slope")?.unwrap_or(0.0));
            match (most, slope, layer.number("threshold")?.unwrap_or(0.0)) {
                (None, 0.0, 0.0) => Ok(Step::plain(Function::Relu)),
                (Some(6.0), 0.0, 0.0) => Ok(Step::plain(Function::Relu6)),
                (None, slope, 0.0) => Ok(Step::plain(Function::LeakyRelu(slope as f32))),
                _ => Err(layer.unsupported(
                    "with these `max_value`, `negative_slope` and `threshold` has no counterpart; the language has relu, relu6 and leaky_relu",
                )),
            }
        }
        other => named(layer, &crate::keras::snake::snake_case(other), version),
    }
}

/// One slope a channel, or one for all.
fn prelu(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Step, Error> {
    let layer = item.layer;
    let [_, height, width, channels] = x.dims;
    let axes = layer.axes("shared_axes")?.unwrap_or_default();
    let is_shared = |axis: i64| axes.contains(&axis) || axes.contains(&(axis - if x.flat { 2 } else { 4 }));
    let pixels =
        !x.flat && [height, width].iter().zip([1, 2]).any(|(size, axis)| *size > 1 && !is_shared(axis));
    if pixels {
        return Err(layer.unsupported(
            "has slopes of its own for each pixel; the language has one a channel: `shared_axes=[1, 2]`",
        ));
    }
    let single = is_shared(if x.flat { 1 } else { 3 });
    let weights = walk.weights.of(&item.place, &["alpha"])?;
    let [alpha] = weights[..] else { return Err(layer.wrong("alpha", "one tensor")) };
    let name = walk.builder.tensor(
        layer,
        format_args!("{}/alpha", item.label),
        alpha,
        &[if single { 1 } else { channels }],
    )?;
    Ok(Step::Function(ops::Activation { function: Function::Prelu, slope: Some(Slope { name, single }) }))
}
