//! From a file to what it holds: which kind it is of is known by its bytes, whatever it is called.

use std::fs;
use std::io;
use std::path::Path;

use crate::archive::{self, Archive};
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Checkpoint, Tensor};
use crate::error::{Error, shown};
use crate::model::Model;
use crate::{hdf5, keras, npz, onnx, safetensors, shards, torch};

/// What a file holds.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // there is one of it
pub enum Contents {
    /// Tensors only.
    Tensors(Checkpoint),
    /// A graph and its tensors.
    Network(Model),
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

/// Reads a file, and the files that belong to it: shards beside an index, tensors of an ONNX model. None is opened outside of its
/// folder, not by a link either.
///
/// # Errors
/// If it cannot be read, or is none that is known.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(index) = index_of_part(&name) {
        let message =
            format!("{name} is one part of several: import their index, {index}, which lies beside them");
        return Err(Error::Unsupported(message));
    }
    parse(&bytes(path)?, &mut |name| beside(path, name))
}

/// What a file in memory holds. `beside` gives a file of its folder by a name without folders.
///
/// # Errors
/// If it is damaged, or none that is known.
pub fn parse(file: &Bytes, beside: &mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Result<Contents, Error> {
    let mut budget = Budget::of(file.len());
    if safetensors::is_safetensors(file) {
        safetensors::read(file).map(Contents::Tensors)
    } else if archive::is_archive(file) {
        let archive = Archive::open(file, &mut budget)?;
        if npz::is_npz(&archive) {
            npz::read(&archive, &mut budget).map(Contents::Tensors)
        } else if keras::is_model(&archive) {
            keras::read_archive(&archive, budget)
        } else {
            torch::read_archive(&archive, &mut budget).map(Contents::Tensors)
        }
    } else if hdf5::is_hdf5(file) {
        keras::read(file, budget)
    } else if torch::is_checkpoint(file) {
        torch::read(file, &mut budget).map(Contents::Tensors)
    } else if onnx::is_model(file) {
        onnx::read(file, beside).map(Contents::Network)
    } else if shards::is_index(file) {
        shards::read(file, beside).map(Contents::Tensors)
    } else {
        Err(Error::Unsupported(
            "it is no file of a framework that is known: ONNX (.onnx), Keras (.keras, .h5), PyTorch (.pth, .pt, .bin, .th), \
             safetensors, NumPy (.npz); was a web page or a pointer of Git LFS downloaded in its place?"
                .to_owned(),
        ))
    }
}

/// All bytes of a file. Devices and pipes are not read: they may never end.
fn bytes(path: &Path) -> Result<Bytes, Error> {
    let regular = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no file")),
    });
    let bytes = regular.and_then(|()| fs::read(path));
    bytes.map(Bytes::new).map_err(|source| Error::Read { file: path.to_owned(), source })
}

/// All bytes of a file beside another one. Where that is a link, its target may lie beside the target.
fn beside(path: &Path, name: &str) -> Result<Bytes, Error> {
    let file = path.with_file_name(name);
    let folder = |path: &Path| path.canonicalize().ok()?.parent().map(Path::to_owned);
    let own = path.parent().and_then(|folder| folder.join(".").canonicalize().ok());
    let known = [own, folder(path)];
    match folder(&file) {
        Some(found) if known.iter().flatten().all(|known| *known != found) => Err(Error::Refused(format!(
            "`{}` is a link to a file in another folder than the model's, which is not opened: copy the file there",
            shown(name)
        ))),
        _ => bytes(&file),
    }
}

/// The index of the files that this one is a part of: `model-00001-of-00003.safetensors` has `model.safetensors.index.json`.
fn index_of_part(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let (stem, parts) = stem.rsplit_once("-of-")?;
    let (stem, part) = stem.rsplit_once('-')?;
    let parts: usize = parts.parse().ok()?;
    (part.parse::<usize>().is_ok() && parts > 1).then(|| format!("{stem}.{ending}.index.json"))
}

#[test]
fn a_part_has_an_index() {
    let index = "model.safetensors.index.json".to_owned();
    assert_eq!(index_of_part("model-00001-of-00003.safetensors"), Some(index));
    for whole in ["model.safetensors", "model-00001-of-00001.safetensors", "out-of-3.pth", "a-b-of-c.bin"] {
        assert_eq!(index_of_part(whole), None, "{whole}");
    }
}
