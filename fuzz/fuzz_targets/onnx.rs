//! ONNX models.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, onnx};

fuzz_target!(|file: Vec<u8>| {
    let beside = |name: &str| {
        assert!(!name.contains(['/', '\\']), "{name:?} is elsewhere");
        Ok(Bytes::new(vec![0; 64]))
    };
    let _ = onnx::read(&Bytes::new(file), None, &mut { beside });
});
