//! The graph, a stage at a time.

use std::collections::HashMap;

use super::text::{count, escape, joined, several, shape, time};
use crate::report::{Layer, Report};
use crate::svg::stage_svgs;

/// The layers of a stage.
pub(super) struct Stage<'a> {
    pub(super) name: &'a str,
    pub(super) layers: Vec<&'a Layer>,
}

impl Stage<'_> {
    pub(super) fn predicted_us(&self) -> f64 {
        self.layers.iter().map(|layer| layer.predicted_us).sum()
    }
}

/// In the order in which they begin.
pub(super) fn of(report: &Report) -> Vec<Stage<'_>> {
    let mut stages: Vec<Stage<'_>> = Vec::new();
    for layer in &report.layers {
        match stages.iter_mut().find(|stage| stage.name == layer.stage) {
            Some(stage) => stage.layers.push(layer),
            None => stages.push(Stage { name: &layer.stage, layers: vec![layer] }),
        }
    }
    stages
}

pub(super) fn stages(report: &Report) -> String {
    let diagrams: HashMap<String, String> = stage_svgs(report).into_iter().collect();
    let total: f64 = report.layers.iter().map(|layer| layer.predicted_us).sum();
    let stage = |(index, stage): (usize, &Stage<'_>)| {
        let sum = |of: fn(&Layer) -> u64| count(stage.layers.iter().map(|layer| of(layer)).sum());
        let us = stage.predicted_us();
        format!(
            "<details{open}><summary><b>{name}</b><span>{layers}</span><span>{shape}</span>\
             <span>{parameters} parameters</span><span>{macs} MACs</span>\
             <span>{time}, {share}</span></summary>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"The graph of {name}\">{diagram}</div></details>\n",
            open = if index < 2 { " open" } else { "" },
            name = escape(stage.name),
            layers = several(stage.layers.len(), "layer"),
            shape = stage.layers.last().map(|layer| shape(layer.shape)).unwrap_or_default(),
            parameters = sum(|layer| layer.parameters),
            macs = sum(|layer| layer.macs),
            time = joined(time(us)),
            share = share(us / total),
            diagram = diagrams.get(stage.name).map(String::as_str).unwrap_or_default(),
        )
    };
    of(report).iter().enumerate().map(stage).collect()
}

/// In percent.
fn share(of: f64) -> String {
    match 100.0 * of {
        percent if percent < 1.0 => "&lt;1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}
