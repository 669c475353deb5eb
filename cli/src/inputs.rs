//! Inputs that a network is looked at with, and the values that it computes for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use resnet::runtime::weights::fill;
use resnet::runtime::{Plan, Program};
use resnet_plan::Action;

use crate::{arrays, images};

/// Where inputs come from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Inputs {
    /// A folder of images
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// An array of inputs (npy, float32, NHWC), or `formula` for eight that are made up
    #[arg(long, value_name = "FILE|formula")]
    inputs: Option<PathBuf>,
}

/// Of image files.
const ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "bmp", "gif", "webp", "ppm", "pgm", "pnm"];

/// How many are made up.
const MADE_UP: usize = 8;

impl Inputs {
    /// Images of the input file, if there is one.
    pub(crate) fn count(&self) -> anyhow::Result<Option<usize>> {
        match &self.inputs {
            Some(file) if file.as_os_str() != "formula" => arrays::batch(file).map(Some),
            _ => Ok(None),
        }
    }

    /// The inputs of a network: each as many images as it takes at a time.
    pub(crate) fn read(&self, plan: &Plan) -> anyhow::Result<Vec<Vec<f32>>> {
        let images = match (&self.images, &self.inputs) {
            (Some(folder), _) => files(folder)?
                .iter()
                .map(|path| images::read(path, plan.input, &plan.description.preprocessing))
                .collect::<Result<_, _>>()?,
            (None, Some(file)) if file.as_os_str() == "formula" => made_up(plan),
            (None, Some(file)) => arrays::images(file, plan.input)?,
            (None, None) => Vec::new(),
        };
        let (count, batch) = (images.len(), plan.input[0]);
        if let (Some(folder), true) = (&self.images, images.is_empty()) {
            bail!("there are no images in {}: files that end in {}", folder.display(), ENDINGS.join(", "));
        }
        if let Some(index) = images.iter().position(|image| image.iter().any(|value| !value.is_finite())) {
            bail!("image {index} of the inputs has values that are infinite or NaN");
        }
        if !count.is_multiple_of(batch) {
            bail!("there are {count} images, which are no whole batches of {batch}: see --batch");
        }
        Ok(images.chunks_exact(batch).map(<[Vec<f32>]>::concat).collect())
    }
}

/// Values uniform in [-2, 2).
fn made_up(plan: &Plan) -> Vec<Vec<f32>> {
    let count = plan.input[1..].iter().product();
    let input =
        |index| fill::uniform(&format!("input.{index}")).take(count).map(|u| (2.0 * u - 1.0) * 2.0).collect();
    (0..MADE_UP).map(input).collect()
}

/// The image files of a folder, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
    });
    paths.sort();
    Ok(paths)
}

/// A bar of so many inputs, on the terminal if there is one.
pub(crate) fn progress(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} inputs, {eta} left");
    ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
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
