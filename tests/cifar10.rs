//! A network that was trained elsewhere, on real images. Its files are not in this repository: without them, skipped.

mod common;

use common::{best, isas, path, run, say, session};
use resnet::Network;
use resnet::runtime::Weights;
use serde_json::Value;

resnet::resnet! { struct ResNet20; model "cifar/resnet20" }

#[test]
fn ten_images() {
    let folder = path("../shared/real/cifar10");
    if !folder.exists() {
        say("skipped: cifar10, whose weights and images are not here");
        return;
    }
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let images = expected["images"].as_array().unwrap();
    assert_eq!(images.len(), 10);
    for isa in isas("cifar10") {
        let weights =
            Weights::load_for(isa, &ResNet20::DESCRIPTION, &folder.join("resnet20.safetensors")).unwrap();
        let mut session = session::<ResNet20>(weights, 2);
        for expected in images {
            let file = expected["file"].as_str().unwrap();
            let picture = image::open(folder.join(file)).unwrap().to_rgb8();
            let how = ResNet20::DESCRIPTION.preprocessing;
            let number = |(place, byte): (usize, &u8)| {
                (f32::from(*byte) * how.scale - how.mean[place % 3]) / how.std[place % 3]
            };
            let input: Vec<f32> = picture.as_raw().iter().enumerate().map(number).collect();
            let scores = run(&mut session, &input);
            assert_eq!(best(&scores) as u64, expected["label"].as_u64().unwrap(), "{file} on {isa}");
            for (score, expected) in scores.iter().zip(expected["logits"].as_array().unwrap()) {
                let error = (f64::from(*score) - expected.as_f64().unwrap()).abs();
                assert!(error <= 1e-3, "{file} on {isa}: {error:.1e}");
            }
        }
    }
}
