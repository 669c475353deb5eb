//! What end-to-end tests share.
#![allow(dead_code)] // each test uses some of it

pub(crate) mod crates;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use resnet::runtime::weights::fill::uniform;
use resnet::runtime::{Isa, Shape, Weights};
use resnet::{Network, Session};

/// The instruction sets of this machine; says which it does not have.
pub(crate) fn isas(test: &str) -> Vec<Isa> {
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        say(&format!("skipped: {test} on {isa}, which this machine does not have"));
    }
    Isa::available()
}

/// A line that the test harness does not keep to itself.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A file or folder of this repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A session on one instruction set, with so many threads.
pub(crate) fn session<N: Network>(weights: Weights, threads: usize) -> Session<N> {
    Session::with_threads(&N::from_weights(weights), NonZeroUsize::new(threads).unwrap())
}

/// The output for an input.
pub(crate) fn run<N: Network>(session: &mut Session<N>, input: &[f32]) -> Vec<f32> {
    session.run(N::Input::from_slice(input).unwrap()).unwrap().as_slice().to_vec()
}

/// The input of the reference scores; `channels_first`: the order in which it was drawn.
pub(crate) fn reference_input<N: Network>(channels_first: bool) -> Vec<f32> {
    drawn_input(N::Input::DIMS, channels_first)
}

/// The same for an input of these sizes (`[N, H, W, C]`, of which N is 1).
pub(crate) fn drawn_input(dims: [usize; 4], channels_first: bool) -> Vec<f32> {
    let [_, height, width, channels] = dims;
    let drawn: Vec<f32> =
        uniform("input").take(dims.iter().product()).map(|u| (2.0 * u - 1.0) * 2.0).collect();
    if !channels_first {
        return drawn;
    }
    let place = |index: usize| index % channels * height * width + index / channels;
    (0..drawn.len()).map(|index| drawn[place(index)]).collect()
}

/// A float32 npy file.
pub(crate) fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

/// The index of the largest number.
pub(crate) fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap()
}
