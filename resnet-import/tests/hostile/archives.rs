//! Zip archives that unpack to far more than they are, or lie about what they hold.

use crate::archive::{Entry, checkpoint, zip, zip_of_one};
use crate::rejected;

/// More than a small file may ask for.
const LARGE: usize = 80 << 20;

#[test]
fn archives_do_not_blow_up() {
    let zeros = vec![0; LARGE];
    let bomb = Entry::deflated("archive/data.pkl", &zeros);
    let named = |name: &str| Entry { name: name.into(), ..bomb.clone() };
    rejected("bomb.pth", &zip(&[named("archive/data.pkl")]), "");
    rejected("bomb.npz", &zip(&[named("weight.npy")]), "");
    rejected(
        "bomb.keras",
        &zip(&[named("config.json"), named("metadata.json"), named("model.weights.h5")]),
        "",
    );

    // The directory promises little.
    let lie = |name: &str| Entry { size: 1_000, ..named(name) };
    rejected("small bomb.pth", &zip(&[lie("archive/data.pkl")]), "");
    rejected("small bomb.npz", &zip(&[lie("weight.npy")]), "");
    rejected(
        "small bomb.keras",
        &zip(&[lie("config.json"), lie("metadata.json"), lie("model.weights.h5")]),
        "",
    );

    // It promises more than there is.
    let lie = |name: &str| Entry { size: u32::MAX - 1, ..Entry::deflated(name, b"{}") };
    rejected("promise.pth", &zip(&[lie("archive/data.pkl")]), "");
    rejected("promise.npz", &zip(&[lie("weight.npy")]), "");
    rejected("promise.keras", &zip(&[lie("config.json"), lie("metadata.json"), lie("model.weights.h5")]), "");
}

/// Many entries lie at the same place: each is small, all are not.
#[test]
fn entries_that_share_a_place_do_not_blow_up() {
    let mut array = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1048576,), }";
    array.extend(format!("{header:<117}\n").bytes());
    array.extend(vec![0; 4 << 20]);
    let one = Entry::deflated("0.npy", &array);
    rejected("shared.npz", &zip_of_one(&one, (0..10_000).map(|i| format!("{i}.npy"))), "memory");
}

#[test]
fn names_of_entries_are_no_paths() {
    let secret = std::env::temp_dir().join(format!("resnet-import-outside-{}", std::process::id()));
    let pickle = b"\x80\x02}.";
    for name in ["../../outside", &*secret.display().to_string(), "archive/../../outside"] {
        rejected(
            "outside.pth",
            &zip(&[Entry::stored(name, b"x"), Entry::stored("archive/data.pkl", pickle)]),
            "tensors",
        );
        rejected("outside.npz", &zip(&[Entry::stored(&format!("{name}.npy"), b"x")]), "");
    }
    assert!(!secret.exists(), "an entry was written");
}

#[test]
fn directories_are_checked() {
    let file = checkpoint(b"\x80\x02}.", &[0; 16]);
    let end = file.len() - 22;
    // Every field of the last record, and of the first one in the directory.
    let at = u32::from_le_bytes(file[end + 16..end + 20].try_into().unwrap()) as usize;
    for (place, len) in [(end + 4, 18), (at + 4, 42)] {
        for byte in place..place + len {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut file = file.clone();
                file[byte] = value;
                rejected("changed.pth", &file, "");
            }
        }
    }
    rejected(
        "twice.pth",
        &zip(&[Entry::stored("a/data.pkl", b"}."), Entry::stored("a/data.pkl", b"}.")]),
        "twice",
    );
    rejected("encrypted.pth", b"PK\x03\x04", "");
    rejected("empty.pth", &zip(&[]), "");
}
