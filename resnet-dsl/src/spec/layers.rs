//! The layers of stem and head.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ops::{AveragePool, Padding, Pool};
use crate::spec::ast::{Conv, Layer, LayerKind, Settings};
use crate::spec::fields::{self, Fields, flag, list, padding, pair, size, text};
use crate::spec::settings::{batch_norm, switch};
use crate::spec::tree::{Kind, Node};

/// The most layers of a stem or head.
const MOST_LAYERS: usize = 2_000;

pub(super) fn layers(node: &Node, settings: &Settings, errors: &mut Diagnostics) -> Option<Vec<Layer>> {
    if let Kind::List(list) = &node.kind
        && list.len() > MOST_LAYERS
    {
        let message = format!("a stem or head has at most {MOST_LAYERS} layers, here are {}", list.len());
        errors.push(Diagnostic::new(message, node.span));
        return Some(vec![Layer { name: None, kind: LayerKind::Unclear, span: node.span }]);
    }
    list(node, errors, |node, errors| {
        let before = errors.serious();
        let layer = layer(node, settings, errors);
        let unclear = Layer { name: None, kind: LayerKind::Unclear, span: node.span };
        Some(layer.filter(|_| errors.serious() == before).unwrap_or(unclear))
    })
}

/// `flatten`, or `conv: {...}`.
fn layer(node: &Node, settings: &Settings, errors: &mut Diagnostics) -> Option<Layer> {
    const KINDS: [&str; 7] = ["zero_pad", "conv", "max_pool", "average_pool", "flatten", "dense", "softmax"];
    let empty = Node { span: node.span, kind: Kind::Map(Vec::new()), written: String::new() };
    let (kind, value, span) = match &node.kind {
        Kind::Text(kind) => (kind.as_str(), &empty, node.span),
        Kind::Map(map) if map.len() == 1 => {
            let (key, value) = &map[0];
            let value = if value.kind == Kind::Null { &empty } else { value };
            (key.text.as_str(), value, Span { start: key.span.start, end: value.span.end.max(key.span.end) })
        }
        other => {
            let message = format!("expected one layer, found {}", other.describe());
            let help = format!("a layer is one of {}", KINDS.join(", "));
            errors.push(Diagnostic::new(message, node.span).help(help));
            return None;
        }
    };
    let mut name = None;
    let kind = match kind {
        "zero_pad" if matches!(value.kind, Kind::Map(_)) => {
            let mut fields = Fields::of(value, "zero padding", errors);
            name = fields.read("name", errors, text);
            let sides = fields::four_sides(&mut fields, errors);
            fields.finish(errors);
            LayerKind::ZeroPad(sides)
        }
        "zero_pad" => LayerKind::ZeroPad(fields::sides(value, errors)?),
        "conv" => LayerKind::Conv(conv(value, settings, &mut name, errors)?),
        "max_pool" => LayerKind::MaxPool(pool(value, &mut name, errors)?.0),
        "average_pool" if is_global(value) => {
            if let Kind::Map(_) = value.kind {
                let mut fields = Fields::of(value, "a global pooling layer", errors);
                fields.take("window");
                name = fields.read("name", errors, text);
                fields.finish(errors);
            }
            LayerKind::AveragePool(AveragePool { pool: None, count_padding: false })
        }
        "average_pool" => {
            let (pool, count_padding) = pool(value, &mut name, errors)?;
            LayerKind::AveragePool(AveragePool { pool: Some(pool), count_padding })
        }
        "flatten" | "softmax" => {
            let mut fields = Fields::of(value, "this layer", errors);
            name = fields.read("name", errors, text);
            fields.finish(errors);
            if kind == "flatten" { LayerKind::Flatten } else { LayerKind::Softmax }
        }
        "dense" => {
            let mut fields = Fields::of(value, "a dense layer", errors);
            name = fields.read("name", errors, text);
            let units = fields.read("units", errors, size);
            let bias = fields.read("bias", errors, flag).unwrap_or(true);
            fields.finish(errors);
            LayerKind::Dense { units, bias }
        }
        unknown => {
            let help = match resnet_plan::nearest(unknown, &KINDS) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}", KINDS.join(", ")),
            };
            errors.push(Diagnostic::new(format!("`{unknown}` is not a layer"), span).help(help));
            return None;
        }
    };
    Some(Layer { name, kind, span })
}

/// `global`, or `{window: global, ...}`.
fn is_global(node: &Node) -> bool {
    let word = |node: &Node| node.word() == Some("global");
    match &node.kind {
        Kind::Map(map) => map.iter().any(|(key, value)| key.text == "window" && word(value)),
        _ => word(node),
    }
}

fn conv(
    node: &Node,
    settings: &Settings,
    name: &mut Option<String>,
    errors: &mut Diagnostics,
) -> Option<Conv> {
    let mut fields = Fields::of(node, "a convolution", errors);
    *name = fields.read("name", errors, text);
    let filters = fields.required("filters", errors).and_then(|node| size(node, errors));
    let kernel = fields.required("kernel", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    let padding = fields.read("padding", errors, padding).unwrap_or(Padding::Valid);
    let bias = fields.read("bias", errors, flag).unwrap_or(settings.bias);
    let batch_norm = fields.read("batch_norm", errors, batch_norm).unwrap_or(settings.batch_norm);
    let relu = fields.read("relu", errors, flag).unwrap_or(true);
    let winograd = fields.read("winograd", errors, switch).unwrap_or(settings.winograd);
    fields.finish(errors);
    Some(Conv { filters: filters?, kernel: kernel?, stride, padding, bias, batch_norm, relu, winograd })
}

fn pool(node: &Node, name: &mut Option<String>, errors: &mut Diagnostics) -> Option<(Pool, bool)> {
    let mut fields = Fields::of(node, "a pooling layer", errors);
    *name = fields.read("name", errors, text);
    let window = fields.required("window", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair);
    let padding = fields.read("padding", errors, padding).unwrap_or(Padding::Valid);
    let ceil = fields.read("ceil", errors, flag).unwrap_or(false);
    let count_padding = fields.read("count_padding", errors, flag).unwrap_or(false);
    fields.finish(errors);
    let window = window?;
    Some((Pool { window, stride: stride.unwrap_or(window), padding, ceil }, count_padding))
}
