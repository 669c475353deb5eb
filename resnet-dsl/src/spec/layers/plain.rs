//! Layers of few words.

use crate::diag::Diagnostics;
use crate::spec::ast::LayerKind;
use crate::spec::fields::{self, Fields, number};
use crate::spec::layers::Context;
use crate::spec::settings::epsilon;

/// `zero_pad: 3`, `zero_pad: {top: 1}`
pub(super) fn zero_pad(
    fields: &mut Fields<'_>,
    _: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    let all = fields.take("sides");
    let sides = fields::four_sides(fields, errors);
    match all {
        Some(node) => fields::sides(node, errors).map(LayerKind::ZeroPad),
        None => Some(LayerKind::ZeroPad(sides)),
    }
}

/// `dropout: 0.5`: nothing, since networks are only run here.
pub(super) fn dropout(
    fields: &mut Fields<'_>,
    _: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    fields.read("rate", errors, number);
    Some(LayerKind::Nothing)
}

pub(super) fn flatten(_: &mut Fields<'_>, _: Context<'_>, _: &mut Diagnostics) -> Option<LayerKind> {
    Some(LayerKind::Flatten)
}

pub(super) fn softmax(_: &mut Fields<'_>, _: Context<'_>, _: &mut Diagnostics) -> Option<LayerKind> {
    Some(LayerKind::Softmax)
}

pub(super) fn l2_normalize(
    fields: &mut Fields<'_>,
    _: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(1e-12);
    Some(LayerKind::L2Normalize { epsilon })
}
