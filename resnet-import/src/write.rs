//! Weights as a safetensors file: a header of names, and the elements one after another.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::weight::{Format, Weight};

/// Writes a file, a tensor after the other, so that no tensor but the one that is converted is in memory a second time.
///
/// # Errors
/// What `to` says.
pub fn weights(weights: &[Weight], format: Format, to: &mut dyn Write) -> io::Result<()> {
    let mut header = Map::new();
    let mut end = 0usize;
    for Weight { name, dims, .. } in weights {
        let start = end;
        end = start.saturating_add(len(dims).saturating_mul(format.bytes()));
        header.insert(
            name.clone(),
            json!({ "dtype": format.name(), "shape": dims, "data_offsets": [start, end] }),
        );
    }
    let mut header = Value::Object(header).to_string();
    // Elements begin at a multiple of their size.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    weights.iter().try_for_each(|weight| weight.source.write(format, to))
}

/// The size of what [`weights`] writes, without the header, in bytes.
pub fn bytes(weights: &[Weight], format: Format) -> usize {
    let len = weights.iter().fold(0usize, |sum, weight| sum.saturating_add(len(&weight.dims)));
    len.saturating_mul(format.bytes())
}

fn len(dims: &[usize]) -> usize {
    dims.iter().fold(1, |len, size| len.saturating_mul(*size))
}
