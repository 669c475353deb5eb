//! Stages and their blocks.

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::ast::{Block, BlockKind, Settings, Stage};
use crate::spec::fields::{Fields, list, pair, size};
use crate::spec::settings::settings;
use crate::spec::tree::{Kind, Node};

/// The most blocks of a spec.
const MOST_BLOCKS: usize = 2_000;

/// What is written and has no effect: a `stride_on` that no bottleneck with a stride takes.
/// `top` is where the spec itself says it.
pub(super) fn warnings(top: Option<Span>, stages: &[Stage]) -> Diagnostics {
    let mut written: Vec<(Span, bool)> = top.map(|span| (span, false)).into_iter().collect();
    for Block { settings, stride, .. } in stages.iter().flat_map(|stage| &stage.blocks) {
        let Some(span) = settings.stride_on_span else { continue };
        let has_effect = settings.kind == BlockKind::Bottleneck && *stride != [1, 1];
        match written.iter_mut().find(|(known, _)| *known == span) {
            Some((_, effect)) => *effect |= has_effect,
            None => written.push((span, has_effect)),
        }
    }
    let mut warnings = Diagnostics::default();
    for (span, _) in written.into_iter().filter(|(_, effect)| !effect) {
        let warning = Diagnostic::new("`stride_on` has no effect here", span).warning();
        warnings.push(
            warning
                .help("it says which convolution of a bottleneck has the stride; no bottleneck with a stride uses this one"),
        );
    }
    warnings
}

/// `unclear`: the settings are not understood.
pub(super) fn stages(
    node: &Node,
    outer: &Settings,
    unclear: bool,
    errors: &mut Diagnostics,
) -> Option<Vec<Stage>> {
    let mut budget = MOST_BLOCKS;
    list(node, errors, |node, errors| {
        let before = errors.serious();
        let mut stage = stage(node, outer, &mut budget, errors);
        if unclear || errors.serious() > before {
            stage.blocks.iter_mut().for_each(|block| block.unclear = true);
        }
        Some(stage)
    })
}

fn stage(node: &Node, outer: &Settings, budget: &mut usize, errors: &mut Diagnostics) -> Stage {
    let mut fields = Fields::of(node, "a stage", errors);
    let settings = settings(&mut fields, outer, errors);
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    let filters = fields.take("filters").map(|node| filters(node, settings.kind, errors).unwrap_or_default());
    let entries = fields.required("blocks", errors).and_then(|node| blocks(node, budget, errors));
    let span = fields.span();
    fields.finish(errors);
    // A stage that is not understood stands as one block, so that nothing behind it is taken to follow what is before.
    let unclear = entries.is_none();
    let entries = entries.unwrap_or_else(|| vec![Entry { name: None, node: None, own: None }]);
    let mut blocks = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let stride = if index == 0 { stride } else { [1, 1] };
        let plain = Block {
            name: entry.name.map(str::to_owned),
            settings: settings.clone(),
            filters: filters.clone().unwrap_or_default(),
            stride,
            unclear,
            span: entry.node.map_or(span, |node| node.span),
        };
        let (block, has_filters) = match entry.own {
            Some(own) => own_block(own, plain, errors),
            None => (plain, false),
        };
        let told = blocks.last().is_some_and(|last: &Block| last.span == block.span);
        if filters.is_none() && !has_filters && !unclear && !told {
            errors.push(
                Diagnostic::new("a block has no filters", block.span)
                    .help("give `filters` to the stage, or to each of its blocks"),
            );
        }
        blocks.push(block);
    }
    Stage { blocks }
}

/// One of a stage's blocks: its name, where it stands, and the settings of its own.
struct Entry<'a> {
    name: Option<&'a str>,
    node: Option<&'a Node>,
    own: Option<&'a Node>,
}

/// A number of blocks, or a list of names, some with settings: `3`, or `[a, b: {filters: [256, 256, 2048]}]`.
fn blocks<'a>(node: &'a Node, budget: &mut usize, errors: &mut Diagnostics) -> Option<Vec<Entry<'a>>> {
    let entries: Vec<Entry<'a>> = match &node.kind {
        Kind::List(_) => list(node, errors, |node, errors| match (&node.kind, node.word()) {
            (_, Some(name)) => Some(Entry { name: Some(name), node: Some(node), own: None }),
            (Kind::Map(map), _) if map.len() == 1 => {
                Some(Entry { name: Some(&map[0].0.text), node: Some(node), own: Some(&map[0].1) })
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
            let count = size(node, errors)?.min(*budget + 1);
            (0..count).map(|_| Entry { name: None, node: None, own: None }).collect()
        }
    };
    if entries.len() > *budget {
        errors.push(Diagnostic::new(format!("a spec has at most {MOST_BLOCKS} blocks"), node.span));
        return None;
    }
    *budget -= entries.len();
    Some(entries)
}

/// A block with settings of its own, and whether `filters` are among them.
fn own_block(node: &Node, plain: Block, errors: &mut Diagnostics) -> (Block, bool) {
    let mut fields = Fields::of(node, "a block", errors);
    let settings = settings(&mut fields, &plain.settings, errors);
    let filters = fields.take("filters").map(|node| filters(node, settings.kind, errors).unwrap_or_default());
    let stride = fields.read("stride", errors, pair).unwrap_or(plain.stride);
    fields.finish(errors);
    let has_filters = filters.is_some();
    (Block { filters: filters.unwrap_or(plain.filters), settings, stride, ..plain }, has_filters)
}

/// `[F1, F2]` of a basic block, `[F1, F2, F3]` of a bottleneck; one number F is `[F, F]`, or `[F, F, 4F]`.
fn filters(node: &Node, kind: BlockKind, errors: &mut Diagnostics) -> Option<Vec<usize>> {
    let (expected, name) = match kind {
        BlockKind::Basic => (2, "basic block"),
        BlockKind::Bottleneck => (3, "bottleneck"),
    };
    if let Kind::Int(_) = node.kind {
        let filters = size(node, errors)?;
        return Some(match kind {
            BlockKind::Basic => vec![filters; 2],
            BlockKind::Bottleneck => vec![filters, filters, 4 * filters],
        });
    }
    let before = errors.serious();
    let filters = list(node, errors, size)?;
    if filters.len() != expected && errors.serious() == before {
        let message = format!("a {name} has {expected} convolutions, here are {} filters", filters.len());
        errors.push(Diagnostic::new(message, node.span));
    }
    (filters.len() == expected).then_some(filters)
}
