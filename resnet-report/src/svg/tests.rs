//! Diagrams of every spec that ships, and of specs that are harder to draw.

use std::collections::HashSet;

use resnet_dsl::plan::predict::Machine;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, shipped};
use roxmltree::Document;

use super::graph::Graph;
use super::scene::{Group, Point};
use super::{Detail, compact, full, stage_svgs, svg};
use crate::report::Report;

/// A feature pyramid: values go from stage to stage, and there are several outputs.
const PYRAMID: &str = include_str!("../../tests/data/pyramid.yaml");

fn report(name: &str, text: &str) -> Report {
    let spec = Spec { name, text, overrides: &Overrides::default() };
    Report::new(&spec, &mut |file| Err(format!("{file} is not there")), &Machine::reference()).unwrap()
}

/// A box of a diagram, and what lies in it: left, top, right, bottom.
type Sides = [i32; 4];

fn sides(group: &Group) -> Sides {
    [group.at.0, group.at.1, group.at.0 + group.size.0, group.at.1 + group.size.1]
}

fn meet(one: Sides, other: Sides) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

fn assert_inside(inner: Sides, size: Point, what: &str) {
    let inside = inner[0] >= 0 && inner[1] >= 0 && inner[2] <= size.0 && inner[3] <= size.1;
    assert!(inside, "{what}: {inner:?} is not inside of {size:?}");
}

/// No box and no text overlaps another, all are inside of what they belong to, and no line goes through a box.
fn assert_tidy(group: &Group, name: &str) {
    let texts = group.texts.iter().map(|text| {
        let (left, right) = text.span();
        ([left, text.at.1 - text.font.size() * 3 / 4, right, text.at.1 + 2], text.text.as_str())
    });
    let children = group.children.iter().map(|child| (sides(child), child.class.as_str()));
    let all: Vec<(Sides, &str)> = texts.chain(children).collect();
    for (index, (one, what)) in all.iter().enumerate() {
        assert_inside(*one, group.size, &format!("{name}: {what}"));
        for (other, other_what) in &all[index + 1..] {
            assert!(!meet(*one, *other), "{name}: {what} at {one:?} and {other_what} at {other:?}");
        }
    }
    for line in &group.lines {
        for pair in line.points.windows(2) {
            let [(x1, y1), (x2, y2)] = [pair[0], pair[1]];
            assert!(x1 == x2 || y1 == y2, "{name}: {line:?} is not straight");
            let piece = [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)];
            for text in &group.texts {
                let (left, right) = text.span();
                let size = text.font.size();
                let through = meet(piece, [left, text.at.1 - size * 2 / 3, right, text.at.1]);
                assert!(!through, "{name}: {line:?} goes through {text:?}");
            }
            for child in &group.children {
                let through = meet(piece, sides(child));
                assert!(!through, "{name}: {line:?} goes through {:?} {}", sides(child), child.class);
            }
        }
    }
    group.children.iter().for_each(|child| assert_tidy(child, name));
}

/// The values of an attribute, and of another one where it is given.
fn values(diagrams: &[String], attribute: &str, other: Option<&str>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for diagram in diagrams {
        let document = Document::parse(diagram).unwrap();
        for node in document.descendants() {
            let second = other.map_or(Some(""), |other| node.attribute(other));
            if let (Some(value), Some(second)) = (node.attribute(attribute), second) {
                values.push((value.to_owned(), second.to_owned()));
            }
        }
    }
    values.sort_unstable();
    values
}

fn assert_complete(report: &Report, diagrams: &[String], name: &str) {
    let mut layers: Vec<_> = report.layers.iter().map(|layer| (layer.name.clone(), String::new())).collect();
    layers.sort_unstable();
    assert_eq!(values(diagrams, "data-layer", None), layers, "{name}");
    let operands = |layer: &crate::report::Layer| -> Vec<(String, String)> {
        layer.operands.iter().map(|operand| (operand.clone(), layer.name.clone())).collect()
    };
    let mut edges: Vec<_> = report.layers.iter().flat_map(operands).collect();
    edges.sort_unstable();
    assert_eq!(values(diagrams, "data-from", Some("data-to")), edges, "{name}");
}

fn assert_sound(report: &Report, name: &str) {
    let whole = svg(report, Detail::Full);
    assert_eq!(whole, svg(report, Detail::Full), "{name}");
    assert_complete(report, &[whole], name);
    let (stages, diagrams): (Vec<String>, Vec<String>) = stage_svgs(report).into_iter().unzip();
    assert_complete(report, &diagrams, name);
    assert_eq!(stages.len(), stages.iter().collect::<HashSet<_>>().len(), "{name}");
    let small = svg(report, Detail::Compact);
    assert_eq!(Document::parse(&small).unwrap().root_element().attribute("role"), Some("img"));

    let graph = Graph::new(report);
    assert_tidy(&full::full(report, &graph), name);
    assert_tidy(&compact::compact(report, &graph), name);
    graph.stages.iter().for_each(|stage| assert_tidy(&full::alone(&graph, stage), name));
}

#[test]
fn diagrams_are_complete_and_tidy() {
    for name in shipped::names() {
        let report = report(name, shipped::get(name).unwrap());
        assert_sound(&report, name);
        let (width, height) = full::full(&report, &Graph::new(&report)).size;
        assert!(width <= 1800 && height <= 5000, "{name} is {width} x {height}");
    }
}

#[test]
fn values_that_go_far_and_names_of_any_kind_are_drawn() {
    let mut report = report("pyramid", PYRAMID);
    assert_sound(&report, "pyramid");
    let nasty = |name: &mut String| *name = format!("{name}<b a=\"1\">&'']]>☃ {}", "層".repeat(30));
    for layer in &mut report.layers {
        let names = [&mut layer.name, &mut layer.block, &mut layer.stage, &mut layer.kind];
        names.into_iter().chain(&mut layer.operands).for_each(nasty);
        layer.algorithm.iter_mut().for_each(nasty);
        layer.fused.iter_mut().for_each(|fused| nasty(&mut fused.name));
        layer.shape = layer.shape.map(|side| side * 10_000_000);
    }
    for output in &mut report.spec.outputs {
        [&mut output.name, &mut output.layer].into_iter().for_each(nasty);
    }
    nasty(&mut report.spec.name);
    assert_sound(&report, "nasty");
    report.layers[0].kind.push_str("\u{0}\u{1b}\u{ffff}");
    assert!(Document::parse(&svg(&report, Detail::Full)).is_ok());
}

#[test]
fn a_long_list_of_layers_is_cut_into_parts() {
    let conv = |name: &str| format!("  - conv: {{name: {name}, filters: 8, kernel: 3, padding: 1}}\n");
    let mut text = format!("name: flat\ninput: 16x16x8\nstem:\n{}", conv("sum0"));
    for block in 1..=60 {
        let before = block - 1;
        text += &(conv(&format!("a{block}")) + &conv(&format!("b{block}")));
        text += &format!("  - add: {{name: sum{block}, with: sum{before}}}\n");
    }
    let report = report("flat", &text);
    assert_sound(&report, "flat");
    let graph = Graph::new(&report);
    let (width, height) = full::full(&report, &graph).size;
    assert!(graph.stages[0].blocks.len() > 50 && height <= 3 * width, "{width} x {height}");
}

/// What is no graph that the compiler makes is drawn somehow.
#[test]
fn reports_of_any_origin_are_drawn() {
    let mut report = report("pyramid", PYRAMID);
    report.layers.iter_mut().for_each(|layer| layer.operands.reverse());
    report.layers.reverse();
    svg(&report, Detail::Full);
    svg(&report, Detail::Compact);
    report.layers[0].operands = vec!["nobody".to_owned(), report.layers[0].name.clone()];
    svg(&report, Detail::Full);
    report.layers.clear();
    svg(&report, Detail::Full);
    svg(&report, Detail::Compact);
    assert_eq!(stage_svgs(&report), []);
}

#[test]
fn the_diagram_of_the_readme_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/resnet50.svg");
    let name = "torchvision/resnet50";
    let diagram = svg(&report(name, shipped::get(name).unwrap()), Detail::Compact);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &diagram).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == diagram, "BLESS=1 writes {path} anew");
}
