//! Where the elements of tensors are.

use std::collections::HashMap;

use crate::archive::Archive;
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Element};
use crate::error::{Error, shown};
use crate::pickle::{Node, Pickle, Value};

/// The storages of a file, by their keys.
pub(super) struct Storages<'a> {
    /// Those that were asked for, or all.
    found: HashMap<&'a str, Bytes>,
    /// Where to look for others.
    archive: Option<(&'a Archive<'a>, String)>,
}

/// What a pickle says of a storage.
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    /// The first byte of it that belongs to this view of it.
    pub(super) start: usize,
}

/// Elements of PyTorch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// What they are here; else why they are left out.
    pub(super) element: Result<Element, &'static str>,
    /// Bytes of one.
    pub(super) bytes: usize,
}

impl<'a> Storages<'a> {
    /// The entries of an archive in a folder.
    pub(super) fn archive(archive: &'a Archive<'a>, folder: String) -> Self {
        Storages { found: HashMap::new(), archive: Some((archive, folder)) }
    }

    /// What follows the pickles from a byte on: for each key its number of elements, and the elements.
    pub(super) fn sequence(
        file: &Bytes,
        start: usize,
        object: &Pickle<'a>,
        keys: &Pickle<'a>,
    ) -> Result<Self, Error> {
        let kinds: HashMap<&str, Kind> = object
            .nodes()
            .iter()
            .filter_map(|node| match node {
                Node::Persistent(id) => Storage::read(object, *id).map(|storage| (storage.key, storage.kind)),
                _ => None,
            })
            .collect();
        let damaged = |problem: &str| Error::Malformed(format!("the list of storages is damaged: {problem}"));
        let keys = keys.items(keys.root).ok_or_else(|| damaged("it is no list"))?;
        let mut found = HashMap::new();
        let mut at = start;
        for key in keys {
            let Value::Text(key) = *key else { return Err(damaged("a key is no text")) };
            let kind = kinds.get(key).ok_or_else(|| damaged("it has a storage that no tensor has"))?;
            let (storage, end) = sized(file, at, kind.bytes).ok_or_else(|| {
                Error::Malformed(format!(
                    "the file ends before its storage \"{}\" does (byte {at}): copy or download it again",
                    shown(key)
                ))
            })?;
            found.insert(key, storage);
            at = end;
        }
        Ok(Storages { found, archive: None })
    }

    /// A storage by its key.
    pub(super) fn get(&mut self, key: &'a str, budget: &mut Budget) -> Result<Bytes, Error> {
        if let Some(bytes) = self.found.get(key) {
            return Ok(bytes.clone());
        }
        let entry = match &self.archive {
            Some((archive, folder)) => archive.entry(&format!("{folder}{key}"), budget)?,
            None => None,
        };
        let bytes =
            entry.ok_or_else(|| Error::Malformed(format!("the file has no storage \"{}\"", shown(key))))?;
        self.found.insert(key, bytes.clone());
        Ok(bytes)
    }
}

impl<'a> Storage<'a> {
    /// Of what a pickle says: `("storage", class, key, device, elements)`, and maybe the part that it is: `(key, start, elements)`.
    pub(super) fn read(pickle: &Pickle<'a>, id: Value<'a>) -> Option<Self> {
        let [Value::Text("storage"), class, Value::Text(key), _, _, view @ ..] = pickle.items(id)? else {
            return None;
        };
        let (_, class) = pickle.global(*class)?;
        let kind = Kind::of_storage(class)?;
        let start = match view.first().and_then(|view| pickle.items(*view)) {
            Some([_, Value::Int(start), _]) => usize::try_from(*start).ok()?.checked_mul(kind.bytes)?,
            _ => 0,
        };
        Some(Storage { key, kind, start })
    }
}

impl Kind {
    /// By the name of a class of storages.
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class.strip_suffix("Storage")? {
            "Float" => Kind::known(Element::F32),
            "Double" => Kind::known(Element::F64),
            "Half" => Kind::known(Element::F16),
            "BFloat16" => Kind::known(Element::Bf16),
            "Long" => Kind::known(Element::I64),
            "Int" => Kind::known(Element::I32),
            "Char" => Kind::known(Element::I8),
            "Byte" | "Bool" | "Untyped" | "Typed" => Kind::known(Element::U8),
            "Short" => Kind::other("whole numbers of 16 bits", 2),
            "ComplexFloat" => Kind::other("complex numbers", 8),
            "ComplexDouble" => Kind::other("complex numbers", 16),
            "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Kind::other("quantized numbers", 1),
            "QInt32" => Kind::other("quantized numbers", 4),
            _ => return None,
        })
    }

    /// By the name of a `dtype`.
    pub(super) fn of_dtype(name: &str) -> Self {
        match name {
            "float32" | "float" => Kind::known(Element::F32),
            "float64" | "double" => Kind::known(Element::F64),
            "float16" | "half" => Kind::known(Element::F16),
            "bfloat16" => Kind::known(Element::Bf16),
            "int64" | "long" => Kind::known(Element::I64),
            "int32" | "int" => Kind::known(Element::I32),
            "int8" => Kind::known(Element::I8),
            "uint8" | "bool" => Kind::known(Element::U8),
            _ if name.starts_with("float8") => Kind::other("floating-point numbers of 8 bits", 1),
            _ => Kind::other("elements that are neither floating-point numbers nor counters", 1),
        }
    }

    fn known(element: Element) -> Self {
        Kind { element: Ok(element), bytes: element.bytes() }
    }

    fn other(name: &'static str, bytes: usize) -> Self {
        Kind { element: Err(name), bytes }
    }
}

/// A number of elements and the elements, and where they end.
fn sized(file: &Bytes, at: usize, element: usize) -> Option<(Bytes, usize)> {
    let count = u64::from_le_bytes(*file.get(at..)?.first_chunk()?);
    let start = at.checked_add(8)?;
    let end = start.checked_add(usize::try_from(count).ok()?.checked_mul(element)?)?;
    Some((file.part(start..end)?, end))
}
