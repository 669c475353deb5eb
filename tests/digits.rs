//! The shipped network on 2,000 handwritten digits that its training never saw (`models/README.md`).

mod common;

use common::{best, isas, path, run, session};
use resnet::Network;
use resnet::runtime::{Isa, Weights};

resnet::resnet! { struct Digits; include "specs/digits.yaml" }

/// The digits of the sheet: 40 rows of 50, classes taking turns.
fn held_out() -> Vec<Vec<f32>> {
    let sheet = image::open(path("tests/data/digits.png")).unwrap().to_luma8();
    let preprocessing = Digits::DESCRIPTION.preprocessing;
    let number =
        |byte: u8| (f32::from(byte) * preprocessing.scale - preprocessing.mean[0]) / preprocessing.std[0];
    let digit = |index: u32| {
        let (top, left) = (index / 50 * 28, index % 50 * 28);
        let pixel = |place: u32| number(sheet.get_pixel(left + place % 28, top + place / 28).0[0]);
        (0..28 * 28).map(pixel).collect()
    };
    (0..2_000).map(digit).collect()
}

fn weights(isa: Isa) -> Weights {
    Weights::load_for(isa, &Digits::DESCRIPTION, &path("models/digits.safetensors")).unwrap()
}

#[test]
fn digits_it_never_saw() {
    let digits = held_out();
    for isa in isas("digits") {
        let mut session = session::<Digits>(weights(isa), 2);
        let right = digits
            .iter()
            .enumerate()
            .filter(|(index, digit)| best(&run(&mut session, digit)) == index % 10)
            .count();
        assert!(right >= 1_980, "{isa}: {right} of 2000");
    }
}

/// The order of a sum's terms does not depend on how many threads there are, so neither do the bits.
#[test]
fn the_same_bits_whatever_the_threads() {
    let digits = held_out();
    for isa in isas("the same bits") {
        let weights = weights(isa);
        let mut one = session::<Digits>(weights.clone(), 1);
        for threads in 2..=5 {
            let mut many = session::<Digits>(weights.clone(), threads);
            for digit in &digits[..50] {
                assert_eq!(run(&mut one, digit), run(&mut many, digit), "{isa}, {threads} threads");
            }
        }
    }
}

/// As in PyTorch, what is no number spreads: a mean over the whole image sees it. Nothing is cut off by a ReLU.
#[test]
fn nan_and_infinity_spread() {
    for isa in isas("NaN") {
        let mut session = session::<Digits>(weights(isa), 1);
        let clean = run(&mut session, &[0.5; 28 * 28]);
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in [0, 28 * 14 + 14, 28 * 28 - 1] {
                let mut digit = [0.5; 28 * 28];
                digit[place] = special;
                let scores = run(&mut session, &digit);
                assert!(scores.iter().all(|score| !score.is_finite()), "{isa}: {special} gives {scores:?}");
            }
        }
        assert_eq!(run(&mut session, &[0.5; 28 * 28]), clean, "{isa}: nothing stays behind");
    }
}
