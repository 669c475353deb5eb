//! A plan that is executed gives the bits of compiled code: in every precision, on every instruction set, whatever the threads.
//!
//! `--ignored` runs the large ones: all shipped networks, one image and a batch of eight.

mod common;

use std::num::NonZeroUsize;

use common::{isas, run, session};
use resnet::Network;
use resnet::runtime::{Description, Isa, Program, Shape, Weights};
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, shipped};

/// The most multiply-adds of a network that runs on every instruction set with every number of threads. Larger ones run on those
/// that have kernels of their own for the precision, and on those without vectors with two threads.
const SMALL: u64 = 100_000_000;

fn check<N: Network>(model: &str) {
    let [batch, input @ ..] = N::Input::DIMS;
    let precision = N::DESCRIPTION.precision;
    let overrides = Overrides {
        batch: Some(batch),
        input: Some(input),
        precision: Some(precision),
        ..Overrides::default()
    };
    let spec = Spec { name: model, text: shipped::get(model).unwrap(), overrides: &overrides };
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
    assert_eq!(*plan.description(), N::DESCRIPTION);
    let input: Vec<f32> =
        (0..N::Input::LEN).map(|place| ((place * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
    // The formula's weights are not those that scales were made with.
    let description = Description { calibrated: None, ..N::DESCRIPTION };
    let is_large = description.macs > SMALL;
    for isa in isas(&format!("{model} in {precision}, executed")) {
        if is_large && isa.serving(precision) != isa {
            continue;
        }
        let weights = Weights::formula_for(isa, &description).unwrap();
        let is_slow = is_large && matches!(isa, Isa::Scalar | Isa::AmxEmulated);
        for threads in if is_slow { 2..=2 } else { 1..=3 } {
            let compiled = run(&mut session::<N>(weights.clone(), threads), &input);
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut program = Program::new(plan.clone(), weights.clone(), threads).unwrap();
            let executed = program.run(&input).unwrap();
            let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(executed), bits(&compiled), "{model} in {precision} on {isa}, {threads} threads");
        }
    }
}

/// A test of a shipped network, with what is overridden.
macro_rules! networks {
    ($($(#[$attribute:meta])* $test:ident: $model:literal, $batch:literal, $precision:ident;)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $test() {
            resnet::resnet! { struct Net; model $model, batch: $batch, precision: $precision }
            check::<Net>($model);
        }
    )*};
}

networks! {
    digits: "digits", 1, f32;
    digits_bf16: "digits", 1, bf16;
    digits_int8: "digits", 1, int8;
    digits_8: "digits", 8, f32;
    digits_8_bf16: "digits", 8, bf16;
    digits_8_int8: "digits", 8, int8;
    resnet20: "cifar/resnet20", 1, f32;
    resnet20_bf16: "cifar/resnet20", 1, bf16;
    resnet20_int8: "cifar/resnet20", 1, int8;
    resnet20_8: "cifar/resnet20", 8, f32;
    resnet20_8_bf16: "cifar/resnet20", 8, bf16;
    resnet20_8_int8: "cifar/resnet20", 8, int8;
    resnet50: "resnet50", 1, f32;
    resnet50_bf16: "resnet50", 1, bf16;
    resnet18: "torchvision/resnet18", 1, f32;
    resnet18_bf16: "torchvision/resnet18", 1, bf16;
    resnet18_int8: "torchvision/resnet18", 1, int8;
    #[ignore = "takes long"]
    resnet50_8: "resnet50", 8, f32;
    #[ignore = "takes long"]
    resnet50_8_bf16: "resnet50", 8, bf16;
    #[ignore = "takes long"]
    resnet18_8: "torchvision/resnet18", 8, f32;
    #[ignore = "takes long"]
    resnet18_8_bf16: "torchvision/resnet18", 8, bf16;
    #[ignore = "takes long"]
    resnet18_8_int8: "torchvision/resnet18", 8, int8;
    #[ignore = "takes long"]
    resnet34: "torchvision/resnet34", 1, f32;
    #[ignore = "takes long"]
    resnet34_bf16: "torchvision/resnet34", 1, bf16;
    #[ignore = "takes long"]
    resnet34_8: "torchvision/resnet34", 8, f32;
    #[ignore = "takes long"]
    resnet34_8_bf16: "torchvision/resnet34", 8, bf16;
    #[ignore = "takes long"]
    torchvision_resnet50: "torchvision/resnet50", 1, f32;
    #[ignore = "takes long"]
    torchvision_resnet50_bf16: "torchvision/resnet50", 1, bf16;
    #[ignore = "takes long"]
    torchvision_resnet50_int8: "torchvision/resnet50", 1, int8;
    #[ignore = "takes long"]
    torchvision_resnet50_8: "torchvision/resnet50", 8, f32;
    #[ignore = "takes long"]
    torchvision_resnet50_8_bf16: "torchvision/resnet50", 8, bf16;
    #[ignore = "takes long"]
    torchvision_resnet50_8_int8: "torchvision/resnet50", 8, int8;
    #[ignore = "takes long"]
    resnet101: "torchvision/resnet101", 1, f32;
    #[ignore = "takes long"]
    resnet101_bf16: "torchvision/resnet101", 1, bf16;
    #[ignore = "takes long"]
    resnet101_8: "torchvision/resnet101", 8, f32;
    #[ignore = "takes long"]
    resnet101_8_bf16: "torchvision/resnet101", 8, bf16;
    #[ignore = "takes long"]
    resnet152: "torchvision/resnet152", 1, f32;
    #[ignore = "takes long"]
    resnet152_bf16: "torchvision/resnet152", 1, bf16;
    #[ignore = "takes long"]
    resnet152_8: "torchvision/resnet152", 8, f32;
    #[ignore = "takes long"]
    resnet152_8_bf16: "torchvision/resnet152", 8, bf16;
}
