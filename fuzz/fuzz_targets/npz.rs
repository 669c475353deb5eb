//! Archives of NumPy's arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, npz};

fuzz_target!(|file: &[u8]| {
    let _ = npz::read(Bytes::new(file.to_vec()));
});
