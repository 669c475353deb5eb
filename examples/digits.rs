//! Says which handwritten digit is in an image: `cargo run --release --example digits -- examples/images/7-*.png`
#![forbid(unsafe_code)]

resnet::resnet! { pub struct Digits; include "specs/digits.yaml" }

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let net = Digits::load("models/digits.safetensors")?;
    let mut session = net.session();
    for path in std::env::args().skip(1) {
        let photo = image::open(&path)?.to_luma8();
        let pixels: Vec<f32> =
            photo.iter().map(|byte| (f32::from(*byte) / 255.0 - 0.1307) / 0.3081).collect();
        let scores = session.run(resnet::Tensor::<f32, 1, 28, 28, 1>::from_slice(&pixels)?)?.as_slice();
        let best = (0..10).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        println!("{path}: {best:?}");
    }
    Ok(())
}
