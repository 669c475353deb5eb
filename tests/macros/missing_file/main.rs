//! Files that are not there.
resnet::resnet50! { include "specs/nowhere.yaml", weights: "no.safetensors" }
resnet::resnet! { struct Digits; model "digits", weights: env!("NO_SUCH_VARIABLE") }
resnet::resnet! { struct Again; model "digits", weights: "no.safetensors" }

fn main() -> Result<(), resnet::Error> {
    println!("{}", ResNet50::PARAMETERS);
    let mut classifier = Again::embedded()?.classifier();
    println!("{:?}", classifier.classify(&resnet::Image::gray8(&[0], 1, 1)?)?.top(1));
    Ok(())
}
