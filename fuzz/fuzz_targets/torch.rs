//! Checkpoints of PyTorch: zip archives and pickles.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use resnet_import::{Bytes, parse};

fuzz_target!(|file: &[u8]| -> Corpus {
    if !file.starts_with(b"PK") && !file.starts_with(b"\x80") {
        return Corpus::Reject;
    }
    let _ = parse(&Bytes::new(file.to_vec()), &mut |name| panic!("asked for {name}"));
    Corpus::Keep
});
