//! Layers of few words.

use crate::diag::Diagnostics;
use crate::ops::Op;
use crate::spec::ast::LayerKind;
use crate::spec::fields::{self, Fields, number};
use crate::spec::layers::{Context, LayerType, kind};
use crate::spec::settings::epsilon;

pub(super) const KINDS: &[LayerType] = &[
    kind("zero_pad", "zero padding", Some("sides"), zero_pad),
    kind("flatten", "this layer", None, flatten),
    kind("softmax", "this layer", None, softmax),
    kind("l2_normalize", "this layer", None, l2_normalize),
    kind("dropout", "a dropout", Some("rate"), dropout),
];

/// `zero_pad: 3`, `zero_pad: {top: 1}`
fn zero_pad(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let all = fields.take("sides");
    let sides = fields::four_sides(fields, errors);
    match all {
        Some(node) => fields::sides(node, errors).map(|sides| LayerKind::Op(Op::ZeroPad(sides))),
        None => Some(LayerKind::Op(Op::ZeroPad(sides))),
    }
}

/// `dropout: 0.5`: nothing, since networks are only run here.
fn dropout(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    fields.read("rate", errors, number);
    Some(LayerKind::Nothing)
}

fn flatten(_: &mut Fields<'_>, _: Context<'_>, _: &mut Diagnostics) -> Option<LayerKind> {
    Some(LayerKind::Op(Op::Flatten))
}

fn softmax(_: &mut Fields<'_>, _: Context<'_>, _: &mut Diagnostics) -> Option<LayerKind> {
    Some(LayerKind::Op(Op::Softmax))
}

fn l2_normalize(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(1e-12);
    Some(LayerKind::Op(Op::L2Normalize { epsilon }))
}
