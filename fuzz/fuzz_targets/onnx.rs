//! ONNX models.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use resnet_import::{Bytes, parse};

fuzz_target!(|file: &[u8]| -> Corpus {
    if !file.starts_with(b"\x08") {
        return Corpus::Reject;
    }
    let beside = |name: &str| {
        assert!(!name.contains(['/', '\\']), "{name:?} is elsewhere");
        Ok(Bytes::new(vec![0; 64]))
    };
    let _ = parse(&Bytes::new(file.to_vec()), &mut { beside });
    Corpus::Keep
});
