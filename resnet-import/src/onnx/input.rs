//! The input of a graph: which one it is, its size, how it lies.

use resnet_dsl::ops::Dims;

use crate::error::Error;
use crate::model::INPUT;
use crate::onnx::proto::Graph;
use crate::onnx::value::{Axis, NCHW, NHWC};

/// The only input that is no tensor: its name, its sizes as an image of the language, and its axes in the file.
pub(super) fn input(
    file: &Graph,
    is_tensor: impl Fn(&str) -> bool,
) -> Result<(&str, Dims, [Axis; 4]), Error> {
    let mut inputs = file.inputs.iter().filter(|input| !is_tensor(&input.name));
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let names: Vec<&str> = file.inputs.iter().map(|input| input.name.as_str()).take(8).collect();
        return Err(Error::Unsupported(format!(
            "a network here has one input, a batch of images; the ONNX graph has {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    };
    let name = &input.name;
    let axes = if starts_channels_last(file, name) { NHWC } else { NCHW };
    let [_, ref sizes @ ..] = input.dims[..] else {
        return Err(Error::Unsupported(format!(
            "the input `{name}` has no sizes; export the model with an example input"
        )));
    };
    let [_, _, _] = sizes[..] else {
        return Err(Error::Unsupported(format!(
            "the input `{name}` has {} axes; a batch of images has 4",
            input.dims.len()
        )));
    };
    let [height, width, channels] = INPUT;
    let dims = [(Axis::Batch, 1), (Axis::Height, height), (Axis::Width, width), (Axis::Channel, channels)];
    let dims = dims.map(|(axis, open)| {
        let place = axes.iter().position(|other| *other == axis);
        place.and_then(|place| input.dims.get(place).copied()?).unwrap_or(open)
    });
    Ok((name, dims, axes))
}

/// Whether images come with their channels last: the first thing that is more than arithmetic puts them first.
fn starts_channels_last(file: &Graph, input: &str) -> bool {
    let mut name = input;
    for _ in 0..16 {
        let Some(reader) = file.nodes.iter().find(|node| node.inputs.iter().any(|input| input == name))
        else {
            return false;
        };
        match (reader.op.as_str(), reader.outputs.first()) {
            ("Transpose", _) => return reader.ints("perm") == Some(&[0, 3, 1, 2]),
            ("Cast" | "Identity" | "Add" | "Sub" | "Mul" | "Div" | "Pad", Some(output)) => name = output,
            _ => return false,
        }
    }
    false
}
