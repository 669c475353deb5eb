//! Whether what was written computes what the file does.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::{Graph, Op};
use resnet_dsl::spec::Overrides;
use resnet_plan::{Plan, WeightTensor};
use resnet_runtime::{Program, Weights};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::import::{Contents, Imported};
use crate::model::Model;
use crate::slots;

/// The most multiply-adds that a file's graph is evaluated with: ten seconds.
const MOST: u64 = 8_000_000_000;

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Tensors only: they load, and the outputs of a random input are finite.
    Finite,
    /// The file has a graph.
    Agrees {
        /// How far outputs of a random input are apart, over the largest.
        distance: f64,
        /// Height and width of the input, if they are not the network's own.
        size: Option<[usize; 2]>,
    },
}

/// Loads the weights that were written and computes the outputs of a random input. If the file has a graph, that is evaluated in
/// double precision, and the outputs are compared.
///
/// # Errors
/// If they do not load, or the outputs are not finite, or the file's graph cannot be evaluated.
pub fn check(
    contents: &Contents,
    imported: &Imported,
    weights: &Path,
    threads: NonZeroUsize,
) -> Result<Check, Error> {
    let plan = &imported.compiled.plan;
    let Contents::Network(model) = contents else {
        run(plan.clone(), weights, threads)?;
        return Ok(Check::Finite);
    };
    let smaller = smaller(imported);
    let size = smaller.as_ref().map(|plan| [plan.input[1], plan.input[2]]);
    let (input, found) = run(smaller.unwrap_or_else(|| plan.clone()), weights, threads)?;
    let expected = expected(model, size, &input)?;
    let mut distance = 0.0f64;
    for (expected, found) in expected.iter().zip(&found) {
        if expected.len() != found.len() {
            return Err(Error::Unsupported(format!(
                "what was written gives {} values, the file's own graph {}",
                found.len(),
                expected.len()
            )));
        }
        let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let apart = expected.iter().zip(found).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
        distance = distance.max(if largest > 0.0 { apart / largest } else { apart });
    }
    Ok(Check::Agrees { distance, size })
}

/// A random input, and the outputs for it.
fn run(plan: Plan, weights: &Path, threads: NonZeroUsize) -> Result<(Vec<f32>, Vec<Vec<f32>>), Error> {
    let input = random(plan.input.iter().product());
    let weights = Weights::load(plan.description(), weights).map_err(failed)?;
    let mut program = Program::new(plan, weights, threads).map_err(failed)?;
    program.run(&input).map_err(failed)?;
    let outputs: Vec<Vec<f32>> = program.outputs().map(|(_, output)| output.to_vec()).collect();
    if outputs.iter().flatten().all(|value| value.is_finite()) {
        return Ok((input, outputs));
    }
    Err(Error::Unsupported(
        "the outputs of a random input are not finite: the file's weights are not those of a trained network"
            .to_owned(),
    ))
}

/// The plan for a smaller input, if a graph of this many multiply-adds takes long and can be of one.
fn smaller(imported: &Imported) -> Option<Plan> {
    let plan = &imported.compiled.plan;
    if plan.description.macs <= MOST {
        return None;
    }
    let [_, mut height, mut width, channels] = plan.input;
    let mut best = None;
    while height > 32 && width > 32 {
        (height, width) = (height / 2, width / 2);
        let overrides = Overrides { input: Some([height, width, channels]), ..Overrides::default() };
        let plan = imported.compile(&overrides).ok()?.plan;
        let fits = plan.description.macs <= MOST;
        best = Some(plan);
        if fits {
            break;
        }
    }
    best
}

/// The outputs of the file's own graph.
fn expected(model: &Model, size: Option<[usize; 2]>, input: &[f32]) -> Result<Vec<Vec<f64>>, Error> {
    let tensors: HashMap<&str, &Tensor> =
        model.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut load = |tensor: &WeightTensor<'_>| match tensors.get(tensor.name) {
        Some(found) => Ok(found.to_f64()),
        None => Err("the file has no such tensor".to_owned()),
    };
    let mut graph = of_size(&model.graph, size);
    slots::run(&mut graph, &["eliminate-dead"])?;
    let input: Vec<f64> = input.iter().copied().map(f64::from).collect();
    let mut values = evaluate(&graph, &mut load, &input)
        .map_err(|error| Error::Unsupported(format!("the file's own graph cannot be evaluated: {error}")))?;
    let outputs = graph.outputs().iter().map(|output| &graph.node(output.value).name);
    Ok(outputs.filter_map(|name| Some(values.remove(name)?.data)).collect())
}

/// The graph for one image, and of this size.
fn of_size(graph: &Graph, size: Option<[usize; 2]>) -> Graph {
    let mut graph = graph.clone();
    for value in graph.topological() {
        let node = graph.node_mut(value);
        node.ty = None;
        if let Op::Input([images, height, width, _]) = &mut node.op {
            *images = 1;
            [*height, *width] = size.unwrap_or([*height, *width]);
        }
    }
    graph
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("what was written cannot be used: {error}"))
}

/// Values from -1 to 1, the same each time.
fn random(len: usize) -> Vec<f32> {
    // Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators": the finalizer of SplitMix64.
    (0..len as u64)
        .map(|index| {
            let z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}
