//! From what a file holds to a spec and its weights.

use std::collections::HashMap;
use std::path::Path;

use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec};
use resnet_plan::WeightTensor;

use crate::candidate::{Candidate, Like, Specs};
use crate::checkpoint::Checkpoint;
use crate::difference::{self, Difference};
use crate::error::Error;
use crate::model::Model;
use crate::read::Contents;
use crate::weight::Weight;
use crate::{candidate, fit, flat, recognize};

/// A file as a spec and its weights.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The text of the spec.
    pub spec: String,
    /// What the compiler makes of it.
    pub compiled: Compiled,
    /// Its weights, in the order of use.
    pub weights: Vec<Weight>,
    /// Which network it is, in words: `torchvision/resnet50 with 37 classes, input 224x224x3`.
    pub network: String,
    /// What a person should know, each a line.
    pub notes: Vec<String>,
    /// Gives the files that the spec names.
    like: Like,
}

/// The spec and the weights that a file is. A spec of `specs` that ships is named, one of the caller's is copied. `name` is what the network is called, `path` where the file is.
///
/// # Errors
/// If it is none of them, or has no counterpart.
pub fn import(contents: &Contents, specs: Specs<'_>, name: &str, path: &Path) -> Result<Imported, Error> {
    match contents {
        Contents::Tensors(checkpoint) => tensors(checkpoint, specs, name, path),
        Contents::Network(model) => network(model, specs, name, path),
    }
}

fn tensors(checkpoint: &Checkpoint, specs: Specs<'_>, name: &str, path: &Path) -> Result<Imported, Error> {
    let fit = fit::fit(checkpoint, specs, path)?;
    let like = &fit.candidate.like;
    let own = Candidate::parse(like, &Overrides::default())?;
    let classes = fit.candidate.classes.filter(|_| own.classes != fit.candidate.classes && fit.cut.is_none());
    let input = Some(fit.candidate.input).filter(|input| *input != own.input);
    let outputs = fit.cut.iter().cloned().collect();
    let spec = Difference { classes, input, outputs, epsilon: None }.spec(name, like)?;
    let mut notes = checkpoint.notes.clone();
    notes.extend(fit.notes.into_iter().chain(difference::note(&spec)));
    let network = candidate::network(&like.name, &fit.candidate, fit.cut.as_deref());
    finish(network, notes, like.clone(), spec, &fit.weights)
}

fn network(model: &Model, specs: Specs<'_>, name: &str, path: &Path) -> Result<Imported, Error> {
    let mut notes = model.notes.clone();
    if let Some(found) = recognize::recognize(model, specs, name, path)? {
        notes.extend(candidate::others(&found.ties).map(|[others, like]| {
            format!("{others} the same graph, and may have another preprocessing; {like}")
        }));
        notes.extend(difference::note(&found.spec));
        let network = candidate::network(&found.like.name, &found.candidate, found.cut.as_deref());
        return finish(network, notes, found.like, found.spec, &found.weights);
    }
    if let Specs::Only(like) = specs {
        return Err(Error::Unsupported(format!(
            "the file's graph is not that of {}: without --like, it is imported as what it is",
            like.name
        )));
    }
    let model = &flat::expressible(model)?;
    let spec = flat::spec(model, name)?;
    let like = Like { name: "the spec".to_owned(), text: spec.clone(), folder: None };
    let Some((candidate, weights)) = recognize::weights_of(model, &like)? else {
        return Err(Error::Unsupported(
            "the network's graph cannot be written as a list of layers".to_owned(),
        ));
    };
    let layers = model.graph.len().saturating_sub(1);
    let network =
        candidate::network(&format!("no spec that ships: a list of {layers} layers"), &candidate, None);
    let note = "the file does not say how an image becomes an input: add `preprocessing` to the spec (docs/spec-language.md)";
    notes.push(note.to_owned());
    finish(network, notes, like, spec, &weights)
}

/// Compiles the spec and brings its weights into their order.
fn finish(
    network: String,
    notes: Vec<String>,
    like: Like,
    spec: String,
    weights: &[Weight],
) -> Result<Imported, Error> {
    let compiled = compile(&like, &spec, &Overrides::default())?;
    let by_name: HashMap<&str, &Weight> =
        weights.iter().map(|weight| (weight.name.as_str(), weight)).collect();
    let weight = |tensor: WeightTensor<'_>| match by_name.get(tensor.name) {
        Some(weight) if weight.dims == tensor.dims => Ok((*weight).clone()),
        _ => Err(Error::Unsupported(format!("the file has nothing for the tensor `{}`", tensor.name))),
    };
    let weights = compiled.plan.description().tensors().map(weight).collect::<Result<_, _>>()?;
    Ok(Imported { spec, compiled, weights, network, notes, like })
}

fn compile(like: &Like, spec: &str, overrides: &Overrides) -> Result<Compiled, Error> {
    let source = Spec { name: "the spec", text: spec, overrides };
    source.compile(&mut |file| like.read(file)).map_err(|errors| {
        let errors = errors.render("the spec", spec);
        Error::Unsupported(format!("the network cannot be compiled\n\n{errors}"))
    })
}

impl Imported {
    /// What the compiler makes of the spec, if the caller asks for something else in it.
    ///
    /// # Errors
    /// If it cannot be that.
    pub(crate) fn compile(&self, overrides: &Overrides) -> Result<Compiled, Error> {
        compile(&self.like, &self.spec, overrides)
    }
}
