//! Checkpoints of PyTorch: what `torch.save` writes, as a zip archive (since PyTorch 1.6) or as pickles one after the other.
//!
//! The pickle may hold a dictionary of tensors, or a training checkpoint: a dictionary that has the model's dictionary under some
//! key. Which one is taken:
//!
//! 1. what is under the first of these keys that leads to a dictionary with tensors: `state_dict`, `model_state_dict`,
//!    `model_state`, `model`, `net`, `network`, `module`, `weights`, then averaged weights: `state_dict_ema`, `model_ema`,
//!    `ema_state_dict`, `ema_model`, `ema`; and so on inside of that one;
//! 2. else the dictionary itself, if it has tensors of its own;
//! 3. else the one dictionary in it that has tensors, or all of them.
//!
//! Names of nested dictionaries are joined with dots. What is under keys of training (`optimizer`, `lr_scheduler`, `scaler`) is never
//! taken. Tensors of unsupported elements (complex, quantized) are left out. What was taken and left out is said by
//! [`Checkpoint::notes`].

mod state;
mod storage;
mod tensor;

use crate::archive::{self, Archive};
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Checkpoint};
use crate::error::Error;
use crate::pickle::{self, Pickle, Value};
use storage::Storages;

/// What messages call such a file.
const FORMAT: &str = "PyTorch checkpoint";

const SAVE: &str = "save its tensors: `torch.save(model.state_dict(), \"model.pth\")`";

/// The number that files without an archive begin with, behind its opcode and length.
const MAGIC: [u8; 10] = 0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes().first_chunk().copied().unwrap();

/// Whether a file that begins so may be one: a zip archive, or a pickle.
pub(crate) fn is_checkpoint(file: &[u8]) -> bool {
    archive::is_archive(file) || is_tar(file) || matches!(file, [0x80, 0..=5, ..])
}

/// Reads a checkpoint. Its tensors are parts of the file, where they are stored as they are.
///
/// # Errors
///
/// If the file is incomplete or damaged, asks for functions of Python (a whole pickled model), was not written by `torch.save`, or
/// has no tensors.
pub(crate) fn read(file: &Bytes, budget: &mut Budget) -> Result<Checkpoint, Error> {
    if archive::is_archive(file) {
        read_archive(&Archive::open(file, budget)?, budget)
    } else if is_tar(file) {
        Err(Error::Unsupported(format!(
            "the file is a tar archive, as PyTorch wrote it before version 0.2: load it with PyTorch, and {SAVE}"
        )))
    } else {
        read_pickles(file, budget)
    }
}

/// The form of a zip archive: the pickle is `NAME/data.pkl`, the storages are `NAME/data/KEY`.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_archive(archive: &Archive<'_>, budget: &mut Budget) -> Result<Checkpoint, Error> {
    let mut tops = archive.names().filter_map(|name| name.strip_suffix("data.pkl"));
    let top = tops.find(|top| top.is_empty() || top.ends_with('/')).ok_or_else(|| {
        Error::Unsupported(
            "the zip archive is no checkpoint of PyTorch: it has no `data.pkl` (an exported program? then save \
             `program.state_dict` with `torch.save`)"
                .into(),
        )
    })?;
    let has = |name: &str| {
        archive.names().any(|entry| entry.strip_prefix(top).is_some_and(|entry| entry.starts_with(name)))
    };
    if has("constants.pkl") || has("code/") {
        return Err(Error::Unsupported(
            "the file is a TorchScript program: load it with `torch.jit.load`, and save its tensors: \
             `torch.save(program.state_dict(), \"model.pth\")`"
                .into(),
        ));
    }
    if let Some(order) = archive.entry(&format!("{top}byteorder"), budget)?
        && &*order != b"little"
    {
        return Err(Error::Unsupported(
            "the tensors are big-endian: load the file with PyTorch on a little-endian machine, and save it again".into(),
        ));
    }
    let Some(data) = archive.entry(&format!("{top}data.pkl"), budget)? else {
        return Err(Error::Malformed("the zip archive has no `data.pkl`".into()));
    };
    let pickle = pickle::read(&data, values(archive.file()))?;
    let folder = format!("{top}data/");
    state::checkpoint(&pickle, &mut Storages::archive(archive, folder), budget)
}

/// The form without an archive: a magic number, a version, the sizes of the writer's types, the object and the keys of its storages
/// are pickles one after the other; then the storages follow, each its number of elements and the elements.
fn read_pickles(file: &Bytes, budget: &mut Budget) -> Result<Checkpoint, Error> {
    if file.first() != Some(&0x80) {
        return Err(Error::Unsupported(
            "the file is no checkpoint of PyTorch: it begins neither as a zip archive nor as a pickle (was a web page or a pointer \
             of Git LFS downloaded in its place?)"
                .into(),
        ));
    }
    let mut at = 0;
    if next(file, &mut at)?.root != Value::Long(&MAGIC) {
        return Err(Error::Unsupported(format!(
            "the file is a pickle that `torch.save` did not write: load it with Python, and {SAVE}"
        )));
    }
    let version = next(file, &mut at)?;
    if version.root != Value::Int(1001) {
        return Err(Error::Unsupported(format!(
            "the file is of a version of `torch.save` that is not known: load it with PyTorch, and {SAVE}"
        )));
    }
    next(file, &mut at)?;
    let object = next(file, &mut at)?;
    let keys = next(file, &mut at)?;
    let mut storages = Storages::sequence(file, at, &object, &keys)?;
    state::checkpoint(&object, &mut storages, budget)
}

/// The pickle at a byte of the file, which is moved behind it.
fn next<'a>(file: &'a Bytes, at: &mut usize) -> Result<Pickle<'a>, Error> {
    let pickle = pickle::read(file.get(*at..).unwrap_or_default(), values(file))?;
    *at = at.saturating_add(pickle.len);
    Ok(pickle)
}

/// How many values a pickle may have: more than tensors need, and what takes at most half as much memory as may be asked for.
fn values(file: &Bytes) -> usize {
    250_000 + file.len() / 200
}

fn is_tar(file: &[u8]) -> bool {
    file.get(257..).is_some_and(|rest| rest.starts_with(b"ustar"))
}
