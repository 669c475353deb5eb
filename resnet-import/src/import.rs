//! The whole road: from a file to a spec and its weights.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec};

use crate::archive::{self, Archive};
use crate::budget::Budget;
use crate::candidate::{Candidate, Like};
use crate::checkpoint::{Bytes, Checkpoint, Tensor};
use crate::error::Error;
use crate::fit;
use crate::model::Model;
use crate::weight::Weight;
use crate::{npz, safetensors, text, torch};

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// Tensors only.
    Tensors(Checkpoint),
    /// A graph and its tensors.
    Network(Model),
}

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
}

/// Reads a file, whatever it is, and the files that belong to it: shards beside an index. None is opened outside of its folder.
///
/// # Errors
/// If it cannot be read, or is none that is known.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let read = |path: &Path| {
        fs::read(path).map(Bytes::new).map_err(|source| Error::Read { file: path.to_owned(), source })
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |name: &str| {
        let inside = Path::new(name).file_name().is_some_and(|last| last == name);
        if inside {
            read(&folder.join(name))
        } else {
            Err(Error::Refused(format!("the file names `{name}`, which is not beside it: no other file is opened")))
        }
    };
    let file = read(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.ends_with(".index.json") {
        let index = if name.contains("safetensors") { safetensors::read_index } else { torch::read_index };
        return index(&file, beside).map(Contents::Tensors);
    }
    if safetensors::is_safetensors(&file) {
        return safetensors::read(file).map(Contents::Tensors);
    }
    if archive::is_archive(&file) {
        let archive = Archive::open(&file, &mut Budget::of(file.len()))?;
        if npz::is_npz(archive.names()) {
            return npz::read(file).map(Contents::Tensors);
        }
    }
    if torch::is_checkpoint(&file) {
        return torch::read(file).map(Contents::Tensors);
    }
    Err(Error::Unsupported(format!(
        "{} is no file of a framework that is known: ONNX (.onnx), Keras (.keras, .h5), PyTorch (.pth, .pt, .bin), safetensors, \
         NumPy (.npz)",
        path.display()
    )))
}

/// The spec and the weights that a file is. `specs` are those that it may be like; one that ships is named, one of the caller's is
/// copied. `name` is what the network is called, `path` where the file is.
///
/// # Errors
/// If it is none of them, or has no counterpart.
pub fn import(contents: &Contents, specs: &[Like], name: &str, path: &Path) -> Result<Imported, Error> {
    match contents {
        Contents::Tensors(checkpoint) => tensors(checkpoint, specs, name, path),
        Contents::Network(_) => Err(Error::Unsupported("networks are not imported yet".to_owned())),
    }
}

fn tensors(checkpoint: &Checkpoint, specs: &[Like], name: &str, path: &Path) -> Result<Imported, Error> {
    let fit = fit::fit(checkpoint, specs, path)?;
    let like = fit.candidate.like.clone();
    let spec = spec(&like, name, fit.candidate.classes, fit.cut.as_deref())?;
    let mut notes = checkpoint.notes.clone();
    notes.extend(fit.notes);
    if let [first, ..] = &fit.ties[..] {
        let all = fit.ties.join(", ");
        notes.push(format!("the same tensors: {all}; if the file is of one of these, add --like {first}"));
    }
    let mut imported = finish(&like, spec, &fit.weights, notes)?;
    imported.network = text::network(&fit.candidate, fit.cut.as_deref());
    Ok(imported)
}

/// The text of a spec that is like another, but for the classes and where it ends.
fn spec(like: &Like, name: &str, classes: Option<usize>, cut: Option<&str>) -> Result<String, Error> {
    let own = Candidate::parse(like, &Overrides::default())?;
    let classes = classes.filter(|_| own.classes != classes && cut.is_none());
    if like.ships() {
        return Ok(text::like(name, &like.name, classes, cut));
    }
    match (classes, cut) {
        (None, None) => Ok(like.text.clone()),
        (Some(classes), _) => Err(Error::Unsupported(format!(
            "the file is of {classes} classes, {} of {}: write `classes: {classes}` in it",
            like.name,
            own.classes.unwrap_or(0)
        ))),
        (None, Some(cut)) => Err(Error::Unsupported(format!(
            "the file has no weights for what follows `{cut}` in {}: write `outputs: [{cut}]` in it",
            like.name
        ))),
    }
}

/// Compiles the spec and brings its weights into their order.
fn finish(like: &Like, spec: String, weights: &[Weight], notes: Vec<String>) -> Result<Imported, Error> {
    let overrides = Overrides::default();
    let source = Spec { name: "the spec", text: &spec, overrides: &overrides };
    let compiled = source.compile(&mut |file| like.read(file)).map_err(|errors| {
        Error::Unsupported(format!("the network cannot be compiled\n\n{}\n{spec}", errors.render("the spec", &spec)))
    })?;
    let by_name: HashMap<&str, &Weight> = weights.iter().map(|weight| (weight.name.as_str(), weight)).collect();
    let description = compiled.plan.description();
    let mut ordered = Vec::new();
    for tensor in description.tensors() {
        match by_name.get(tensor.name) {
            Some(weight) if weight.dims == tensor.dims => ordered.push((*weight).clone()),
            _ => return Err(Error::Unsupported(format!("the file has nothing for the tensor `{}`", tensor.name))),
        }
    }
    Ok(Imported { spec, compiled, weights: ordered, network: String::new(), notes })
}

impl Contents {
    /// All tensors.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Contents::Tensors(checkpoint) => &checkpoint.tensors,
            Contents::Network(model) => &model.tensors,
        }
    }
}
