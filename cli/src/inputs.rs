//! Inputs that a network is looked at with, and the values that it computes for them.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use resnet::Preprocessor;
use resnet::runtime::weights::fill;
use resnet::runtime::{Plan, Program};
use resnet_plan::Action;

use crate::arrays::Array;
use crate::images::{self, Limit, Source};

/// Where inputs come from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Inputs {
    /// Images: files, or a folder of them
    #[arg(long, value_name = "DIR", num_args = 1..)]
    images: Vec<PathBuf>,
    /// An array of inputs (npy, float32, NHWC), or `formula` for eight that are made up, `formula:N` for N
    #[arg(long, value_name = "FILE|formula[:N]")]
    inputs: Option<InputSource>,
}

/// Inputs that are arrays.
#[derive(Clone, Debug)]
enum InputSource {
    File(PathBuf),
    /// So many that are made up.
    Formula(usize),
}

/// How many are made up, if nobody says how many, and at most.
const MADE_UP: usize = 8;
const MOST_MADE_UP: usize = 1000;

impl Inputs {
    /// Images of the input file, if there is one.
    pub(crate) fn count(&self) -> anyhow::Result<Option<usize>> {
        match &self.inputs {
            Some(InputSource::File(file)) => Array::open(file)?.count().map(Some),
            _ => Ok(None),
        }
    }

    /// The inputs of a network: each as many images as it takes at a time.
    pub(crate) fn read(&self, plan: &Plan) -> anyhow::Result<Vec<Vec<f32>>> {
        let images = match &self.inputs {
            Some(InputSource::Formula(count)) => made_up(plan, *count),
            Some(InputSource::File(file)) => Array::open(file)?.images(plan.input)?,
            None => {
                let mut preprocessor = Preprocessor::new(&plan.description.preprocessing, plan.input);
                let input = |source: Source| {
                    let mut input = vec![0.0; plan.input[1..].iter().product()];
                    preprocessor.apply(&source.open(Limit::default())?, &mut input)?;
                    Ok(input)
                };
                images::sources(&self.images)?.into_iter().map(input).collect::<anyhow::Result<_>>()?
            }
        };
        let (count, batch) = (images.len(), plan.input[0]);
        if let Some(index) = images.iter().position(|image| image.iter().any(|value| !value.is_finite())) {
            bail!("image {index} of the inputs has values that are infinite or NaN");
        }
        if !count.is_multiple_of(batch) {
            bail!("there are {count} images, which are no whole batches of {batch}: see --batch");
        }
        Ok(images.chunks_exact(batch).map(<[Vec<f32>]>::concat).collect())
    }
}

impl FromStr for InputSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "formula" => Ok(InputSource::Formula(MADE_UP)),
            Some(("formula", count)) => match count.parse() {
                Ok(count) if (1..=MOST_MADE_UP).contains(&count) => Ok(InputSource::Formula(count)),
                _ => Err(format!("`{count}` is not a number of inputs, from 1 to {MOST_MADE_UP}")),
            },
            _ => Ok(InputSource::File(text.into())),
        }
    }
}

/// Values uniform in [-2, 2).
fn made_up(plan: &Plan, inputs: usize) -> Vec<Vec<f32>> {
    let count = plan.input[1..].iter().product();
    let input =
        |index| fill::uniform(&format!("input.{index}")).take(count).map(|u| (2.0 * u - 1.0) * 2.0).collect();
    (0..inputs).map(input).collect()
}

/// Signal over error, both sums of squares: infinite where nothing is wrong, and never NaN.
pub(crate) fn decibels(signal: f64, error: f64) -> f64 {
    // (`max` passes over NaN.)
    if error == 0.0 { f64::INFINITY } else { (10.0 * (signal / error).log10()).max(f64::NEG_INFINITY) }
}

/// Runs a network on one input; `see` gets each value's name, its elements (without halo, scales applied) and how many channels
/// of them a pixel has, which may be more than the value's: they are filled up with zeros. A large batch is computed in parts, of
/// each of which `see` gets the values. Gives the scores.
pub(crate) fn observe(
    program: &mut Program,
    input: &[f32],
    mut see: impl FnMut(&str, &[f32], usize),
) -> anyhow::Result<Vec<f32>> {
    let plan = program.plan().clone();
    let mut steps = plan.order();
    let mut value = Vec::new();
    let scores = program.run_observed(input, &mut |observation| {
        let Some(step) = steps.next() else { return };
        // A copy is somebody else's value, zeros around one are none.
        if matches!(step.action, Action::Clear | Action::Copy) {
            return;
        }
        let view = &step.write;
        let [images, height, width, channels] = view.dims;
        value.clear();
        for image in 0..images {
            for row in view.at[0]..view.at[0] + view.size[0] {
                let start = ((image * height + row) * width + view.at[1]) * channels;
                let places = start..start + view.size[1] * channels;
                value.extend(places.map(|place| observation.elements.get(place) * view.element.scale()));
            }
        }
        see(&step.name, &value, channels);
    })?;
    Ok(scores.to_vec())
}
