//! The settings that a spec, a stage and a block may all give, from the general to the special.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::Activation;
use crate::spec::define::{BlockKind, Definitions};
use crate::spec::fields::{Fields, choice, flag, number, pair};
use crate::spec::layers;
use crate::spec::tree::{Kind, Node};

/// What a block inherits from its stage, and a stage from the spec.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `block`
    pub(super) block: BlockKind,
    /// `kernel`, as the definition's word
    pub(super) kernel: Node,
    /// `padding`, as the definition's word
    pub(super) padding: Node,
    /// `shortcut`, as the definition's word
    pub(super) shortcut: Node,
    /// `stride_on`
    pub(super) stride_on: StrideOn,
    /// Where that is written; `None`: nowhere.
    pub(super) stride_on_span: Option<Span>,
    /// `relu`
    pub(super) relu: Relu,
    /// The defaults of layers.
    pub(super) defaults: Defaults,
}

/// What layers do that do not say otherwise.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// `bias`
    pub(super) bias: bool,
    /// `batch_norm`: its epsilon
    pub(super) batch_norm: Option<f64>,
    /// `winograd`
    pub(super) winograd: bool,
    /// `activation`, as it is written
    pub(super) activation: Node,
}

/// Which convolution of a block has its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrideOn {
    /// The first.
    First,
    /// The one in the middle; of two, the first.
    Middle,
    /// The last.
    Last,
}

/// Where a block's last activation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relu {
    /// Behind the sum.
    AfterAdd,
    /// Behind the last convolution, before the sum.
    BeforeAdd,
    /// Nowhere.
    None,
}

impl Settings {
    /// Those of a spec that gives none.
    pub(super) fn new(block: BlockKind) -> Self {
        let word = |word: &str| Node::new(Kind::Text(word.to_owned()), Span::default());
        Settings {
            block,
            kernel: Node::new(Kind::Int(3), Span::default()),
            padding: word("half"),
            shortcut: word("auto"),
            stride_on: StrideOn::Middle,
            stride_on_span: None,
            relu: Relu::AfterAdd,
            defaults: Defaults {
                bias: false,
                batch_norm: Some(1e-5),
                winograd: true,
                activation: word("relu"),
            },
        }
    }

    /// `before_add` and `after_add`: the activations on both sides of a block's sum.
    pub(super) fn around_add(&self) -> [Node; 2] {
        let none = Node::new(Kind::Text("none".to_owned()), Span::default());
        let usual = |there| if there { self.defaults.activation.clone() } else { none.clone() };
        [usual(self.relu == Relu::BeforeAdd), usual(self.relu == Relu::AfterAdd)]
    }
}

impl Defaults {
    /// `activation`
    pub(super) fn activation(&self) -> Option<Activation> {
        layers::activation(&self.activation, &mut Diagnostics::default())
    }
}

impl StrideOn {
    /// The convolution of so many that has the stride, from 1.
    pub(super) fn of(self, convs: usize) -> usize {
        match self {
            StrideOn::First => 1,
            StrideOn::Middle => convs.div_ceil(2),
            StrideOn::Last => convs,
        }
    }
}

/// Reads the settings of a map; what it does not give is as in `outer`.
pub(super) fn settings(
    fields: &mut Fields<'_>,
    outer: &Settings,
    definitions: &Definitions,
    errors: &mut Diagnostics,
) -> Settings {
    let strides = [("first", StrideOn::First), ("middle", StrideOn::Middle), ("last", StrideOn::Last)];
    let relus = [("after_add", Relu::AfterAdd), ("before_add", Relu::BeforeAdd), ("none", Relu::None)];
    let stride_on = fields.take("stride_on");
    let word = |node: Option<&Node>, outer: &Node| node.unwrap_or(outer).clone();
    let block = fields.read("block", errors, |node, e| definitions.kind(node, e));
    let defaults = Defaults {
        bias: fields.read("bias", errors, flag).unwrap_or(outer.defaults.bias),
        batch_norm: fields.read("batch_norm", errors, batch_norm).unwrap_or(outer.defaults.batch_norm),
        winograd: fields.read("winograd", errors, switch).unwrap_or(outer.defaults.winograd),
        activation: word(
            fields.checked("activation", errors, layers::activation),
            &outer.defaults.activation,
        ),
    };
    let shortcut = |node: &Node, errors: &mut Diagnostics| match node.kind {
        Kind::List(_) => Some(()), // of layers, which are read where they are used
        _ => layers::shortcut(node, &defaults, errors).map(|_| ()),
    };
    let padding = |node: &Node, errors: &mut Diagnostics| layers::padding(node, [1, 1], [1, 1], errors);
    Settings {
        block: block.unwrap_or_else(|| outer.block.clone()),
        kernel: word(fields.checked("kernel", errors, pair), &outer.kernel),
        padding: word(fields.checked("padding", errors, padding), &outer.padding),
        shortcut: word(fields.checked("shortcut", errors, shortcut), &outer.shortcut),
        stride_on: stride_on.and_then(|node| choice(node, &strides, errors)).unwrap_or(outer.stride_on),
        stride_on_span: stride_on.map(|node| node.span).or(outer.stride_on_span),
        relu: fields.read("relu", errors, |node, e| choice(node, &relus, e)).unwrap_or(outer.relu),
        defaults,
    }
}

/// `on` or `off`, which some YAML readers take for `true` and `false`.
pub(super) fn switch(node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    match node.kind {
        Kind::Bool(on) => Some(on),
        _ => choice(node, &[("on", true), ("off", false)], errors),
    }
}

/// `false`, `true`, or `{epsilon: 1.0e-3}`.
pub(super) fn batch_norm(node: &Node, errors: &mut Diagnostics) -> Option<Option<f64>> {
    if let Kind::Bool(on) = node.kind {
        return Some(on.then_some(1e-5));
    }
    let mut fields = Fields::of(node, "a batch norm", errors);
    let epsilon = fields.required("epsilon", errors).and_then(|node| epsilon(node, errors));
    fields.finish(errors);
    epsilon.map(Some)
}

/// A number from 0 to 1.
pub(super) fn epsilon(node: &Node, errors: &mut Diagnostics) -> Option<f64> {
    let epsilon = number(node, errors)?;
    if (0.0..=1.0).contains(&epsilon) {
        return Some(epsilon);
    }
    errors.push(Diagnostic::new(format!("epsilon is from 0 to 1, not {epsilon}"), node.span));
    None
}
