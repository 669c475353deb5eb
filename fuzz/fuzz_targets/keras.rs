//! HDF5 files and archives of Keras: models, and weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, keras};

fuzz_target!(|file: &[u8]| {
    let file = Bytes::new(file.to_vec());
    let _ = keras::model(&file);
    let _ = keras::checkpoint(&file);
});
