//! The whole road: a file becomes a spec and its weights. Candidates are two of the specs that ship, to be quick.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use resnet_import::{Like, import, read};

static SPECS: LazyLock<Vec<Like>> = LazyLock::new(|| {
    Like::shipped().filter(|like| ["digits", "mlperf-tiny/resnet8"].contains(&&*like.name)).collect()
});

fuzz_target!(|file: &[u8]| {
    // Only ONNX models are known by their ending.
    let path = std::env::temp_dir().join(format!("resnet-fuzz-{}.onnx", std::process::id()));
    std::fs::write(&path, file).expect("the folder of temporary files is writable");
    if let Ok(contents) = read(&path) {
        let _ = import(&contents, &SPECS, "model", &path);
    }
});
