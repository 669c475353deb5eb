//! Checkpoints of several files, and the index that names them.

use std::collections::HashSet;

use serde_json::Value;

use crate::beside;
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Checkpoint};
use crate::error::{Error, shown};
use crate::{safetensors, torch};

/// Bytes of an index at most: parsed, it takes up to 50 times as much memory. Thousands of tensors fit.
const LARGEST: usize = 1 << 20;

/// Whether a file that begins so may be an index: a JSON object.
pub(crate) fn is_index(file: &[u8]) -> bool {
    file.trim_ascii_start().starts_with(b"{")
}

/// The tensors of all files that an index names, each once, in the order of the index. `open` gives a file by its name, which has no
/// folders.
///
/// # Errors
/// If the index is damaged, or one of the files is.
pub(crate) fn read(
    index: &[u8],
    open: &mut dyn FnMut(&str) -> Result<Bytes, Error>,
) -> Result<Checkpoint, Error> {
    let malformed =
        |problem: String| Error::Malformed(format!("the index of the checkpoint's files {problem}"));
    if index.len() > LARGEST {
        return Err(malformed(format!("is larger than {LARGEST} bytes: it is no index")));
    }
    let index: Value =
        serde_json::from_slice(index).map_err(|error| malformed(format!("is no JSON: {error}")))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| malformed("has no \"weight_map\" from tensors to files".into()))?;

    let mut all =
        Checkpoint { format: "checkpoint of several files", tensors: Vec::new(), notes: Vec::new() };
    let mut files = HashSet::new();
    for (tensor, file) in map {
        let file =
            file.as_str().ok_or_else(|| malformed(format!("names no file for \"{}\"", shown(tensor))))?;
        beside::plain(file, || format!("the index of the checkpoint's files says: `{}`", shown(tensor)))?;
        if files.insert(file) {
            let shard = shard(&open(file)?)?;
            all.format = shard.format;
            all.tensors.extend(
                shard
                    .tensors
                    .into_iter()
                    .filter(|tensor| map.get(&tensor.name).is_some_and(|owner| owner.as_str() == Some(file))),
            );
            all.notes.extend(shard.notes.into_iter().map(|note| format!("{}: {note}", shown(file))));
        }
    }
    let found: HashSet<&str> = all.tensors.iter().map(|tensor| &*tensor.name).collect();
    let missing = map.keys().filter(|name| !found.contains(&***name)).count();
    if missing > 0 {
        all.notes.push(format!("{missing} of the {} tensors in the index are not in their files", map.len()));
    }
    Ok(all)
}

fn shard(file: &Bytes) -> Result<Checkpoint, Error> {
    if safetensors::is_safetensors(file) {
        safetensors::read(file)
    } else {
        torch::read(file, &mut Budget::of(file.len()))
    }
}
