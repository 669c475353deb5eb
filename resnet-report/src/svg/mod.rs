//! The graph as a diagram, made from the report alone: stages, in them blocks, in them layers, in them what is fused into them.

mod block;
mod compact;
mod full;
mod graph;
mod kinds;
mod legend;
mod node;
mod route;
mod scene;
mod stage;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use crate::report::Report;
use graph::Graph;
use kinds::{file_style, page_style};

/// How much of the graph a diagram shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every layer.
    Full,
    /// Every block, equal ones that follow each other as one.
    Compact,
}

/// The graph as an SVG file: light or dark, as whoever looks at it prefers.
pub fn svg(report: &Report, detail: Detail) -> String {
    let graph = Graph::new(report);
    let diagram = match detail {
        Detail::Full => full::full(report, &graph),
        Detail::Compact => compact::compact(report, &graph),
    };
    diagram.diagram(&format!("{}, a residual network, as a graph", report.spec.name), &file_style())
}

/// Each stage of the graph with its diagram, an `<svg>` element for a page that holds [`style`].
pub fn stage_svgs(report: &Report) -> Vec<(String, String)> {
    let graph = Graph::new(report);
    let drawn = graph.stages.iter().map(|stage| {
        let label = format!("{} of {}, as a graph", stage.name, report.spec.name);
        (stage.name.to_owned(), full::alone(&graph, stage).diagram(&label, ""))
    });
    drawn.collect()
}

/// What colours mean, as an `<svg>` element for a page that holds [`style`].
pub fn legend_svg(report: &Report) -> String {
    legend::legend(report, "chip", full::STAGE_WIDTH).diagram("Colours of operators", "")
}

/// The rules for diagrams inside of a page. They hold below the class `graph` only; colours are `light-dark()`, so they
/// follow the page's `color-scheme`.
pub fn style() -> String {
    page_style()
}
