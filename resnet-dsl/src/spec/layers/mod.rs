//! Lists of layers: stem, head, definitions of blocks, and the lists inside layers are all read here.
//!
//! A layer is a word, or a map of one key: the kind, and its fields. A value that is no map stands for the kind's main
//! field (`zero_pad: 3`, `add: conv1`).

mod activation;
mod conv;
mod norm;
mod plain;
mod pool;
mod residual;

pub(super) use activation::activation;
pub(super) use conv::padding;
pub(super) use residual::shortcut;

use resnet_plan::Activation as Function;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{Layer, LayerKind, Reference};
use crate::spec::budget::Budget;
use crate::spec::fields::{Fields, list, text};
use crate::spec::scope::Scope;
use crate::spec::settings::Defaults;
use crate::spec::tree::{Key, Kind, Node};

/// The most layers of one list.
const MOST_LAYERS: usize = 2_000;

/// What a list of layers is read with.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// What convolutions do unless they say otherwise.
    pub(super) defaults: &'a Defaults,
    /// The words of the definition.
    pub(super) scope: &'a Scope,
    /// What may still be written out.
    pub(super) budget: &'a Budget,
    /// How many layers this list lies in.
    pub(super) depth: usize,
}

/// Reads a layer's own fields.
type Read = fn(&mut Fields<'_>, Context<'_>, &mut Diagnostics) -> Option<LayerKind>;

/// A kind of layer.
struct LayerType {
    /// Its word.
    name: &'static str,
    /// What messages call it.
    what: &'static str,
    /// The field that a value stands for which is no map.
    main: Option<&'static str>,
    read: Read,
}

const fn kind(name: &'static str, what: &'static str, main: Option<&'static str>, read: Read) -> LayerType {
    LayerType { name, what, main, read }
}

const KINDS: [LayerType; 29] = [
    kind("zero_pad", "zero padding", Some("sides"), plain::zero_pad),
    kind("conv", "a convolution", None, conv::conv),
    kind("channel_conv", "a convolution along channels", Some("kernel"), conv::channel_conv),
    kind("dense", "a dense layer", Some("units"), conv::dense),
    kind("relu", "an activation", None, |_, _, _| activation::plain(Function::Relu)),
    kind("relu6", "an activation", None, |_, _, _| activation::plain(Function::Relu6)),
    kind("leaky_relu", "an activation", Some("slope"), activation::leaky_relu),
    kind("prelu", "an activation", None, activation::prelu),
    kind("silu", "an activation", None, |_, _, _| activation::plain(Function::Silu)),
    kind("hard_swish", "an activation", None, |_, _, _| activation::plain(Function::HardSwish)),
    kind("sigmoid", "an activation", None, |_, _, _| activation::plain(Function::Sigmoid)),
    kind("hard_sigmoid", "an activation", None, |_, _, _| activation::plain(Function::HardSigmoid)),
    kind("batch_norm", "a batch norm", None, norm::batch_norm),
    kind("group_norm", "a group norm", Some("groups"), norm::group_norm),
    kind("instance_norm", "an instance norm", None, norm::instance_norm),
    kind("max_pool", "a pooling layer", Some("window"), pool::max_pool),
    kind("average_pool", "a pooling layer", Some("window"), pool::average_pool),
    kind("statistics_pool", "a pooling layer", Some("over"), pool::statistics_pool),
    kind("gem_pool", "a pooling layer", Some("exponent"), pool::gem_pool),
    kind("blur", "a blur", Some("size"), pool::blur),
    kind("upsample", "an upsampling layer", Some("scale"), pool::upsample),
    kind("residual", "a residual", None, residual::residual),
    kind("gate", "a gate", Some("layers"), residual::gate),
    kind("add", "an addition", Some("with"), residual::add),
    kind("from", "this layer", Some("from"), residual::from),
    kind("flatten", "this layer", None, plain::flatten),
    kind("softmax", "this layer", None, plain::softmax),
    kind("l2_normalize", "this layer", None, plain::l2_normalize),
    kind("dropout", "a dropout", Some("rate"), plain::dropout),
];

/// The layers of a list. One that is not understood is [`LayerKind::Unclear`].
pub(super) fn layers(node: &Node, context: Context<'_>, errors: &mut Diagnostics) -> Option<Vec<Layer>> {
    let unclear = |span| Layer { name: None, from: None, kind: LayerKind::Unclear, span };
    if !context.budget.allows_depth(context.depth, node.span, errors) {
        return Some(vec![unclear(node.span)]);
    }
    if let Kind::List(list) = &node.kind
        && list.len() > MOST_LAYERS
    {
        let message = format!("a list has at most {MOST_LAYERS} layers, here are {}", list.len());
        errors.push(Diagnostic::new(message, node.span));
        return Some(vec![unclear(node.span)]);
    }
    list(node, errors, |node, errors| {
        let before = errors.serious();
        let layer = layer(node, context, errors);
        Some(layer.filter(|_| errors.serious() == before).unwrap_or(unclear(node.span)))
    })
}

/// `flatten`, or `conv: {...}`.
fn layer(node: &Node, context: Context<'_>, errors: &mut Diagnostics) -> Option<Layer> {
    let names = || KINDS.map(|kind| kind.name);
    let (name, value, span) = match &node.kind {
        Kind::Text(name) => (name.as_str(), None, node.span),
        Kind::Map(map) if map.len() == 1 => {
            let (key, value) = &map[0];
            let span = Span { start: key.span.start, end: value.span.end.max(key.span.end) };
            (key.text.as_str(), Some(value).filter(|value| value.kind != Kind::Null), span)
        }
        other => {
            let message = format!("expected one layer, found {}", other.describe());
            let help = format!("a layer is one of {}", names().join(", "));
            errors.push(Diagnostic::new(message, node.span).help(help));
            return None;
        }
    };
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
        let help = match resnet_plan::nearest(name, &names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", names().join(", ")),
        };
        errors.push(Diagnostic::new(format!("`{name}` is not a layer"), span).help(help));
        return None;
    };
    context.budget.take_layer(span, errors)?;
    let value = match (value, kind.main) {
        (None, _) => Node::new(Kind::Map(Vec::new()), span),
        (Some(value), Some(main)) if !matches!(value.kind, Kind::Map(_)) => {
            let key = Key { text: main.to_owned(), span: value.span };
            Node::new(Kind::Map(vec![(key, value.clone())]), value.span)
        }
        (Some(value), _) => value.clone(),
    };
    let value = context.scope.fill(&value, context.budget, errors);
    let mut fields = Fields::of(&value, kind.what, errors);
    let name = fields.read("name", errors, text);
    let needs_from = kind.main == Some("from");
    let from = if needs_from { fields.required("from", errors) } else { fields.take("from") };
    let from = from.and_then(|node| reference(node, errors));
    let read = (kind.read)(&mut fields, context, errors);
    fields.finish(errors);
    Some(Layer { name, from, kind: read?, span })
}

/// The name of an earlier value.
pub(super) fn reference(node: &Node, errors: &mut Diagnostics) -> Option<Reference> {
    text(node, errors).map(|name| Reference { name, span: node.span })
}
