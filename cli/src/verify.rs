//! `resnet verify`: what a precision costs, layer by layer.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::inputs::{self, Inputs};
use crate::networks::{self, Machine};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference
    #[arg(long, value_name = "FILE|formula")]
    weights: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// The precision that is compared with f32
    #[arg(long, value_name = "P")]
    precision: String,
    /// Load weights that the scales of int8 were not calibrated with
    #[arg(long)]
    despite_calibration: bool,
    #[command(flatten)]
    machine: Machine,
}

/// How far a value is from what it is in f32, over all inputs.
#[derive(Default)]
struct Distance {
    largest: f64,
    signal: f64,
    error: f64,
    other: f64,
    product: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let exact = networks::find(&arguments.model, 1, "f32")?;
    let other = networks::find(&arguments.model, 1, &arguments.precision)?;
    let (threads, isa) = (arguments.machine.threads()?, arguments.machine.isa()?);
    let inputs = arguments.inputs.read(exact)?;
    let (exact_plan, other_plan) = (exact.compiled()?.plan, other.compiled()?.plan);
    let mut exact_session = exact.start(exact.weights(&arguments.weights, isa, false)?, threads);
    let weights = other.weights(&arguments.weights, isa, arguments.despite_calibration)?;
    let mut other_session = other.start(weights, threads);
    let mut names: Vec<String> = Vec::new();
    let mut distances: HashMap<String, Distance> = HashMap::new();
    let mut scores_apart = Distance::default();
    let (mut first, mut fifth) = (0, 0);
    let bar = inputs::progress(inputs.len());
    for input in &inputs {
        let mut values: HashMap<String, (Vec<f32>, usize)> = HashMap::new();
        let expected =
            inputs::observe(&exact_plan, exact_session.as_mut(), input, |name, numbers, channels| {
                values.insert(name.to_owned(), (numbers.to_vec(), channels));
            })?;
        let found =
            inputs::observe(&other_plan, other_session.as_mut(), input, |name, numbers, channels| {
                let Some((expected, expected_channels)) = values.get(name) else { return };
                let distance = distances.entry(name.to_owned()).or_insert_with(|| {
                    names.push(name.to_owned());
                    Distance::default()
                });
                let pixels = expected.chunks_exact(*expected_channels).zip(numbers.chunks_exact(channels));
                pixels.for_each(|(expected, found)| distance.add(expected, found));
            })?;
        scores_apart.add(&expected, &found);
        let (expected, found) = (best(&expected), best(&found));
        first += usize::from(expected.first() == found.first());
        fifth +=
            usize::from(expected.first().is_some_and(|best| found.iter().take(5).any(|class| class == best)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} in {} against f32, {} input(s)", arguments.model, arguments.precision, inputs.len());
    println!("{:>12} {:>8} {:>10}  value", "max error", "SNR, dB", "cosine");
    let line = |name: &str, distance: &Distance| {
        let Distance { largest, .. } = distance;
        println!("{largest:>12.3e} {:>8.1} {:>10.6}  {name}", distance.decibels(), distance.cosine());
    };
    names.iter().for_each(|name| line(name, &distances[name]));
    line("the scores", &scores_apart);
    let worst = names.iter().min_by(|a, b| distances[*a].decibels().total_cmp(&distances[*b].decibels()));
    if let Some(worst) = worst {
        println!("worst: {worst}, {:.1} dB", distances[worst].decibels());
    }
    let count = inputs.len();
    println!(
        "the best class is the same for {first} of {count}, and among the best five for {fifth} of {count}"
    );
    Ok(())
}

impl Distance {
    fn add(&mut self, expected: &[f32], found: &[f32]) {
        for (expected, found) in expected.iter().zip(found) {
            let (expected, found) = (f64::from(*expected), f64::from(*found));
            self.largest = self.largest.max((expected - found).abs());
            self.signal += expected * expected;
            self.error += (expected - found).powi(2);
            self.other += found * found;
            self.product += expected * found;
        }
    }

    /// Signal over error.
    fn decibels(&self) -> f64 {
        10.0 * (self.signal / self.error).log10()
    }

    fn cosine(&self) -> f64 {
        self.product / (self.signal * self.other).sqrt()
    }
}

/// The classes, the best first.
fn best(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}
