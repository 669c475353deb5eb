//! `resnet pack`: folds, transforms and packs weights once, into a file that is mapped from then on.

use std::path::PathBuf;

use crate::networks::{Machine, Model};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: Model,
    /// The packed file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Images a run: another number of them may be computed, and packed, in another way
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let variant = arguments.model.variant(arguments.batch)?;
    let isa = arguments.machine.isa()?.serving(variant.description.precision);
    let weights = arguments.model.weights(variant, isa)?;
    weights.save(variant.description, &arguments.output)?;
    let (file, bytes) = (arguments.output.display(), weights.bytes());
    println!("{file}: {} packed for {isa}, {:.1} MB", variant.model, bytes as f64 / 1e6);
    Ok(())
}
