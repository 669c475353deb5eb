//! The table of layers.

use super::text::{decimal, escape, grouped, shape};
use super::times::measured_us;
use crate::report::{Layer, Report};

const ROOFLINE: &str = "the least time that its operations or its bytes take on that machine, over the predicted time: \
                        more than 100% where an algorithm has fewer operations than a direct sum";

pub(super) fn layers(report: &Report) -> String {
    let mut columns = vec![
        ("step", "", "its first step in the plan"),
        ("layer", "", "its name, what it is, and what is fused into it"),
        ("shape", "", "height × width × channels of what it writes, of each image"),
        ("parameters", "", "learned, those of what is fused included"),
        ("MACs", "million", "multiply-adds, as many as a direct sum has"),
        ("bytes", "kB", "of weights, and of activations read and written"),
        ("intensity", "", "operations (a multiply-add is two) a byte"),
        ("algorithm", "", "how a convolution is computed"),
        ("predicted", "µs", "on the machine of the figures above"),
        ("roofline", "", ROOFLINE),
    ];
    if report.measured.is_some() {
        columns.push(("measured", "µs", "median of the runs"));
    }
    let head = |(name, unit, what): &(&str, &str, &str)| {
        let class = if matches!(*name, "layer" | "algorithm") { " class=\"word\"" } else { "" };
        let unit = if unit.is_empty() { String::new() } else { format!(" <small>{unit}</small>") };
        format!(
            "<th scope=\"col\"{class} title=\"{what}\"><button type=\"button\">{name}{unit}</button></th>"
        )
    };
    let heads: String = columns.iter().map(head).collect();
    let keys: String =
        columns.iter().map(|(name, _, what)| format!("<dt>{name}</dt><dd>{what}</dd>\n")).collect();
    let rows: String = report.layers.iter().map(|layer| row(report, layer)).collect();
    format!(
        "<div class=\"wide tall\" tabindex=\"0\" role=\"region\" aria-label=\"The layers\"><table id=\"table\">\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n\
         <details class=\"key\"><summary>What the columns are</summary><dl>\n{keys}</dl></details>\n"
    )
}

fn row(report: &Report, layer: &Layer) -> String {
    let step = layer.steps.first().map(ToString::to_string).unwrap_or_default();
    let fused: Vec<String> = layer
        .fused
        .iter()
        .filter(|fused| !fused.before)
        .map(|fused| fused.operator.replace('_', " "))
        .collect();
    let fused = if fused.is_empty() { String::new() } else { format!(" + {}", fused.join(" + ")) };
    let measured =
        measured_us(report, layer).map(|us| format!("<td>{}</td>", decimal(us))).unwrap_or_default();
    format!(
        "<tr><td>{step}</td><th scope=\"row\">{name}<small>{kind}{fused}</small></th><td>{shape}</td><td>{parameters}</td>\
         <td>{macs}</td><td>{bytes}</td><td>{intensity}</td><td class=\"word\">{algorithm}</td>\
         <td>{predicted}</td><td>{roofline}</td>{measured}</tr>\n",
        name = escape(&layer.name),
        kind = escape(&layer.kind),
        fused = escape(&fused),
        shape = shape(layer.shape),
        parameters = grouped(layer.parameters),
        macs = decimal(layer.macs as f64 / 1e6),
        bytes = grouped((layer.weight_bytes as u64 + layer.activation_bytes as u64).div_ceil(1000)),
        intensity = decimal(layer.intensity),
        algorithm = escape(layer.algorithm.as_deref().unwrap_or_default()).replace('|', "|<wbr>"),
        predicted = decimal(layer.predicted_us),
        roofline = roofline(report, layer),
    )
}

/// How close the predicted time is to the least that operations or bytes take, in percent.
fn roofline(report: &Report, layer: &Layer) -> String {
    let machine = &report.costs.machine;
    let computed = 2e-3 * layer.macs as f64 / machine.gflops;
    let moved = 1e-3 * (layer.weight_bytes as f64 + layer.activation_bytes as f64) / machine.bandwidth;
    let share = 100.0 * computed.max(moved) / layer.predicted_us;
    if share.is_finite() { format!("{share:.0}%") } else { String::new() }
}
