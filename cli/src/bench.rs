//! `resnet bench`: the time of a network's executed plan: a run of the whole batch, input copy included.
//!
//! (What the macro compiles calls the same kernels with the same numbers; `cargo bench` times that.)

use std::time::{Duration, Instant};

use anyhow::Context;
use resnet::runtime::{Plan, Program};
use serde_json::json;

use crate::layers;
use crate::machine::Machine;
use crate::model::Network;
use crate::print::{Unwritable, say};
use crate::weights::{self, Despite, WeightSource};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[arg(long, help = weights::HELP, value_name = "FILE|formula|init[:SEED]", default_value = "init")]
    weights: WeightSource,
    #[command(flatten)]
    despite: Despite,
    /// How long to measure, after a warm-up of a fifth of it
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long, conflicts_with = "layers")]
    json: bool,
    /// Print a table of the time of each step
    #[arg(long)]
    layers: bool,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let seconds = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let model = arguments.network.read()?;
    let plan = model.compile()?.plan;
    let isa = arguments.machine.isa()?.serving(plan.description.precision);
    let weights = arguments.despite.load(&arguments.weights, plan.description(), isa)?;
    let mut program = Program::new(plan, weights, threads)?;
    let input = noise(program.plan().input.iter().product());
    measure(&mut program, &input, seconds / 5)?;
    if arguments.layers {
        return layers::print(&model.name, &mut program, &input, seconds, isa);
    }
    let times = measure(&mut program, &input, seconds)?;
    let report = Report::new(&model.name, program.plan(), isa.to_string(), program.threads(), &times);
    if arguments.json {
        report.print_json()?;
    } else {
        report.print()?;
    }
    Ok(())
}

struct Report<'a> {
    model: &'a str,
    plan: &'a Plan,
    isa: String,
    threads: usize,
    runs: usize,
    min_ms: f64,
    median_ms: f64,
    p90_ms: f64,
    gflops: f64,
}

impl<'a> Report<'a> {
    fn new(model: &'a str, plan: &'a Plan, isa: String, threads: usize, sorted_ms: &[f64]) -> Self {
        let at = |share: f64| sorted_ms[((sorted_ms.len() - 1) as f64 * share).round() as usize];
        let median_ms = at(0.5);
        Report {
            model,
            plan,
            isa,
            threads,
            runs: sorted_ms.len(),
            min_ms: at(0.0),
            median_ms,
            p90_ms: at(0.9),
            gflops: 2.0 * plan.description.macs as f64 / median_ms / 1e6,
        }
    }

    fn print_json(&self) -> Result<(), Unwritable> {
        let Report { model, plan, isa, threads, runs, min_ms, median_ms, p90_ms, gflops } = self;
        let object = json!({
            "model": model,
            "precision": plan.description.precision.to_string(),
            "isa": isa,
            "threads": threads,
            "batch": plan.input[0],
            "runs": runs,
            "min_ms": min_ms,
            "median_ms": median_ms,
            "p90_ms": p90_ms,
            "gflops": gflops,
            "peak_bytes": plan.description.peak_bytes,
            "weight_bytes": plan.description.weight_bytes,
        });
        say!("{object}")
    }

    fn print(&self) -> Result<(), Unwritable> {
        let Report { model, plan, isa, threads, runs, min_ms, median_ms, p90_ms, gflops } = self;
        say!(
            "{model} {} on {isa}, batch {}, {threads} thread(s), {runs} runs of the executed plan",
            plan.description.precision,
            plan.input[0]
        )?;
        say!("  median {median_ms:.3} ms   min {min_ms:.3}   p90 {p90_ms:.3}   {gflops:.1} GFLOP/s")?;
        say!(
            "  arena {:.2} MB, weights {:.2} MB",
            plan.description.peak_bytes as f64 / 1e6,
            plan.description.weight_bytes as f64 / 1e6
        )
    }
}

/// Times of at least three runs, in milliseconds, sorted.
fn measure(program: &mut Program, input: &[f32], budget: Duration) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < budget {
        let run = Instant::now();
        program.run(input)?;
        times.push(run.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Values in [-2, 2), the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
        .collect()
}
