//! Packed weights in a file: what loading makes of a weight file, ready to be used as it lies there.
//!
//! A packed file is a safetensors file of one tensor, `packed`: the memory of [`Weights`](crate::Weights). Its metadata says
//! what it was packed for; the header is filled up with spaces so that the elements begin on a page.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use resnet_plan::{Algorithm, Description, LayerWeights, ListWeights};
use serde_json::json;

use crate::error::Error;
use crate::files::replace;
use crate::isa::Isa;

/// Changes with everything that changes the order or the meaning of packed elements.
const LAYOUT: &str = "9";
/// What the elements are aligned to in the file: a page, as the system maps them.
const PAGE: usize = 4096;
/// The tensor's name.
pub(super) const TENSOR: &str = "packed";

/// What a packed file says of itself, key and value.
fn labels(isa: Isa, network: &Description) -> [(&'static str, String); 6] {
    [
        ("format", "resnet packed weights".to_owned()),
        ("layout", LAYOUT.to_owned()),
        ("network", network.name.clone().into_owned()),
        ("spec", format!("{:016x}", hash(isa, network))),
        ("isa", isa.serving(network.precision).name().to_owned()),
        ("precision", network.precision.to_string()),
    ]
}

/// Whether a file's metadata says that it is packed.
pub(super) fn is_packed(labels: &HashMap<&str, &str>) -> bool {
    labels.get("format").is_some_and(|format| *format == "resnet packed weights")
}

/// Looks whether a packed file was packed for this network and instruction set.
///
/// # Errors
/// Everything that differs.
pub(super) fn check(isa: Isa, network: &Description, found: &HashMap<&str, &str>) -> Result<(), Vec<String>> {
    let mut differing: Vec<(&str, String)> = labels(isa, network)
        .into_iter()
        .filter(|(key, expected)| found.get(key) != Some(&expected.as_str()))
        .collect();
    // The hash is also one of the instruction set and the precision: where those differ, it says nothing of the spec.
    if differing.iter().any(|(key, _)| matches!(*key, "isa" | "precision")) {
        differing.retain(|(key, _)| *key != "spec");
    }
    let fault = |(key, expected): (&str, String)| {
        let found = found.get(key).unwrap_or(&"");
        format!("packed for another {key}: {found:?}, not {expected:?} (pack the weights again)")
    };
    let faults: Vec<String> = differing.into_iter().map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Writes a packed file: see [`replace`].
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(isa: Isa, network: &Description, numbers: &[f32], path: &Path) -> Result<(), Error> {
    let labels: BTreeMap<&str, String> = labels(isa, network).into_iter().collect();
    let tensor =
        json!({ "dtype": "F32", "shape": [numbers.len()], "data_offsets": [0, size_of_val(numbers)] });
    let mut header = json!({ "__metadata__": labels, TENSOR: tensor }).to_string();
    let length = (8 + header.len()).next_multiple_of(PAGE) - 8;
    header.extend(std::iter::repeat_n(' ', length - header.len()));
    let write = |file: &mut dyn Write| -> std::io::Result<()> {
        file.write_all(&(length as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        for numbers in numbers.chunks(1 << 14) {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            file.write_all(&bytes)?;
        }
        Ok(())
    };
    replace(path, write).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// A hash of everything that packed weights depend on: layers and lists, their shapes, packing, tensors and constants.
/// (FNV-1a, 64 bits, of their text.) How many images are worked on together is not among it.
pub(super) fn hash(isa: Isa, network: &Description) -> u64 {
    let layer = |layer: &LayerWeights| {
        let LayerWeights { name: _, shape, groups, blocks, algorithm, elements: [from, to], kernel, .. } =
            layer;
        let LayerWeights { standardized, bias, input_norm, batch_norm, slope, .. } = layer;
        let packing = match algorithm {
            Algorithm::Direct | Algorithm::Winograd { fused: false, .. } | Algorithm::WinogradRows { .. } => {
                String::new()
            }
            Algorithm::Winograd { output, .. } => format!(" winograd{output}fused"),
            Algorithm::Strassen { .. } => " strassen".to_owned(),
        };
        let norms = format!("{standardized:?} {bias:?} {input_norm:?} {batch_norm:?} {slope:?}");
        format!("{shape:?} {groups}/{blocks}{packing} {from} {to} {kernel:?} {norms}\n")
    };
    let layers: String = network.layers.iter().map(layer).collect();
    let list = |list: &ListWeights| {
        let ListWeights { name: _, channels, kind, slope } = list;
        format!("{channels} {kind:?} {slope:?}\n")
    };
    let lists: String = network.lists.iter().map(list).collect();
    let text = format!("{} {}\n{layers}{lists}", isa.serving(network.precision), network.precision);
    super::fill::fnv1a64(text.as_bytes())
}
