//! The whole road: from a file to a spec and its weights.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec};

use crate::archive::{self, Archive};
use crate::beside;
use crate::budget::Budget;
use crate::candidate::{Candidate, Like};
use crate::checkpoint::{Bytes, Checkpoint, Tensor};
use crate::difference::{self, Difference};
use crate::error::Error;
use crate::fit;
use crate::model::{INPUT, Model};
use crate::weight::Weight;
use crate::{candidate, flat, hdf5, keras, npz, onnx, recognize, safetensors, torch};

/// What a file holds.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // there is one of it
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
    /// Gives the files that the spec names.
    like: Like,
}

/// Reads a file, whatever it is, and the files that belong to it: shards beside an index. None is opened outside of its folder.
///
/// # Errors
/// If it cannot be read, or is none that is known.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let read = |path: &Path| {
        regular(path)
            .and_then(|()| fs::read(path))
            .map(Bytes::new)
            .map_err(|source| Error::Read { file: path.to_owned(), source })
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = |name: &str| {
        beside::plain(name, || "what the file asks for".to_owned())?;
        read(&folder.join(name))
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(index) = index_of_part(&name) {
        let message =
            format!("{name} is one part of several: import their index, {index}, which lies beside them");
        return Err(Error::Unsupported(message));
    }
    let file = read(path)?;
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
        if archive.names().any(|entry| entry == "model.weights.h5") {
            return keras(&file);
        }
    }
    if file.starts_with(&hdf5::MAGIC) {
        return keras(&file);
    }
    if torch::is_checkpoint(&file) {
        return torch::read(file).map(Contents::Tensors);
    }
    if name.to_lowercase().ends_with(".onnx") {
        return onnx::read(&file, Some(INPUT), &mut |name| beside(name)).map(Contents::Network);
    }
    Err(Error::Unsupported(format!(
        "{} is no file of a framework that is known: ONNX (.onnx), Keras (.keras, .h5), PyTorch (.pth, .pt, .bin, .th), safetensors, \
         NumPy (.npz)",
        path.display()
    )))
}

/// The index of the files that this one is a part of: `model-00001-of-00003.safetensors` has `model.safetensors.index.json`.
fn index_of_part(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (stem, parts) = stem.rsplit_once("-of-")?;
    let (stem, part) = stem.rsplit_once('-')?;
    let parts: usize = parts.parse().ok()?;
    (part.parse::<usize>().is_ok() && parts > 1).then(|| format!("{stem}.{ending}.index.json"))
}

/// Devices and pipes are not read: they may never end.
fn regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("it is no file")) }
}

/// A model of Keras, or its weights alone.
fn keras(file: &Bytes) -> Result<Contents, Error> {
    match keras::model(file)? {
        Some(model) => Ok(Contents::Network(model)),
        None => keras::checkpoint(file).map(Contents::Tensors),
    }
}

/// The spec and the weights that a file is. `specs` are those that it may be like; one that ships is named, one of the caller's is
/// copied. `name` is what the network is called, `path` where the file is.
///
/// # Errors
/// If it is none of them, or has no counterpart.
pub fn import(contents: &Contents, specs: &[Like], name: &str, path: &Path) -> Result<Imported, Error> {
    match contents {
        Contents::Tensors(checkpoint) => tensors(checkpoint, specs, name, path),
        Contents::Network(model) => network(model, specs, name, path),
    }
}

fn tensors(checkpoint: &Checkpoint, specs: &[Like], name: &str, path: &Path) -> Result<Imported, Error> {
    let fit = fit::fit(checkpoint, specs, path)?;
    let like = fit.candidate.like.clone();
    let own = Candidate::parse(&like, &Overrides::default())?;
    let classes = fit.candidate.classes.filter(|_| own.classes != fit.candidate.classes && fit.cut.is_none());
    let input = Some(fit.candidate.input).filter(|input| *input != own.input);
    let outputs = fit.cut.iter().cloned().collect();
    let spec = Difference { classes, input, outputs, epsilon: None }.spec(name, &like)?;
    let mut notes = checkpoint.notes.clone();
    notes.extend(fit.notes.into_iter().chain(difference::note(&spec)));
    let network = candidate::network(&like.name, &fit.candidate, fit.cut.as_deref());
    Ok(Imported { network, notes, ..finish(&like, spec, &fit.weights)? })
}

fn network(model: &Model, specs: &[Like], name: &str, path: &Path) -> Result<Imported, Error> {
    if let Some(found) = recognize::recognize(model, specs, name, path)? {
        let mut notes = model.notes.clone();
        notes.extend(candidate::others(&found.ties).map(|[others, like]| {
            format!("{others} the same graph, and may have another preprocessing; {like}")
        }));
        notes.extend(difference::note(&found.spec));
        let network = candidate::network(&found.like.name, &found.candidate, found.cut.as_deref());
        return Ok(Imported { network, notes, ..finish(&found.like, found.spec, &found.weights)? });
    }
    if let [like] = specs {
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
    let notes = model.notes.iter().cloned().chain([note.to_owned()]).collect();
    Ok(Imported { network, notes, ..finish(&like, spec, &weights)? })
}

/// Compiles the spec and brings its weights into their order.
fn finish(like: &Like, spec: String, weights: &[Weight]) -> Result<Imported, Error> {
    let compiled = compile(like, &spec, &Overrides::default())?;
    let by_name: HashMap<&str, &Weight> =
        weights.iter().map(|weight| (weight.name.as_str(), weight)).collect();
    let description = compiled.plan.description();
    let mut ordered = Vec::new();
    for tensor in description.tensors() {
        match by_name.get(tensor.name) {
            Some(weight) if weight.dims == tensor.dims => ordered.push((*weight).clone()),
            _ => {
                return Err(Error::Unsupported(format!(
                    "the file has nothing for the tensor `{}`",
                    tensor.name
                )));
            }
        }
    }
    let (network, notes) = (String::new(), Vec::new());
    Ok(Imported { spec, compiled, weights: ordered, network, notes, like: like.clone() })
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

impl Contents {
    /// All tensors.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Contents::Tensors(checkpoint) => &checkpoint.tensors,
            Contents::Network(model) => &model.tensors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_an_index() {
        let index = "model.safetensors.index.json".to_owned();
        assert_eq!(index_of_part("model-00001-of-00003.safetensors"), Some(index));
        for whole in ["model.safetensors", "model-00001-of-00001.safetensors", "out-of-3.pth", "a-b-of-c.bin"]
        {
            assert_eq!(index_of_part(whole), None, "{whole}");
        }
    }
}
