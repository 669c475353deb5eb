//! Files that end too early, and files in which bytes are wrong.

use std::path::{Path, PathBuf};

use crate::{imported, rejected, survived};

/// Of files no longer than this, every beginning is tried.
const TINY: usize = 3_000;

fn seeds() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("small"));
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn beginnings_of_files_are_refused() {
    for path in seeds() {
        let (name, file) = (path.file_name().unwrap().to_str().unwrap(), std::fs::read(&path).unwrap());
        imported(name, &file);
        let step = if file.len() <= TINY { 1 } else { 997 };
        for len in (0..file.len()).step_by(step) {
            rejected(name, &file[..len], "");
        }
        // The last bytes too, which hold a zip archive's directory.
        for len in file.len().saturating_sub(50)..file.len() {
            rejected(name, &file[..len], "");
        }
    }
}

#[test]
fn wrong_bytes_are_survived() {
    for path in seeds() {
        let (name, file) = (path.file_name().unwrap().to_str().unwrap(), std::fs::read(&path).unwrap());
        for at in (0..file.len()).step_by(file.len() / 499 + 1) {
            for change in [0x01, 0x80, 0xff] {
                let mut file = file.clone();
                file[at] ^= change;
                drop(survived(name, &file));
            }
            // A part that is missing.
            drop(survived(name, &[&file[..at], &file[(at + 7).min(file.len())..]].concat()));
        }
    }
}
