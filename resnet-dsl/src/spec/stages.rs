//! Stages and their blocks: which definition each block uses, and with what.

use std::collections::HashSet;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{Block, Layer, Stage};
use crate::spec::budget::Budget;
use crate::spec::define::Definitions;
use crate::spec::fields::{Fields, list, pair, size};
use crate::spec::instance::{self, Use};
use crate::spec::names::name;
use crate::spec::scope::Scope;
use crate::spec::settings::{Settings, settings};
use crate::spec::tree::{Kind, Node};

/// Reads stages.
pub(super) struct Stages<'a> {
    /// The definitions that there are.
    definitions: &'a Definitions,
    /// How much may be written out.
    budget: &'a Budget,
    /// The words that stem and head know.
    outside: &'a Scope,
    /// The number of the first stage.
    first: usize,
    /// Where a `stride_on` is written, and whether a block's stride depends on it.
    stride_on: Vec<(Span, bool)>,
    /// Mistakes that were told.
    told: HashSet<(Span, String)>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(
        definitions: &'a Definitions,
        budget: &'a Budget,
        outside: &'a Scope,
        first: usize,
    ) -> Self {
        Stages { definitions, budget, outside, first, stride_on: Vec::new(), told: HashSet::new() }
    }

    /// `outer`: the spec's settings; if those are not `clear`, no block is.
    pub(super) fn read(
        &mut self,
        node: &Node,
        outer: &Settings,
        clear: bool,
        errors: &mut Diagnostics,
    ) -> Option<Vec<Stage>> {
        self.stride_on.extend(outer.stride_on_span.map(|span| (span, false)));
        let mut number = self.first;
        list(node, errors, |node, errors| {
            let before = errors.serious();
            let mut stage = self.stage(node, outer, number, errors);
            number += 1;
            if !clear || errors.serious() > before {
                stage.blocks.iter_mut().for_each(|block| block.layers = instance::unclear(block.span));
            }
            Some(stage)
        })
    }

    fn stage(&mut self, node: &Node, outer: &Settings, stage: usize, errors: &mut Diagnostics) -> Stage {
        let before = errors.serious();
        let mut fields = Fields::of(node, "a stage", errors);
        let settings = settings(&mut fields, outer, self.definitions, errors);
        let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
        let filters = fields.checked("filters", errors, numbers);
        let entries = fields.required("blocks", errors).and_then(|node| blocks(node, self.budget, errors));
        let span = fields.span();
        fields.finish(errors);
        // A stage that is not understood stands as one block, so that nothing behind it is taken to follow what is before.
        let mut clear = errors.serious() == before;
        let entries = entries.unwrap_or_else(|| vec![Entry { name: None, node: None, own: None }]);
        let mut blocks = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let span = entry.node.map_or(span, |node| node.span);
            let stride = if index == 0 { stride } else { [1, 1] };
            let usual = Use {
                settings: settings.clone(),
                outside: self.outside,
                filters,
                stride,
                stage,
                block: index,
                span,
            };
            let before = errors.serious();
            let block = match entry.own {
                Some(own) => self.own(own, usual, errors),
                None => usual,
            };
            // Blocks that are alike have the same mistakes.
            let layers = if clear && errors.serious() == before {
                self.layers(&block, errors)
            } else {
                instance::unclear(span)
            };
            clear &= errors.serious() == before || entry.own.is_some();
            blocks.push(Block { name: entry.name, layers, span });
        }
        Stage { blocks }
    }

    /// A block with settings of its own.
    fn own<'b>(&self, node: &'b Node, usual: Use<'b>, errors: &mut Diagnostics) -> Use<'b> {
        let mut fields = Fields::of(node, "a block", errors);
        let settings = settings(&mut fields, &usual.settings, self.definitions, errors);
        let filters = fields.checked("filters", errors, numbers).or(usual.filters);
        let stride = fields.read("stride", errors, pair).unwrap_or(usual.stride);
        fields.finish(errors);
        Use { settings, filters, stride, ..usual }
    }

    /// The layers of a block. A mistake is told once, and where the definition is the spec's, with the place that uses it.
    fn layers(&mut self, block: &Use<'_>, errors: &mut Diagnostics) -> Vec<Layer> {
        let mut found = Diagnostics::default();
        let (layers, depends) = instance::layers(block, self.budget, &mut found);
        for mistake in found {
            let place = mistake.labels[0].0;
            let inside = block.settings.block.definition.encloses(place);
            // Inside a definition, values may differ from block to block, but the mistake is one.
            let told = if inside {
                errors.mentions(place)
            } else {
                !self.told.insert((place, mistake.message.clone()))
            };
            if told {
                continue;
            }
            errors.push(if inside { mistake.also(block.span, "used here") } else { mistake });
        }
        if let Some(span) = block.settings.stride_on_span {
            match self.stride_on.iter_mut().find(|(known, _)| *known == span) {
                Some((_, effect)) => *effect |= depends,
                None => self.stride_on.push((span, depends)),
            }
        }
        layers
    }

    /// What is written and has no effect: a `stride_on` that no block's stride depends on.
    pub(super) fn warnings(&self) -> Diagnostics {
        let mut warnings = Diagnostics::default();
        for (span, _) in self.stride_on.iter().filter(|(_, effect)| !effect) {
            let warning = Diagnostic::new("`stride_on` has no effect here", *span).warning();
            warnings.push(
                warning
                    .help("it says which convolution of a block has the stride; no block with a stride depends on this one"),
            );
        }
        warnings
    }
}

/// One of a stage's blocks: its name, where it stands, and the settings of its own.
struct Entry<'a> {
    name: Option<String>,
    node: Option<&'a Node>,
    own: Option<&'a Node>,
}

/// A number of filters, or a list of them.
fn numbers(node: &Node, errors: &mut Diagnostics) -> Option<()> {
    match &node.kind {
        Kind::List(_) => list(node, errors, size).map(|_| ()),
        _ => size(node, errors).map(|_| ()),
    }
}

/// A number of blocks, or a list of names, some with settings: `3`, or `[a, b: {filters: [256, 256, 2048]}]`.
fn blocks<'a>(node: &'a Node, budget: &Budget, errors: &mut Diagnostics) -> Option<Vec<Entry<'a>>> {
    let entries: Vec<Entry<'a>> = match &node.kind {
        Kind::List(_) => list(node, errors, |node, errors| match (&node.kind, node.word()) {
            (_, Some(_)) => Some(Entry { name: name(node, &[], errors), node: Some(node), own: None }),
            (Kind::Map(map), _) if map.len() == 1 => {
                let (key, own) = &map[0];
                let word = Node::new(Kind::Text(key.text.clone()), key.span);
                Some(Entry { name: name(&word, &[], errors), node: Some(node), own: Some(own) })
            }
            (other, _) => {
                let message = format!("expected a block's name, found {}", other.describe());
                errors.push(
                    Diagnostic::new(message, node.span)
                        .help("write `- a`, or `- a: {filters: [64, 64, 256]}`"),
                );
                None
            }
        })?,
        _ => {
            let count = size(node, errors)?.min(budget.blocks() + 1);
            (0..count).map(|_| Entry { name: None, node: None, own: None }).collect()
        }
    };
    budget.take_blocks(entries.len(), node.span, errors)?;
    Some(entries)
}
