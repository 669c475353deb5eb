//! Files that mean harm, or are damaged: each gives one clear error. None makes the importer panic, call a function, touch or open
//! another file, or take more memory than twice the file and 64 MB.

mod archive;
mod archives;
mod graphs;
mod groups;
mod memory;
mod pickles;
mod tensors;
mod truncated;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use resnet_import::{Bytes, Error, npz, safetensors, torch};

/// Memory is counted for all threads together.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

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

/// Imports a file, whatever comes of it.
fn survived(name: &str, file: &[u8]) -> Result<(), Error> {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (outcome, peak) = memory::peak(|| catch_unwind(AssertUnwindSafe(|| import(name, file.to_vec()))));
    let outcome = outcome.unwrap_or_else(|_| panic!("{name}: panicked"));
    let most = 2 * file.len() + (64 << 20);
    assert!(peak <= most, "{name}: {peak} bytes for a file of {}", file.len());
    if let Err(error) = &outcome {
        let message = error.to_string();
        assert!((10..1_000).contains(&message.len()), "{name}: a message of {} bytes: {message:.1000}", message.len());
        assert!(!message.contains(char::is_control), "{name}: {message:?}");
    }
    outcome
}

fn import(name: &str, file: Vec<u8>) -> Result<(), Error> {
    let ending = name.rsplit('.').next().unwrap_or_default();
    let file = Bytes::new(file);
    match ending {
        "pth" => torch::read(file).map(drop),
        "npz" => npz::read(file).map(drop),
        "safetensors" => safetensors::read(file).map(drop),
        _ => Err(Error::Unsupported("no reader yet".into())),
    }
}
