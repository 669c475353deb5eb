//! The settings that a spec, a stage and a block may all give, from the general to the special.

use crate::diag::{Diagnostic, Diagnostics};
use crate::spec::ast::{BlockKind, Relu, Settings, Shortcut, StrideOn};
use crate::spec::fields::{Fields, choice, count, flag, number, padding, pair};
use crate::spec::tree::{Kind, Node};

/// `on` or `off`, which some YAML readers take for `true` and `false`.
pub(super) fn switch(node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    match node.kind {
        Kind::Bool(on) => Some(on),
        _ => choice(node, &[("on", true), ("off", false)], errors),
    }
}

/// The settings that a spec, a stage and a block may all give.
pub(super) fn settings(fields: &mut Fields<'_>, outer: &Settings, errors: &mut Diagnostics) -> Settings {
    let kinds = [("basic", BlockKind::Basic), ("bottleneck", BlockKind::Bottleneck)];
    let strides = [("first", StrideOn::First), ("middle", StrideOn::Middle)];
    let relus = [("after_add", Relu::AfterAdd), ("before_add", Relu::BeforeAdd), ("none", Relu::None)];
    let stride_on = fields.take("stride_on");
    Settings {
        kind: fields.read("block", errors, |node, e| choice(node, &kinds, e)).unwrap_or(outer.kind),
        kernel: fields.read("kernel", errors, pair).unwrap_or(outer.kernel),
        padding: fields.read("padding", errors, padding).or(outer.padding),
        stride_on: stride_on.and_then(|node| choice(node, &strides, errors)).unwrap_or(outer.stride_on),
        stride_on_span: stride_on.map(|node| node.span).or(outer.stride_on_span),
        shortcut: fields.read("shortcut", errors, shortcut).unwrap_or(outer.shortcut),
        relu: fields.read("relu", errors, |node, e| choice(node, &relus, e)).unwrap_or(outer.relu),
        bias: fields.read("bias", errors, flag).unwrap_or(outer.bias),
        batch_norm: fields.read("batch_norm", errors, batch_norm).unwrap_or(outer.batch_norm),
        winograd: fields.read("winograd", errors, switch).unwrap_or(outer.winograd),
    }
}

/// `false`, `true`, or `{epsilon: 1.0e-3}`.
pub(super) fn batch_norm(node: &Node, errors: &mut Diagnostics) -> Option<Option<f64>> {
    if let Kind::Bool(on) = node.kind {
        return Some(on.then_some(1e-5));
    }
    let mut fields = Fields::of(node, "a batch norm", errors);
    let epsilon = fields.required("epsilon", errors).and_then(|node| {
        let epsilon = number(node, errors)?;
        if (0.0..=1.0).contains(&epsilon) {
            return Some(epsilon);
        }
        errors.push(Diagnostic::new(format!("epsilon is from 0 to 1, not {epsilon}"), node.span));
        None
    });
    fields.finish(errors);
    epsilon.map(Some)
}

/// A word, or a map of one kind of shortcut and its numbers.
fn shortcut(node: &Node, errors: &mut Diagnostics) -> Option<Shortcut> {
    let Kind::Map(_) = node.kind else {
        let plain = [
            ("auto", Shortcut::Auto),
            ("identity", Shortcut::Identity),
            ("projection", Shortcut::Projection { batch_norm: None }),
            ("subsample", Shortcut::Subsample { front: None, back: None }),
        ];
        return choice(node, &plain, errors);
    };
    let mut fields = Fields::of(node, "a shortcut", errors);
    let projection = fields.read("projection", errors, |node, errors| {
        let mut fields = Fields::of(node, "a projection", errors);
        let batch_norm = fields.read("batch_norm", errors, batch_norm);
        fields.finish(errors);
        Some(Shortcut::Projection { batch_norm })
    });
    let subsample = fields.read("subsample", errors, |node, errors| {
        let mut fields = Fields::of(node, "a subsample", errors);
        let front = fields.read("front", errors, count);
        let back = fields.read("back", errors, count);
        fields.finish(errors);
        Some(Shortcut::Subsample { front, back })
    });
    fields.finish(errors);
    projection.or(subsample)
}
