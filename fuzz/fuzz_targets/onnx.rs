//! ONNX models.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, onnx};

fuzz_target!(|file: &[u8]| {
    let beside = |name: &str| {
        assert!(!name.contains(['/', '\\']), "{name:?} is elsewhere");
        Ok(Bytes::new(vec![0; 64]))
    };
    let _ = onnx::read(&Bytes::new(file.to_vec()), None, &mut { beside });
});
