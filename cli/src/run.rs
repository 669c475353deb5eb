//! `resnet run`: the output of a network for an input in a file.

use std::path::PathBuf;

use anyhow::Context;
use resnet::runtime::Program;

use crate::arrays;
use crate::machine::Machine;
use crate::model::Network;
use crate::weights::WeightArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    weights: WeightArguments,
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
    let (threads, isa) = (arguments.machine.threads()?, arguments.machine.isa()?);
    let model = arguments.network.read()?;
    let plan = model.batch(arrays::batch(&arguments.input)?).compile()?.plan;
    let input = arrays::read(&arguments.input, plan.input)?;
    let weights = arguments.weights.load(plan.description(), isa)?;
    let mut program = Program::new(plan, weights, threads)?;
    let output = program.run(&input).context("running the network")?.to_vec();
    arrays::write(&arguments.output, program.plan().output.dims, &output)
}
