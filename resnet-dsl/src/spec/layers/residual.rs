//! Layers with several inputs: `residual`, `gate`, `add`, `from`.

use crate::diag::{Diagnostic, Diagnostics};
use crate::spec::ast::{Activation, LayerKind, Projection, Shortcut};
use crate::spec::fields::{Fields, choice, count, list, wrong};
use crate::spec::layers::{Context, LayerType, activation, kind, layers, reference};
use crate::spec::settings::{self, Defaults};
use crate::spec::tree::{Kind, Node};

pub(super) const KINDS: &[LayerType] = &[
    kind("residual", "a residual", None, residual),
    kind("gate", "a gate", Some("layers"), gate),
    kind("add", "an addition", Some("with"), add),
    kind("from", "this layer", Some("from"), from),
];

/// `{branch: [layers], shortcut: ..., activation: relu}`
fn residual(fields: &mut Fields<'_>, context: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let inside = Context { depth: context.depth + 1, ..context };
    let branch = fields.required("branch", errors).and_then(|node| layers(node, inside, errors));
    let shortcut = match fields.take("shortcut") {
        Some(node) if matches!(node.kind, Kind::List(_)) => {
            layers(node, inside, errors).map(Shortcut::Layers)
        }
        Some(node) => shortcut(node, context.defaults, errors),
        None => Some(Shortcut::Auto(projection(context.defaults))),
    };
    let activation = fields.read("activation", errors, activation).unwrap_or(Activation::NONE);
    Some(LayerKind::Residual { branch: branch?, shortcut: shortcut?, activation })
}

/// `gate: [layers]`: the input, times what the layers make of it.
fn gate(fields: &mut Fields<'_>, context: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let inside = Context { depth: context.depth + 1, ..context };
    let layers = fields.required("layers", errors).and_then(|node| layers(node, inside, errors));
    layers.map(LayerKind::Gate)
}

/// `add: NAME`, `add: [NAME, NAME]`, `add: {with: NAME, activation: relu}`
fn add(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let with = fields.required("with", errors).and_then(|node| match node.kind {
        Kind::List(_) => list(node, errors, reference),
        _ => reference(node, errors).map(|one| vec![one]),
    });
    if with.as_ref().is_some_and(Vec::is_empty) {
        let error = Diagnostic::new("an addition needs a value to add", fields.span());
        errors.push(error.help("write `add: NAME`, or `add: [NAME, NAME]`"));
    }
    let activation = fields.read("activation", errors, activation).unwrap_or(Activation::NONE);
    Some(LayerKind::Add { with: with?, activation })
}

/// `from: NAME`, a field that all layers have.
fn from(_: &mut Fields<'_>, _: Context<'_>, _: &mut Diagnostics) -> Option<LayerKind> {
    Some(LayerKind::Nothing)
}

fn projection(defaults: &Defaults) -> Projection {
    let Defaults { bias, batch_norm, winograd, .. } = *defaults;
    Projection { bias, batch_norm, winograd }
}

/// A word, or a map of one kind of shortcut and its numbers.
pub(in crate::spec) fn shortcut(
    node: &Node,
    defaults: &Defaults,
    errors: &mut Diagnostics,
) -> Option<Shortcut> {
    let usual = projection(defaults);
    let subsample = |front, back| Shortcut::Subsample { front, back };
    let Kind::Map(_) = node.kind else {
        let words = ["auto", "identity", "projection", "subsample"].map(|word| (word, word));
        return match choice(node, &words, errors)? {
            "identity" => Some(Shortcut::Identity),
            "projection" => Some(Shortcut::Projection(usual)),
            "subsample" => Some(subsample(None, None)),
            _ => Some(Shortcut::Auto(usual)),
        };
    };
    if let Kind::Map(map) = &node.kind
        && map.len() != 1
    {
        wrong(node, "one shortcut, as `{subsample: {front: 2}}`", errors);
        return None;
    }
    let mut fields = Fields::of(node, "a shortcut", errors);
    let projection = fields.read("projection", errors, |node, errors| {
        let mut fields = Fields::of(node, "a projection", errors);
        let batch_norm = fields.read("batch_norm", errors, settings::batch_norm).unwrap_or(usual.batch_norm);
        fields.finish(errors);
        Some(Shortcut::Projection(Projection { batch_norm, ..usual }))
    });
    let subsample = fields.read("subsample", errors, |node, errors| {
        let mut fields = Fields::of(node, "a subsample", errors);
        let front = fields.read("front", errors, count);
        let back = fields.read("back", errors, count);
        fields.finish(errors);
        Some(subsample(front, back))
    });
    fields.finish(errors);
    projection.or(subsample)
}
