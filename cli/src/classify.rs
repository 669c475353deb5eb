//! `resnet classify`: what is in pictures.

use std::path::PathBuf;
use std::time::Instant;

use crate::networks::{self, Machine};
use crate::picture;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Pictures: PNG, JPEG, BMP, GIF, WebP or PNM
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The network: its spec's path under specs/ without the ending
    #[arg(long, default_value = "digits")]
    model: String,
    /// A safetensors file [default for digits: built in]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What the layers compute in: f32, bf16 or int8
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
    /// How many classes to name
    #[arg(long, value_name = "K", default_value_t = 3)]
    top: usize,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let variant = networks::find(&arguments.model, 1, &arguments.precision)?;
    let description = variant.description;
    let isa = arguments.machine.isa()?.serving(description.precision);
    let weights = match &arguments.weights {
        Some(file) => variant.weights(file, isa, false)?,
        None => variant.embedded_weights(isa)?,
    };
    let weight_bytes = weights.bytes();
    let mut session = variant.start(weights, threads);
    let widest = arguments.images.iter().map(|path| path.display().to_string().len()).max().unwrap_or(0);
    let mut seconds = 0.0;
    let mut failed = 0;
    for path in &arguments.images {
        let input = match picture::read(path, variant.input, &description.preprocessing) {
            Ok(input) => input,
            Err(error) => {
                eprintln!("error: {error:#}");
                failed += 1;
                continue;
            }
        };
        let start = Instant::now();
        let scores = session.run(&input)?;
        let time = start.elapsed().as_secs_f64();
        seconds += time;
        let probabilities = if description.probabilities { scores.to_vec() } else { softmax(scores) };
        let best = best(&probabilities, arguments.top);
        let classes: Vec<String> = best
            .into_iter()
            .map(|class| format!("{} {:.1}%", label(description.labels, class), probabilities[class] * 100.0))
            .collect();
        println!("{:widest$}  {}  ({:.2} ms)", path.display(), classes.join("  "), time * 1e3);
    }
    let done = arguments.images.len() - failed;
    if done > 0 {
        println!(
            "\n{done} image(s) by {} on {isa}, {} thread(s): {:.2} ms an image, {} of memory (activations {}, weights {})",
            variant.model,
            session.threads(),
            seconds * 1e3 / done as f64,
            size(description.peak_bytes + weight_bytes),
            size(description.peak_bytes),
            size(weight_bytes),
        );
    }
    if failed > 0 { Err(anyhow::anyhow!("{failed} picture(s) could not be read")) } else { Ok(()) }
}

fn label(labels: &[&str], class: usize) -> String {
    labels.get(class).map_or_else(|| format!("class {class}"), |label| (*label).to_owned())
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
