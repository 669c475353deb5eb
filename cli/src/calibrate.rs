//! `resnet calibrate`: the scales of int8, by what a network's values are in f32 for some inputs.
//!
//! ```text
//! for each input, for each value of the network:  count its elements by size
//! for each value:  the largest value that is to be told apart, by the method; the scale is that over the steps there are
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use resnet::runtime::{Precision, Program, files};
use resnet_dsl::calibration::{Calibration, SCALES};
use resnet_dsl::pass;
use serde_json::json;

use crate::inputs::{self, Inputs};
use crate::machine::Machine;
use crate::model::Network;
use crate::print::{complain, say};
use crate::progress;
use crate::weights::{self, WeightSource};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[arg(long, help = weights::HELP, value_name = "FILE|formula|init[:SEED]")]
    weights: WeightSource,
    #[command(flatten)]
    inputs: Inputs,
    /// The table
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// How to choose the largest number of a value that is told apart
    #[arg(long, value_enum, default_value_t = Method::Mse)]
    method: Method,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Ways to choose the largest value that is told apart; those above it are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// The largest that was seen
    Minmax,
    /// The one that 99.99 % of all are below
    Percentile,
    /// The one with the least squared error
    Mse,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (threads, isa) = (arguments.machine.threads()?, arguments.machine.isa()?.serving(Precision::F32));
    arguments.weights.plain()?;
    let model = arguments.network.read()?.batch(1).precision(Precision::F32);
    let compiled = model.compile_unfused()?;
    let inputs = arguments.inputs.read(&compiled.plan)?;
    let (description, batch) = (compiled.plan.description.clone(), compiled.plan.input[0]);
    let weights = arguments.weights.load(&description, isa)?;
    let mut program = Program::new(compiled.plan, weights, threads)?;
    let mut histograms: BTreeMap<String, Histogram> = BTreeMap::new();
    let bar = progress::bar(inputs.len(), "inputs");
    for (index, input) in inputs.iter().enumerate() {
        let mut infinite = None;
        inputs::observe(&mut program, input, |name, elements, _| {
            if elements.iter().all(|element| element.is_finite()) {
                histograms.entry(name.to_owned()).or_default().add(elements);
            } else {
                infinite.get_or_insert_with(|| name.to_owned());
            }
        })?;
        if let Some(name) = infinite {
            bail!("for input {index} the value {name} is not finite in f32: see the weights and the inputs");
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut scales = BTreeMap::new();
    let (mut accuracy, mut dead) = (Vec::new(), Vec::new());
    let unsigned = pass::never_negative(&compiled.graph);
    for value in compiled.graph.topological() {
        let name = &compiled.graph.node(value).name;
        let Some(histogram) = histograms.get(name) else { continue };
        let steps = if unsigned.contains(&value) { 255.0 } else { 127.0 };
        let largest = histogram.largest(arguments.method, steps);
        // A value that rounding alone keeps from 0 may have a smaller one.
        scales.insert(name.clone(), ((largest / steps) as f32).clamp(SCALES[0], SCALES[1]));
        if histogram.largest > 0.0 {
            accuracy.push((histogram.decibels(largest, steps), name.clone()));
        } else {
            dead.push(name.as_str());
        }
    }
    warn(&inputs, &dead);
    let table = Calibration {
        network: compiled.graph.name.clone(),
        spec: model.fingerprint()?,
        weights: arguments.weights.fingerprint(&description)?,
        method: format!("{:?}", arguments.method).to_lowercase(),
        images: inputs.len() * batch,
        scales,
    };
    if let faults @ [_, ..] = &*table.faults() {
        bail!("no table can be made of these inputs: {}", faults.join(", "));
    }
    files::replace(&arguments.output, |to| to.write_all(table.to_string().as_bytes()))
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    // A line would get between.
    if files::is_standard_output(&arguments.output) {
        return Ok(());
    }
    accuracy.sort_by(|a, b| a.0.total_cmp(&b.0));
    if arguments.json {
        let at = |index: usize| {
            accuracy.get(index).map(|(decibels, name)| json!({"name": name, "snr_db": decibels}))
        };
        let object = json!({
            "output": arguments.output.display().to_string(),
            "model": model.name,
            "method": table.method,
            "images": table.images,
            "scales": table.scales.len(),
            "median": at(accuracy.len() / 2),
            "worst": at(0),
            "always_zero": dead,
        });
        return Ok(say!("{object}")?);
    }
    say!("{}: {} scales of {}", arguments.output.display(), table.scales.len(), model.name)?;
    if let (Some(worst), Some(middle)) = (accuracy.first(), accuracy.get(accuracy.len() / 2)) {
        say!(
            "expected: values are {:.1} dB above their rounding in the middle, {:.1} dB at worst, in {}",
            middle.0,
            worst.0,
            worst.1
        )?;
    }
    let (name, file) = (&model.name, arguments.output.display());
    say!(
        "see what it costs: resnet verify {name} --precision int8 --calibration {file} --weights .. --images .."
    )?;
    Ok(())
}

/// Says what will make the scales poor.
fn warn(inputs: &[Vec<f32>], dead: &[&str]) {
    let plain = |input: &Vec<f32>| input.iter().all(|element| *element == input[0]);
    if inputs.iter().all(plain) {
        complain(format_args!(
            "warning: each input has one value everywhere: such scales fit no real images. Calibrate with images of the \
             kind that the network is for"
        ));
    }
    if !dead.is_empty() {
        let names = dead.join(", ");
        complain(format_args!("warning: these values are always 0, so their scales are arbitrary: {names}"));
    }
}

/// Bins of a histogram.
const BINS: usize = 4096;

/// How many elements there are of which size, signs apart.
struct Histogram {
    /// Elements from `i * width` to `(i + 1) * width`.
    bins: Vec<u64>,
    width: f64,
    largest: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { bins: vec![0; BINS], width: 0.0, largest: 0.0 }
    }
}

impl Histogram {
    /// Counts elements, all of them finite.
    fn add(&mut self, elements: &[f32]) {
        let sizes = || elements.iter().map(|n| f64::from(n.abs()));
        self.largest = sizes().fold(self.largest, f64::max);
        if self.width == 0.0 {
            self.width = self.largest / (BINS - 1) as f64;
        }
        if self.width == 0.0 {
            return;
        }
        // Twice as wide bins, until the largest value falls into one.
        while self.largest >= self.width * BINS as f64 {
            for bin in 0..BINS {
                self.bins[bin] = if bin < BINS / 2 { self.bins[2 * bin] + self.bins[2 * bin + 1] } else { 0 };
            }
            self.width *= 2.0;
        }
        // Zeros are exact in every scale.
        for size in sizes().filter(|size| *size > 0.0) {
            self.bins[(size / self.width) as usize] += 1;
        }
    }

    /// The largest value that is to be told apart; never 0.
    fn largest(&self, method: Method, steps: f64) -> f64 {
        if self.largest == 0.0 {
            return 1.0;
        }
        let edge = |bin: usize| ((bin + 1) as f64 * self.width).min(self.largest);
        match method {
            Method::Minmax => self.largest,
            Method::Percentile => {
                let total: u64 = self.bins.iter().sum();
                let mut below = 0;
                let bin = self.bins.iter().position(|count| {
                    below += count;
                    below as f64 >= 0.9999 * total as f64
                });
                edge(bin.unwrap_or(BINS - 1))
            }
            Method::Mse => {
                let candidates = (BINS / 64..BINS).step_by(8).map(edge).chain([self.largest]);
                let error = |largest: &f64| self.error(*largest, steps);
                candidates.min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or(self.largest)
            }
        }
    }

    /// The sum of squared errors: of rounding, evenly spread over a step, and of what is cut off.
    fn error(&self, largest: f64, steps: f64) -> f64 {
        let rounding = (largest / steps).powi(2) / 12.0;
        let middles = (0..BINS).map(|bin| (bin as f64 + 0.5) * self.width);
        let each = |(middle, count): (f64, &u64)| {
            let error = if middle <= largest { rounding } else { (middle - largest).powi(2) };
            error * *count as f64
        };
        middles.zip(&self.bins).map(each).sum()
    }

    /// Signal over error.
    fn decibels(&self, largest: f64, steps: f64) -> f64 {
        let middles = (0..BINS).map(|bin| (bin as f64 + 0.5) * self.width);
        let signal = middles.zip(&self.bins).map(|(middle, count)| middle.powi(2) * *count as f64).sum();
        inputs::decibels(signal, self.error(largest, steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred thousand small values and a huge one: cutting it off costs less than coarse steps for all others.
    #[test]
    fn outliers_are_cut_off() {
        let mut elements: Vec<f32> = (1..=100_000).map(|i| i as f32 / 1e5).collect();
        let mut histogram = Histogram::default();
        histogram.add(&elements);
        elements.push(40.0);
        histogram.add(&elements);
        assert_eq!(histogram.largest(Method::Minmax, 255.0), 40.0);
        let percentile = histogram.largest(Method::Percentile, 255.0);
        assert!((0.99..1.1).contains(&percentile), "{percentile}");
        let best = histogram.largest(Method::Mse, 255.0);
        assert!(histogram.error(best, 255.0) < 0.9 * histogram.error(40.0, 255.0), "{best}");
        assert_eq!(histogram.bins.iter().sum::<u64>(), 200_001);
    }

    #[test]
    fn nothing_but_zeros_has_a_scale() {
        let mut histogram = Histogram::default();
        histogram.add(&[0.0; 10]);
        assert_eq!(histogram.largest(Method::Mse, 127.0), 1.0);
    }
}
