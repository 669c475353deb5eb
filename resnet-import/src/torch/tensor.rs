//! Tensors of a pickle: views of storages.

use std::ops::Range;

use super::storage::{Kind, Storage, Storages};
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Tensor};
use crate::error::{Error, shown};
use crate::pickle::{Node, Pickle, Value};
use crate::strided;

/// What becomes of a value that is a tensor.
pub(super) enum Read {
    Tensor(Tensor),
    /// It is left out: its elements are such.
    LeftOut(&'static str),
}

/// As many sizes as PyTorch allows a tensor to have.
const MOST_DIMS: usize = 64;

/// Whether a value is a tensor.
pub(super) fn is_tensor<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> bool {
    pickle.call(value).is_some_and(|(module, name, _)| is_rebuilt(module, name))
}

/// The tensor that a value is, under a name; `None` if it is none.
pub(super) fn read<'a>(
    pickle: &Pickle<'a>,
    value: Value<'a>,
    name: String,
    storages: &mut Storages<'a>,
    budget: &mut Budget,
) -> Result<Option<Read>, Error> {
    let Some((function, arguments)) = tensor_call(pickle, value) else { return Ok(None) };
    let shown = shown(&name);
    let malformed = |problem: &str| {
        Error::Malformed(format!("tensor \"{shown}\" is described in an unknown way: {problem}"))
    };
    let (storage, place, kind) = match (function, arguments) {
        ("_rebuild_tensor_v3", [storage, offset, dims, strides, _, _, dtype, ..]) => {
            let dtype = pickle.global(*dtype).ok_or_else(|| malformed("it has no `dtype`"))?;
            (storage, [offset, dims, strides], Some(Kind::of_dtype(dtype.1)))
        }
        ("_rebuild_tensor" | "_rebuild_tensor_v2", [storage, offset, dims, strides, ..]) => {
            (storage, [offset, dims, strides], None)
        }
        ("_rebuild_qtensor", _) => return Ok(Some(Read::LeftOut("quantized numbers"))),
        ("_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor", _) => {
            return Ok(Some(Read::LeftOut("sparse numbers")));
        }
        _ => return Ok(Some(Read::LeftOut("numbers that are not in the file as an array"))),
    };
    let Some(Node::Persistent(id)) = pickle.node(*storage) else {
        return Err(malformed("it has no storage"));
    };
    let storage = Storage::read(pickle, *id).ok_or_else(|| malformed("its storage is of no known class"))?;
    let kind = kind.unwrap_or(storage.kind);
    let element = match kind.element {
        Ok(element) => element,
        Err(reason) => return Ok(Some(Read::LeftOut(reason))),
    };
    let [offset, dims, strides] = place;
    let offset = size(*offset).ok_or_else(|| malformed("its offset is no size"))?;
    let dims = sizes(pickle, *dims).ok_or_else(|| malformed("its shape is no tuple of sizes"))?;
    let strides = sizes(pickle, *strides).filter(|strides| strides.len() == dims.len());
    let strides = strides.ok_or_else(|| malformed("its strides are no tuple of sizes"))?;

    let view = View { start: storage.start, offset, dims: &dims, strides: &strides, element: kind.bytes };
    let all = storages.get(storage.key, budget)?;
    let outside = || {
        Error::Malformed(format!(
            "tensor \"{shown}\" of shape {dims:?} reaches outside of its storage of {} bytes",
            all.len()
        ))
    };
    let range = view.range(all.len()).ok_or_else(outside)?;
    let bytes = if view.is_contiguous() {
        all.part(range).ok_or_else(outside)?
    } else {
        let len = Tensor::len(&dims).and_then(|len| len.checked_mul(kind.bytes)).unwrap_or(usize::MAX);
        budget.take(len, || {
            format!("tensor \"{shown}\" of shape {dims:?}, which is a view of fewer elements,")
        })?;
        let from = all.get(range).ok_or_else(outside)?;
        Bytes::new(strided::row_major(from, &dims, &strides, kind.bytes))
    };
    Ok(Some(Read::Tensor(Tensor { name, dims, element, bytes })))
}

/// The function that makes the innermost tensor of a value, and its arguments. Parameters are tensors with a flag, subclasses are
/// tensors with another name.
fn tensor_call<'p, 'a>(pickle: &'p Pickle<'a>, value: Value<'a>) -> Option<(&'a str, &'p [Value<'a>])> {
    let mut value = value;
    // A parameter is made of a tensor, never deeper: a cycle is none.
    for _ in 0..3 {
        match pickle.call(value)? {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..]) => {
                value = *tensor;
            }
            ("torch._tensor", "_rebuild_from_type_v2", [function, _, arguments, ..]) => {
                return match pickle.global(*function)? {
                    ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => None,
                    ("torch._utils", name) => Some((name, pickle.items(*arguments)?)),
                    _ => None,
                };
            }
            ("torch._utils", name, arguments) => return Some((name, arguments)),
            _ => return None,
        }
    }
    None
}

fn is_rebuilt(module: &str, name: &str) -> bool {
    matches!(module, "torch._utils" | "torch._tensor") && name.starts_with("_rebuild_")
}

fn size(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(size) => usize::try_from(size).ok(),
        _ => None,
    }
}

fn sizes<'a>(pickle: &Pickle<'a>, value: Value<'a>) -> Option<Vec<usize>> {
    let items = match pickle.call(value) {
        Some(("torch", "Size", [items])) => pickle.items(*items)?,
        _ => pickle.items(value)?,
    };
    if items.len() > MOST_DIMS {
        return None;
    }
    items.iter().map(|item| size(*item)).collect()
}

/// Elements of a storage: sizes and strides count elements, `start` bytes.
struct View<'a> {
    start: usize,
    offset: usize,
    dims: &'a [usize],
    strides: &'a [usize],
    element: usize,
}

impl View<'_> {
    /// The bytes from the first element to the last, if they are within a storage of `len` bytes.
    fn range(&self, len: usize) -> Option<Range<usize>> {
        Tensor::len(self.dims)?;
        let start = self.offset.checked_mul(self.element)?.checked_add(self.start)?;
        let mut span = 0usize;
        if !self.dims.contains(&0) {
            span = 1;
            for (size, stride) in self.dims.iter().zip(self.strides) {
                span = span.checked_add(stride.checked_mul(size.checked_sub(1)?)?)?;
            }
        }
        let end = start.checked_add(span.checked_mul(self.element)?)?;
        (end <= len).then_some(start..end)
    }

    /// Whether the elements are row-major, with nothing between them.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        self.dims.contains(&0)
            || self.dims.iter().zip(self.strides).rev().all(|(size, stride)| {
                let is_next = *size == 1 || *stride == expected;
                expected = expected.saturating_mul(*size);
                is_next
            })
    }
}
