//! Layers become operators, by their classes.

use resnet_dsl::ir::Op;
use resnet_dsl::ops::{self, AveragePool, Padding, Pool, Sides};

use crate::error::Error;
use crate::keras::activations::{self, Step};
use crate::keras::builder::Flow;
use crate::keras::config::{Layer, size};
use crate::keras::network::{Item, Walk};
use crate::keras::{convs, norms};

/// What a layer makes of its inputs.
///
/// # Errors
/// If its class is unknown or has no counterpart with these settings.
pub(super) fn layer(walk: &mut Walk<'_>, item: &Item<'_>, inputs: &[Flow]) -> Result<Flow, Error> {
    let layer = item.layer;
    match (layer.class, inputs) {
        ("Add", [first, others @ ..]) if !others.is_empty() => sum(walk, item, *first, others),
        ("Multiply", [first, others @ ..]) if !others.is_empty() => product(walk, item, *first, others),
        (class, [x]) if !layer.is_operation || OPERATIONS.contains(&class) => one(walk, item, *x),
        ("Add" | "Multiply", _) => {
            Err(layer
                .unsupported("with a constant has no counterpart; the language adds and multiplies values"))
        }
        _ => Err(unknown(layer)),
    }
}

/// A layer of one input.
fn one(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    match layer.class {
        "Dropout"
        | "SpatialDropout2D"
        | "AlphaDropout"
        | "GaussianDropout"
        | "GaussianNoise"
        | "ActivityRegularization"
        | "Identity"
        | "InputLayer" => Ok(x),
        class if AUGMENTATIONS.contains(&class) => Ok(x),
        "Conv2D" => convs::conv(walk, item, x),
        "DepthwiseConv2D" => convs::depthwise(walk, item, x),
        "SeparableConv2D" => convs::separable(walk, item, x),
        "Dense" => convs::dense(walk, item, x),
        "BatchNormalization" => norms::batch_norm(walk, item, x),
        "GroupNormalization" => norms::group_norm(walk, item, x),
        "UnitNormalization" => norms::unit_norm(walk, item, x),
        "Rescaling" => norms::rescaling(walk, item, x),
        "Normalization" => norms::normalization(walk, item, x),
        "Activation" | "ReLU" | "LeakyReLU" | "PReLU" | "Softmax" => activation(walk, item, x),
        class if OPERATIONS.contains(&class) => activation(walk, item, x),
        "ZeroPadding2D" => zero_pad(walk, item, x),
        "MaxPooling2D" => {
            let pool = pool(layer, image(layer, x)?)?;
            walk.builder.add(layer, &item.label, Op::MaxPool(pool), &[x])
        }
        "AveragePooling2D" => {
            let pool = Some(pool(layer, image(layer, x)?)?);
            let op = Op::AveragePool(AveragePool { pool, count_padding: false });
            walk.builder.add(layer, &item.label, op, &[x])
        }
        "GlobalAveragePooling2D" => {
            let op = Op::AveragePool(AveragePool { pool: None, count_padding: false });
            global(walk, item, op, image(layer, x)?)
        }
        "GlobalMaxPooling2D" => {
            let [_, height, width, _] = image(layer, x)?.dims;
            let pool = Pool { window: [height, width], stride: [1, 1], padding: Padding::Valid, ceil: false };
            global(walk, item, Op::MaxPool(pool), x)
        }
        "Flatten" => {
            channels_last(layer)?;
            flatten(walk, item, x)
        }
        "Reshape" => reshape(walk, item, x),
        "UpSampling2D" => {
            channels_last(layer)?;
            let mode = layer.text("interpolation", "nearest")?;
            if mode != "nearest" {
                return Err(layer.unsupported(format!(
                    "in mode `{mode}` has no counterpart; the language has `upsample` (nearest)"
                )));
            }
            let times = layer.pair("size")?.unwrap_or([2, 2]);
            walk.builder.add(layer, &item.label, Op::Upsample(times), &[image(layer, x)?])
        }
        _ => Err(unknown(layer)),
    }
}

/// Functions of `keras.ops` that are called in a model, other than sums and products.
const OPERATIONS: [&str; 6] = ["Relu", "Relu6", "Silu", "Sigmoid", "HardSigmoid", "HardSilu"];

/// Layers that change images only in training.
const AUGMENTATIONS: [&str; 20] = [
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "RandomContrast",
    "RandomBrightness",
    "RandomHue",
    "RandomSaturation",
    "RandomColorJitter",
    "RandomColorDegeneration",
    "RandomGrayscale",
    "RandomInvert",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomPerspective",
    "RandomPosterization",
    "RandomSharpness",
    "RandomShear",
    "RandomElasticTransform",
    "RandAugment",
];

fn activation(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let step = activations::of_layer(walk, item, x)?;
    activations::apply(walk, item.layer, step, &item.label, x)
}

/// The error of a class without counterpart, with what there is instead.
fn unknown(layer: &Layer<'_>) -> Error {
    let advice = match layer.class {
        "Lambda" => "holds Python code, which is never run: build the model with layers of Keras instead",
        "TFOpLambda" | "SlicingOpLambda" => {
            "is a call of TensorFlow that is no layer: use layers (`Add`, `Multiply`, `ReLU`, ..) in the model"
        }
        "Conv2DTranspose" => "has no counterpart; the language has `upsample` (nearest) and `conv`",
        "Concatenate" | "Average" | "Maximum" | "Minimum" | "Subtract" | "Dot" => {
            "has no counterpart; the language joins values by `add` and `gate` (a product)"
        }
        "Resizing" | "CenterCrop" | "RandomCrop" | "Cropping2D" => {
            "has no counterpart; the spec's `preprocessing` resizes and crops images before the network"
        }
        "LayerNormalization" | "RMSNormalization" | "SpectralNormalization" => {
            "has no counterpart; the language has `batch_norm`, `group_norm` and `l2_normalize`"
        }
        "Convolution2D" | "Merge" => {
            "is of Keras 1: load the model with Keras 2, save it again, and import that"
        }
        "LSTM" | "GRU" | "SimpleRNN" | "Bidirectional" | "TimeDistributed" | "MultiHeadAttention"
        | "Attention" | "Embedding" => "has no counterpart; the language is that of convolutional networks",
        _ if layer.is_operation => {
            "is an operation without counterpart; use layers (`Add`, `Multiply`, `ReLU`, ..) in the model"
        }
        _ => "has no counterpart; docs/spec-language.md lists the layers of the language",
    };
    layer.unsupported(advice)
}

/// A value that has height and width.
///
/// # Errors
/// If it has only channels, or the layer has them first.
pub(super) fn image(layer: &Layer<'_>, x: Flow) -> Result<Flow, Error> {
    channels_last(layer)?;
    if x.flat { Err(layer.unsupported("needs an image with height and width")) } else { Ok(x) }
}

/// Channels are behind height and width.
///
/// # Errors
/// If they are not.
pub(super) fn channels_last(layer: &Layer<'_>) -> Result<(), Error> {
    match layer.text("data_format", "channels_last")? {
        "channels_last" => Ok(()),
        other => Err(layer.unsupported(format!(
            "has the data format `{other}`: build the model with `channels_last` (the weights are the same) and save it again"
        ))),
    }
}

/// `valid` or `same`.
///
/// # Errors
/// If it is something else.
pub(super) fn padding(layer: &Layer<'_>) -> Result<Padding, Error> {
    match layer.text("padding", "valid")? {
        "valid" => Ok(Padding::Valid),
        "same" => Ok(Padding::Same),
        other => Err(layer.unsupported(format!(
            "with the padding `{other}` has no counterpart; there is `valid` and `same`"
        ))),
    }
}

fn pool(layer: &Layer<'_>, _: Flow) -> Result<Pool, Error> {
    let window = layer.pair("pool_size")?.unwrap_or([2, 2]);
    Ok(Pool {
        window,
        stride: layer.pair("strides")?.unwrap_or(window),
        padding: padding(layer)?,
        ceil: false,
    })
}

fn global(walk: &mut Walk<'_>, item: &Item<'_>, op: Op, x: Flow) -> Result<Flow, Error> {
    let flat = !item.layer.flag("keepdims", false)?;
    Ok(Flow { flat, ..walk.builder.add(item.layer, &item.label, op, &[x])? })
}

fn flatten(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    match x.flat {
        true => Ok(x),
        false => Ok(Flow { flat: true, ..walk.builder.add(item.layer, &item.label, Op::Flatten, &[x])? }),
    }
}

/// Only what changes nothing, or flattens.
fn reshape(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    let target = layer.get("target_shape").and_then(|target| target.as_array());
    let target = target.ok_or_else(|| layer.wrong("target_shape", "a list of sizes"))?;
    let [_, height, width, channels] = x.dims;
    let all = height.saturating_mul(width).saturating_mul(channels);
    // One size may be -1: what is left.
    let known = target.iter().filter_map(size).try_fold(1usize, |product, size| product.checked_mul(size));
    let rest = known.filter(|known| *known > 0).map_or(0, |known| all / known);
    let sizes: Vec<usize> = target.iter().map(|target| size(target).unwrap_or(rest)).collect();
    match sizes[..] {
        [h, w, c] if [h, w, c] == [height, width, channels] => Ok(Flow { flat: false, ..x }),
        [c] if c == all && [height, width] == [1, 1] => Ok(Flow { flat: true, ..x }),
        [c] if c == all => flatten(walk, item, x),
        _ => Err(layer.unsupported(format!(
            "from {height}x{width}x{channels} to {sizes:?} has no counterpart; the language has `flatten`"
        ))),
    }
}

fn zero_pad(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let layer = item.layer;
    let wrong = || layer.wrong("padding", "a size, two or two pairs of them");
    let sides = |value: &serde_json::Value| match value.as_array().map(Vec::as_slice) {
        None => size(value).map(|size| [size; 2]),
        Some([before, behind]) => size(before).zip(size(behind)).map(<[usize; 2]>::from),
        Some(_) => None,
    };
    let value = layer.get("padding").ok_or_else(wrong)?;
    let [rows, columns] = match value.as_array().map(Vec::as_slice) {
        None => [value, value],
        Some([rows, columns]) => [rows, columns],
        Some(_) => return Err(wrong()),
    };
    let ([top, bottom], [left, right]) = sides(rows).zip(sides(columns)).ok_or_else(wrong)?;
    let op = Op::ZeroPad(Sides { top, bottom, left, right });
    walk.builder.add(layer, &item.label, op, &[image(layer, x)?])
}

/// The last sum has the layer's name.
fn sum(walk: &mut Walk<'_>, item: &Item<'_>, first: Flow, others: &[Flow]) -> Result<Flow, Error> {
    join(walk, item, first, others, Op::Add { activation: ops::Activation::NONE })
}

/// Values of one shape, or an image and one value a channel.
fn product(walk: &mut Walk<'_>, item: &Item<'_>, first: Flow, others: &[Flow]) -> Result<Flow, Error> {
    join(walk, item, first, others, Op::Multiply { activation: ops::Activation::NONE })
}

fn join(walk: &mut Walk<'_>, item: &Item<'_>, first: Flow, others: &[Flow], op: Op) -> Result<Flow, Error> {
    let mut joined = first;
    for (index, other) in others.iter().enumerate() {
        if joined.flat != other.flat {
            return Err(item.layer.unsupported("of values with and without height and width has no counterpart: use `keepdims=True` or `Reshape((1, 1, channels))`"));
        }
        let name = match index + 1 == others.len() {
            true => item.label.clone(),
            false => format!("{}_{}", item.label, index + 1),
        };
        let is_gate = |x: &Flow| x.dims[1..3] == [1, 1];
        let operands = match &op {
            Op::Multiply { .. } if is_gate(&joined) && !is_gate(other) => [*other, joined],
            _ => [joined, *other],
        };
        joined = walk.builder.add(item.layer, &name, op.clone(), &operands)?;
    }
    Ok(joined)
}

/// A layer's own activation, as a node behind it.
///
/// # Errors
/// If it has no counterpart.
pub(super) fn activated(walk: &mut Walk<'_>, item: &Item<'_>, x: Flow) -> Result<Flow, Error> {
    let step = match item.layer.get("activation") {
        Some(value) => activations::of_value(item.layer, value, walk.version)?,
        None => Step::Nothing,
    };
    let name = format!("{}_{}", item.label, step.name());
    activations::apply(walk, item.layer, step, &name, x)
}
