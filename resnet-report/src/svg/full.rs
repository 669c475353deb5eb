//! The whole diagram: stages beside and below each other, and the way from stage to stage.

use crate::report::Report;

use super::graph::{Graph, Stage};
use super::legend::legend;
use super::scene::{Group, Line, Point, Text};
use super::stage::{self, stage};
use super::text::{Font, count, parameters, shape};

/// The most that a stage's diagram is wide in a page.
pub(crate) const STAGE_WIDTH: i32 = 1168;
/// The one with the smallest diagram is taken that is at most twice as high, else the one with the lowest diagram.
const WIDTHS: [i32; 3] = [STAGE_WIDTH, 1260, 1640];
const MARGIN: i32 = 24;
const HEADER: i32 = 56;
const BETWEEN: i32 = 28;

/// The diagram of all layers.
pub(crate) fn full(report: &Report, graph: &Graph<'_>) -> Group {
    let diagrams = WIDTHS.map(|width| shelves(report, graph, width));
    let cost = |page: &Group| {
        let (width, height) = page.size;
        if height <= 2 * width { (false, width * height) } else { (true, height) }
    };
    diagrams.into_iter().min_by_key(cost).unwrap_or_default()
}

/// A stage by itself, with its ways in and out.
pub(crate) fn alone(graph: &Graph<'_>, of: &Stage<'_>) -> Group {
    let mut drawn = stage(graph, of, STAGE_WIDTH - 2 * 12);
    drawn.group.at = (12, 1);
    let mut page = Group {
        class: "bare".to_owned(),
        size: (drawn.group.size.0 + 24, drawn.group.size.1 + 16),
        ..Group::default()
    };
    let entry = drawn.enters.take().zip(of.blocks[0].enters);
    if let Some((points, name)) = entry {
        drawn.group.lines.push(inner(points, name, !of.is_block()));
        let y = drawn.group.at.1 + drawn.group.lines.last().map_or(0, |line| line.points[0].1);
        page.lines.push(Line {
            points: vec![(0, y), (12, y)],
            from: name.to_owned(),
            to: None,
            arrow: false,
        });
    }
    if let Some(((x, y), name)) = drawn.leaves.zip(of.blocks.last().and_then(|block| block.leaves)) {
        drawn.group.lines.push(inner(vec![(x, y), (x, drawn.group.size.1)], name, false));
        let bottom = drawn.group.at.1 + drawn.group.size.1;
        page.lines.push(Line {
            points: vec![(x + 12, bottom), (x + 12, bottom + 14)],
            from: name.to_owned(),
            to: None,
            arrow: true,
        });
    }
    page.children.push(drawn.group);
    page
}

fn inner(points: Vec<Point>, from: &str, arrow: bool) -> Line {
    Line { points, from: from.to_owned(), to: None, arrow }
}

/// Stages beside each other as long as they fit.
fn shelves(report: &Report, graph: &Graph<'_>, width: i32) -> Group {
    let mut stages: Vec<stage::Drawn> = graph.stages.iter().map(|of| stage(graph, of, width)).collect();
    let (mut x, mut y, mut bottom, mut right) = (MARGIN, HEADER + BETWEEN, 0, 0);
    let mut tops = Vec::new();
    for stage in &mut stages {
        let (wide, high) = stage.group.size;
        if x > MARGIN && x + wide > MARGIN + width {
            (x, y) = (MARGIN, bottom + BETWEEN);
        }
        stage.group.at = (x, y);
        tops.push(y);
        x += wide + BETWEEN;
        bottom = bottom.max(y + high);
        right = right.max(x - BETWEEN);
    }
    let mut page = Group { class: "page".to_owned(), ..Group::default() };
    for index in 1..stages.len() {
        let Some(name) = graph.stages[index].blocks[0].enters else { continue };
        let (before, after) = (stages[index - 1].leaves, stages[index].enters.take());
        let (Some(from), Some(mut way)) = (before, after) else { continue };
        let corner = stages[index].group.at;
        let of = &mut stages[index - 1].group;
        // In its own stage the way is drawn on that stage, which would cover it.
        of.lines.push(Line {
            points: vec![from, (from.0, of.size.1)],
            from: name.to_owned(),
            to: None,
            arrow: false,
        });
        let start = (of.at.0 + from.0, of.at.1 + of.size.1);
        let entry = corner.1 + way[0].1;
        let x = corner.0 - BETWEEN / 2;
        let turn = if tops[index - 1] == tops[index] { start.1 + 10 } else { corner.1 - BETWEEN / 2 };
        let points = vec![start, (start.0, turn), (x, turn), (x, entry), (corner.0, entry)];
        page.lines.push(Line { points, from: name.to_owned(), to: None, arrow: false });
        way[0].0 = 0;
        stages[index].group.lines.push(inner(way, name, !graph.stages[index].is_block()));
    }
    let [name, facts] = heading(report);
    page.texts = vec![Text { at: (MARGIN, 32), ..name }, Text { at: (MARGIN, 52), ..facts }];
    let right = page.texts.iter().map(|text| text.span().1).fold(right, i32::max);
    let mut legend = legend(report, "chip", right - MARGIN);
    legend.at = (MARGIN, bottom + BETWEEN);
    page.size = (right + MARGIN, bottom + BETWEEN + legend.size.1 + MARGIN);
    page.children = stages.into_iter().map(|stage| stage.group).collect();
    page.children.push(legend);
    page
}

/// The network's name, and what it is; the caller places them.
pub(crate) fn heading(report: &Report) -> [Text; 2] {
    let spec = &report.spec;
    let mut outputs: Vec<String> = spec.outputs.iter().map(|output| shape(output.shape)).collect();
    if outputs.len() > 4 {
        outputs = vec![format!("{} outputs", outputs.len())];
    }
    let (parameters, macs) = (parameters(report.costs.parameters), count(report.costs.macs));
    let (from, to) = (shape(spec.input), outputs.join(", "));
    let facts = format!("{from} → {to}, {parameters}, {macs} multiply-adds, {}", spec.precision);
    let name = Font::Title.fit(&spec.name, 640);
    [Text::new((0, 0), Font::Title, name), Text::new((0, 0), Font::Body, facts).muted()]
}
