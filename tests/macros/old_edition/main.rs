//! The edition of 2021.
resnet::resnet! { pub struct Digits; model "digits", precision: bf16 }

fn main() -> Result<(), resnet::Error> {
    let mut classifier = Digits::init(0).classifier();
    println!("{:?}", classifier.classify(&resnet::Image::gray8(&[0; 784], 28, 28)?)?.top(1));
    Ok(())
}
