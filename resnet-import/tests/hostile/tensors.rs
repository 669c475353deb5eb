//! Files of tensors that say they are larger than they are.

use crate::archive::{Entry, zip};
use crate::{imported, rejected};

const LARGE: u64 = 1 << 60;

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{header:<117}\n");
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.bytes());
    array.extend(data);
    zip(&[Entry::stored("weight.npy", &array)])
}

#[test]
fn sizes_in_safetensors_are_checked() {
    let tensor = |shape: &str, offsets: &str| {
        safetensors(
            &format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#),
            &[0; 16],
        )
    };
    imported("whole.safetensors", &tensor("[4]", "[0,16]"));
    for (shape, offsets) in [
        (&*format!("[{LARGE}]"), "[0,16]"),
        (&*format!("[{LARGE},{LARGE}]"), "[0,16]"),
        (&*format!("[{LARGE}]"), &*format!("[0,{}]", LARGE * 4)),
        ("[4]", "[0,17]"),
        ("[4]", "[16,0]"),
        ("[4]", "[16,32]"),
        ("[4]", "[18446744073709551615,18446744073709551615]"),
        ("[4]", "[18446744073709551600,0]"),
        ("[18446744073709551615]", "[0,16]"),
        ("[18446744073709551616]", "[0,16]"),
        ("[-4]", "[0,16]"),
        ("[0]", "[0,16]"),
        ("[1e300]", "[0,16]"),
    ] {
        rejected("sizes.safetensors", &tensor(shape, offsets), "");
    }
    for len in [17, 1 << 20, 1 << 40, 1 << 63, u64::MAX, u64::MAX - 7] {
        rejected("header.safetensors", &[&len.to_le_bytes()[..], b"{\"w\":     "].concat(), "");
    }
    rejected("empty.safetensors", &[], "");
    rejected("short.safetensors", &[1, 0, 0], "");
}

#[test]
fn sizes_in_npz_are_checked() {
    let array = |descr: &str, shape: &str| {
        npy(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"), &[0; 16])
    };
    imported("whole.npz", &array("'<f4'", "(4,)"));
    for shape in [
        &*format!("({LARGE},)"),
        &*format!("({LARGE}, {LARGE})"),
        "(18446744073709551615,)",
        "(18446744073709551616,)",
        "(-4,)",
        "(5,)",
        "(4",
        "4",
        "(4, 'a')",
        "__import__('os').system('true')",
    ] {
        rejected("shape.npz", &array("'<f4'", shape), "weight");
    }
    // An array of objects is a pickle.
    rejected("objects.npz", &array("'|O'", "(1,)"), "weight");
    for descr in ["'<f400000000000000000000'", "'<U99999999999'", "[('a', '<f4')]", "'>f4'", "'<c8'", "''"] {
        rejected("descr.npz", &array(descr, "(4,)"), "weight");
    }
    for header in ["", "{", "{}", "{'descr': '<f4'}", "[[[[[[[[", "\u{fffd}"] {
        rejected("header.npz", &npy(header, &[0; 16]), "weight");
    }
    rejected("nested.npz", &npy(&"(".repeat(60_000), &[]), "weight");
    for version in [0, 2, 3, 4, 255] {
        let array = [b"\x93NUMPY", &[version, 0][..], &[0xff; 8]].concat();
        rejected("version.npz", &zip(&[Entry::stored("weight.npy", &array)]), "weight");
    }
    rejected("no arrays.npz", &zip(&[Entry::stored("weight.npy", b"")]), "");
}

#[test]
fn json_is_not_nested_without_end() {
    for times in [200, 100_000, 5_000_000] {
        for opening in ["[", r#"{"a":"#] {
            let nested = opening.repeat(times);
            rejected("nested.safetensors", &safetensors(&nested, &[]), "");
            rejected("nested.index.json", nested.as_bytes(), "");
            let nested = |name: &str| Entry::stored(name, nested.as_bytes());
            let weights = Entry::stored("model.weights.h5", include_bytes!("../seeds/small.weights.h5"));
            rejected("nested.keras", &zip(&[nested("config.json"), nested("metadata.json"), weights]), "");
        }
    }
    // Parsed, it is some fifty times as large.
    let wide = format!("{{\"weight_map\":[{}0]}}", "0,".repeat(1_000_000));
    rejected("wide.index.json", wide.as_bytes(), "");
    rejected("wide.safetensors", &safetensors(&wide, &[]), "");
    let wide = Entry::stored("config.json", wide.as_bytes());
    let weights = Entry::stored("model.weights.h5", include_bytes!("../seeds/small.weights.h5"));
    rejected("wide.keras", &zip(&[wide, Entry::stored("metadata.json", b"{}"), weights]), "");
}

/// Shards lie beside their index.
#[test]
fn shards_are_not_elsewhere() {
    for name in [
        "../../x",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "C:\\x",
        "\\\\host\\x",
        "x\\..\\..\\y",
        "small.safetensors\0",
    ] {
        let map = serde_json::json!({ "weight_map": { "w": name } }).to_string();
        rejected("model.safetensors.index.json", map.as_bytes(), "");
    }
    for map in ["{}", "[]", "{\"weight_map\":[]}", "{\"weight_map\":{\"w\":1}}", "null", ""] {
        rejected("model.safetensors.index.json", map.as_bytes(), "");
    }
    let itself = r#"{"weight_map":{"w":"model.safetensors.index.json"}}"#;
    rejected("model.safetensors.index.json", itself.as_bytes(), "");
}

/// They never end.
#[cfg(unix)]
#[test]
fn devices_and_pipes_are_not_read() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("devices");
    let index = folder.join("model.safetensors.index.json");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("zeros.safetensors")).unwrap();
    std::fs::write(&index, r#"{"weight_map":{"w":"zeros.safetensors"}}"#).unwrap();
    let zeros = folder.join("zeros.safetensors");
    for (file, words) in [(index, "another folder"), (zeros, "cannot read"), (folder, "cannot read")] {
        let error = resnet_import::read(&file).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
