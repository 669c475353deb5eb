//! `resnet run`: the outputs of a network for inputs in files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use resnet::Preprocessor;
use resnet::runtime::files;
use serde_json::json;

use crate::arrays::{self, Array};
use crate::images::{self, Limit, Source};
use crate::machine::Machine;
use crate::model::Network;
use crate::pipeline::{self, Output};
use crate::print::{complain, say};
use crate::progress;
use crate::weights::WeightArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    weights: WeightArguments,
    /// Inputs, any number: npy (float32, NHWC), images; a folder: its images; -: standard input
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    input: Vec<PathBuf>,
    /// Output: npy, float32, NHWC; if the network has several outputs, npz with an array for each
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Print one JSON object when it is done
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    machine: Machine,
}

/// An input of one image.
enum Input {
    Values(Vec<f32>),
    Image(Source),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let threads = arguments.machine.threads()?;
    let plan = arguments.network.read()?.compile()?.plan;
    if plan.outputs.len() > 1 && arguments.output.extension().is_some_and(|ending| ending == "npy") {
        let (count, archive) = (plan.outputs.len(), arguments.output.with_extension("npz"));
        bail!(
            "the network has {count} outputs, which an npy file cannot hold: write --output {}",
            archive.display()
        );
    }
    let isa = arguments.machine.isa()?.serving(plan.description().precision);
    let inputs = read(&arguments.input, plan.input)?;
    let weights = arguments.weights.load(plan.description(), isa)?;
    let reader = || {
        let mut preprocessor = Preprocessor::new(&plan.description().preprocessing, plan.input);
        let (inputs, limit) = (&inputs, arguments.limit);
        move |index: usize, to: &mut [f32]| match &inputs[index] {
            Input::Values(values) => {
                to.copy_from_slice(values);
                Ok(())
            }
            Input::Image(source) => Ok(preprocessor.apply(&source.open(limit)?, to)?),
        }
    };
    let start = Instant::now();
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    let bar = progress::bar(inputs.len(), "inputs");
    let see = |_, Output { values, .. }: Output| {
        bar.inc(1);
        outputs.resize_with(plan.outputs.len(), Vec::new);
        for (all, values) in outputs.iter_mut().zip(values?) {
            all.extend(values);
        }
        Ok(())
    };
    let team = pipeline::run(&plan, &weights, threads, inputs.len(), reader, see)?;
    bar.finish_and_clear();
    let arrays = plan.outputs.iter().zip(&outputs).map(|(output, data)| {
        let [_, height, width, channels] = output.view.dims;
        (&*output.name, [inputs.len(), height, width, channels], &**data)
    });
    let arrays: Vec<_> = arrays.collect();
    arrays::write(&arguments.output, &arrays)?;
    // An object would get between.
    if arguments.json && !files::is_standard_output(&arguments.output) {
        let array = |(name, dims, _): &(&str, [usize; 4], &[f32])| json!({"name": name, "shape": dims});
        let object = json!({
            "output": arguments.output.display().to_string(),
            "arrays": arrays.iter().map(array).collect::<Vec<_>>(),
            "images": inputs.len(),
            "isa": isa.name(),
            "sessions": team.programs,
            "threads": team.threads,
            "seconds": start.elapsed().as_secs_f64(),
        });
        return Ok(say!("{object}")?);
    }
    if inputs.len() > 1 {
        let rate = inputs.len() as f64 / start.elapsed().as_secs_f64();
        complain(format_args!("{} images on {isa}, {team}: {rate:.0} images/s", inputs.len()));
    }
    Ok(())
}

/// The inputs of arrays and images for a network that takes `[_, height, width, channels]`.
fn read(paths: &[PathBuf], input: [usize; 4]) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for source in images::sources(paths)? {
        match source {
            Source::File(ref path) if begins_as_array(path)? => {
                inputs.extend(Array::open(path)?.images(input)?.into_iter().map(Input::Values));
            }
            Source::Stream(name, bytes) if arrays::is_array(&bytes) => {
                inputs.extend(Array::of(&name, &bytes)?.images(input)?.into_iter().map(Input::Values));
            }
            source => inputs.push(Input::Image(source)),
        }
    }
    Ok(inputs)
}

fn begins_as_array(path: &Path) -> anyhow::Result<bool> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut bytes = Vec::new();
    file.take(8).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    Ok(arrays::is_array(&bytes))
}
