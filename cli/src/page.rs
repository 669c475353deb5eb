//! The page of a network (`inspect --format html`), with what a command measured.

use std::path::Path;

use anyhow::Context;
use resnet::runtime::kernels::peak_gflops;
use resnet::runtime::{Isa, Precision, files};
use resnet_dsl::plan::predict::Machine;
use resnet_report::Report;

use crate::model::Model;

/// Writes the page, with times that are predicted for a machine, and what `add` adds to the report.
pub(crate) fn save(
    path: &Path,
    model: &Model,
    machine: &Machine,
    add: impl FnOnce(&mut Report),
) -> anyhow::Result<()> {
    let mut report = model.with(|spec, read| Report::new(spec, read, machine))?;
    add(&mut report);
    let page = resnet_report::html(&report);
    files::replace(path, |to| to.write_all(page.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// So many cores of this machine, with what they compute, measured.
pub(crate) fn this_machine(isa: Isa, precision: Precision, threads: usize) -> Machine {
    let cores = if threads == 1 { "one core".to_owned() } else { format!("{threads} cores") };
    Machine {
        name: format!("{cores} of this machine, {isa}"),
        class: isa.class(precision),
        multiply_adds: 0.5e9 * peak_gflops(isa.kernels()) * threads as f64,
    }
}
