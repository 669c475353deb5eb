//! Which of a file's dictionaries is the model's.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::storage::Storages;
use super::tensor::{self, Read};
use super::{FORMAT, SAVE};
use crate::budget::Budget;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::{Error, shown};
use crate::pickle::{Id, Pickle, Value};

/// Keys of training checkpoints, those that are preferred first.
const KEYS: [&str; 13] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
];

/// Bytes of memory that a tensor takes, at most, besides its name and elements.
const TENSOR: usize = 1024;

/// Dictionaries in dictionaries, at most: modules are not nested deeper.
const MOST_NESTED: usize = 32;

/// The tensors of the dictionary that is the model's.
pub(super) fn checkpoint<'a>(
    pickle: &Pickle<'a>,
    storages: &mut Storages<'a>,
    budget: &mut Budget,
) -> Result<Checkpoint, Error> {
    if pickle.dict(pickle.root).is_none() {
        let what = if tensor::is_tensor(pickle, pickle.root) {
            "a single tensor"
        } else {
            "no dictionary of tensors"
        };
        return Err(Error::Unsupported(format!("the file holds {what}: load it with PyTorch, and {SAVE}")));
    }
    let mut notes = Vec::new();
    let mut model = pickle.root;
    let mut known = HashMap::new();
    for _ in 0..MOST_NESTED {
        let Some((key, inner)) = choose(pickle, model, &mut known) else { break };
        notes.push(taken(pickle, model, key));
        model = inner;
    }
    let mut reader = Reader {
        pickle,
        storages,
        budget,
        seen: HashSet::new(),
        tensors: Vec::new(),
        left_out: BTreeMap::new(),
    };
    reader.dictionary(model, "", 0)?;
    let Reader { tensors, left_out, .. } = reader;
    notes.extend(left_out.iter().map(|(what, (count, first))| match count {
        1 => format!("left out \"{}\", a tensor of {what}", shown(first)),
        _ => format!("left out {count} tensors of {what}, the first is \"{}\"", shown(first)),
    }));
    if tensors.is_empty() {
        let notes: String = notes.iter().map(|note| format!(" ({note})")).collect();
        return Err(Error::Unsupported(format!("the file holds no tensors that can be read{notes}: {SAVE}")));
    }
    Ok(Checkpoint { format: FORMAT, tensors, notes })
}

/// The key of a dictionary that leads to the model's, and that dictionary; `None` if it is the model's itself.
fn choose<'a>(
    pickle: &Pickle<'a>,
    from: Value<'a>,
    known: &mut HashMap<Id, bool>,
) -> Option<(&'a str, Value<'a>)> {
    let entries = pickle.dict(from)?;
    let mut inner = Vec::new();
    for (key, value) in entries {
        if let Value::Text(key) = key
            && !is_of_training(key)
            && has_tensors(pickle, *value, known, 0)
        {
            inner.push((*key, *value));
        }
    }
    let preferred = KEYS.iter().find_map(|key| inner.iter().find(|(inner, _)| inner == key));
    match (preferred, &*inner) {
        (Some(preferred), _) => Some(*preferred),
        (None, [only]) if !entries.iter().any(|(_, value)| tensor::is_tensor(pickle, *value)) => Some(*only),
        _ => None,
    }
}

/// Whether a value is a dictionary that has tensors, itself or in another one. `known` are those that have been asked.
fn has_tensors<'a>(
    pickle: &Pickle<'a>,
    value: Value<'a>,
    known: &mut HashMap<Id, bool>,
    depth: usize,
) -> bool {
    let (Value::Node(id), Some(entries)) = (value, pickle.dict(value)) else { return false };
    if let Some(known) = known.get(&id) {
        return *known;
    }
    // A dictionary that is asked while it is being asked contains itself.
    known.insert(id, false);
    let has = depth < MOST_NESTED
        && entries.iter().any(|(_, value)| {
            tensor::is_tensor(pickle, *value) || has_tensors(pickle, *value, known, depth + 1)
        });
    known.insert(id, has);
    has
}

/// Whether a key of a checkpoint leads to what only training needs.
fn is_of_training(key: &str) -> bool {
    ["optim", "sched", "scaler"].iter().any(|part| key.contains(part))
}

/// What is said about a choice.
fn taken<'a>(pickle: &Pickle<'a>, from: Value<'a>, taken: &str) -> String {
    let key = shown(taken);
    let others: Vec<String> = pickle
        .dict(from)
        .unwrap_or_default()
        .iter()
        .filter_map(|(key, _)| match key {
            Value::Text(key) if *key != taken => Some(format!("\"{}\"", shown(key))),
            _ => None,
        })
        .take(7)
        .collect();
    match &*others {
        [] => format!("took \"{key}\" of the file"),
        [first @ .., _] if others.len() == 7 => {
            format!("took \"{key}\" of a training checkpoint ({}, .. left out)", first.join(", "))
        }
        others => format!("took \"{key}\" of a training checkpoint ({} left out)", others.join(", ")),
    }
}

struct Reader<'p, 'a> {
    pickle: &'p Pickle<'a>,
    storages: &'p mut Storages<'a>,
    budget: &'p mut Budget,
    /// Dictionaries that have been read: one that is referred to twice, or contains itself, is read once.
    seen: HashSet<Id>,
    tensors: Vec<Tensor>,
    /// By what they hold: how many tensors, and the first one's name.
    left_out: BTreeMap<&'static str, (usize, String)>,
}

impl<'a> Reader<'_, 'a> {
    /// The tensors of a dictionary and of those in it, whose names begin with `prefix`.
    fn dictionary(&mut self, value: Value<'a>, prefix: &str, depth: usize) -> Result<(), Error> {
        let pickle = self.pickle;
        let (Value::Node(id), Some(entries)) = (value, pickle.dict(value)) else { return Ok(()) };
        if depth > MOST_NESTED || !self.seen.insert(id) {
            return Ok(());
        }
        for (key, value) in entries {
            let is_tensor = tensor::is_tensor(pickle, *value);
            if !is_tensor && pickle.dict(*value).is_none() {
                continue;
            }
            let name = match key {
                Value::Text(key) if is_tensor || !is_of_training(key) => key,
                Value::Int(key) => &*key.to_string(),
                _ => continue,
            };
            self.budget.take(prefix.len() + name.len() + TENSOR, || "the names of all tensors".into())?;
            let name = format!("{prefix}{name}");
            if !is_tensor {
                self.dictionary(*value, &format!("{name}."), depth + 1)?;
                continue;
            }
            match tensor::read(pickle, *value, name.clone(), self.storages, self.budget)? {
                Some(Read::Tensor(tensor)) => self.tensors.push(tensor),
                Some(Read::LeftOut(what)) => self.left_out.entry(what).or_insert((0, name)).0 += 1,
                None => {}
            }
        }
        Ok(())
    }
}
