//! The whole road: a file becomes a spec and its weights. Candidates are two of the specs that ship, to be quick.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use resnet_import::{Bytes, Like, Specs, import, parse};

static SPECS: LazyLock<Vec<Like>> = LazyLock::new(|| {
    Like::shipped().filter(|like| ["digits", "mlperf-tiny/resnet8"].contains(&&*like.name)).collect()
});

fuzz_target!(|file: &[u8]| {
    let nothing = &mut |_: &str| Ok(Bytes::new(Vec::new()));
    if let Ok(contents) = parse(&Bytes::new(file.to_vec()), nothing) {
        let _ = import(&contents, Specs::Any(&SPECS), "model", Path::new("model"));
    }
});
