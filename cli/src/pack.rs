//! `resnet pack`: folds, transforms and packs weights once, into a file that is mapped from then on.

use std::path::PathBuf;

use crate::networks::{self, Machine};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference
    #[arg(long, value_name = "FILE|formula")]
    weights: PathBuf,
    /// The packed file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Images a run: another number of them may be computed, and packed, in another way
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// What the layers compute in
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let isa = arguments.machine.isa()?;
    let variant = networks::find(&arguments.model, arguments.batch, &arguments.precision)?;
    let weights = variant.weights(&arguments.weights, isa)?;
    weights.save(variant.description, &arguments.output)?;
    let (file, bytes) = (arguments.output.display(), weights.bytes());
    println!("{file}: {} packed for {isa}, {:.1} MB", variant.model, bytes as f64 / 1e6);
    Ok(())
}
