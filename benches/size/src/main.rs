//! One image through one network, whose weights are in the program.

resnet::resnet! { pub struct Digits; model "digits" }

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let net = Digits::from_bytes(include_bytes!("../../../models/digits.safetensors"))?;
    let pixels = [0.0; 28 * 28];
    println!("{:?}", net.session().run(resnet::Tensor::from_slice(&pixels)?)?.as_slice());
    Ok(())
}
