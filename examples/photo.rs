//! Says what is in an image: `cargo run --release --example photo -- examples/images/7-handwritten.png`
#![forbid(unsafe_code)]

resnet::resnet! { pub struct Digits; include "specs/digits.yaml", weights: "models/digits.safetensors" }

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("examples/images/7-handwritten.png".into());
    let net = Digits::embedded()?;
    let mut classifier = net.classifier();
    let photo = resnet::Image::open(path)?;
    for guess in classifier.classify(&photo)?.top(3) {
        println!("{} {:.1} %", guess.label, 100.0 * guess.probability);
    }
    Ok(())
}
