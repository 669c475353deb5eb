//! Files that mean harm, or are damaged: each gives one clear error. None makes the importer panic, call a function, touch or open
//! another file, or take more memory than twice the file and 64 MB.

mod archive;
mod archives;
mod graphs;
mod groups;
mod layers;
mod memory;
mod mutations;
mod pickles;
mod tensors;
mod truncated;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use resnet_import::{Bytes, Error, Like, Specs, parse};

/// What a file may be like: two of the specs that ship, to be quick.
static SPECS: LazyLock<Vec<Like>> = LazyLock::new(|| {
    Like::shipped().filter(|like| matches!(&*like.name, "digits" | "mlperf-tiny/resnet8")).collect()
});

/// Imports a file, and demands an error that has these words.
fn rejected(name: &str, file: &[u8], words: &str) {
    let error = survived(name, file).expect_err(&format!("{name}: was imported"));
    let message = error.to_string();
    assert!(message.contains(words), "{name}: {words:?} is not in: {message}");
}

/// Imports a file, and demands that there is no error.
fn imported(name: &str, file: &[u8]) {
    if let Err(error) = survived(name, file) {
        panic!("{name}: {error}");
    }
}

/// Imports a file, whatever comes of it. The error is that of its reader; what is read may be no network that can be imported.
fn survived(name: &str, file: &[u8]) -> Result<(), Error> {
    let import = || {
        let contents = parse(&Bytes::new(file.to_vec()), &mut beside)?;
        let imported = resnet_import::import(&contents, Specs::Any(&SPECS), "model", Path::new(name));
        Ok(imported.err().as_ref().map(ToString::to_string))
    };
    // Specs are read before memory is counted.
    LazyLock::force(&SPECS);
    let (outcome, peak) = memory::peak(|| catch_unwind(AssertUnwindSafe(import)));
    let outcome: Result<_, Error> = outcome.unwrap_or_else(|_| panic!("{name}: panicked"));
    let most = 2 * file.len() + (64 << 20);
    assert!(peak <= most, "{name}: {peak} bytes for a file of {}", file.len());
    let message = outcome.as_ref().map_or_else(|error| Some(error.to_string()), Clone::clone);
    if let Some(message) = message {
        assert!(
            (10..10_000).contains(&message.len()),
            "{name}: a message of {} bytes: {message:.1000}",
            message.len()
        );
        assert!(!message.contains(|c: char| c.is_control() && c != '\n'), "{name}: {message:?}");
    }
    outcome.map(drop)
}

/// Small files of all kinds, by their names.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let mut files: Vec<_> = named.filter(|(name, _)| name.starts_with("small")).collect();
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

/// A file beside the one that names it.
fn beside(name: &str) -> Result<Bytes, Error> {
    let file = folder().join(name);
    let parts: Vec<_> = Path::new(name).components().collect();
    assert!(
        matches!(&parts[..], [Component::Normal(part)] if *part == name),
        "{name:?} is asked for, which is elsewhere"
    );
    std::fs::read(&file).map(Bytes::new).map_err(|source| Error::Read { file, source })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds")
}
