//! `resnet verify`: each layer of a network, on each instruction set, against an evaluation of the spec's own graph in float64.
//!
//! ```text
//! for each input:
//!     evaluate the graph in float64, and once more with the errors that are expected
//!     for each instruction set:  run the plan; for each value:  add up how far its elements are from the evaluated ones
//! for each value of each instruction set:  is it within the bound of its algorithm and precision?
//! ```

mod bounds;
mod distance;
mod reference;
mod report;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use resnet::runtime::{Isa, Plan, Program};
use resnet_dsl::plan::predict;
use resnet_plan::Step;

use crate::arrays::Array;
use crate::inputs::{self, Inputs};
use crate::layers;
use crate::machine::Machine;
use crate::model::Network;
use crate::page;
use crate::print::say;
use crate::progress;
use crate::weights::WeightArguments;
use bounds::Bound;
use distance::Distance;
use reference::{Reference, Value, wide};
use report::{Layer, OfIsa, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    weights: WeightArguments,
    #[command(flatten)]
    inputs: Inputs,
    /// What bf16 and int8 are compared with: float64, or f32 as it is executed, which is faster
    #[arg(long, value_enum, default_value = "f64")]
    reference: ReferenceName,
    /// Outputs of another framework for the same inputs (npy, float32), to be compared with ours
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write a page of the network with what was found
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ReferenceName {
    F64,
    F32,
}

/// The most images a run where nobody says how many: all values of a run are kept. (Where they are evaluated, it is one: there are
/// more of them, twice, in f64.)
const MOST_IMAGES: usize = 16;

/// The network on an instruction set, and how far its values are.
struct Subject {
    isa: Isa,
    program: Program,
    distances: HashMap<String, Distance>,
    /// The outputs of all images.
    outputs: Vec<f32>,
    classes: Classes,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    arguments.weights.plain()?;
    let most = if arguments.reference == ReferenceName::F64 { 1 } else { MOST_IMAGES };
    let few = |count: usize| (1..=most).rfind(|images| count.is_multiple_of(*images)).unwrap_or(1);
    let model = arguments.network.read()?.batch(arguments.inputs.count()?.map_or(1, few));
    let plan = model.compile()?.plan;
    let mut reference = Reference::new(arguments, &model, &plan)?;
    let inputs = arguments.inputs.read(&plan)?;
    let against = arguments.against(&plan, inputs.len())?;
    let mut subjects = arguments.subjects(&plan)?;
    let mut expected: HashMap<String, Distance> = HashMap::new();
    let bar = progress::bar(inputs.len(), "inputs");
    for input in &inputs {
        let (values, scores) = reference.values(input, &arguments.weights, &plan, &mut expected)?;
        for subject in &mut subjects {
            subject.compare(input, &values, &scores)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let bounds = match &reference {
        Reference::Evaluated(_) => bounds::bounds(&expected),
        Reference::Executed(_) => HashMap::new(),
    };
    let report = Report {
        model: &model.name,
        precision: plan.description.precision,
        reference: arguments.reference.name(),
        images: inputs.len() * plan.input[0],
        isas: subjects.iter().map(|subject| subject.layers(&plan, &bounds)).collect(),
        against: against.map(|(file, expected)| report::against(file, &expected, &subjects, &plan, &bounds)),
    };
    match arguments.json {
        true => say!("{}", report.json())?,
        false => report.print()?,
    }
    if let Some(path) = &arguments.html {
        page::save(path, &model, &predict::Machine::reference(), |page| {
            page.verified = Some(report.verified())
        })?;
    }
    report.verdict()
}

impl ReferenceName {
    fn name(self) -> &'static str {
        match self {
            ReferenceName::F64 => "float64",
            ReferenceName::F32 => "f32",
        }
    }
}

impl Arguments {
    /// The other framework's outputs for so many inputs, and the name of their file.
    fn against(&self, plan: &Plan, inputs: usize) -> anyhow::Result<Option<(&Path, Vec<f64>)>> {
        let Some(file) = &self.against else { return Ok(None) };
        if let count @ 2.. = plan.outputs.len() {
            bail!("the network has {count} outputs, and --against compares one");
        }
        let [batch, height, width, channels] = plan.output();
        let outputs = Array::open(file)?.outputs([inputs * batch, height, width, channels])?;
        Ok(Some((file, wide(&outputs))))
    }

    /// The network on each instruction set that is asked for.
    fn subjects(&self, plan: &Plan) -> anyhow::Result<Vec<Subject>> {
        let subject = |isa| {
            let weights = self.weights.load(plan.description(), isa)?;
            let program = Program::new(plan.clone(), weights, self.machine.threads()?)?;
            let (distances, outputs, classes) = Default::default();
            Ok(Subject { isa, program, distances, outputs, classes })
        };
        self.machine.isas(plan.description.precision)?.into_iter().map(subject).collect()
    }
}

impl Subject {
    /// Runs the network on an input, and adds up how far its values are from the reference's.
    fn compare(
        &mut self,
        input: &[f32],
        values: &HashMap<String, Value>,
        scores: &[f64],
    ) -> anyhow::Result<()> {
        let Subject { program, distances, outputs, classes, .. } = self;
        let mut pixels_seen: HashMap<String, usize> = HashMap::new();
        let found = inputs::observe(program, input, |name, elements, channels| {
            let Some(value) = values.get(name) else { return };
            let distance = distances.entry(name.to_owned()).or_default();
            // Parts of a batch follow each other.
            let seen = pixels_seen.entry(name.to_owned()).or_default();
            let pixels = value.elements.chunks_exact(value.channels).skip(*seen);
            *seen += elements.len() / channels;
            for (expected, found) in pixels.zip(elements.chunks_exact(channels)) {
                distance.add(expected, found, value.largest);
            }
        })?;
        classes.add(scores, &found, program.plan().input[0]);
        outputs.extend(found);
        Ok(())
    }

    fn layers(&self, plan: &Plan, bounds: &HashMap<String, Bound>) -> OfIsa {
        let class = self.isa.class(plan.description.precision);
        let layer = |step: &Step| {
            let distance = self.distances.get(&step.name)?.clone();
            let bound = bounds.get(&step.name).copied();
            Some(Layer {
                name: step.name.clone(),
                algorithm: layers::algorithm(step, class),
                distance,
                bound,
            })
        };
        let layers = bounds::computed(plan).filter_map(layer).collect();
        OfIsa { isa: self.isa, layers, classes: self.classes }
    }
}

/// For how many images the best class is the same.
#[derive(Clone, Copy, Debug, Default)]
struct Classes {
    images: usize,
    first: usize,
    among_five: usize,
}

impl Classes {
    /// Adds the scores of so many images.
    fn add(&mut self, expected: &[f64], found: &[f32], images: usize) {
        let classes = (found.len() / images).max(1);
        for (expected, found) in expected.chunks_exact(classes).zip(found.chunks_exact(classes)) {
            let found: Vec<f64> = found.iter().copied().map(f64::from).collect();
            let (expected, found) = (best(expected), best(&found));
            let most = expected.first();
            self.images += 1;
            self.first += usize::from(most == found.first());
            self.among_five +=
                usize::from(most.is_some_and(|most| found.iter().take(5).any(|class| class == most)));
        }
    }
}

/// The classes, the best first.
fn best(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}
