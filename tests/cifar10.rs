//! A network that was trained elsewhere, on real images. Its files are not in this repository: without them, skipped.

mod common;

use common::{best, isas, path, run, say, session};
use resnet::Network;
use resnet::runtime::Weights;
use serde_json::Value;

resnet::resnet! { struct ResNet20; model "cifar/resnet20" }
resnet::resnet! { struct Bf16; model "cifar/resnet20", precision: bf16 }
resnet::resnet! { struct Int8; model "cifar/resnet20", precision: int8 }

#[test]
fn ten_images() {
    ten::<ResNet20>("cifar10", Some(1e-3));
}

#[test]
fn ten_images_in_bf16_and_int8() {
    ten::<Bf16>("cifar10 in bf16", None);
    ten::<Int8>("cifar10 in int8", None);
}

/// All classes are right; scores are no further than `tolerance` from those of the network's own framework.
fn ten<N: Network>(test: &str, tolerance: Option<f64>) {
    let folder = path("../shared/real/cifar10");
    if !folder.exists() {
        say(&format!("skipped: {test}, whose weights and images are not here"));
        return;
    }
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let images = expected["images"].as_array().unwrap();
    assert_eq!(images.len(), 10);
    for isa in isas(test) {
        let weights = Weights::load_for(isa, &N::DESCRIPTION, &folder.join("resnet20.safetensors")).unwrap();
        let mut session = session::<N>(weights, 2);
        for expected in images {
            let file = expected["file"].as_str().unwrap();
            let photo = image::open(folder.join(file)).unwrap().to_rgb8();
            let how = N::DESCRIPTION.preprocessing;
            let number = |(place, byte): (usize, &u8)| {
                (f32::from(*byte) * how.scale - how.mean[place % 3]) / how.std[place % 3]
            };
            let input: Vec<f32> = photo.as_raw().iter().enumerate().map(number).collect();
            let scores = run(&mut session, &input);
            assert_eq!(best(&scores) as u64, expected["label"].as_u64().unwrap(), "{file} on {isa}");
            let Some(tolerance) = tolerance else { continue };
            for (score, expected) in scores.iter().zip(expected["logits"].as_array().unwrap()) {
                let error = (f64::from(*score) - expected.as_f64().unwrap()).abs();
                assert!(error <= tolerance, "{file} on {isa}: {error:.1e}");
            }
        }
    }
}
