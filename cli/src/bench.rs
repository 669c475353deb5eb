//! `resnet bench`: the time of a network's `run`, whole batch, input copy included.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use resnet::runtime::Weights;
use serde_json::json;

use crate::layers;
use crate::networks::{self, Machine, Variant};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference [default: random]
    #[arg(long, value_name = "FILE|formula")]
    weights: Option<PathBuf>,
    /// Images a run
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// What the layers compute in: f32, bf16 or int8
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
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
    let isa = arguments.machine.isa()?;
    let seconds = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let variant = networks::find(&arguments.model, arguments.batch, &arguments.precision)?;
    let isa = isa.serving(variant.description.precision);
    let weights = match &arguments.weights {
        Some(file) => variant.weights(file, isa, false)?,
        None => Weights::init_for(isa, variant.description, 0),
    };
    let mut session = variant.start(weights, threads);
    let input = noise(variant.input.iter().product());
    measure(session.as_mut(), &input, seconds / 5)?;
    if arguments.layers {
        return layers::print(variant, session.as_mut(), &input, seconds, isa);
    }
    let times = measure(session.as_mut(), &input, seconds)?;
    let report = Report::new(variant, isa.to_string(), session.threads(), &times);
    if arguments.json {
        report.print_json()
    } else {
        report.print()
    }
    Ok(())
}

struct Report<'a> {
    variant: &'a Variant,
    isa: String,
    threads: usize,
    runs: usize,
    min_ms: f64,
    median_ms: f64,
    p90_ms: f64,
    gflops: f64,
}

impl<'a> Report<'a> {
    fn new(variant: &'a Variant, isa: String, threads: usize, sorted_ms: &[f64]) -> Self {
        let at = |share: f64| sorted_ms[((sorted_ms.len() - 1) as f64 * share).round() as usize];
        let median_ms = at(0.5);
        Report {
            variant,
            isa,
            threads,
            runs: sorted_ms.len(),
            min_ms: at(0.0),
            median_ms,
            p90_ms: at(0.9),
            gflops: 2.0 * variant.description.macs as f64 / median_ms / 1e6,
        }
    }

    fn print_json(&self) {
        let Report { variant, isa, threads, runs, min_ms, median_ms, p90_ms, gflops } = self;
        let object = json!({
            "model": variant.model,
            "precision": variant.precision(),
            "isa": isa,
            "threads": threads,
            "batch": variant.input[0],
            "runs": runs,
            "min_ms": min_ms,
            "median_ms": median_ms,
            "p90_ms": p90_ms,
            "gflops": gflops,
            "peak_bytes": variant.description.peak_bytes,
            "weight_bytes": variant.description.weight_bytes,
        });
        println!("{object}");
    }

    fn print(&self) {
        let Report { variant, isa, threads, runs, min_ms, median_ms, p90_ms, gflops } = self;
        println!(
            "{} {} on {isa}, batch {}, {threads} thread(s), {runs} runs",
            variant.model,
            variant.precision(),
            variant.input[0]
        );
        println!("  median {median_ms:.3} ms   min {min_ms:.3}   p90 {p90_ms:.3}   {gflops:.1} GFLOP/s");
        println!(
            "  arena {:.2} MB, weights {:.2} MB",
            variant.description.peak_bytes as f64 / 1e6,
            variant.description.weight_bytes as f64 / 1e6
        );
    }
}

/// Times of at least three runs, in milliseconds, sorted.
fn measure(session: &mut dyn networks::Run, input: &[f32], budget: Duration) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < budget {
        let run = Instant::now();
        session.run(input)?;
        times.push(run.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Numbers in [-2, 2), the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
        .collect()
}
