//! `resnet pack`: folds, transforms and packs weights once, into a file that is mapped from then on.

use std::path::PathBuf;

use resnet::runtime::files;
use serde_json::json;

use crate::machine::Machine;
use crate::model::Network;
use crate::print::say;
use crate::progress;
use crate::weights::WeightArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    weights: WeightArguments,
    /// The packed file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Packing takes all cores; a number that no command takes is refused all the same.
    arguments.machine.threads()?;
    let model = arguments.network.read()?;
    let plan = model.compile()?.plan;
    let description = plan.description();
    let isa = arguments.machine.isa()?.serving(description.precision);
    let weights = arguments.weights.load(description, isa)?;
    progress::during("writing", || weights.save(description, &arguments.output))?;
    // A line would get between.
    if files::is_standard_output(&arguments.output) {
        return Ok(());
    }
    let (file, bytes) = (arguments.output.display(), weights.bytes());
    if arguments.json {
        let object = json!({
            "output": file.to_string(),
            "model": model.name,
            "precision": description.precision.to_string(),
            "isa": isa.name(),
            "bytes": bytes,
        });
        return Ok(say!("{object}")?);
    }
    say!("{file}: {} packed for {isa}, {:.1} MB", model.name, bytes as f64 / 1e6)?;
    Ok(())
}
