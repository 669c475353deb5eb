//! Archives of NumPy's arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, npz};

fuzz_target!(|file: Vec<u8>| {
    let _ = npz::read(Bytes::new(file));
});
