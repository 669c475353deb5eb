//! Sessions of networks with one output and with several.
#![forbid(unsafe_code)]

use resnet::{Error, Network, Runs, Session, Tensor};

resnet::resnet! { pub struct Features; include "several.yaml" }

mod one {
    resnet::resnet! { pub(crate) struct Digits; model "digits" }
}

/// A network with one output gives a reference to it, whichever it is.
fn one<'a, N: Network>(session: &'a mut Session<N>, input: &N::Input) -> Result<&'a N::Output, Error> {
    session.run_observed(input, &mut |_| {})?;
    session.run(input)
}

/// What holds for all networks.
fn steps<N: Runs>(session: &mut Session<N>, input: &N::Input) -> Result<usize, Error> {
    let steps = session.run_timed(input)?.len();
    session.run(input)?;
    Ok(steps)
}

struct Worker<N: Network> {
    session: Session<N>,
}

impl<N: Network> Worker<N> {
    fn each(&mut self, images: &[f32], outputs: &mut [f32]) -> Result<(), Error> {
        self.session.run_each(images, outputs)
    }
}

fn main() -> Result<(), Error> {
    let pixels = vec![0.5; 2 * 16 * 16 * 3];
    let image = Tensor::from_slice(&pixels)?;
    let mut session = Features::init(0).session();
    let steps = steps(&mut session, image)?;
    let FeaturesOutputs { layer1, layer2_0 } = session.run(image)?;
    let early: &Tensor<f32, 2, 16, 16, 64> = layer1;
    println!("{steps} {} {}", early.as_slice().len(), layer2_0.as_slice().len());
    let all: FeaturesOutputs<'_> = session.run_observed(image, &mut |_| {})?;
    println!("{all:?}");

    let mut worker = Worker { session: one::Digits::init(0).session() };
    let pixels = vec![0.5; 28 * 28];
    worker.each(&pixels, &mut [0.0; 10])?;
    let scores: &Tensor<f32, 1, 1, 1, 10> = one(&mut worker.session, Tensor::from_slice(&pixels)?)?;
    println!("{scores:?}");
    Ok(())
}
