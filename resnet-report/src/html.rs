//! The report as a page: one file that needs no network, with what it shows as text first and the rest in the report, compressed.
//!
//! Figures, diagrams and tables are HTML, there before any script runs; the script unfolds, sorts and filters, and shows of
//! the report what would make the page long: what each pass changed, and the generated Rust.

mod embed;
mod figures;
mod layers;
mod memory;
mod passes;
mod stages;
mod text;
mod times;
mod verified;

use crate::report::Report;
use crate::svg;
use text::escape;

const PAGE: &str = include_str!("page/page.html");

/// The report as a page that holds all it needs, for a browser of 2024 or newer.
pub fn html(report: &Report) -> String {
    let spec = &report.spec;
    let title = format!("{} {}", spec.name, spec.precision);
    fill(PAGE, |part| match part {
        "title" => escape(&title),
        "style" => include_str!("page/page.css").to_owned() + &svg::style(),
        "script" => include_str!("page/page.js").to_owned(),
        "source" => escape(&spec.source),
        "name" => escape(&spec.name),
        "signature" => figures::signature(report),
        "links" => links(report),
        "figures" => figures::figures(report),
        "colours" => svg::legend_svg(report),
        "stages" => stages::stages(report),
        "passes" => passes::passes(report),
        "memory" => memory::memory(report),
        "times" => times::times(report),
        "layers" => layers::layers(report),
        "verified" => verified::verified(report),
        "version" => report.version.to_string(),
        "report" => embed::embed(report),
        _ => String::new(),
    })
}

/// A template's text with its parts, `<!--part-->`, filled in. What is filled in is not looked at again.
fn fill(template: &str, part: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("<!--");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("-->").unwrap_or((piece, ""));
        page += &part(name);
        page += rest;
    }
    page
}

fn links(report: &Report) -> String {
    let verified = report.verified.is_some().then_some(("verified", "Accuracy"));
    let parts = [("graph", "Graph"), ("passes", "Passes"), ("memory", "Memory"), ("time", "Time")];
    let rest = [("layers", "Layers"), ("code", "Rust")];
    let all = parts.into_iter().chain(verified).chain(rest);
    all.map(|(id, name)| format!("<a href=\"#{id}\">{name}</a>\n")).collect()
}
