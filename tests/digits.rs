//! The shipped network on 2,000 handwritten digits that its training never saw (`models/README.md`).

mod common;

use common::{best, isas, path, run, session};
use resnet::Network;
use resnet::runtime::{Isa, Weights};

resnet::resnet! { struct Digits; include "specs/digits.yaml" }
resnet::resnet! { struct Bf16; model "digits", precision: bf16 }
resnet::resnet! { struct Int8; include "specs/digits.yaml", precision: int8 { calibration: "specs/digits.calibration.yaml" } }

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
    weights_of::<Digits>(isa)
}

fn weights_of<N: Network>(isa: Isa) -> Weights {
    Weights::load_for(isa, &N::DESCRIPTION, &path("models/digits.safetensors")).unwrap()
}

/// How many of the digits a network knows.
fn right<N: Network>(isa: Isa, digits: &[Vec<f32>]) -> usize {
    let mut session = session::<N>(weights_of::<N>(isa), 2);
    let known = |(index, digit): &(usize, &Vec<f32>)| best(&run(&mut session, digit)) == index % 10;
    digits.iter().enumerate().filter(known).count()
}

#[test]
fn digits_it_never_saw() {
    let digits = held_out();
    for isa in isas("digits") {
        let exact = right::<Digits>(isa, &digits);
        assert!(exact >= 1_980, "{isa}: {exact} of 2000");
        // 0.2 points
        for (precision, right) in
            [("bf16", right::<Bf16>(isa, &digits)), ("int8", right::<Int8>(isa, &digits))]
        {
            assert!(right + 4 >= exact, "{precision} on {isa}: {right} of 2000, {exact} in f32");
        }
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
