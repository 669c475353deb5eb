//! `resnet classify`: what is in images.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use resnet::runtime::{Description, Isa, Program, Weights};
use resnet_plan::Text;

use crate::images;
use crate::machine::Machine;
use crate::model::Settings;
use crate::print::{complain, say};
use crate::weights::{self, Despite, WeightSource};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// PNG, JPEG, BMP, GIF, WebP or PNM
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// A spec file (.yaml or .yml), or the name of a spec that ships
    #[arg(long, value_name = "SPEC", default_value = "digits")]
    model: String,
    #[arg(long, help = weights::HELP, value_name = "FILE|formula|init[:SEED]")]
    weights: Option<WeightSource>,
    #[command(flatten)]
    despite: Despite,
    #[command(flatten)]
    settings: Settings,
    /// How many classes to name
    #[arg(long, value_name = "K", default_value_t = 3)]
    top: usize,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let plan = arguments.settings.read(&arguments.model)?.batch(1).compile()?.plan;
    let isa = arguments.machine.isa()?.serving(plan.description.precision);
    let weights = match &arguments.weights {
        Some(source) => arguments.despite.load(source, plan.description(), isa)?,
        None => built_in(&arguments.model, plan.description(), isa)?,
    };
    let weight_bytes = weights.bytes();
    let (input, description) = (plan.input, plan.description.clone());
    let mut program = Program::new(plan, weights, threads)?;
    let widest = arguments.images.iter().map(|path| path.display().to_string().len()).max().unwrap_or(0);
    let mut seconds = 0.0;
    let mut failed = 0;
    for path in &arguments.images {
        let input = match images::read(path, input, &description.preprocessing) {
            Ok(input) => input,
            Err(error) => {
                complain(format_args!("error: {error:#}"));
                failed += 1;
                continue;
            }
        };
        let start = Instant::now();
        let scores = program.run(&input)?;
        let time = start.elapsed().as_secs_f64();
        if scores.iter().any(|score| score.is_nan()) {
            bail!(
                "{}: the scores are no numbers: see the weights, and the spec's preprocessing",
                path.display()
            );
        }
        seconds += time;
        let probabilities = if description.probabilities { scores.to_vec() } else { softmax(scores) };
        let best = best(&probabilities, arguments.top);
        let classes: Vec<String> = best
            .into_iter()
            .map(|class| {
                format!("{} {:.1}%", label(&description.labels, class), probabilities[class] * 100.0)
            })
            .collect();
        say!("{:widest$}  {}  ({:.2} ms)", path.display(), classes.join("  "), time * 1e3)?;
    }
    let done = arguments.images.len() - failed;
    if done > 0 {
        say!(
            "\n{done} image(s) by {} on {isa}, {} thread(s): {:.2} ms an image, {} of memory (activations {}, weights {})",
            arguments.model,
            program.threads(),
            seconds * 1e3 / done as f64,
            size(description.peak_bytes + weight_bytes),
            size(description.peak_bytes),
            size(weight_bytes),
        )?;
    }
    if failed > 0 { Err(anyhow::anyhow!("{failed} image(s) could not be read")) } else { Ok(()) }
}

/// The weights of `digits`, trained by `models/train_digits.py`.
fn built_in(model: &str, description: &Description, isa: Isa) -> anyhow::Result<Weights> {
    const DIGITS: &[u8] = include_bytes!(env!("RESNET_DIGITS"));
    match model {
        "digits" => Ok(Weights::from_bytes_for(isa, description, DIGITS)?),
        _ => bail!("no weights of `{model}` are built in: give a file with --weights"),
    }
}

fn label(labels: &[Text], class: usize) -> String {
    labels.get(class).map_or_else(|| format!("class {class}"), |label| label.to_string())
}

/// The most probable classes, the best first.
fn best(probabilities: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    order.truncate(count.max(1));
    order
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
