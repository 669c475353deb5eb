//! The scores that torchvision's networks and Keras' version of the document's have, with weights that a formula makes.

mod common;

use common::{isas, npy, path, reference_input, run, session};
use resnet::Network;
use resnet::runtime::Weights;

resnet::resnet! { struct ResNet18; model "torchvision/resnet18" }
resnet::resnet! { struct TorchvisionResNet50; model "torchvision/resnet50" }
resnet::resnet! { struct DirectResNet18; model "torchvision/resnet18", winograd: off }
resnet::resnet50! { include "specs/resnet50.yaml" }

/// The largest error, as a share of the largest score.
const TOLERANCE: f32 = 5e-6;

fn check<N: Network>(name: &str, channels_first: bool) {
    let expected = npy(&path(&format!("tests/data/reference/{name}.npy")));
    let input = reference_input::<N>(channels_first);
    let largest = expected.iter().fold(0.0f32, |max, score| max.max(score.abs()));
    for isa in isas(name) {
        let weights = Weights::formula_for(isa, &N::DESCRIPTION).unwrap();
        for threads in [1, 2] {
            let scores = run(&mut session::<N>(weights.clone(), threads), &input);
            assert_eq!(scores.len(), expected.len());
            let errors = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let error = errors.fold(0.0, f32::max) / largest;
            assert!(error <= TOLERANCE, "{name} on {isa}, {threads} threads: {error:.1e}");
        }
    }
}

#[test]
fn torchvision_resnet18() {
    check::<ResNet18>("resnet18", true);
}

#[test]
fn torchvision_resnet18_without_winograd() {
    check::<DirectResNet18>("resnet18", true);
    assert_eq!(DirectResNet18::SCRATCH_BYTES, 0);
    const { assert!(ResNet18::SCRATCH_BYTES > 0) };
}

#[test]
fn torchvision_resnet50() {
    check::<TorchvisionResNet50>("resnet50", true);
    assert_eq!(TorchvisionResNet50::PARAMETERS, 25_557_032);
    const { assert!(TorchvisionResNet50::PEAK_BYTES <= 5_600_000) };
}

#[test]
fn the_documents_resnet50() {
    check::<ResNet50>("seed64", false);
}
