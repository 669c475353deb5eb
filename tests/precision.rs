//! bf16 and int8: how far their scores are from those in f32, and that int8 are the same to the bit on every machine.

mod common;

use std::path::PathBuf;

use common::{best, isas, npy, path, reference_input, run, say, session};
use resnet::runtime::{Isa, Weights};
use resnet::{Error, Network};

resnet::resnet! { struct ResNet18Bf16; model "torchvision/resnet18", precision: bf16 }
resnet::resnet! { struct ResNet18Int8; model "torchvision/resnet18", precision: int8 }
resnet::resnet! { struct ResNet50Bf16; model "torchvision/resnet50", precision: bf16 }
resnet::resnet! { struct ResNet50Int8; model "torchvision/resnet50", precision: int8 }
resnet::resnet! { struct Digits; model "digits", precision: int8 }

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The scores on each instruction set, which are near the reference's.
fn scores<N: Network>(name: &str, least: f64) -> Vec<Vec<f32>> {
    let expected = npy(&path(&format!("tests/data/reference/{name}.npy")));
    let input = reference_input::<N>(true);
    let precision = N::DESCRIPTION.precision;
    let of = |isa: Isa| {
        let weights = Weights::formula_for(isa, &N::DESCRIPTION).unwrap();
        let scores = run(&mut session::<N>(weights.clone(), 1), &input);
        assert_eq!(
            scores,
            run(&mut session::<N>(weights, 2), &input),
            "{name} in {precision} on {isa}: threads"
        );
        let cosine = cosine(&scores, &expected);
        assert!(cosine >= least, "{name} in {precision} on {isa}: cosine {cosine}");
        assert_eq!(best(&scores), best(&expected), "{name} in {precision} on {isa}");
        scores
    };
    isas(&format!("{name} in {precision}")).into_iter().map(of).collect()
}

#[test]
fn bf16_is_near() {
    scores::<ResNet18Bf16>("resnet18", 0.9999);
    scores::<ResNet50Bf16>("resnet50", 0.9999);
}

#[test]
fn int8_is_near_and_the_same_everywhere() {
    for scores in [scores::<ResNet18Int8>("resnet18", 0.9995), scores::<ResNet50Int8>("resnet50", 0.9995)] {
        assert!(scores.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

/// Scales belong to weights; whoever has others is told, and may say that it does not matter.
#[test]
fn scales_belong_to_weights() {
    let file = path("models/digits.safetensors");
    let other =
        Weights::load(&resnet::runtime::Description { calibrated: Some(1), ..Digits::DESCRIPTION }, &file);
    match other {
        Err(Error::Calibration { expected: 1, found, .. }) => {
            assert_eq!(Some(found), Digits::DESCRIPTION.calibrated);
        }
        other => panic!("{other:?}"),
    }
    Digits::load(&file).unwrap();
    Digits::load_despite_calibration(&file).unwrap();
}

/// Packed weights are small, and give the same bits.
#[test]
fn packed_weights_are_small() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fn check<N: Network>(file: PathBuf, most: u64) {
        for isa in isas("packed weights") {
            let weights = Weights::formula_for(isa, &N::DESCRIPTION).unwrap();
            weights.save(&N::DESCRIPTION, &file).unwrap();
            let mapped = Weights::map_for_command(isa, &N::DESCRIPTION, &file).unwrap();
            let bytes = std::fs::metadata(&file).unwrap().len();
            assert!(bytes <= most, "{bytes} bytes on {isa}");
            let input = reference_input::<N>(true);
            // Those two are slow.
            if !matches!(isa, Isa::Scalar | Isa::AmxEmulated) {
                let scores = run(&mut session::<N>(weights, 2), &input);
                assert_eq!(scores, run(&mut session::<N>(mapped, 2), &input));
            }
        }
        let _ = std::fs::remove_file(file);
    }
    check::<ResNet50Bf16>(folder.join("bf16.packed"), 52_000_000);
    check::<ResNet50Int8>(folder.join("int8.packed"), 27_000_000);
    say(&format!("int8: an arena of {} bytes", ResNet50Int8::PEAK_BYTES));
}
