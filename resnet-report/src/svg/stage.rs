//! A stage: its blocks in columns, each below the one before it, and the way from block to block.

use super::block::block;
use super::graph::{Graph, Stage};
use super::scene::{Group, Line, Point, Text};
use super::text::{Font, count, parameters, several, shape};

/// A stage's diagram. A value comes in from the left, and leaves below the last block.
pub(crate) struct Drawn {
    pub(crate) group: Group,
    /// Where the way to the first block is complete but for a piece from the left.
    pub(crate) enters: Option<Vec<Point>>,
    pub(crate) leaves: Option<Point>,
}

const PADDING: i32 = 14;
const HEADER: i32 = 30;
/// Above the first row of blocks, for the way in.
const ENTRY: i32 = 18;
const BETWEEN_COLUMNS: i32 = 24;
const BETWEEN_ROWS: i32 = 22;

/// The diagram of a stage that is no wider than this, if a single block is not.
pub(crate) fn stage(graph: &Graph<'_>, of: &Stage<'_>, limit: i32) -> Drawn {
    let bare = of.is_block();
    let mut blocks: Vec<_> = of.blocks.iter().map(|one| block(graph, one, bare)).collect();
    let sizes: Vec<Point> = blocks.iter().map(|block| block.group.size).collect();
    let rows = rows(&sizes, limit - 2 * PADDING - BETWEEN_COLUMNS / 2);
    let widths: Vec<i32> =
        sizes.chunks(rows).map(|column| column.iter().map(|size| size.0).max().unwrap_or(0)).collect();
    let is_entered = blocks[0].enters.is_some();
    let top = HEADER + if is_entered || widths.len() > 1 { ENTRY } else { 0 };
    let (title, facts) = (title(of), facts(of));
    let needed = PADDING + Font::Heading.width(&title) + 10 + Font::Small.width(&facts) + PADDING;
    let left = PADDING + if is_entered { BETWEEN_COLUMNS / 2 } else { 0 };
    let natural =
        left + widths.iter().map(|width| width + BETWEEN_COLUMNS).sum::<i32>() - BETWEEN_COLUMNS + PADDING;
    let width = natural.max(needed);
    let (mut x, mut bottom) = (left + (width - natural) / 2, 0);
    for (column, width) in blocks.chunks_mut(rows).zip(&widths) {
        let mut y = top;
        for block in column {
            block.group.at = (x, y);
            y += block.group.size.1 + BETWEEN_ROWS;
        }
        bottom = bottom.max(y - BETWEEN_ROWS);
        x += width + BETWEEN_COLUMNS;
    }
    let enter = |block: &super::block::Drawn| Some((block.group.at.0 + block.enters?, block.group.at.1));
    let leave = |block: &super::block::Drawn| {
        Some((block.group.at.0 + block.leaves?, block.group.at.1 + block.group.size.1))
    };
    let mut lines = Vec::new();
    for (index, pair) in blocks.windows(2).enumerate() {
        if let (Some(from), Some(to), Some(name)) =
            (leave(&pair[0]), enter(&pair[1]), of.blocks[index].leaves)
        {
            let points = if (index + 1) % rows == 0 {
                let x = pair[1].group.at.0 - BETWEEN_COLUMNS / 2;
                vec![from, (from.0, from.1 + 11), (x, from.1 + 11), (x, to.1 - 11), (to.0, to.1 - 11), to]
            } else {
                let y = (from.1 + to.1) / 2;
                if from.0 == to.0 { vec![from, to] } else { vec![from, (from.0, y), (to.0, y), to] }
            };
            lines.push(Line { points, from: name.to_owned(), to: None, arrow: true });
        }
    }
    let enters = enter(&blocks[0]).map(|to| vec![(0, to.1 - 11), (to.0, to.1 - 11), to]);
    let leaves = blocks.last().and_then(leave);
    let size = (width, bottom + PADDING);
    let texts = vec![
        Text::new((PADDING, 20), Font::Heading, title.clone()),
        Text::new((PADDING + Font::Heading.width(&title) + 10, 20), Font::Small, facts).muted(),
    ];
    let children = blocks.into_iter().map(|block| block.group).collect();
    let group =
        Group { class: "stage".to_owned(), size, radius: 10, lines, texts, children, ..Group::default() };
    Drawn { group, enters, leaves }
}

/// The fewest rows with which the columns fit.
fn rows(sizes: &[Point], room: i32) -> usize {
    let width = |rows: usize| -> i32 {
        let widths = sizes.chunks(rows).map(|column| column.iter().map(|size| size.0).max().unwrap_or(0));
        widths.map(|width| width + BETWEEN_COLUMNS).sum::<i32>() - BETWEEN_COLUMNS
    };
    (1..sizes.len()).find(|rows| width(*rows) <= room).unwrap_or(sizes.len().max(1))
}

fn title(stage: &Stage<'_>) -> String {
    Font::Heading.fit_end(stage.name, 180)
}

fn facts(stage: &Stage<'_>) -> String {
    let last = stage.blocks.last().and_then(|block| block.result()).map(|layer| shape(layer.shape));
    let parameters = parameters(stage.layers().map(|layer| layer.parameters).sum());
    let macs = count(stage.layers().map(|layer| layer.macs).sum());
    let is_part = stage.blocks.iter().any(|block| block.layers.iter().any(|layer| layer.block != block.name));
    let what = if is_part { "part" } else { "block" };
    let blocks = if stage.is_block() { String::new() } else { several(stage.blocks.len(), what) + ", " };
    format!("{blocks}{}, {parameters}, {macs} MACs", last.unwrap_or_default())
}
