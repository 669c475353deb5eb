//! ONNX files: opsets 9 to 22.
//!
//! ```text
//! wire, proto, tensor   the file as messages; tensors stay ranges of its bytes
//! order, input          nodes after those whose values they read; which input there is
//! graph                 values by name: what is a constant, what a value of the network
//! constant              nodes of constants are computed (elements, sizes)
//! ops/                  the other nodes become operators; values say how they lie (value)
//! affine                arithmetic with a number for each channel becomes biases and norms
//! ```

mod affine;
mod constant;
mod elements;
mod graph;
mod input;
mod ops;
mod order;
mod proto;
mod sizes;
mod tensor;
mod value;
mod wire;

use resnet_dsl::ir::Op;

use crate::checkpoint::Bytes;
use crate::error::Error;
use crate::model::{Model, assumed};

/// Versions of ONNX's operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=22;

/// Whether a file begins as one: with the version of the format (field 1), and the next field of a model.
pub(crate) fn is_model(file: &[u8]) -> bool {
    const FIELDS: [u8; 8] = [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72]; // numbers and types of fields 2 to 8 and 14
    matches!(file, [0x08, 1..0x80, next @ ..] if next.first().is_none_or(|next| FIELDS.contains(next)))
}

/// The network and the tensors of an ONNX file.
///
/// `read` gives the bytes of a file of this name in the file's folder: tensors may lie there.
///
/// # Errors
/// If the file is damaged, asks for files elsewhere, or describes what has no counterpart in the language.
pub(crate) fn read(file: &Bytes, read: &mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Result<Model, Error> {
    let model = proto::Model::read(file, &mut tensor::ExternalData::new(read))?;
    let not_a_model = || {
        Error::Malformed("the file has no ONNX graph: it is empty, incomplete or not an ONNX file".to_owned())
    };
    let graph = model.graph.ok_or_else(not_a_model)?;
    let opset = match model.opset {
        Some(opset) if OPSETS.contains(&opset) => opset,
        Some(opset) => {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(Error::Unsupported(format!(
                "the ONNX file uses opset {opset}: opsets {first} to {last} are read; export it again with `opset_version=17`"
            )));
        }
        None => return Err(not_a_model()),
    };
    let mut format = format!("ONNX model (opset {opset}");
    if !model.producer.is_empty() {
        let producer = if model.producer == "pytorch" { "PyTorch" } else { &model.producer };
        format += &format!(", exported by {producer}");
        // tf2onnx writes a version that it does not know as Python's `None`.
        let version = model.producer_version.trim_end_matches("None").trim_end();
        if !version.is_empty() {
            format += &format!(" {version}");
        }
    }
    format += ")";
    let operators = graph.nodes.iter().filter(|node| node.op != "Constant").count();
    let is_open = graph.inputs.iter().any(|input| input.dims.iter().skip(1).any(Option::is_none));
    let (graph, tensors) = graph::build(graph, opset, file.len())?;
    let size = graph.topological().into_iter().find_map(|value| match graph.node(value).op {
        Op::Input([_, height, width, channels]) => Some([height, width, channels]),
        _ => None,
    });
    let notes = size.filter(|_| is_open).map(assumed).into_iter().collect();
    Ok(Model { format, operators, graph, tensors, notes })
}

/// What a node asks for that has no counterpart. The node goes in front.
fn unsupported(message: impl Into<String>) -> Error {
    Error::Unsupported(message.into())
}

/// What a node must not ask for. The node goes in front.
fn malformed(message: impl Into<String>) -> Error {
    Error::Malformed(message.into())
}
