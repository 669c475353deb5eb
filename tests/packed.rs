//! Packed weights: written, read and mapped again to the same bits; refused for anything else than they are packed for.

mod common;

use std::path::{Path, PathBuf};

use common::{isas, path, run, session};
use resnet::Network;
use resnet::runtime::{Isa, Precision, Weights};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct Direct; model "digits", winograd: off }
resnet::resnet! { struct Six; model "digits", classes: 6 }
resnet::resnet! { struct ResNet20; model "cifar/resnet20" }

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn packed(isa: Isa, name: &str) -> PathBuf {
    let weights = Weights::load_for(isa, &Digits::DESCRIPTION, &path("models/digits.safetensors")).unwrap();
    let file = scratch(name);
    weights.save(&Digits::DESCRIPTION, &file).unwrap();
    file
}

#[test]
fn the_same_bits_read_or_mapped() {
    let digit: Vec<f32> = (0..28 * 28).map(|place| (place % 7) as f32 / 7.0).collect();
    for isa in isas("packed") {
        let file = packed(isa, &format!("{isa}.packed"));
        let scores = |weights: Weights| run(&mut session::<Digits>(weights, 1), &digit);
        let loaded =
            Weights::load_for(isa, &Digits::DESCRIPTION, &path("models/digits.safetensors")).unwrap();
        let expected = scores(loaded);
        assert_eq!(scores(Weights::load_for(isa, &Digits::DESCRIPTION, &file).unwrap()), expected, "{isa}");
        assert_eq!(
            scores(Weights::map_for_command(isa, &Digits::DESCRIPTION, &file).unwrap()),
            expected,
            "{isa}"
        );
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(
            scores(Weights::from_bytes_for(isa, &Digits::DESCRIPTION, &bytes).unwrap()),
            expected,
            "{isa}"
        );
    }
    if std::env::var_os("RESNET_ISA").is_none() {
        let net = Digits::map(packed(Isa::best(), "best.packed")).unwrap();
        drop(net.session());
    }
}

#[test]
fn what_it_is_not_packed_for() {
    let isa = Isa::best();
    let file = packed(isa, "refused.packed");
    let error = |result: Result<Weights, resnet::Error>| result.unwrap_err().to_string();
    let message = error(Weights::map_for_command(isa, &ResNet20::DESCRIPTION, &file));
    assert!(message.contains("another network: \"digits\", not \"resnet20\""), "{message}");
    // Where products transform their weights, those are packed in an order of their own.
    let message = error(Weights::map_for_command(isa, &Direct::DESCRIPTION, &file));
    assert!(message.contains("another spec"), "{message}");
    let message = error(Weights::map_for_command(isa, &Six::DESCRIPTION, &file));
    assert!(message.contains("another spec"), "{message}");
    if isa != Isa::Scalar {
        let packed_for = isa.serving(Precision::F32);
        let message = error(Weights::map_for_command(Isa::Scalar, &Digits::DESCRIPTION, &file));
        assert!(message.contains(&format!("another isa: \"{packed_for}\", not \"scalar\"")), "{message}");
        assert!(!message.contains("another spec"), "{message}");
    }
    let bytes = std::fs::read(&file).unwrap();
    let cut = scratch("cut.packed");
    std::fs::write(&cut, &bytes[..bytes.len() - 4096]).unwrap();
    let message = error(Weights::map_for_command(isa, &Digits::DESCRIPTION, &cut));
    assert!(message.contains("is not a safetensors file, or only a part of one"), "{message}");
    let header = String::from_utf8_lossy(&bytes[..4096]);
    let (before, after) = header.split_once("\"layout\":\"").unwrap();
    let layout = &after[..after.find('"').unwrap()];
    let old = format!("{before}\"layout\":\"{}{}", "0".repeat(layout.len()), &after[layout.len()..]);
    let message = error(Weights::from_bytes_for(
        isa,
        &Digits::DESCRIPTION,
        &[&bytes[..8], &old.as_bytes()[old.len() - 4088..], &bytes[4096..]].concat(),
    ));
    assert!(
        message.contains("another layout: \"0") && message.contains(&format!("not \"{layout}\"")),
        "{message}"
    );
}

#[test]
fn nothing_is_left_of_a_file_that_cannot_be_written() {
    let weights = Digits::init(0);
    let folder = scratch("a-folder");
    std::fs::create_dir_all(&folder).unwrap();
    let error = weights.weights().save(&Digits::DESCRIPTION, &folder).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}", folder.display()));
    assert!(!scratch("a-folder.part").exists());
}
