//! The small diagram: stages beside each other, in them a box for each block, and one for equal blocks that follow each other.

use crate::report::{Layer, Report};

use super::full::heading;
use super::graph::{Block, Graph, Stage};
use super::kinds::Kind;
use super::legend::legend;
use super::scene::{Group, Line, Text};
use super::text::{Font, count, parameters, shape};

/// The most that a row of stages is wide.
const LIMIT: i32 = 880;
const MARGIN: i32 = 16;
/// Under the diagram's name.
const TOP: i32 = 52;
const BETWEEN: i32 = 20;
const PADDING: i32 = 8;
/// Width of a block's box.
const WIDTH: i32 = 102;
/// Room beside it for its shortcut.
const SHORTCUT: i32 = 12;
const STAGE: i32 = PADDING + WIDTH + SHORTCUT + PADDING;
/// Where the first block of a stage is.
const FIRST: i32 = 54;
const BETWEEN_BLOCKS: i32 = 34;
/// Where the way from stage to stage is, from their tops.
const WAY: i32 = 20;
/// Where shortcuts begin and end, from a block.
const BEND: i32 = 10;

/// The diagram of all blocks.
pub(crate) fn compact(report: &Report, graph: &Graph<'_>) -> Group {
    let mut page = Group { class: "page".to_owned(), ..Group::default() };
    let [name, facts] = heading(report);
    let beside = MARGIN + name.font.width(&name.text) + 14;
    page.texts = vec![Text { at: (MARGIN, 34), ..name }, Text { at: (beside, 34), ..facts }];
    let mut stages: Vec<Group> = graph.stages.iter().map(stage).collect();
    let in_row = ((LIMIT + BETWEEN) / (STAGE + BETWEEN)).max(1) as usize;
    let mut y = TOP;
    for row in stages.chunks_mut(in_row) {
        let height = row.iter().map(|stage| stage.size.1).max().unwrap_or(0);
        for (column, stage) in row.iter_mut().enumerate() {
            stage.at = (MARGIN + column as i32 * (STAGE + BETWEEN), y);
            stage.size.1 = height;
        }
        y += height + BETWEEN;
    }
    for (pair, of) in stages.windows(2).zip(graph.stages.iter().skip(1)) {
        let Some(name) = of.blocks[0].enters else { continue };
        let [from, to] = [&pair[0], &pair[1]].map(|stage| (stage.at.0, stage.at.1 + WAY));
        let from = (from.0 + STAGE, from.1);
        let points = if from.1 == to.1 {
            vec![from, to]
        } else {
            let (right, left) = (from.0 + BETWEEN / 2, to.0 - BETWEEN / 2);
            let turn = to.1 - WAY - BETWEEN / 2;
            vec![from, (right, from.1), (right, turn), (left, turn), (left, to.1), to]
        };
        page.lines.push(Line { points, from: name.to_owned(), to: None, arrow: true });
    }
    let needed = page.texts.iter().map(|text| text.span().1).max().unwrap_or(0);
    let right = stages.iter().map(|stage| stage.at.0 + STAGE).max().unwrap_or(0).max(needed);
    let mut legend = legend(report, "mark", right - MARGIN);
    legend.at = (MARGIN, y);
    page.size = (right + MARGIN, y + legend.size.1 + MARGIN);
    page.children = stages;
    page.children.push(legend);
    page
}

fn stage(of: &Stage<'_>) -> Group {
    let room = STAGE - 2 * PADDING;
    let result = of.blocks.last().and_then(|block| block.result());
    let result = result.map(|layer| shape(layer.shape)).unwrap_or_default();
    let mut group = Group {
        class: "stage".to_owned(),
        radius: 10,
        tooltip: of.name.to_owned(),
        texts: vec![
            Text::new((PADDING, 18), Font::Heading, Font::Heading.fit_end(of.name, room)),
            Text::new((PADDING, 32), Font::Small, Font::Small.fit(&result, room)).muted(),
        ],
        ..Group::default()
    };
    let center = PADDING + WIDTH / 2;
    let (mut y, mut above) = (FIRST, FIRST - 15);
    for run in of.blocks.chunk_by(|one, next| alike(one, next)) {
        let mut child = block(run);
        child.at = (PADDING, y);
        let bottom = y + child.size.1;
        group.children.push(child);
        let line = |points, arrow| Line {
            points,
            from: run[0].enters.unwrap_or_default().to_owned(),
            to: None,
            arrow,
        };
        if run[0].enters.is_some() {
            group.lines.push(line(vec![(center, above), (center, y)], true));
        }
        above = bottom;
        if let Some(shortcut) = shortcut(&run[0]) {
            let right = PADDING + WIDTH + SHORTCUT - 2;
            let (top, middle, end) = (y - BEND, (y + bottom) / 2, bottom + BEND);
            let half = if matches!(shortcut, Shortcut::Computed(_)) { 7 } else { 0 };
            group.lines.push(line(vec![(center, top), (right, top), (right, middle - half)], false));
            group.lines.push(line(vec![(right, middle + half), (right, end), (center + 5, end)], true));
            group.lines.push(line(vec![(center, bottom), (center, end - 5)], false));
            let mut mark = |kind: Kind, at, size| {
                let class = format!("mark {}", kind.class());
                group.children.push(Group { class, at, size, radius: 4, ..Group::default() });
            };
            mark(Kind::Add, (center - 5, end - 5), (10, 10));
            if let Shortcut::Computed(kind) = shortcut {
                mark(kind, (right - 4, middle - half), (8, 2 * half));
            }
            above = end + 5;
        }
        y = bottom + BETWEEN_BLOCKS;
    }
    let parameters = parameters(of.layers().map(|layer| layer.parameters).sum());
    let macs = format!("{} MACs", count(of.layers().map(|layer| layer.macs).sum()));
    y += 18 - BETWEEN_BLOCKS / 2;
    for text in [parameters, macs] {
        group.texts.push(Text::new((PADDING, y), Font::Small, Font::Small.fit(&text, room)).muted());
        y += 13;
    }
    group.size = (STAGE, y - 4);
    group
}

/// The box of equal blocks.
fn block(run: &[Block<'_>]) -> Group {
    let (first, last) = (&run[0], &run[run.len() - 1]);
    let mut group =
        Group { class: "block".to_owned(), radius: 6, tooltip: first.name.to_owned(), ..Group::default() };
    let mut room = WIDTH - 2 * PADDING;
    if run.len() > 1 {
        let times = format!("× {}", run.len());
        room -= Font::Heading.width(&times) + 4;
        group.tooltip = format!("{} to {}, {} equal blocks", first.name, last.name, run.len());
        group.texts.push(Text::new((WIDTH - PADDING, 15), Font::Heading, times).aligned_right());
    }
    group.texts.push(Text::new((PADDING, 15), Font::Small, first.title(Font::Small, room)));
    let mut y = marks(first, &mut group);
    let windows = windows(first);
    let sent = first.sent.iter().map(|(_, to)| format!("→ {to}"));
    let fetched = first.fetched.iter().map(|name| format!("from {name}"));
    for line in [windows].into_iter().chain(sent).chain(fetched).filter(|line| !line.is_empty()) {
        let line = Font::Small.fit_list(&line, WIDTH - 2 * PADDING);
        group.texts.push(Text::new((PADDING, y + 11), Font::Small, line).muted());
        y += 13;
    }
    group.size = (WIDTH, y + 6);
    group
}

/// A bar for each layer, with what is fused into it; gives where they end.
fn marks(block: &Block<'_>, group: &mut Group) -> i32 {
    const HEIGHT: i32 = 10;
    let (mut x, mut y) = (PADDING, 21);
    for layer in &block.layers {
        let fused = layer.fused.iter().map(|fused| (fused.before, fused.operator.as_str(), 3));
        let mut parts: Vec<_> = fused.chain([(false, layer.operator.as_str(), 6)]).collect();
        let own = parts.pop();
        let at = parts.iter().take_while(|part| part.0).count();
        parts.splice(at..at, own);
        let width: i32 = parts.iter().map(|part| part.2 + 1).sum();
        if x + width > WIDTH - PADDING {
            (x, y) = (PADDING, y + HEIGHT + 3);
        }
        for (_, operator, width) in parts {
            let class = format!("mark {}", Kind::of(operator).class());
            if x + width <= WIDTH - PADDING {
                group.children.push(Group { class, at: (x, y), size: (width, HEIGHT), ..Group::default() });
            }
            x += width + 1;
        }
        x += 3;
    }
    y + HEIGHT + 2
}

/// `1x1, 3x3, 1x1`: the windows of the convolutions on its longest path, else what its layers are.
fn windows(block: &Block<'_>) -> String {
    let path = longest_path(block);
    let first = |layer: &&'_ Layer| layer.kind.split(", ").next().unwrap_or_default().to_owned();
    let kinds: Vec<String> = path.iter().map(first).collect();
    let window = |kind: &'_ String| {
        kind.strip_prefix("conv ")
            .filter(|of| of.starts_with(|c: char| c.is_ascii_digit()))
            .map(str::to_owned)
    };
    let windows: Vec<String> = kinds.iter().filter_map(window).collect();
    if windows.is_empty() { kinds.join(", ") } else { windows.join(", ") }
}

fn longest_path<'a>(block: &Block<'a>) -> Vec<&'a Layer> {
    let mut paths: Vec<Vec<&Layer>> = Vec::new();
    for (index, layer) in block.layers.iter().enumerate() {
        let before = operands(block, layer).into_iter().flatten().filter(|operand| *operand < index);
        // Of equals the first: that is what a value is added to.
        let mut path = before
            .rev()
            .max_by_key(|operand| paths[*operand].len())
            .map_or_else(Vec::new, |of| paths[of].clone());
        path.push(layer);
        paths.push(path);
    }
    let end =
        block.result().and_then(|result| block.layers.iter().position(|layer| layer.name == result.name));
    end.and_then(|end| paths.into_iter().nth(end)).unwrap_or_default()
}

/// What a residual block adds to its result.
enum Shortcut {
    /// What comes in.
    Identity,
    /// What is computed of that.
    Computed(Kind),
}

/// The shortcut of a block that has one: one value comes in, and the result is a sum.
fn shortcut(block: &Block<'_>) -> Option<Shortcut> {
    block.enters.filter(|_| block.fetched.is_empty())?;
    let sum = block.result()?;
    let fused = sum.fused.iter().any(|fused| fused.operator == "add");
    if !fused && sum.operator != "add" {
        return None;
    }
    let enters = |operand: Option<&String>| operand.map(String::as_str) == block.enters;
    if enters(sum.operands.last()) || (!fused && enters(sum.operands.first())) {
        return Some(Shortcut::Identity);
    }
    let added = sum.operands.last().and_then(|name| block.layers.iter().find(|layer| layer.name == *name));
    let path = longest_path(block);
    // Where the longest path is what is added, the sum's own operator computes the shortcut.
    let computes = added.filter(|added| !path.iter().any(|layer| layer.name == added.name)).unwrap_or(&sum);
    Some(Shortcut::Computed(Kind::of(&computes.operator)))
}

/// Whether the second block does what the first one does, of the first one's result.
fn alike(one: &Block<'_>, next: &Block<'_>) -> bool {
    let alone = |block: &Block<'_>| block.fetched.is_empty() && block.sent.is_empty();
    let same = |(one_layer, next_layer): (&&Layer, &&Layer)| {
        let fused = |layer: &Layer| -> Vec<(String, bool)> {
            layer.fused.iter().map(|fused| (fused.operator.clone(), fused.before)).collect()
        };
        one_layer.kind == next_layer.kind
            && one_layer.shape == next_layer.shape
            && fused(one_layer) == fused(next_layer)
            && operands(one, one_layer) == operands(next, next_layer)
    };
    one.layers.len() == next.layers.len()
        && one.enters.is_some() == next.enters.is_some()
        && alone(one)
        && alone(next)
        && one.layers.iter().zip(&next.layers).all(same)
}

/// Which layers of the block a layer's operands are; none comes from before.
fn operands(block: &Block<'_>, layer: &Layer) -> Vec<Option<usize>> {
    let position = |name: &String| block.layers.iter().position(|other| other.name == *name);
    layer.operands.iter().map(position).collect()
}
