//! Reports of networks that ship, with figures that nobody measured.
#![allow(dead_code)] // each test uses a part

use resnet_dsl::plan::predict::Machine;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, shipped};
use resnet_report::{Measured, Report, Verified, VerifiedIsa, VerifiedLayer};

pub(crate) fn report(name: &str) -> Report {
    let spec = Spec { name, text: shipped::get(name).unwrap(), overrides: &Overrides::default() };
    Report::new(&spec, &mut |file| Err(format!("{file} is not there")), &Machine::reference()).unwrap()
}

/// Each step takes a little more or less than predicted.
pub(crate) fn measure(report: &mut Report) {
    let steps = report.plan.steps.iter().enumerate();
    let steps_us = steps.map(|(index, step)| step.predicted_us * (0.9 + 0.05 * (index % 7) as f64)).collect();
    report.measured =
        Some(Measured { isa: "avx512".to_owned(), threads: 1, runs: 31, peak_gflops: 230.0, steps_us });
}

/// With one instruction set every third layer of the second half is too far from the reference.
pub(crate) fn verify(report: &mut Report) {
    let half = report.layers.len() / 2;
    let layer = |index: usize, beyond: bool| {
        let within = !(beyond && index >= half && index.is_multiple_of(3));
        VerifiedLayer {
            name: report.layers[index].name.clone(),
            max_ulp: 3.0 + index as f64,
            max_error: 2.5e-6,
            relative_error: if within { 4e-7 } else { 3e-4 },
            cosine: 0.999_999_9,
            bound: 1e-5,
            within,
        }
    };
    let isa = |name: &str, beyond: bool| {
        let layers: Vec<VerifiedLayer> = (0..report.layers.len()).map(|index| layer(index, beyond)).collect();
        let first_beyond = layers.iter().find(|layer| !layer.within).map(|layer| layer.name.clone());
        VerifiedIsa { isa: name.to_owned(), first_beyond, layers }
    };
    let isas = vec![isa("scalar", false), isa("avx2", true), isa("avx512", false)];
    report.verified = Some(Verified { reference: "float64".to_owned(), inputs: 4, isas });
}
