//! A batch gives what its images give one by one, computed all at once or, where activations outgrow the caches, in parts: the
//! same numbers but for rounding, and the same bits whatever the number of threads.

mod common;

use common::{isas, run, session};
use resnet::Network;
use resnet::runtime::{Description, Isa, Weights};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct Digits5; model "digits", batch: 5 }
resnet::resnet! { struct ResNet18; model "torchvision/resnet18" }
resnet::resnet! { struct ResNet18Batch3; model "torchvision/resnet18", batch: 3 }

fn check<One: Network, Batch: Network>(isa: Isa, tolerance: f32) {
    let weights = |network: &Description| Weights::formula_for(isa, network).unwrap();
    let mut one = session::<One>(weights(&One::DESCRIPTION), 2);
    let mut batch = session::<Batch>(weights(&Batch::DESCRIPTION), 2);
    let count = (Batch::DESCRIPTION.macs / One::DESCRIPTION.macs) as usize;
    let size = <One::Input as resnet::runtime::Shape>::LEN;
    let input: Vec<f32> =
        (0..count * size).map(|place| ((place * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
    let all = run(&mut batch, &input);
    assert_eq!(all, run(&mut session::<Batch>(weights(&Batch::DESCRIPTION), 1), &input), "{isa}");
    for (image, found) in input.chunks_exact(size).zip(all.chunks_exact(all.len() / count)) {
        let expected = run(&mut one, image);
        let largest = expected.iter().fold(0.0f32, |max, score| max.max(score.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= tolerance * largest, "{isa}: {found}, alone {expected}");
        }
    }
}

#[test]
fn all_at_once() {
    for isa in isas("a batch") {
        check::<Digits, Digits5>(isa, 1e-5);
    }
}

/// Early steps are done for one image at a time, late ones for all: their algorithms differ from those for one image.
#[test]
fn in_sections() {
    const { assert!(ResNet18Batch3::PEAK_BYTES < 3 * ResNet18::PEAK_BYTES) };
    for isa in isas("a batch in sections") {
        check::<ResNet18, ResNet18Batch3>(isa, 1e-5);
    }
}
