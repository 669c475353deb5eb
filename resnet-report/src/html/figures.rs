//! The figures that matter first.

use super::text::{bytes, escape, grouped, joined, scaled, shape, time};
use crate::report::{Measured, Report, Verified};

/// What goes in and what comes out: `224×224×3 → fc 1×1×1000, f32, 8 images a run`.
pub(super) fn signature(report: &Report) -> String {
    let spec = &report.spec;
    let outputs: Vec<String> = spec
        .outputs
        .iter()
        .map(|output| format!("<b>{}</b> {}", escape(&output.name), shape(output.shape)))
        .collect();
    let batch = match spec.input[0] {
        1 => String::new(),
        batch => format!(", {batch} images a run"),
    };
    format!("{} → {}, {}{batch}", shape(spec.input), outputs.join(", "), escape(&spec.precision))
}

pub(super) fn figures(report: &Report) -> String {
    let costs = &report.costs;
    let weights = &costs.weight_bytes;
    let (own, others) = match report.spec.precision.as_str() {
        "bf16" => (weights.bf16, [("f32", weights.f32), ("int8", weights.int8)]),
        "int8" => (weights.int8, [("f32", weights.f32), ("bf16", weights.bf16)]),
        _ => (weights.f32, [("bf16", weights.bf16), ("int8", weights.int8)]),
    };
    let others = others.map(|(precision, size)| format!("{precision} {}", joined(bytes(size))));
    let images = match report.spec.input[0] {
        1 => "a run, one image".to_owned(),
        batch => format!("a run, {batch} images"),
    };
    let scratch = format!("and {} a thread to work in", joined(bytes(report.memory.scratch_bytes)));
    let machine = format!("on {}", costs.machine.name);
    let mut all = figure("Parameters", scaled(costs.parameters), &grouped(costs.parameters))
        + &figure("Multiply-adds", scaled(costs.macs), &images)
        + &figure("Weights", bytes(own), &others.join(", "))
        + &figure("Peak of activations", bytes(costs.peak_bytes), &scratch)
        + &figure("Predicted time", time(1e3 * costs.predicted_ms), &machine);
    all += &report.measured.as_ref().map(measured).unwrap_or_default();
    all += &report.verified.as_ref().map(verified).unwrap_or_default();
    all
}

fn measured(Measured { isa, threads, runs, steps_us, .. }: &Measured) -> String {
    let threads = if *threads == 1 { "one thread".to_owned() } else { format!("{threads} threads") };
    figure(
        "Measured time",
        time(steps_us.iter().sum()),
        &format!("on {isa}, {threads}, median of {runs} runs"),
    )
}

fn verified(Verified { reference, inputs, isas }: &Verified) -> String {
    let beyond = isas.iter().flat_map(|isa| &isa.layers).filter(|layer| !layer.within).count();
    let note = format!("{inputs} inputs against {reference}, {} instruction sets", isas.len());
    figure("Beyond bounds", (grouped(beyond as u64), "layers"), &note)
}

fn figure(name: &str, (number, unit): (String, &str), note: &str) -> String {
    format!(
        "<div><dt>{name}</dt><dd class=\"number\">{number} <small>{unit}</small></dd><dd>{}</dd></div>\n",
        escape(note)
    )
}
