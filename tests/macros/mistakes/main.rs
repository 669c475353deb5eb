//! Mistakes in a spec are reported, and only they.
#![forbid(unsafe_code)]

use std::num::NonZeroUsize;

resnet::resnet! { pub struct Pets; include "pets.yaml" }

fn main() -> Result<(), resnet::Error> {
    let net = Pets::load("pets.safetensors").unwrap_or_else(|_| Pets::init(0));
    let pixels = vec![0.0; 16 * 16 * 3];
    let image = resnet::Tensor::<f32, 1, 16, 16, 3>::from_slice(&pixels)?;
    let mut session = net.clone().session();
    let scores = session.run(image)?;
    println!("{:?} {:?}", scores.as_slice(), net);
    let mut session = Pets::from_bytes(&[])?.session_with(NonZeroUsize::MIN);
    println!("{} {}", session.threads(), Pets::PEAK_BYTES);
    let scores: &resnet::Tensor<f32, 1, 1, 1, 2> = session.run(image)?;
    println!("{scores:?}");
    Ok(())
}
