//! HDF5 files and archives of Keras: models, and weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, keras};

fuzz_target!(|file: Vec<u8>| {
    let file = Bytes::new(file);
    let _ = keras::model(&file);
    let _ = keras::checkpoint(&file);
});
