//! What the tests of kernels share.
#![allow(dead_code)] // each test uses some of it

pub(crate) mod placed;

use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use resnet_plan::Activation;
use resnet_runtime::Isa;

/// Runs a property on each instruction set that there is, and says which there are not.
pub(crate) fn on_every_isa<S: Strategy>(
    name: &str,
    cases: &S,
    property: impl Fn(Isa, S::Value) -> Result<(), TestCaseError>,
) {
    for isa in Isa::ALL {
        on_isa(isa, name, cases, |case| property(isa, case));
    }
}

/// Runs a property on an instruction set if there is it, or says that there is not.
pub(crate) fn on_isa<S: Strategy>(
    isa: Isa,
    name: &str,
    cases: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    if !skip(isa, name) {
        on_any_isa(&format!("{name} on {isa}"), cases, property);
    }
}

/// Whether the machine does not have an instruction set, which is then said.
pub(crate) fn skip(isa: Isa, name: &str) -> bool {
    let skipped = !isa.is_available();
    if skipped {
        // Not `eprintln!`, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {name} on {isa}, which this machine does not have");
    }
    skipped
}

/// Runs a property of kernels that have no vector code.
pub(crate) fn on_any_isa<S: Strategy>(
    name: &str,
    cases: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let default = Config::default();
    let config = Config { cases: default.cases.max(1_000), failure_persistence: None, ..default };
    if let Err(error) = TestRunner::new(config).run(cases, property) {
        panic!("{name}: {error}");
    }
}

/// Any activation: half of them none or a ReLU.
pub(crate) fn activation() -> impl Strategy<Value = Activation> {
    let plain = prop::sample::select(vec![Activation::None, Activation::Relu]);
    let others = prop::sample::select(vec![
        Activation::Relu6,
        Activation::LeakyRelu(0.25),
        Activation::Prelu,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::HardSigmoid,
    ]);
    prop_oneof![plain, others]
}

/// The slopes of a PReLU over so many channels.
pub(crate) fn slopes(channels: usize) -> Vec<f32> {
    (0..channels).map(|channel| (channel % 7) as f32 / 8.0).collect()
}

/// From a row or column of a window to the next: half of them have no gaps.
pub(crate) fn dilation() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![Just([1, 1]), prop::array::uniform2(1usize..4)]
}
