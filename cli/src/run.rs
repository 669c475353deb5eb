//! `resnet run`: the output of a network for an input in a file.

use std::path::PathBuf;

use anyhow::Context;

use crate::arrays;
use crate::networks::{Machine, Model};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: Model,
    /// Input: npy, float32, NHWC
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Output: npy, float32, NHWC
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let isa = arguments.machine.isa()?;
    let variant = arguments.model.variant(arrays::batch(&arguments.input)?)?;
    let input = arrays::read(&arguments.input, variant.input)?;
    let weights = arguments.model.weights(variant, isa)?;
    let mut session = variant.start(weights, threads);
    let output = session.run(&input).context("running the network")?;
    arrays::write(&arguments.output, variant.output, output)
}
