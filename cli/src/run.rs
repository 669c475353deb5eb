//! `resnet run`: the output of a network for an input in a file.

use std::path::PathBuf;

use anyhow::Context;

use crate::arrays;
use crate::networks::{self, Machine};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference
    #[arg(long, value_name = "FILE|formula")]
    weights: PathBuf,
    /// Input: npy, float32, NHWC
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Output: npy, float32, NHWC
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// What the layers compute in
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let isa = arguments.machine.isa()?;
    let variant = networks::find(&arguments.model, arrays::batch(&arguments.input)?, &arguments.precision)?;
    let input = arrays::read(&arguments.input, variant.input)?;
    let weights = variant.weights(&arguments.weights, isa)?;
    let mut session = variant.start(weights, threads);
    let output = session.run(&input).context("running the network")?;
    arrays::write(&arguments.output, variant.output, output)
}
