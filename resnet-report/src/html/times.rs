//! Where the time goes: bars of stages, each beginning where the one before it ends, and in them bars of layers.

use super::stages::{self, Stage};
use super::text::{escape, joined, percent, time};
use crate::report::{Layer, Report};

pub(super) fn times(report: &Report) -> String {
    let bars = Bars::new(report);
    let whole = bars.total[0].max(bars.total[1]);
    let longest =
        report.layers.iter().map(|layer| bars.of(layer)).fold(0.0, |most: f64, [a, b]| most.max(a).max(b));
    let mut begin = [0.0; 2];
    let mut rows = String::new();
    for stage in stages::of(report) {
        let times = bars.sum(&stage);
        let layers: String = stage
            .layers
            .iter()
            .filter(|layer| !layer.steps.is_empty())
            .map(|layer| {
                let name = escape(&layer.name);
                format!("<div class=\"row\">{}</div>\n", bars.row(&name, bars.of(layer), [0.0; 2], longest))
            })
            .collect();
        let row = bars.row(&escape(stage.name), times, begin, whole);
        rows += &format!("<details><summary class=\"row\">{row}</summary>\n{layers}</details>\n");
        begin = [begin[0] + times[0], begin[1] + times[1]];
    }
    let measured = if bars.measured { "<span>measured</span>" } else { "" };
    let key = |class: &str| format!("<span><i class=\"swatch {class}\"></i>{class}</span>");
    let keys = key("predicted") + &if bars.measured { key("measured") } else { String::new() };
    format!(
        "<p>Predicted for {}. The bar of a stage begins where the one before ends; bars of layers are to the scale of the longest.</p>\n\
         <p class=\"legend\">{keys}</p>\n<div class=\"times{}\">\n<div class=\"row head\"><span>stage</span><span class=\"bars\"></span><span>predicted</span>{measured}</div>\n\
         {rows}<div class=\"row total\">{}</div>\n</div>\n",
        escape(&report.costs.machine.name),
        if bars.measured { " with-measured" } else { "" },
        bars.row("total", bars.total, [0.0; 2], whole),
    )
}

/// Microseconds, predicted and measured.
struct Bars<'a> {
    report: &'a Report,
    measured: bool,
    total: [f64; 2],
}

impl<'a> Bars<'a> {
    fn new(report: &'a Report) -> Self {
        let measured = report.measured.is_some();
        let bars = Bars { report, measured, total: [0.0; 2] };
        let add = |[a, b]: [f64; 2], layer: &Layer| {
            let [c, d] = bars.of(layer);
            [a + c, b + d]
        };
        Bars { report, measured, total: report.layers.iter().fold([0.0; 2], add) }
    }

    fn of(&self, layer: &Layer) -> [f64; 2] {
        [layer.predicted_us, measured_us(self.report, layer).unwrap_or(0.0)]
    }

    fn sum(&self, stage: &Stage<'_>) -> [f64; 2] {
        stage.layers.iter().map(|layer| self.of(layer)).fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d])
    }

    /// A name, bars that begin somewhere, and what they say.
    fn row(&self, name: &str, times: [f64; 2], begin: [f64; 2], whole: f64) -> String {
        let bar = |index: usize, class: &str| {
            let (left, width) = (percent(begin[index], whole), percent(times[index], whole));
            format!("<i class=\"{class}\" style=\"left:{left};width:{width}\"></i>")
        };
        let [predicted, measured] = times.map(|us| joined(time(us)));
        let (bars, measured) = match self.measured {
            true => (bar(0, "predicted") + &bar(1, "measured"), format!("<span>{measured}</span>")),
            false => (bar(0, "predicted"), String::new()),
        };
        format!("<span>{name}</span><span class=\"bars\">{bars}</span><span>{predicted}</span>{measured}")
    }
}

/// Microseconds of a layer's steps, if that was measured.
pub(super) fn measured_us(report: &Report, layer: &Layer) -> Option<f64> {
    let measured = report.measured.as_ref()?;
    Some(layer.steps.iter().filter_map(|step| measured.steps_us.get(*step)).sum())
}
