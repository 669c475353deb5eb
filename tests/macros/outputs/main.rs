//! A network with several outputs gives a type with a field for each.
#![forbid(unsafe_code)]

resnet::resnet! { pub struct Features; include "several.yaml" }

fn main() -> Result<(), resnet::Error> {
    let mut session = Features::init(0).session();
    let pixels = vec![0.5; 2 * 16 * 16 * 3];
    let last = session.run(resnet::Tensor::from_slice(&pixels)?)?.as_slice().to_vec();
    let FeaturesOutputs { layer1, layer2_0 } = session.outputs();
    let early: &resnet::Tensor<f32, 2, 16, 16, 64> = layer1;
    assert_eq!(layer2_0.as_slice(), last);
    println!("{} {}", early.as_slice().len(), last.len());
    Ok(())
}
