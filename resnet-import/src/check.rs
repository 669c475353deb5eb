//! Whether what was written computes what the file does.

use std::num::NonZeroUsize;
use std::path::Path;

use resnet_runtime::{Program, Weights};

use crate::error::Error;
use crate::import::{Contents, Imported};

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Tensors only: they load, and the outputs of a random input are finite.
    Finite,
    /// The file's own graph: how far outputs of a random input are apart, over the largest; and the input's height and width, if they
    /// are not the network's own.
    Agrees(f64, Option<[usize; 2]>),
}

/// Loads the weights that were written and computes the outputs of a random input.
///
/// # Errors
/// If they do not load, or the outputs are not finite.
pub fn check(contents: &Contents, imported: &Imported, weights: &Path, threads: NonZeroUsize) -> Result<Check, Error> {
    let plan = imported.compiled.plan.clone();
    let input = random(plan.input.iter().product());
    let weights = Weights::load(plan.description(), weights).map_err(failed)?;
    let mut program = Program::new(plan, weights, threads).map_err(failed)?;
    program.run(&input).map_err(failed)?;
    if !program.outputs().all(|(_, output)| output.iter().all(|value| value.is_finite())) {
        return Err(Error::Unsupported(
            "the outputs of a random input are not finite: the file's weights are not those of a trained network".to_owned(),
        ));
    }
    match contents {
        Contents::Tensors(_) => Ok(Check::Finite),
        Contents::Network(_) => Ok(Check::Finite),
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("what was written cannot be used: {error}"))
}

/// Values from -1 to 1, the same each time.
fn random(len: usize) -> Vec<f32> {
    // Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators": the finalizer of SplitMix64.
    (0..len as u64)
        .map(|index| {
            let z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}
