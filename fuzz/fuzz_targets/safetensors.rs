//! Safetensors files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, safetensors};

fuzz_target!(|file: &[u8]| {
    let _ = safetensors::read(Bytes::new(file.to_vec()));
});
