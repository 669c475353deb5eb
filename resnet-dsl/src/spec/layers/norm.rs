//! Norms that stand alone.

use resnet_plan::{BatchNorm, Text};

use crate::diag::{Diagnostic, Diagnostics};
use crate::ops::{Activation, GroupNorm, Op};
use crate::spec::ast::LayerKind;
use crate::spec::fields::{Fields, count, flag, list, size};
use crate::spec::layers::{Context, LayerType, kind};
use crate::spec::settings::epsilon;
use crate::spec::tree::Node;

pub(super) const KINDS: &[LayerType] = &[
    kind("batch_norm", "a batch norm", None, batch_norm),
    kind("group_norm", "a group norm", Some("groups"), group_norm),
    kind("instance_norm", "an instance norm", None, instance_norm),
];

/// Of PyTorch.
const EPSILON: f64 = 1e-5;

fn batch_norm(fields: &mut Fields<'_>, context: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let usual = context.defaults.batch_norm.unwrap_or(EPSILON);
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(usual);
    let channels = fields.read("channels", errors, range);
    let [gamma, beta, mean, variance] = [const { Text::Borrowed("") }; 4];
    let norm = BatchNorm { gamma, beta, mean, variance, epsilon, channels };
    Some(LayerKind::Op(Op::BatchNorm { norm, activation: Activation::NONE }))
}

fn group_norm(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let groups = fields.required("groups", errors).and_then(|node| size(node, errors));
    norm(fields, true, Some(groups?), errors)
}

/// A group norm in which each channel is a group.
fn instance_norm(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    norm(fields, false, None, errors)
}

fn norm(
    fields: &mut Fields<'_>,
    affine: bool,
    groups: Option<usize>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(EPSILON);
    let channels = fields.read("channels", errors, range);
    let affine = fields.read("affine", errors, flag).unwrap_or(affine);
    let affine = affine.then_some([const { Text::Borrowed("") }; 2]);
    let activation = Activation::NONE;
    Some(LayerKind::Op(Op::GroupNorm(GroupNorm { groups, affine, channels, epsilon, activation })))
}

/// The first channel, and the one behind the last: `[0, 32]`.
fn range(node: &Node, errors: &mut Diagnostics) -> Option<[usize; 2]> {
    let ends = list(node, errors, |node, errors| Some(count(node, errors)))?;
    match ends[..] {
        [Some(first), Some(end)] if first < end => return Some([first, end]),
        [None, _] | [_, None] => {}
        _ => errors.push(
            Diagnostic::new("a range of channels has a first one and an end behind it", node.span)
                .help("write `channels: [0, 32]` for the first 32"),
        ),
    }
    None
}
