//! Tensors of an ONNX file: ranges of its bytes, or of a file beside it.

use std::collections::HashMap;

use crate::beside;
use crate::checkpoint::{Bytes, Element, Tensor};
use crate::error::Error;
use crate::onnx::wire::{Budget, Fields, Wire};

/// Files beside the model, each read once.
pub(super) struct ExternalData<'a> {
    read: &'a mut dyn FnMut(&str) -> Result<Bytes, Error>,
    files: HashMap<String, Bytes>,
}

impl<'a> ExternalData<'a> {
    /// `read` gives a file of the model's own folder.
    pub(super) fn new(read: &'a mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Self {
        ExternalData { read, files: HashMap::new() }
    }

    /// All bytes of a file of this name.
    fn file(&mut self, location: &str, tensor: &str) -> Result<Bytes, Error> {
        if let Some(bytes) = self.files.get(location) {
            return Ok(bytes.clone());
        }
        beside::plain(location, || format!("the tensor `{tensor}`"))?;
        let bytes = (self.read)(location)?;
        self.files.insert(location.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// The message of a tensor.
pub(super) fn read(
    bytes: Bytes,
    external: &mut ExternalData<'_>,
    budget: &mut Budget,
) -> Result<Tensor, Error> {
    let mut stored = Stored::default();
    for field in Fields::new(bytes, "tensor") {
        match field? {
            (1, value) => value.ints(|size| {
                budget.spend(16)?;
                stored.dims.push(size);
                Ok(())
            })?,
            (2, value) => stored.data_type = value.int(),
            (3, _) => return Err(Error::Unsupported("a tensor in segments has no counterpart".to_owned())),
            (8, value) => stored.name = value.text(budget)?,
            (9, Wire::Bytes(raw)) => stored.raw = Some(raw),
            (number @ (4 | 5 | 7 | 10 | 11), value) => stored.lists.push(number, value, budget)?,
            (13, value) => {
                let (key, value) = entry(value.bytes(), budget)?;
                match key.as_str() {
                    "location" => stored.location = value,
                    "offset" => stored.offset = Some(value),
                    "length" => stored.length = Some(value),
                    _ => {}
                }
            }
            (14, value) => stored.is_external = value.int() == 1,
            _ => {}
        }
    }
    stored.finish(external)
}

/// What the fields of a tensor say.
#[derive(Default)]
struct Stored {
    name: String,
    dims: Vec<i64>,
    data_type: i64,
    raw: Option<Bytes>,
    lists: Lists,
    is_external: bool,
    location: String,
    offset: Option<String>,
    length: Option<String>,
}

/// Elements that are not raw bytes. One packed list of floats is a range of the file; others are collected.
#[derive(Default)]
struct Lists {
    whole: Option<Bytes>,
    ints: Vec<i64>,
    fixed: Vec<u8>,
}

impl Lists {
    fn push(&mut self, number: u64, value: Wire, budget: &mut Budget) -> Result<(), Error> {
        match (number, value) {
            (4 | 10, Wire::Bytes(packed)) if self.whole.is_none() && self.fixed.is_empty() => {
                self.whole = Some(packed);
            }
            (4 | 10, value) => {
                if let Some(whole) = self.whole.take() {
                    self.fixed.extend_from_slice(&whole);
                }
                match value {
                    Wire::Bytes(packed) => self.fixed.extend_from_slice(&packed),
                    Wire::Fixed32(bytes) => self.fixed.extend_from_slice(&bytes),
                    Wire::Fixed64(bytes) => self.fixed.extend_from_slice(&bytes),
                    Wire::Varint(_) => {}
                }
            }
            (_, value) => value.ints(|int| {
                budget.spend(16)?;
                self.ints.push(int);
                Ok(())
            })?,
        }
        Ok(())
    }

    fn bytes(self, element: Element) -> Bytes {
        let ints =
            |bytes: fn(i64) -> Vec<u8>| Bytes::new(self.ints.iter().flat_map(|int| bytes(*int)).collect());
        match element {
            Element::F32 | Element::F64 => self.whole.unwrap_or(Bytes::new(self.fixed)),
            Element::I64 => ints(|int| int.to_le_bytes().to_vec()),
            Element::I32 => ints(|int| int.to_le_bytes()[..4].to_vec()),
            Element::F16 | Element::Bf16 => ints(|int| int.to_le_bytes()[..2].to_vec()),
            Element::I8 | Element::U8 => ints(|int| int.to_le_bytes()[..1].to_vec()),
        }
    }
}

impl Stored {
    fn finish(self, external: &mut ExternalData<'_>) -> Result<Tensor, Error> {
        let Stored { name, dims, data_type, raw, lists, .. } = self;
        let malformed = |message: String| Error::Malformed(format!("the tensor `{name}` {message}"));
        let element = element(data_type).map_err(|kind| {
            Error::Unsupported(format!("the tensor `{name}` is of {kind}, which have no counterpart"))
        })?;
        let sizes: Option<Vec<usize>> = dims.iter().map(|size| usize::try_from(*size).ok()).collect();
        let bytes = |dims: &[usize]| Tensor::len(dims)?.checked_mul(element.bytes());
        let sane = |dims: &Vec<usize>| dims.len() <= 8 && dims.iter().all(|size| *size <= 1 << 40);
        let sized = sizes.filter(sane).and_then(|sizes| bytes(&sizes).map(|bytes| (sizes, bytes)));
        let Some((sizes, needed)) = sized else {
            return Err(malformed(format!("has the sizes {dims:?}, which no file can hold")));
        };
        let data = if self.is_external {
            let number = |text: &Option<String>, missing: usize| match text {
                Some(text) => text.trim().parse().map_err(|_| {
                    malformed(format!(
                        "has the offset or length `{text}` in `{}`, not a number",
                        self.location
                    ))
                }),
                None => Ok(missing),
            };
            let (offset, length) = (number(&self.offset, 0)?, number(&self.length, needed)?);
            let file = external.file(&self.location, &name)?;
            let part = offset.checked_add(length).and_then(|end| file.part(offset..end));
            part.ok_or_else(|| {
                malformed(format!(
                    "is {length} bytes at {offset} of `{}`, which has {} bytes",
                    self.location,
                    file.len()
                ))
            })?
        } else {
            raw.unwrap_or_else(|| lists.bytes(element))
        };
        if data.len() != needed {
            let found = data.len();
            return Err(malformed(format!("has {found} bytes, its sizes {sizes:?} need {needed}")));
        }
        Ok(Tensor { name, dims: sizes, element, bytes: data })
    }
}

/// The elements that a number of onnx.proto stands for; what else it stands for.
pub(super) fn element(data_type: i64) -> Result<Element, String> {
    Ok(match data_type {
        1 => Element::F32,
        2 | 9 => Element::U8,
        3 => Element::I8,
        6 => Element::I32,
        7 => Element::I64,
        10 => Element::F16,
        11 => Element::F64,
        16 => Element::Bf16,
        8 => return Err("strings".to_owned()),
        other => return Err(format!("elements of type {other}")),
    })
}

fn entry(bytes: Bytes, budget: &mut Budget) -> Result<(String, String), Error> {
    let (mut key, mut text) = (String::new(), String::new());
    for field in Fields::new(bytes, "place of external data") {
        match field? {
            (1, value) => key = value.text(budget)?,
            (2, value) => text = value.text(budget)?,
            _ => {}
        }
    }
    Ok((key, text))
}
