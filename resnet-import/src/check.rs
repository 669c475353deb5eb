//! Whether what was written computes what the file does.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;

use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::{Graph, Op};
use resnet_dsl::spec::Overrides;
use resnet_plan::{Plan, Precision, WeightTensor};
use resnet_runtime::{Program, Weights};

use crate::checkpoint::Tensor;
use crate::error::{Error, shown};
use crate::import::Imported;
use crate::model::Model;
use crate::passes;
use crate::read::Contents;
use crate::weight::Format;

/// The most multiply-adds that a file's graph is evaluated with, if it can be of a smaller input: ten seconds.
const MULTIPLY_ADDS: u64 = 8_000_000_000;

/// The most elements that the values of a file's graph may have in sum, since all are in memory at once: 512 MB in double precision.
const ELEMENTS: usize = 1 << 26;

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
    /// The file has a graph whose values are too large to be evaluated, and which cannot be of a smaller input.
    TooLarge,
}

/// Loads the weights that were written, in this format, and computes the outputs of a random input. If the file has a graph, that is
/// evaluated in double precision, and the outputs are compared.
///
/// # Errors
/// If they do not load, or the outputs are not finite, or the file's graph cannot be evaluated or has others.
pub fn check(
    contents: &Contents,
    imported: &Imported,
    weights: &Path,
    format: Format,
    threads: NonZeroUsize,
) -> Result<Check, Error> {
    let plan = &imported.compiled.plan;
    let run =
        |plan| run(plan, weights, threads).map_err(|error| unwritable(imported, format).unwrap_or(error));
    let Contents::Network(model) = contents else {
        run(plan.clone())?;
        return Ok(Check::Finite);
    };
    let own = plan.input;
    let Some(plan) = comparable(model, imported)? else { return Ok(Check::TooLarge) };
    let size = (plan.input != own).then_some([plan.input[1], plan.input[2]]);
    let (input, found) = run(plan)?;
    let distance = distance(&expected(model, size, &input)?, &found)?;
    if distance > tolerance(format) {
        return Err(disagree(&format!(
            "its outputs of a random input are {distance:.0e} of the largest away from those of the file's own graph, and {:.0e} is \
             what rounding explains",
            tolerance(format)
        )));
    }
    Ok(Check::Agrees { distance, size })
}

/// The largest distance that rounding explains: of what is computed in f32, and of weights as they are written.
fn tolerance(format: Format) -> f64 {
    match format {
        Format::F32 => 1e-4,
        // 32 units of rounding: 2^-11 and 2^-8.
        Format::F16 => 1.6e-2,
        Format::Bf16 => 1.25e-1,
    }
}

/// How far the outputs are apart, over the largest of each.
///
/// # Errors
/// If there are not as many, or the file's are not finite.
fn distance(expected: &[Vec<f64>], found: &[Vec<f32>]) -> Result<f64, Error> {
    let lens = |outputs: &mut dyn Iterator<Item = usize>| {
        let lens: Vec<String> = outputs.map(|len| len.to_string()).collect();
        format!("{} outputs (values: {})", lens.len(), lens.join(", "))
    };
    let [theirs, ours] = [lens(&mut expected.iter().map(Vec::len)), lens(&mut found.iter().map(Vec::len))];
    if theirs != ours {
        return Err(disagree(&format!("it gives {ours}, the file's own graph {theirs}")));
    }
    if !expected.iter().flatten().all(|value| value.is_finite()) {
        return Err(disagree("the file's own graph gives values for a random input that are not finite"));
    }
    let mut distance = 0.0f64;
    for (expected, found) in expected.iter().zip(found) {
        let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let apart = expected.iter().zip(found).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
        distance = distance.max(if largest > 0.0 { apart / largest } else { apart });
    }
    Ok(distance)
}

fn disagree(what: &str) -> Error {
    Error::Unsupported(format!(
        "what was imported cannot be shown to compute what the file does: {what}\n\
         please report it with the file; --no-check imports it all the same"
    ))
}

/// A random input, and the outputs for it.
fn run(plan: Plan, weights: &Path, threads: NonZeroUsize) -> Result<(Vec<f32>, Vec<Vec<f32>>), Error> {
    let input = random(plan.input.iter().product());
    // The file has not got its name yet.
    let path = weights.display().to_string();
    let failed = |error: resnet_runtime::Error| {
        let error = error.to_string().replace(&path, "the weight file");
        Error::Unsupported(format!("what was written cannot be used: {error}"))
    };
    let weights = Weights::load(plan.description(), weights).map_err(failed)?;
    let mut program = Program::new(plan, weights, threads).map_err(failed)?;
    program.run(&input).map_err(failed)?;
    let outputs: Vec<Vec<f32>> = program.outputs().map(|(_, output)| output.to_vec()).collect();
    if outputs.iter().flatten().all(|value| value.is_finite()) {
        return Ok((input, outputs));
    }
    Err(Error::Unsupported(
        "the outputs of a random input are not finite: the file's weights are not those of a trained network, or too large for the \
         type that they are written as (--dtype f32)"
            .to_owned(),
    ))
}

/// The plan of the network's own input, or of a smaller one, if that takes long or much memory and can be of one; `None` if all take
/// too much memory.
///
/// # Errors
/// If the network cannot be compiled.
fn comparable(model: &Model, imported: &Imported) -> Result<Option<Plan>, Error> {
    let fits = |plan: &Plan| elements(model, [plan.input[1], plan.input[2]]) <= ELEMENTS;
    let own = exact(imported, &Overrides::default())?;
    let [_, mut height, mut width, channels] = own.input;
    // A dense layer behind `flatten` has weights for one size alone.
    let shapes = |plan: &Plan| plan.description.layers.iter().map(|layer| layer.shape).collect::<Vec<_>>();
    let (weights, mut best) = (shapes(&own), Some(own).filter(fits));
    let long = |best: &Option<Plan>| best.as_ref().is_none_or(|plan| plan.description.macs > MULTIPLY_ADDS);
    while long(&best) && height > 32 && width > 32 {
        (height, width) = (height / 2, width / 2);
        let overrides = Overrides { input: Some([height, width, channels]), ..Overrides::default() };
        let Some(smaller) = exact(imported, &overrides).ok().filter(|plan| shapes(plan) == weights) else {
            break;
        };
        best = Some(smaller).filter(fits).or(best);
    }
    Ok(best)
}

/// How many elements the values of the file's graph have in sum for an input of this size; as many as there can be, if none of this
/// size fits.
fn elements(model: &Model, size: [usize; 2]) -> usize {
    let mut graph = of_size(&model.graph, Some(size));
    if passes::run(&mut graph, &["eliminate-dead", "infer-shapes"]).is_err() {
        return usize::MAX;
    }
    let dims = graph.topological().into_iter().filter_map(|value| graph.node(value).ty).map(|ty| ty.dims);
    dims.map(|dims| dims.into_iter().fold(1, usize::saturating_mul)).fold(0, usize::saturating_add)
}

/// The plan in f32, whatever the spec says: it is the import that is looked at, and not what other precisions cost.
fn exact(imported: &Imported, overrides: &Overrides) -> Result<Plan, Error> {
    let own = &imported.compiled.plan;
    if own.description.precision == Precision::F32 && overrides.input.is_none() {
        return Ok(own.clone());
    }
    let overrides = Overrides { precision: Some(Precision::F32), ..overrides.clone() };
    Ok(imported.compile(&overrides)?.plan)
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
    passes::run(&mut graph, &["eliminate-dead"])?;
    let input: Vec<f64> = input.iter().copied().map(f64::from).collect();
    let values = evaluate(&graph, &mut load, &input)
        .map_err(|error| Error::Unsupported(format!("the file's own graph cannot be evaluated: {error}")))?;
    let outputs = graph.outputs().iter().map(|output| &graph.node(output.value).name);
    Ok(outputs.filter_map(|name| Some(values.get(name)?.data.clone())).collect())
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

/// The error of the first tensor that has elements which no weight file of this format may have.
fn unwritable(imported: &Imported, format: Format) -> Option<Error> {
    imported.weights.iter().find_map(|weight| {
        let elements = weight.source.to_f64();
        let bad: Vec<f64> = elements.iter().copied().filter(|element| !format.holds(*element)).collect();
        let (first, name) = (bad.first()?, shown(weight.origin()));
        let (count, all) = (bad.len(), elements.len());
        Some(Error::Unsupported(match first.is_finite() {
            true => format!("the tensor `{name}` has {first:.1e}, too large for {}: use --dtype f32", format.name()),
            false => format!(
                "the tensor `{name}` is not finite: {count} of its {all} elements are {first} or the like. A training that diverged \
                 leaves such a file: take an earlier one"
            ),
        }))
    })
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

#[test]
fn all_outputs_are_compared() {
    assert_eq!(distance(&[vec![1.0, -2.0]], &[vec![1.0, -1.0]]).unwrap(), 0.5);
    for found in [&[][..], &[vec![1.0]], &[vec![1.0, -2.0], vec![0.0]]] {
        let error = distance(&[vec![1.0, -2.0]], found).unwrap_err().to_string();
        assert!(error.contains("the file's own graph 1 outputs (values: 2)"), "{error}");
    }
    assert!(distance(&[vec![1.0, f64::NAN]], &[vec![1.0, 1.0]]).is_err());
}
