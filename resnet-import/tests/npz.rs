//! NumPy archives: files of `data/make_tensors.py`.

use resnet_import::{Bytes, Checkpoint, Contents, Element, Error, parse};

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(file: Vec<u8>) -> Result<Checkpoint, Error> {
    match parse(&Bytes::new(file), &mut |name| panic!("asked for {name}"))? {
        Contents::Tensors(checkpoint) => Ok(checkpoint),
        Contents::Network(_) => panic!("a network"),
    }
}

#[test]
fn arrays_are_row_major_whatever_their_order() {
    for file in ["arrays.npz", "compressed.npz"] {
        let checkpoint = read(data(file)).unwrap();
        let found: Vec<_> = checkpoint
            .tensors
            .iter()
            .map(|array| (&*array.name, &*array.dims, array.element, array.to_f64()))
            .collect();
        let rows: Vec<f64> = (0..6).map(f64::from).collect();
        let expected = [
            ("rows", &[2, 3][..], Element::F32, rows.clone()),
            ("columns", &[2, 3], Element::F32, rows.clone()),
            ("half", &[2, 3], Element::F16, rows),
            ("count", &[], Element::I64, vec![7.0]),
        ];
        assert_eq!(found, expected, "{file}");
    }
    let notes = read(data("arrays.npz")).unwrap().notes;
    assert_eq!(notes, ["left out \"big\", whose elements (`>f4`) are not supported"]);
}

#[test]
fn pickled_objects_are_refused() {
    let error = read(data("objects.npz")).unwrap_err();
    assert!(matches!(&error, Error::Refused(message) if message.contains("\"objects\"")), "{error}");
}

#[test]
fn damaged_files_are_errors_or_other_numbers_but_never_panic() {
    for file in ["arrays.npz", "compressed.npz"] {
        let whole = data(file);
        for len in 0..whole.len() {
            assert!(read(whole[..len].to_vec()).is_err(), "{file}, {len} bytes");
        }
        for at in 0..whole.len() {
            for byte in [0, b'9', 0xff, whole[at] ^ 1] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let _ = read(damaged);
            }
        }
    }
}
