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

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{Layer, LayerKind, Reference};
use crate::spec::budget::Budget;
use crate::spec::fields::{Fields, list, text};
use crate::spec::names;
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

/// All kinds, a file's side by side.
fn kinds() -> impl Iterator<Item = &'static LayerType> + Clone {
    [conv::KINDS, activation::KINDS, norm::KINDS, pool::KINDS, residual::KINDS, plain::KINDS]
        .into_iter()
        .flatten()
}

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
    let names = || kinds().map(|kind| kind.name).collect::<Vec<_>>();
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
    let Some(kind) = kinds().find(|kind| kind.name == name) else {
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
    let name = fields.read("name", errors, names::of_layer);
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
