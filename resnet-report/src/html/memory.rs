//! The memory of activations: what lies where, and when.

use super::stages;
use super::text::{bytes, escape, grouped, joined, percent};
use crate::report::{Buffer, Report};

/// Boxes over steps (from left to right) and bytes (from the bottom to the top).
pub(super) fn memory(report: &Report) -> String {
    let memory = &report.memory;
    let steps = &report.plan.steps;
    let axes = Axes::new(report);
    let name = steps.get(axes.peak).map_or("the end", |step| step.name.as_str());
    let alive = alive(&memory.buffers, axes.peak);
    let share = match alive >= memory.peak_bytes {
        true => "all of them".to_owned(),
        false => format!("{} of them, the most,", grouped(alive as u64)),
    };
    let lead = format!(
        "<p>All activations take {} bytes; step {}, <b>{}</b>, needs {share} at once.</p>\n",
        grouped(memory.peak_bytes as u64),
        axes.peak,
        escape(name),
    );
    let boxes: String = memory.buffers.iter().map(|buffer| axes.draw(buffer)).collect();
    let tick = |quarter: usize| {
        let size = memory.peak_bytes / 4 * quarter + memory.peak_bytes % 4 * quarter / 4;
        format!("<span style=\"bottom:{}%\">{}</span>", 25 * quarter, joined(bytes(size)))
    };
    let ticks: String = (0..=4).map(tick).collect();
    let peak = percent(axes.peak as f64 + 0.5, axes.columns as f64);
    format!(
        "{lead}<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"The memory plan\"><div class=\"plan\">\
         <div class=\"bytes\" aria-hidden=\"true\">{ticks}</div>\n\
         <div class=\"boxes\" role=\"group\" aria-label=\"Buffers over steps and bytes\">\n\
         <i class=\"peak\" style=\"left:{peak}\"></i>{boxes}</div>\n\
         <div class=\"steps\" aria-hidden=\"true\">{}</div></div></div>\n{}",
        spans(report, axes.columns),
        legend(&memory.buffers),
    )
}

fn legend(buffers: &[Buffer]) -> String {
    let mut keys = vec![
        ("at-peak", "needed at the peak"),
        ("buffer", "other buffers"),
        ("mark", "the step of the peak"),
    ];
    if buffers.iter().any(|buffer| buffer.whole) {
        keys.push(("buffer whole", "double border: holds something of all images, not only of a pass'"));
    }
    let key = |(class, what)| format!("<span><i class=\"swatch {class}\"></i>{what}</span>");
    let keys: String = keys.into_iter().map(key).collect();
    format!("<p class=\"legend\">{keys}</p>\n")
}

/// What a diagram of memory is as wide and as high as, and where its peak is.
struct Axes {
    /// One for each step, and one for what is left at the end.
    columns: usize,
    bytes: usize,
    peak: usize,
}

impl Axes {
    fn new(report: &Report) -> Self {
        let columns = report.plan.steps.len() + 1;
        let most = |step: &usize| alive(&report.memory.buffers, *step);
        let peak = (0..columns).rev().max_by_key(most).unwrap_or(0);
        Axes { columns, bytes: report.memory.peak_bytes, peak }
    }

    fn draw(&self, buffer: &Buffer) -> String {
        let Buffer { name, offset, bytes, live: [first, last], whole } = buffer;
        let at_peak = is_alive(buffer, self.peak);
        let until =
            if last.saturating_add(1) < self.columns { last.to_string() } else { "the end".to_owned() };
        let label = format!(
            "{name}: {} bytes from byte {}, steps {first} to {until}{}{}",
            grouped(*bytes as u64),
            grouped(*offset as u64),
            if at_peak { ", needed at the peak" } else { "" },
            if *whole { ", of all images" } else { "" },
        );
        let across = |steps: usize| percent(steps as f64, self.columns as f64);
        let up = |bytes: usize| percent(bytes as f64, self.bytes as f64);
        format!(
            "<button type=\"button\" class=\"{}{}\" style=\"left:{};width:{};bottom:{};height:{}\" aria-label=\"{}\">\
             <span>{}</span></button>\n",
            if at_peak { "at-peak" } else { "" },
            if *whole { " whole" } else { "" },
            across(*first),
            across(last.saturating_add(1).saturating_sub(*first)),
            up(*offset),
            up(*bytes),
            escape(&label),
            escape(name),
        )
    }
}

/// Bytes that a step needs.
fn alive(buffers: &[Buffer], step: usize) -> usize {
    let alive = buffers.iter().filter(|buffer| is_alive(buffer, step));
    alive.fold(0, |sum, buffer| sum.saturating_add(buffer.bytes))
}

fn is_alive(buffer: &Buffer, step: usize) -> bool {
    (buffer.live[0]..=buffer.live[1]).contains(&step)
}

/// Which steps are a stage's.
fn spans(report: &Report, columns: usize) -> String {
    let span = |stage: &stages::Stage<'_>| {
        let steps = || stage.layers.iter().flat_map(|layer| layer.steps.iter().copied());
        let (Some(first), Some(last)) = (steps().min(), steps().max()) else { return String::new() };
        format!(
            "<span style=\"left:{};width:{}\"><b>{}</b></span>",
            percent(first as f64, columns as f64),
            percent((last - first) as f64 + 1.0, columns as f64),
            escape(stage.name),
        )
    };
    stages::of(report).iter().map(span).collect()
}
