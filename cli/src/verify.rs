//! `resnet verify`: what a precision costs, layer by layer. bf16 and int8 are compared with f32, and f32 with an evaluation of
//! the spec's own graph in float64.

use std::collections::HashMap;

use resnet::runtime::{Precision, Program};
use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::Graph;

use crate::inputs::{self, Inputs};
use crate::machine::Machine;
use crate::model::Network;
use crate::print::say;
use crate::weights::WeightArguments;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    weights: WeightArguments,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    machine: Machine,
}

/// The most images a run where nobody says how many: all values of a run are kept.
const MOST_IMAGES: usize = 16;

/// How far a value is from the reference, over all inputs.
#[derive(Default)]
struct Distance {
    largest: f64,
    signal: f64,
    error: f64,
    other: f64,
    product: f64,
}

/// What is compared with.
enum Reference {
    /// The network in f32.
    Executed(Box<Program>),
    /// The spec's graph, before all passes, in float64.
    Evaluated(Box<Graph>),
}

/// A value of the reference: the whole batch, and channels of a pixel.
struct Value {
    elements: Vec<f64>,
    channels: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (threads, isa) = (arguments.machine.threads()?, arguments.machine.isa()?);
    arguments.weights.plain()?;
    let few = |count: usize| (1..=MOST_IMAGES).rfind(|images| count.is_multiple_of(*images)).unwrap_or(1);
    let model = arguments.network.read()?.batch(arguments.inputs.count()?.map_or(1, few));
    let plan = model.compile()?.plan;
    let (precision, batch) = (plan.description.precision, plan.input[0]);
    let mut reference = if precision == Precision::F32 {
        Reference::Evaluated(Box::new(model.with(|spec, read| spec.parse(read))?.graph))
    } else {
        let plan = model.clone().precision(Precision::F32).compile()?.plan;
        let weights = arguments.weights.load(plan.description(), isa)?;
        Reference::Executed(Box::new(Program::new(plan, weights, threads)?))
    };
    let inputs = arguments.inputs.read(&plan)?;
    let weights = arguments.weights.load(plan.description(), isa)?;
    let mut program = Program::new(plan, weights, threads)?;
    let mut names: Vec<String> = Vec::new();
    let mut distances: HashMap<String, Distance> = HashMap::new();
    let mut scores_apart = Distance::default();
    let (mut images, mut first, mut fifth) = (0, 0, 0);
    let bar = inputs::progress(inputs.len());
    for input in &inputs {
        let (values, expected) = reference.values(input, &arguments.weights)?;
        let mut pixels_seen: HashMap<String, usize> = HashMap::new();
        let found = inputs::observe(&mut program, input, |name, elements, channels| {
            let Some(value) = values.get(name) else { return };
            let distance = distances.entry(name.to_owned()).or_insert_with(|| {
                names.push(name.to_owned());
                Distance::default()
            });
            // Parts of a batch follow each other.
            let seen = pixels_seen.entry(name.to_owned()).or_default();
            let pixels = value.elements.chunks_exact(value.channels).skip(*seen);
            *seen += elements.len() / channels;
            for (expected, found) in pixels.zip(elements.chunks_exact(channels)) {
                distance.add(expected, found);
            }
        })?;
        scores_apart.add(&expected, &found);
        let classes = (found.len() / batch).max(1);
        for (expected, found) in expected.chunks_exact(classes).zip(found.chunks_exact(classes)) {
            let found: Vec<f64> = found.iter().copied().map(f64::from).collect();
            let (expected, found) = (best(expected), best(&found));
            let most = expected.first();
            images += 1;
            first += usize::from(most == found.first());
            fifth += usize::from(most.is_some_and(|most| found.iter().take(5).any(|class| class == most)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    say!("{} in {precision} against {reference}, {images} image(s)", model.name)?;
    say!("{:>12} {:>8} {:>10}  value", "max error", "SNR, dB", "cosine")?;
    let row = |name: &str, distance: &Distance| {
        let Distance { largest, .. } = distance;
        say!("{largest:>12.3e} {:>8.1} {:>10.6}  {name}", distance.decibels(), distance.cosine())
    };
    names.iter().try_for_each(|name| row(name, &distances[name]))?;
    row("the scores", &scores_apart)?;
    let worst = names.iter().min_by(|a, b| distances[*a].decibels().total_cmp(&distances[*b].decibels()));
    if let Some(worst) = worst {
        say!("worst: {worst}, {:.1} dB", distances[worst].decibels())?;
    }
    say!(
        "the best class is the same for {first} of {images}, and among the best five for {fifth} of {images}"
    )?;
    Ok(())
}

impl Reference {
    /// All values for an input, and the scores.
    fn values(
        &mut self,
        input: &[f32],
        weights: &WeightArguments,
    ) -> anyhow::Result<(HashMap<String, Value>, Vec<f64>)> {
        let wide = |elements: &[f32]| elements.iter().copied().map(f64::from).collect::<Vec<f64>>();
        match self {
            Reference::Executed(program) => {
                let mut values: HashMap<String, Value> = HashMap::new();
                let scores = inputs::observe(program, input, |name, elements, channels| {
                    let value = values.entry(name.to_owned());
                    let value = value.or_insert(Value { elements: Vec::new(), channels });
                    value.elements.extend(wide(elements));
                })?;
                Ok((values, wide(&scores)))
            }
            Reference::Evaluated(graph) => {
                let arrays = evaluate(graph, &mut *weights.tensors()?, &wide(input))?;
                let output = graph.output().map(|output| arrays[&graph.node(output).name].data.clone());
                let value = |array: resnet_dsl::evaluate::Array| Value {
                    elements: array.data,
                    channels: array.dims[3],
                };
                let values = arrays.into_iter().map(|(name, array)| (name, value(array))).collect();
                Ok((values, output.unwrap_or_default()))
            }
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reference::Executed(_) => "f32",
            Reference::Evaluated(_) => "float64",
        })
    }
}

impl Distance {
    fn add(&mut self, expected: &[f64], found: &[f32]) {
        for (expected, found) in expected.iter().zip(found) {
            let (found, error) = (f64::from(*found), error(*expected, f64::from(*found)));
            self.largest = self.largest.max(error);
            self.error += error.powi(2);
            self.signal += expected * expected;
            self.other += found * found;
            self.product += expected * found;
        }
    }

    fn decibels(&self) -> f64 {
        inputs::decibels(self.signal, self.error)
    }

    /// 1 for values that are the same, as two that are 0; 0 where only one is 0, or one is not finite.
    fn cosine(&self) -> f64 {
        let cosine = self.product / (self.signal * self.other).sqrt();
        if cosine.is_finite() {
            cosine
        } else if self.error == 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

/// How far two elements are apart; infinitely, if only one is infinite, or one is no number.
fn error(expected: f64, found: f64) -> f64 {
    match (expected - found).abs() {
        _ if expected == found => 0.0,
        error if error.is_nan() => f64::INFINITY,
        error => error,
    }
}

/// The classes, the best first.
fn best(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}
