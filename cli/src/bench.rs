//! `resnet bench`: the time of a network's executed plan: a run of the whole batch, input copy included.
//!
//! The runs of a measurement are cut into rounds, whose medians tell how much times vary: `compare` tells two of them apart from noise.
//!
//! (What the macro compiles calls the same kernels with the same numbers; `cargo bench` times that.)

mod compare;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use resnet::runtime::{Plan, Program};
use serde_json::json;

use crate::layers::Layers;
use crate::machine::Machine;
use crate::model::Network;
use crate::page;
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
    /// The time of each step
    #[arg(long)]
    layers: bool,
    /// With --layers: write a page of the network with the measured times beside the predicted ones
    #[arg(long, value_name = "FILE", requires = "layers")]
    html: Option<PathBuf>,
    /// Print JSON: an object for what was measured, or one a line for what was compared
    #[arg(long)]
    json: bool,
    /// Compare times that `--json` wrote, of the same networks: one object a line, the old file first
    #[arg(
        long, num_args = 2, value_names = ["OLD", "NEW"],
        conflicts_with_all = ["spec", "batch", "Settings", "Despite", "weights", "seconds", "layers", "html", "threads"]
    )]
    compare: Vec<PathBuf>,
    /// End with exit code 1 if one of the new times is longer by more than this, noise apart
    #[arg(long, value_name = "PERCENT", requires = "compare", conflicts_with = "spec", value_parser = percent)]
    fail_above: Option<f64>,
    #[command(flatten)]
    machine: Machine,
}

/// The most rounds that the runs of a measurement are cut into.
const ROUNDS: usize = 10;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.compare[..] {
        [old, new] => compare::run(old, new, arguments.fail_above, arguments.json),
        _ => arguments.measure(),
    }
}

impl Arguments {
    fn measure(&self) -> anyhow::Result<()> {
        let threads = self.machine.threads()?;
        let seconds = Duration::try_from_secs_f64(self.seconds).context("--seconds")?;
        let model = self.network.read()?;
        let plan = model.compile()?.plan;
        let isa = self.machine.isa()?.serving(plan.description.precision);
        let weights = self.despite.load(&self.weights, plan.description(), isa)?;
        let mut program = Program::new(plan, weights, threads)?;
        let input = noise(program.plan().input.iter().product());
        measure(&mut program, &input, seconds / 5)?;
        if self.layers {
            let layers = Layers::measure(&model.name, &mut program, &input, seconds, isa)?;
            if let Some(path) = &self.html {
                let machine = page::this_machine(isa, program.plan().description.precision, layers.threads);
                page::save(path, &model, &machine, |report| report.measured = Some(layers.measured()))?;
            }
            if self.json {
                say!("{}", layers.json())?;
            } else {
                layers.print()?;
            }
            return Ok(());
        }
        let times = measure(&mut program, &input, seconds)?;
        let report = Report::new(&model.name, program.plan(), isa.to_string(), program.threads(), &times);
        if self.json {
            report.print_json()?;
        } else {
            report.print()?;
        }
        Ok(())
    }
}

/// `5%`, as a share of 1.
fn percent(text: &str) -> Result<f64, String> {
    let number: Result<f64, _> = text.strip_suffix('%').unwrap_or(text).trim().parse();
    match number {
        Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(percent / 100.0),
        _ => Err("expected a percentage from 0, as 5%".to_owned()),
    }
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
    rounds_ms: Vec<f64>,
    gflops: f64,
}

impl<'a> Report<'a> {
    fn new(model: &'a str, plan: &'a Plan, isa: String, threads: usize, times_ms: &[f64]) -> Self {
        let sorted_ms = sorted(times_ms);
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
            rounds_ms: rounds(times_ms),
            gflops: 2.0 * plan.description.macs as f64 / median_ms / 1e6,
        }
    }

    fn print_json(&self) -> Result<(), Unwritable> {
        let Report { model, plan, isa, threads, runs, min_ms, median_ms, p90_ms, rounds_ms, gflops } = self;
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
            "rounds_ms": rounds_ms,
            "gflops": gflops,
            "peak_bytes": plan.description.peak_bytes,
            "weight_bytes": plan.description.weight_bytes,
        });
        say!("{object}")
    }

    fn print(&self) -> Result<(), Unwritable> {
        let Report { model, plan, isa, threads, runs, min_ms, median_ms, p90_ms, gflops, .. } = self;
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

/// Times of at least three runs, in milliseconds.
fn measure(program: &mut Program, input: &[f32], budget: Duration) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < budget {
        let run = Instant::now();
        program.run(input)?;
        times.push(run.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// The medians of equally many runs each that follow one another, as far as their number allows.
fn rounds(times: &[f64]) -> Vec<f64> {
    let count = times.len().min(ROUNDS);
    let round = |index| &times[index * times.len() / count..(index + 1) * times.len() / count];
    (0..count).map(|index| median(round(index))).collect()
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let sorted = sorted(numbers);
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Values in [-2, 2), the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
        .collect()
}
