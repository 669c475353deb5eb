//! Everything that a network of the macro offers, in a crate that allows neither `unsafe` nor warnings.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use std::num::NonZeroUsize;

resnet::resnet! {
    /// A network of our own.
    pub struct Pets;
    include "pets.yaml"
}

resnet::resnet! { pub(crate) struct Large; include "pets.yaml", input: 40x32x3, batch: 2, winograd: off, }

mod inner {
    resnet::resnet50! { model "torchvision/resnet50", classes: 2 }
}

// Names of the user's that the macro must not stumble over.
#[allow(dead_code)]
mod runtime {}
#[allow(dead_code)]
struct Option;
#[allow(dead_code)]
struct Result;

fn main() -> std::result::Result<(), resnet::Error> {
    let net = if std::env::args().count() > 1 { Pets::load("pets.safetensors")? } else { Pets::init(0) };
    let again = net.clone();
    let pixels = vec![0.0; 16 * 16 * 3];
    let image = resnet::Tensor::<f32, 1, 16, 16, 3>::from_slice(&pixels)?;
    let mut session = again.session_with(NonZeroUsize::MIN);
    let scores: &resnet::Tensor<f32, 1, 1, 1, 2> = session.run(image)?;
    println!("{:?} {:?}", scores.as_slice(), net);
    println!("{} {} {} {}", Pets::PEAK_BYTES, Pets::SCRATCH_BYTES, Pets::PARAMETERS, Pets::WEIGHT_BYTES);
    println!("{}", Pets::MACS);

    let pixels = vec![0.0; 2 * 40 * 32 * 3];
    let images = resnet::Tensor::from_slice(&pixels)?;
    let mut session = Large::from_bytes(&[]).unwrap_or_else(|_| Large::init(1)).session();
    let scores: &resnet::Tensor<f32, 2, 1, 1, 2> = session.run(images)?;
    println!("{scores:?} {}", inner::ResNet50::PARAMETERS);
    std::thread::spawn(move || drop(net));
    Ok(())
}
