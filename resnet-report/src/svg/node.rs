//! The box of a layer: what it is, and on the way what is fused into it.

use crate::report::{Fused, Layer};

use super::kinds::Kind;
use super::scene::{Group, Line, Text};
use super::text::{Font, count, parameters, shape};

/// Width of a layer's box.
pub(crate) const WIDTH: i32 = 176;
const PADDING: i32 = 8;
const CHIP: i32 = 16;
const GAP: i32 = 4;
/// From a chip down to the way of the value that it adds.
const RAIL: i32 = 9;

/// The box of a layer.
pub(crate) struct Node {
    pub(crate) group: Group,
    /// The height at which a value that is added on the way comes in, from the right.
    pub(crate) added_at: i32,
}

/// The box of a layer of this block; `sent` says where its value goes.
pub(crate) fn node<'a>(layer: &Layer, sent: impl Iterator<Item = &'a str>) -> Node {
    let kind = Kind::of(&layer.operator);
    let mut group = Group {
        class: format!("node {}", kind.class()),
        radius: 5,
        tooltip: tooltip(layer),
        layer: Some(layer.name.clone()),
        ..Group::default()
    };
    let (before, after): (Vec<&Fused>, Vec<&Fused>) = layer.fused.iter().partition(|fused| fused.before);
    let mut chips = Chips { group: &mut group, x: PADDING, y: 6, added_at: None };
    before.into_iter().for_each(|fused| chips.fused(fused));
    chips.end_row();
    let title = Font::Body.fit_list(&layer.kind, WIDTH - 2 * PADDING);
    let y = chips.y;
    let algorithm = Font::Small.fit(layer.algorithm.as_deref().unwrap_or_default(), WIDTH / 2 + 32);
    let room = WIDTH - 2 * PADDING - Font::Small.width(&algorithm) - if algorithm.is_empty() { 0 } else { 8 };
    // A kind says its name, and the block's stands above.
    let known =
        layer.name == layer.kind || (layer.name == layer.block && Font::Small.width(&layer.name) > room);
    let name = if known { "" } else { short_name(layer) };
    let name = Font::Small.fit_end(name, room);
    chips.group.texts.push(Text::new((PADDING, y + 11), Font::Body, title));
    chips.y += if name.is_empty() && algorithm.is_empty() { 18 } else { 31 };
    if !name.is_empty() {
        chips.group.texts.push(Text::new((PADDING, y + 25), Font::Small, name).muted());
    }
    if !algorithm.is_empty() {
        let at = (WIDTH - PADDING, y + 25);
        chips.group.texts.push(Text::new(at, Font::Small, algorithm).muted().aligned_right());
    }
    after.into_iter().for_each(|fused| chips.fused(fused));
    chips.end_row();
    for to in sent {
        let words =
            Font::Small.fit_list(&format!("→ {to}, {}", shape(layer.shape)), WIDTH - 2 * PADDING - 12);
        chips.chip("tag", &words, to.to_owned());
        chips.end_row();
    }
    let (height, added_at) = (chips.y + 2, chips.added_at.unwrap_or_default());
    group.size = (WIDTH, height);
    Node { group, added_at }
}

/// Rows of small boxes.
struct Chips<'a> {
    group: &'a mut Group,
    x: i32,
    y: i32,
    added_at: Option<i32>,
}

impl Chips<'_> {
    fn fused(&mut self, fused: &Fused) {
        let operator = words(fused);
        let tooltip = format!("{operator} {}", fused.name);
        let label = Font::Small.fit(&operator, WIDTH - 2 * PADDING - 12);
        self.chip(Kind::of(&fused.operator).class(), &label, tooltip.trim_end().to_owned());
        if let (true, Some(chip)) = (fused.operator == "add", self.group.children.last()) {
            let (x, bottom) = (chip.at.0 + chip.size.0 / 2, chip.at.1 + CHIP);
            let rail = bottom + RAIL;
            let points = vec![(WIDTH, rail), (x, rail), (x, bottom)];
            self.group.lines.push(Line { points, from: fused.name.clone(), to: None, arrow: true });
            self.added_at = Some(rail);
        }
    }

    /// Beside the last one.
    fn chip(&mut self, class: &str, words: &str, tooltip: String) {
        let width = Font::Small.width(words) + 12;
        if self.x + width > WIDTH - PADDING {
            self.end_row();
        }
        self.group.children.push(Group {
            class: format!("chip {class}"),
            at: (self.x, self.y),
            size: (width, CHIP),
            radius: CHIP / 2,
            tooltip,
            texts: vec![Text::new((6, 12), Font::Small, words)],
            ..Group::default()
        });
        self.x += width + GAP;
    }

    fn end_row(&mut self) {
        if self.x > PADDING {
            let rail = self.added_at.filter(|rail| *rail > self.y).map_or(0, |_| RAIL - 2);
            (self.x, self.y) = (PADDING, self.y + CHIP + GAP + rail);
        }
    }
}

fn words(fused: &Fused) -> String {
    fused.operator.replace('_', " ")
}

/// Without the name of its block, which stands above it.
fn short_name(layer: &Layer) -> &str {
    let rest = layer.name.strip_prefix(&layer.block).and_then(|rest| rest.strip_prefix('.'));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(&layer.name)
}

fn tooltip(layer: &Layer) -> String {
    let mut lines = vec![layer.name.clone(), layer.kind.clone()];
    if !layer.fused.is_empty() {
        let fused: Vec<String> = layer.fused.iter().map(words).collect();
        lines.push(format!("fused: {}", fused.join(", ")));
    }
    lines.push(format!("{} of {}", shape(layer.shape), layer.element));
    if layer.parameters + layer.macs > 0 {
        lines.push(format!("{}, {} multiply-adds", parameters(layer.parameters), count(layer.macs)));
    }
    if let Some(algorithm) = &layer.algorithm {
        lines.push(algorithm.clone());
    }
    lines.push(format!("predicted {} µs", layer.predicted_us));
    lines.join("\n")
}
