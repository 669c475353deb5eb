//! Checkpoints of PyTorch: zip archives and pickles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, torch};

fuzz_target!(|file: &[u8]| {
    let _ = torch::read(Bytes::new(file.to_vec()));
});
