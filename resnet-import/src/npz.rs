//! NumPy archives (`.npz`): a zip archive of arrays.

use crate::archive::Archive;
use crate::budget::Budget;
use crate::checkpoint::{Bytes, Checkpoint, Element, Tensor};
use crate::error::{Error, shown};
use crate::strided;

/// Whether an archive's names are those of a NumPy archive.
pub(crate) fn is_npz(archive: &Archive<'_>) -> bool {
    archive.names().any(|name| name.ends_with(".npy"))
}

/// Reads an archive. Arrays that are not compressed are parts of the file. Those of elements that are not supported are left out,
/// which a note says.
///
/// # Errors
///
/// If the file is incomplete or damaged, inflates to far more than its size, has an array of Python objects, or none that is
/// supported.
pub(crate) fn read(archive: &Archive<'_>, budget: &mut Budget) -> Result<Checkpoint, Error> {
    let mut checkpoint = Checkpoint { format: "NumPy archive", tensors: Vec::new(), notes: Vec::new() };
    for entry in archive.names() {
        let Some(name) = entry.strip_suffix(".npy") else { continue };
        let Some(bytes) = archive.entry(entry, budget)? else { continue };
        let shown = shown(name);
        let malformed =
            |problem: &str| Error::Malformed(format!("array \"{shown}\" of the NumPy archive {problem}"));
        let (header, data) = split(&bytes).ok_or_else(|| malformed("has no header"))?;
        let header = Header::parse(header).ok_or_else(|| malformed("has a header that is not understood"))?;
        if header.dtype.contains('O') {
            return Err(Error::Refused(format!(
                "array \"{shown}\" of the NumPy archive holds pickled objects of Python, which are never executed: save arrays of \
                 numbers"
            )));
        }
        let Some(element) = element(header.dtype) else {
            let dtype = crate::error::shown(header.dtype);
            checkpoint
                .notes
                .push(format!("left out \"{shown}\", whose elements (`{dtype}`) are not supported"));
            continue;
        };
        let len = Tensor::len(&header.dims).and_then(|len| len.checked_mul(element.bytes()));
        let end = len.and_then(|len| data.checked_add(len));
        let elements = end.and_then(|end| bytes.part(data..end)).ok_or_else(|| {
            malformed(&format!("has shape {:?}, more elements than follow its header", header.dims))
        })?;
        let elements = if header.is_fortran && header.dims.len() > 1 {
            budget.take(elements.len(), || format!("array \"{shown}\" in Fortran order"))?;
            let reversed: Vec<usize> = header.dims.iter().rev().copied().collect();
            let strides: Vec<usize> = strided::strides(&reversed).into_iter().rev().collect();
            Bytes::new(strided::row_major(&elements, &header.dims, &strides, element.bytes()))
        } else {
            elements
        };
        checkpoint.tensors.push(Tensor { name: name.into(), dims: header.dims, element, bytes: elements });
    }
    if checkpoint.tensors.is_empty() {
        let notes: String = checkpoint.notes.iter().map(|note| format!(" ({note})")).collect();
        return Err(Error::Unsupported(format!(
            "the NumPy archive holds no arrays that are supported{notes}"
        )));
    }
    Ok(checkpoint)
}

/// An array's header, and where its elements begin.
fn split(array: &[u8]) -> Option<(&str, usize)> {
    let version = array.strip_prefix(b"\x93NUMPY")?.first()?;
    let (start, len) = match version {
        1 => (10, usize::from(u16::from_le_bytes(*array.get(8..)?.first_chunk()?))),
        2 | 3 => (12, u32::from_le_bytes(*array.get(8..)?.first_chunk()?) as usize),
        _ => return None,
    };
    let end = start + len;
    Some((str::from_utf8(array.get(start..end)?).ok()?, end))
}

/// What is said of an array: `{'descr': '<f4', 'fortran_order': False, 'shape': (64, 3, 7, 7), }`.
struct Header<'a> {
    dtype: &'a str,
    is_fortran: bool,
    dims: Vec<usize>,
}

/// As many sizes as NumPy allows an array to have.
const MOST_DIMS: usize = 64;

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let value = |key: &str| Some(header.split_once(&format!("'{key}':"))?.1.trim_start());
        let is_fortran = match value("fortran_order")? {
            value if value.starts_with("True") => true,
            value if value.starts_with("False") => false,
            _ => return None,
        };
        // Fields of structures are in brackets: not a text, and not supported.
        let descr = value("descr")?;
        let dtype = match descr.strip_prefix('\'') {
            Some(text) => text.split_once('\'')?.0,
            None => "structures",
        };
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
        // Python 2 marks long numbers.
        let dims: Option<Vec<usize>> =
            sizes.take(MOST_DIMS + 1).map(|size| size.trim_end_matches('L').parse().ok()).collect();
        let dims = dims.filter(|dims| dims.len() <= MOST_DIMS)?;
        Some(Header { dtype, is_fortran, dims })
    }
}

fn element(dtype: &str) -> Option<Element> {
    Some(match dtype {
        "<f4" => Element::F32,
        "<f8" => Element::F64,
        "<f2" => Element::F16,
        "<i8" => Element::I64,
        "<i4" => Element::I32,
        "|i1" => Element::I8,
        "|u1" | "|b1" => Element::U8,
        _ => return None,
    })
}
