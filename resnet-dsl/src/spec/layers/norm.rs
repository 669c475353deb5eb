//! Norms that stand alone.

use crate::diag::{Diagnostic, Diagnostics};
use crate::spec::ast::{GroupNorm, LayerKind};
use crate::spec::fields::{Fields, count, flag, list, size};
use crate::spec::layers::Context;
use crate::spec::settings::epsilon;
use crate::spec::tree::Node;

/// Of PyTorch.
const EPSILON: f64 = 1e-5;

pub(super) fn batch_norm(
    fields: &mut Fields<'_>,
    context: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    let usual = context.defaults.batch_norm.unwrap_or(EPSILON);
    let epsilon = fields.read("epsilon", errors, epsilon).unwrap_or(usual);
    let channels = fields.read("channels", errors, range);
    Some(LayerKind::BatchNorm { epsilon, channels })
}

pub(super) fn group_norm(
    fields: &mut Fields<'_>,
    _: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
    let groups = fields.required("groups", errors).and_then(|node| size(node, errors));
    norm(fields, true, Some(groups?), errors)
}

/// A group norm in which each channel is a group.
pub(super) fn instance_norm(
    fields: &mut Fields<'_>,
    _: Context<'_>,
    errors: &mut Diagnostics,
) -> Option<LayerKind> {
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
    Some(LayerKind::GroupNorm(GroupNorm { groups, epsilon, channels, affine }))
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
