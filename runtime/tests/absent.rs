//! Instruction sets that this machine does not have: their kernels are not given out, and weights are not packed for them.

use std::panic::catch_unwind;

use resnet_plan::{Description, Ending, Preprocessing};
use resnet_runtime::{Error, Isa, Precision, Weights};

/// A network without layers.
fn empty() -> Description {
    Description {
        name: "empty".into(),
        precision: Precision::F32,
        calibrated: None,
        layers: Vec::new().into(),
        lists: Default::default(),
        ignored: Vec::new().into(),
        peak_bytes: 0,
        scratch_bytes: 0,
        parameters: 0,
        macs: 0,
        weight_bytes: 0,
        ending: Ending::Features,
        preprocessing: Preprocessing::default(),
        labels: Vec::new().into(),
    }
}

#[test]
fn nothing_runs() {
    let present = Weights::formula_for(Isa::best(), &empty());
    assert!(present.is_ok());
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        assert!(catch_unwind(|| isa.kernels()).is_err(), "kernels of {isa}");
        assert!(matches!(Weights::formula_for(isa, &empty()), Err(Error::Isa(_))), "weights for {isa}");
        assert!(catch_unwind(|| Weights::init_for(isa, &empty(), 0)).is_err(), "weights for {isa}");
        assert!(Isa::choose(isa.name()).is_err(), "the choice of {isa}");
    }
}
