//! The functions and classes that a pickle may refer to.

use crate::error::{Error, shown};

/// Whether a pickle may refer to it. (It is never called.)
pub(super) fn is_known(module: &str, name: &str) -> bool {
    match module {
        "collections" => matches!(name, "OrderedDict" | "defaultdict" | "Counter" | "deque"),
        "builtins" | "__builtin__" => matches!(
            name,
            "bool"
                | "bytearray"
                | "bytes"
                | "complex"
                | "dict"
                | "float"
                | "frozenset"
                | "int"
                | "list"
                | "range"
                | "set"
                | "slice"
                | "str"
                | "tuple"
        ),
        "argparse" => name == "Namespace",
        "_codecs" => name == "encode",
        "pathlib" | "pathlib._local" => {
            matches!(name, "PosixPath" | "WindowsPath" | "PurePosixPath" | "PureWindowsPath")
        }
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "numpy.core.multiarray" | "numpy._core.multiarray" => matches!(name, "_reconstruct" | "scalar"),
        "numpy.core.numeric" | "numpy._core.numeric" => name == "_frombuffer",
        "torch" => {
            matches!(name, "Size" | "Tensor" | "device" | "dtype")
                || matches!(name, "channels_last" | "contiguous_format" | "preserve_format" | "strided")
                || ["Storage", "_affine", "_affine_float_qparams"].iter().any(|end| name.ends_with(end))
                || name.starts_with("sparse_")
                || is_dtype(name)
        }
        "torch.cuda" => name.ends_with("Storage"),
        "torch.storage" => matches!(name, "TypedStorage" | "UntypedStorage"),
        "torch.nn.parameter" => matches!(name, "Buffer" | "Parameter"),
        "torch.serialization" => name == "_get_layout",
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch._utils" => name.starts_with("_rebuild_"),
        _ => false,
    }
}

/// Why something else is refused: `at` is the byte that refers to it, `place` the keys of the dictionaries around it.
pub(super) fn refusal(module: &str, name: &str, at: usize, place: &str) -> Error {
    let asked = format!("`{}.{}`", shown(module), shown(name));
    let save = "Save only the tensors: `torch.save(model.state_dict(), \"model.pth\")`";
    Error::Refused(if (module, name) == ("torch.storage", "_load_from_bytes") {
        format!("the tensors are pickled by Python's own `pickle`, not by PyTorch (byte {at}). {save}")
    } else if place.is_empty() {
        format!(
            "the file is a whole pickled object: it asks for {asked} (byte {at}), and nothing in a file is ever executed. {save}"
        )
    } else {
        format!(
            "`{}` asks for {asked} (byte {at}), which is neither a tensor nor a container of tensors, and nothing in a file is ever \
             executed. {save}",
            shown(place)
        )
    })
}

fn is_dtype(name: &str) -> bool {
    let (letters, rest) = name.split_at(name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len()));
    matches!(
        (letters, rest.is_empty()),
        ("bool" | "half" | "float" | "double" | "cfloat" | "cdouble" | "short" | "int" | "long", true)
            | ("bfloat" | "bits" | "complex" | "float" | "int" | "qint" | "quint" | "uint", false)
    )
}
