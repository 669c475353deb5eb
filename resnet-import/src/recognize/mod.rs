//! A graph of a file: whether it is that of a spec, whatever its values and tensors are called.

mod canonical;
mod weights;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use resnet_dsl::ir::Op;
use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::spec::Overrides;

use crate::candidate::{Candidate, Like, Specs};
use crate::checkpoint::Tensor;
use crate::difference::Difference;
use crate::error::Error;
use crate::model::Model;
use crate::slots;
use crate::weight::Weight;
use canonical::{Canonical, Numbers};
use weights::Mapping;

/// A spec that computes what a file's graph does.
pub(crate) struct Recognized {
    /// What it is like.
    pub(crate) like: Like,
    /// Its text.
    pub(crate) spec: String,
    /// What the text stands for.
    pub(crate) candidate: Candidate,
    /// The value that it ends with, if that is not the end of the spec that it is like.
    pub(crate) cut: Option<String>,
    /// Its weights.
    pub(crate) weights: Vec<Weight>,
    /// Other specs that compute the same.
    pub(crate) ties: Vec<String>,
}

/// Weights of a spec, and the epsilons of the file's batch norms and its own.
type Mapped = (Vec<Weight>, Vec<[f64; 2]>);

/// A spec that has all outputs of a file.
struct Match {
    candidate: Candidate,
    /// The names of the spec's values that the file gives, if these are not the spec's outputs.
    outputs: Option<Vec<String>>,
    /// How many of its tensors have a name that the file has, too.
    names: usize,
}

/// The spec of a file's graph; `None` if it is that of none.
///
/// # Errors
/// If the file's graph has shapes that do not fit.
pub(crate) fn recognize(
    model: &Model,
    specs: Specs<'_>,
    name: &str,
    path: &Path,
) -> Result<Option<Recognized>, Error> {
    let mut numbers = Numbers::default();
    let file = Canonical::of(&model.graph, &mut numbers)?;
    let Some(input) = input(&file.graph) else { return Ok(None) };
    let classes = classes(&file);
    let names: HashSet<&str> = model.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut matches: Vec<Match> = Vec::new();
    for like in specs.all() {
        let overrides = Overrides { input: Some(input), classes, ..Overrides::default() };
        let candidate = match (Candidate::parse(like, &overrides), specs) {
            (Ok(candidate), _) => candidate,
            (Err(error), Specs::Only(_)) => return Err(error),
            // One that cannot be of this input.
            (Err(_), Specs::Any(_)) => continue,
        };
        let spec = Canonical::of(&candidate.graph, &mut numbers)?;
        let found = outputs(&file, &spec);
        if let Some(outputs) = found.filter(|cut| cut.as_ref().is_none_or(|cut| is_most(&candidate, cut))) {
            let known = candidate.slots.iter().filter(|slot| names.contains(slot.name.as_str())).count();
            matches.push(Match { candidate, outputs, names: known });
        }
    }
    matches.sort_by_cached_key(|found| {
        let preference = found.candidate.like.preference(path);
        (found.outputs.is_some(), std::cmp::Reverse(found.names), preference)
    });
    let same = |found: &&Match| {
        found.outputs.is_none() == matches[0].outputs.is_none() && found.names == matches[0].names
    };
    let ties: Vec<String> =
        matches.iter().skip(1).filter(same).map(|found| found.candidate.like.name.clone()).collect();
    for found in matches {
        let others = ties.iter().filter(|tie| **tie != found.candidate.like.name).cloned().collect();
        let recognized = written(model, &file, &mut numbers, found, others, name)?;
        if recognized.is_some() {
            return Ok(recognized);
        }
    }
    Ok(None)
}

/// The weights of a spec that computes all that a file's graph does; `None` if it does not.
///
/// # Errors
/// If the spec has mistakes.
pub(crate) fn weights_of(model: &Model, like: &Like) -> Result<Option<(Candidate, Vec<Weight>)>, Error> {
    let mut numbers = Numbers::default();
    let file = Canonical::of(&model.graph, &mut numbers)?;
    let candidate = Candidate::parse(like, &Overrides::default())?;
    let mapped = mapped(model, &file, &mut numbers, &candidate)?;
    Ok(mapped.map(|(weights, _)| (candidate, weights)))
}

/// The spec of a match, if all weights have a place in it.
fn written(
    model: &Model,
    file: &Canonical,
    numbers: &mut Numbers,
    Match { candidate, outputs, .. }: Match,
    ties: Vec<String>,
    name: &str,
) -> Result<Option<Recognized>, Error> {
    let like = candidate.like.clone();
    let own = Candidate::parse(&like, &Overrides::default())?;
    let mut difference = Difference {
        // One that says none makes an embedding.
        classes: candidate
            .classes
            .filter(|_| own.classes.is_some() && own.classes != candidate.classes && outputs.is_none()),
        input: (own.input != candidate.input).then_some(candidate.input),
        outputs: outputs.clone().unwrap_or_default(),
        epsilon: None,
    };
    let mut best: Option<(String, Candidate, Vec<Weight>, usize)> = None;
    for _ in 0..2 {
        let spec = difference.spec(name, &like)?;
        let like = Like { text: spec.clone(), name: "the spec".to_owned(), folder: like.folder.clone() };
        let Ok(candidate) = Candidate::parse(&like, &Overrides::default()) else { break };
        let Some((weights, epsilons)) = mapped(model, file, numbers, &candidate)? else { break };
        let different: Vec<f64> = epsilons
            .iter()
            .filter(|[file, spec]| *file as f32 != *spec as f32)
            .map(|[file, _]| *file)
            .collect();
        let fewer = best.as_ref().is_none_or(|(.., count)| different.len() < *count);
        let next = different.first().copied().filter(|_| difference.epsilon.is_none());
        if fewer {
            best = Some((spec, candidate, weights, different.len()));
        }
        let Some(epsilon) = next.filter(|_| like.folder.is_none()) else { break };
        difference.epsilon = Some(epsilon);
    }
    Ok(best.map(|(spec, candidate, weights, _)| {
        let cut = outputs.map(|outputs| outputs.join(", "));
        Recognized { like, spec, candidate, cut, weights, ties }
    }))
}

/// Weights of a candidate whose outputs are the file's, and the epsilons of the file's batch norms and its own.
fn mapped(
    model: &Model,
    file: &Canonical,
    numbers: &mut Numbers,
    candidate: &Candidate,
) -> Result<Option<Mapped>, Error> {
    let spec = Canonical::of(&candidate.graph, numbers)?;
    let number = |canonical: &Canonical, value: &Value| canonical.numbers.get(value).copied();
    let equal = file.outputs.len() == spec.outputs.len()
        && file
            .outputs
            .iter()
            .zip(&spec.outputs)
            .all(|(theirs, ours)| number(file, theirs) == number(&spec, ours));
    if !equal {
        return Ok(None);
    }
    let outputs: Vec<(Value, Value)> =
        file.outputs.iter().copied().zip(spec.outputs.iter().copied()).collect();
    let tensors: HashMap<&str, &Tensor> =
        model.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let pairs = spec.pairs(file, &outputs);
    let mapping = pairs.and_then(|pairs| Mapping::of(&tensors, file, &spec, &pairs));
    Ok(mapping.map(|mapping| (mapping.weights, mapping.epsilons)))
}

/// The outputs of a file in a spec: `None` if it has not all of them, `Some(None)` if they are all of its own, else their names.
#[allow(clippy::option_option)] // two questions
fn outputs(file: &Canonical, spec: &Canonical) -> Option<Option<Vec<String>>> {
    let wanted: Vec<u32> = file.outputs.iter().filter_map(|value| file.numbers.get(value).copied()).collect();
    let own: Vec<u32> = spec.outputs.iter().filter_map(|value| spec.numbers.get(value).copied()).collect();
    if wanted == own {
        return Some(None);
    }
    let values = spec.graph.topological();
    let name = |number: &u32| {
        let value = values.iter().find(|value| spec.numbers.get(value) == Some(number))?;
        Some(spec.graph.node(*value).name.clone())
    };
    wanted.iter().map(name).collect::<Option<Vec<String>>>().map(Some)
}

/// Whether these values of a spec need at least half of its parameters: any network begins as some other.
fn is_most(candidate: &Candidate, outputs: &[String]) -> bool {
    let graph = &candidate.graph;
    let mut waiting: Vec<Value> = graph.topological();
    waiting.retain(|value| outputs.contains(&graph.node(*value).name));
    let (mut seen, mut needed) = (HashSet::new(), HashSet::new());
    while let Some(value) = waiting.pop() {
        if seen.insert(value) {
            needed.extend(slots::of_node(graph, value).into_iter().map(|slot| slot.name));
            waiting.extend(graph.operands(value));
        }
    }
    let parameters = |there: bool| {
        let slots = candidate.slots.iter().filter(|slot| needed.contains(&slot.name) == there);
        slots.filter_map(|slot| Tensor::len(&slot.dims)).fold(0, usize::saturating_add)
    };
    let needed = parameters(true);
    needed > 0 && needed >= parameters(false)
}

/// Height, width and channels of the input.
fn input(graph: &Graph) -> Option<[usize; 3]> {
    graph.topological().into_iter().find_map(|value| match graph.node(value).op {
        Op::Input([_, height, width, channels]) => Some([height, width, channels]),
        _ => None,
    })
}

/// How many classes there are, if the network has one output of one pixel.
fn classes(file: &Canonical) -> Option<usize> {
    let [output] = file.outputs[..] else { return None };
    match file.graph.node(output).ty?.dims {
        [_, 1, 1, classes] => Some(classes),
        _ => None,
    }
}
