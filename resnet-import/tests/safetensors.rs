//! Safetensors files, written here.

use resnet_import::{Bytes, Checkpoint, Contents, Element, Error, parse};

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn two() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"f8":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[12,16]}}"#;
    file(header, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0x3c, 0, 0x40, 0, 0, 0, 0])
}

fn read(file: Vec<u8>) -> Result<Checkpoint, Error> {
    read_with(file, &mut |name| panic!("opened {name}"))
}

fn read_with(file: Vec<u8>, open: &mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Result<Checkpoint, Error> {
    match parse(&Bytes::new(file), open)? {
        Contents::Tensors(checkpoint) => Ok(checkpoint),
        Contents::Network(_) => panic!("a network"),
    }
}

#[test]
fn tensors_are_parts_of_the_file() {
    let checkpoint = read(two()).unwrap();
    let [a, b] = &*checkpoint.tensors else { panic!("two tensors") };
    assert_eq!((&*a.name, &*a.dims, a.element, a.to_f64()), ("a", &[1, 2][..], Element::F32, vec![1.0, 2.0]));
    assert_eq!((&*b.name, &*b.dims, b.element, b.to_f64()), ("b", &[2][..], Element::F16, vec![1.0, 2.0]));
    assert_eq!(checkpoint.notes, ["left out \"f8\", whose elements (F8_E4M3) are not supported"]);
}

#[test]
fn damaged_files_are_errors() {
    let whole = two();
    for len in 0..whole.len() {
        assert!(read(whole[..len].to_vec()).is_err(), "{len} bytes");
    }
    for header in [
        r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4611686018427387904]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        "{}",
    ] {
        assert!(read(file(header, &[0; 8])).is_err(), "{header}");
    }
    let mut long = two();
    long[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(read(long).is_err());
}

#[test]
fn an_index_names_files_of_its_own_folder() {
    let shard = |name: &str, byte: u8| {
        file(&format!(r#"{{"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#), &[byte])
    };
    let mut opened = Vec::new();
    let open = |name: &str| {
        opened.push(name.to_owned());
        Ok(Bytes::new(if name == "1.safetensors" { shard("x", 1) } else { shard("y", 2) }))
    };
    let index = br#"{"weight_map": {"y": "2.safetensors", "x": "1.safetensors"}}"#;
    let checkpoint = read_with(index.to_vec(), &mut { open }).unwrap();
    let found: Vec<_> = checkpoint.tensors.iter().map(|tensor| (&*tensor.name, tensor.to_f64())).collect();
    assert_eq!(found, [("y", vec![2.0]), ("x", vec![1.0])]);
    assert_eq!(opened, ["2.safetensors", "1.safetensors"]);

    for name in ["../x", "/etc/passwd", "a/b", "..", "", "a\\\\b", "C:x"] {
        let index = format!(r#"{{"weight_map": {{"x": "{name}"}}}}"#);
        let error = read(index.into_bytes()).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{name}: {error}");
    }
    for index in ["", "{}", "[]", r#"{"weight_map": {"x": 1}}"#] {
        assert!(read(index.as_bytes().to_vec()).is_err(), "{index}");
    }
}
