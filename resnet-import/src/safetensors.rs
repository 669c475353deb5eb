//! Safetensors files.

use ::safetensors::{Dtype, SafeTensors};

use crate::checkpoint::{Bytes, Checkpoint, Element, Tensor};
use crate::error::{Error, shown};

/// Whether a file that begins so may be one: the length of a header, and the header, a JSON object.
pub(crate) fn is_safetensors(file: &[u8]) -> bool {
    let len = file.first_chunk().map(|len| u64::from_le_bytes(*len));
    len.is_some_and(|len| len < 1 << 32) && file.get(8) == Some(&b'{')
}

/// Reads a file. Its tensors are parts of it, in their order in the file. Those of elements that are not supported are left out,
/// which a note says.
///
/// # Errors
///
/// If the file is incomplete or damaged, or has no tensors that are supported.
pub(crate) fn read(file: &Bytes) -> Result<Checkpoint, Error> {
    let malformed = |problem: String| Error::Malformed(format!("the safetensors file is damaged: {problem}"));
    let len = file.first_chunk().map(|len| u64::from_le_bytes(*len));
    // Parsed, a header takes up to 50 times as much memory.
    if len.is_none_or(|len| len > (1 << 20) + file.len() as u64 / 50) {
        return Err(malformed("its header does not fit it".into()));
    }
    let (header, metadata) =
        SafeTensors::read_metadata(file).map_err(|error| malformed(error.to_string()))?;
    let data = header.saturating_add(8);
    let mut checkpoint = Checkpoint { format: "safetensors file", tensors: Vec::new(), notes: Vec::new() };
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let Some(element) = element(info.dtype) else {
            checkpoint.notes.push(format!(
                "left out \"{}\", whose elements ({}) are not supported",
                shown(&name),
                info.dtype
            ));
            continue;
        };
        let (start, end) = info.data_offsets;
        let bytes =
            start.checked_add(data).zip(end.checked_add(data)).and_then(|(start, end)| file.part(start..end));
        let bytes = bytes.ok_or_else(|| malformed(format!("\"{}\" reaches outside of it", shown(&name))))?;
        checkpoint.tensors.push(Tensor { name, dims: info.shape.clone(), element, bytes });
    }
    if checkpoint.tensors.is_empty() {
        return Err(Error::Unsupported("the safetensors file holds no tensors that are supported".into()));
    }
    Ok(checkpoint)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I8 => Element::I8,
        Dtype::U8 | Dtype::BOOL => Element::U8,
        _ => return None,
    })
}
