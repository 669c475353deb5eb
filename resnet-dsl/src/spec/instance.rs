//! A definition, written out for one block.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{Layer, LayerKind};
use crate::spec::budget::Budget;
use crate::spec::define::{Argument, BlockKind, Definition};
use crate::spec::fields::size;
use crate::spec::layers::{Context, layers as read_layers};
use crate::spec::scope::Scope;
use crate::spec::settings::{Settings, StrideOn};
use crate::spec::tree::{Kind, Node};

/// What a block uses a definition with.
#[derive(Clone, Debug)]
pub(super) struct Use<'a> {
    pub(super) settings: Settings,
    /// The words that stem and head know.
    pub(super) outside: &'a Scope,
    /// `filters`, as they are written.
    pub(super) filters: Option<&'a Node>,
    pub(super) stride: [usize; 2],
    /// The stage's number.
    pub(super) stage: usize,
    /// The block's number in the stage, from 0.
    pub(super) block: usize,
    /// Where the block stands.
    pub(super) span: Span,
}

/// What stands for layers that are not understood.
pub(super) fn unclear(span: Span) -> Vec<Layer> {
    vec![Layer { name: None, from: None, kind: LayerKind::Unclear, span }]
}

/// The layers of a block, and whether `stride_on` decides where its stride is.
pub(super) fn layers(block: &Use<'_>, budget: &Budget, errors: &mut Diagnostics) -> (Vec<Layer>, bool) {
    let BlockKind { definition, .. } = &block.settings.block;
    let Some(scope) = scope(block, budget, errors) else { return (unclear(block.span), false) };
    let shipped = definition.extent.is_none().then(|| definition.layers.clone().at(block.span));
    let context = Context { defaults: &block.settings.defaults, scope: &scope, budget, depth: 0 };
    let layers = read_layers(shipped.as_ref().unwrap_or(&definition.layers), context, errors);
    let takes = definition.takes;
    let choice = if block.settings.stride_on == StrideOn::Last { takes > 1 } else { takes > 2 };
    (layers.unwrap_or_default(), choice && block.stride != [1, 1] && scope.used_strides())
}

/// What the words of the definition stand for.
fn scope(block: &Use<'_>, budget: &Budget, errors: &mut Diagnostics) -> Option<Scope> {
    let Use { settings, stride, stage, span, .. } = block;
    let BlockKind { definition, arguments } = &settings.block;
    let before = errors.serious();
    let int = |number: usize| Node::new(Kind::Int(number as i64), *span);
    let pair = |[height, width]: [usize; 2]| match height == width {
        true => int(height),
        false => Node::new(Kind::List(vec![int(height), int(width)]), *span),
    };
    let mut scope = block.outside.block(definition.takes);
    let [before_add, after_add] = settings.around_add();
    let words = [
        ("kernel", settings.kernel.clone()),
        ("padding", settings.padding.clone()),
        ("shortcut", settings.shortcut.clone()),
        ("before_add", before_add),
        ("after_add", after_add),
        ("stride", pair(*stride)),
        ("stage", int(*stage)),
        ("block", int(block.block)),
    ];
    for (word, value) in words {
        scope.set(word, value);
    }
    for (index, (name, argument)) in arguments.iter().enumerate() {
        let value = match argument {
            Argument::Given(node) => node.clone(),
            Argument::Default(node) => {
                let pending = arguments[index..].iter().map(|(name, _)| name);
                scope.before(pending).fill(node, budget, errors)
            }
        };
        scope.set(name, value);
    }
    let filters = filters(definition, block, &scope, budget, errors)?;
    let strided = settings.stride_on.of(definition.takes);
    for (number, node) in (1..).zip(filters) {
        scope.set(format!("f{number}"), node);
        scope.set(format!("s{number}"), if number == strided { pair(*stride) } else { int(1) });
    }
    (errors.serious() == before).then_some(scope)
}

/// The numbers of filters of a block: as they are listed, or what one number stands for.
fn filters(
    definition: &Definition,
    block: &Use<'_>,
    scope: &Scope,
    budget: &Budget,
    errors: &mut Diagnostics,
) -> Option<Vec<Node>> {
    let Definition { name, takes, .. } = definition;
    let Some(node) = block.filters else {
        if *takes == 0 {
            return Some(Vec::new());
        }
        let error = Diagnostic::new("a block has no filters", block.span);
        errors.push(error.help("give `filters` to the stage, or to each of its blocks"));
        return None;
    };
    let before = errors.serious();
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.clone(),
        _ => {
            size(node, errors)?;
            let mut scope = scope.clone();
            scope.set("f", node.clone());
            match &definition.filters {
                Some(filters) => filters.iter().map(|node| scope.fill(node, budget, errors)).collect(),
                None => vec![node.clone(); *takes],
            }
        }
    };
    for node in &nodes {
        size(node, errors);
    }
    if errors.serious() > before {
        return None;
    }
    if nodes.len() != *takes {
        let message = format!("a block `{name}` takes {takes} filters, here are {}", nodes.len());
        errors.push(Diagnostic::new(message, node.span));
        return None;
    }
    Some(nodes)
}
