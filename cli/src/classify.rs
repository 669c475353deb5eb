//! `resnet classify`: what is in images.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use resnet::runtime::{Description, Guesser, Isa, Weights};
use resnet::{Guess, Preprocessor};
use serde_json::{Value, json};

use crate::images::{self, Limit, Source};
use crate::machine::Machine;
use crate::model::Settings;
use crate::pipeline::{self, Output};
use crate::print::{complain, say};
use crate::progress;
use crate::weights::{self, Despite, WeightSource};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// PNG, JPEG, BMP, GIF, WebP or PNM; a folder: its images; -: standard input
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
    /// Print one JSON object an image, each on a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let plan = arguments.settings.read(&arguments.model)?.batch(1).compile()?.plan;
    let description = plan.description();
    let mut guesser = Guesser::new(description)?;
    let isa = arguments.machine.isa()?.serving(description.precision);
    let images = images::sources(&arguments.images)?;
    let weights = match &arguments.weights {
        Some(source) => arguments.despite.load(source, description, isa)?,
        None => built_in(&arguments.model, description, isa)?,
    };
    let widest = images.iter().map(|image| image.to_string().len()).max().unwrap_or(0);
    let (mut seconds, mut failed) = (0.0, 0);
    let reader = || {
        let mut preprocessor = Preprocessor::new(&description.preprocessing, plan.input);
        let (images, limit) = (&images, arguments.limit);
        move |index: usize, input: &mut [f32]| Ok(preprocessor.apply(&images[index].open(limit)?, input)?)
    };
    // Where lines are seen, they are the progress.
    let bar = match std::io::stdout().is_terminal() {
        true => ProgressBar::hidden(),
        false => progress::bar(images.len(), "images"),
    };
    let start = Instant::now();
    let team =
        pipeline::run(&plan, &weights, threads, images.len(), reader, |index, Output { values, time }| {
            bar.inc(1);
            let output = match values {
                Ok(output) => output,
                Err(error) => {
                    bar.suspend(|| complain(format_args!("error: {error:#}")));
                    failed += 1;
                    return Ok(());
                }
            };
            let image = &images[index];
            let scores = output.last().map_or(&[][..], Vec::as_slice);
            let scores = guesser.scores(scores).with_context(|| image.to_string())?;
            let guesses = scores.top(arguments.top.max(1));
            let milliseconds = time.as_secs_f64() * 1e3;
            seconds += time.as_secs_f64();
            if arguments.json {
                return Ok(say!("{}", object(image, &guesses, milliseconds))?);
            }
            let guess = |guess: &Guess| format!("{} {:.1}%", guess.label, guess.probability * 100.0);
            let guesses: Vec<String> = guesses.iter().map(guess).collect();
            Ok(say!("{image:widest$}  {}  ({milliseconds:.2} ms)", guesses.join("  "))?)
        })?;
    bar.finish_and_clear();
    let elapsed = start.elapsed().as_secs_f64();
    let done = images.len() - failed;
    if done > 0 && !arguments.json {
        let activations = description.peak_bytes * team.programs;
        say!(
            "\n{done} image(s) by {} on {isa}, {team}: {:.2} ms an image, {:.0} images/s with reading, \
             {} of memory (activations {}, weights {})",
            arguments.model,
            seconds * 1e3 / done as f64,
            done as f64 / elapsed,
            size(activations + weights.bytes()),
            size(activations),
            size(weights.bytes()),
        )?;
    }
    if failed > 0 { Err(anyhow::anyhow!("{failed} image(s) could not be read")) } else { Ok(()) }
}

/// What was found in an image, the likeliest first.
fn object(image: &Source, guesses: &[Guess], milliseconds: f64) -> Value {
    let guess = |guess: &Guess| json!({"class": guess.class, "label": guess.label.to_string(), "probability": guess.probability});
    json!({
        "image": image.to_string(),
        "guesses": guesses.iter().map(guess).collect::<Vec<_>>(),
        "ms": milliseconds,
    })
}

/// The weights of `digits`, trained by `models/train_digits.py`.
fn built_in(model: &str, description: &Description, isa: Isa) -> anyhow::Result<Weights> {
    const DIGITS: &[u8] = include_bytes!(env!("RESNET_DIGITS"));
    match model {
        "digits" => Ok(Weights::from_bytes_for(isa, description, DIGITS)?),
        _ => bail!("no weights of `{model}` are built in: give a file with --weights"),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
