//! What bytes are that are no safetensors file: other frameworks' files, by how they begin, and what converts them.

/// How much of a file [`recognize`] looks at.
pub(super) const START: usize = 128;

/// What a file is that begins so, and what to do with it; `None` if that is not known.
pub(super) fn recognize(start: &[u8]) -> Option<String> {
    let &(_, what, python) = KNOWN.iter().find(|(begins, ..)| begins(start))?;
    let advice = match python {
        "" => "",
        NPY => "; convert it in Python (docs/weights.md):",
        _ => "; convert it by `resnet import FILE` (docs/import.md), or in Python (docs/weights.md):",
    };
    let advice = python.lines().fold(advice.to_owned(), |all, line| all + "\n  " + line);
    Some(format!("it is {what}{advice}"))
}

/// Whether a file of a kind begins so; what the kind is called; the Python that converts it, if any does.
type Kind = (fn(&[u8]) -> bool, &'static str, &'static str);

const KNOWN: [Kind; 13] = [
    (|start| zip(start, |name| name.ends_with(".npy")), "an archive of NumPy arrays (.npz)", NPZ),
    (|start| zip(start, |name| KERAS_ENTRIES.contains(&name)), "a Keras file (.keras)", KERAS),
    (|start| zip(start, |name| name.contains('/')), "a PyTorch file (.pth, .pt, .bin)", PYTORCH),
    (
        |start| start.starts_with(b"PK\x03\x04"),
        "a zip archive, of PyTorch (.pth), Keras (.keras) or something else",
        PYTORCH,
    ),
    (
        |start| matches!(start, [0x80, 2..=5, ..]),
        "a pickle, as PyTorch wrote its files (.pth, .pt, .bin) before version 1.6",
        PYTORCH,
    ),
    (|start| start.starts_with(b"\x89HDF\r\n\x1a\n"), "an HDF5 file, as Keras writes (.h5)", KERAS),
    (
        |start| start.starts_with(b"\x93NUMPY"),
        "one NumPy array (.npy), where names of tensors are needed",
        NPY,
    ),
    (|start| start.starts_with(b"GGUF"), "a GGUF file, of a language model", ""),
    (
        |start| start.get(4..8) == Some(b"TFL3"),
        "a TensorFlow Lite model: look for the Keras model that it was made of",
        "",
    ),
    // A protocol buffer: the version, then the producer's name, the graph or the opset.
    (
        |start| matches!(start, [0x08, 1..=20, 0x12 | 0x1A | 0x3A | 0x42, ..]),
        "an ONNX model (.onnx), as it seems",
        ONNX,
    ),
    (
        |start| start.starts_with(b"version https://git-lfs"),
        "a pointer of Git LFS, not the file itself: `git lfs pull` fetches it",
        "",
    ),
    (|start| start.starts_with(b"\x1f\x8b"), "compressed by gzip: unpack it first", ""),
    (|start| start.starts_with(b"<"), "a web page, not what was to be downloaded from there", ""),
];

/// What the zip of a Keras model holds.
const KERAS_ENTRIES: [&str; 3] = ["metadata.json", "config.json", "model.weights.h5"];

const PYTORCH: &str = "\
import torch; from safetensors.torch import save_file
state = torch.load(\"FILE\", map_location=\"cpu\", weights_only=True); state = state.get(\"state_dict\", state)
save_file({name: tensor.contiguous() for name, tensor in state.items()}, \"weights.safetensors\")
";
const KERAS: &str = "\
import keras; from safetensors.numpy import save_file
save_file({v.path: v.numpy() for v in keras.models.load_model(\"FILE\").weights}, \"weights.safetensors\")
";
const ONNX: &str = "\
import onnx; from onnx.numpy_helper import to_array; from safetensors.numpy import save_file
save_file({t.name: to_array(t).copy() for t in onnx.load(\"FILE\").graph.initializer}, \"weights.safetensors\")
";
const NPZ: &str = "\
import numpy; from safetensors.numpy import save_file
save_file(dict(numpy.load(\"FILE\")), \"weights.safetensors\")
";
const NPY: &str = "\
import numpy; from safetensors.numpy import save_file
save_file({\"NAME\": numpy.load(\"FILE\"), ...}, \"weights.safetensors\")
";

/// Whether it is a zip archive whose first entry has such a name.
fn zip(start: &[u8], is: impl Fn(&str) -> bool) -> bool {
    /// Where the first entry's name begins; its length stands four bytes before.
    const NAME: usize = 30;
    let Some([low, high]) = start.get(26..28) else { return false };
    let name = NAME..NAME + usize::from(u16::from_le_bytes([*low, *high]));
    let name = start.get(name).and_then(|name| std::str::from_utf8(name).ok());
    start.starts_with(b"PK\x03\x04") && name.is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a zip archive.
    fn archive(entry: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((entry.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(entry.as_bytes());
        bytes
    }

    #[test]
    fn files_are_recognized_by_their_beginning() {
        for (start, expected) in [
            (&*archive("archive/data.pkl"), ".pth"),
            (&*archive("metadata.json"), ".keras"),
            (&*archive("conv1.weight.npy"), ".npz"),
            (&*archive("word.xml"), "zip archive"),
            (b"PK\x03\x04", "zip archive"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "before version 1.6"),
            (b"\x89HDF\r\n\x1a\n\0\0", "Keras"),
            (b"\x93NUMPY\x01\0v\0", ".npy"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"\x08\x0a\x12\x07pytorch\x1a\x05", ".onnx"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"<!DOCTYPE html>", "web page"),
        ] {
            let found = recognize(start).unwrap_or_default();
            assert!(found.contains(expected), "{found}, expected {expected}");
        }
        for start in [&b""[..], b"\x80", b"PK", b"\x02\0\0\0\0\0\0\0{}", b"weights"] {
            assert_eq!(recognize(start), None);
        }
    }
}
