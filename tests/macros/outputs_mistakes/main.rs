//! Mistakes in a spec with several outputs are reported, and only they.
#![forbid(unsafe_code)]

resnet::resnet! { pub struct Features; include "several.yaml" }
resnet::resnet! { pub struct Unloaded; include "right.yaml", weights: "missing.safetensors" }

fn main() -> Result<(), resnet::Error> {
    let pixels = vec![0.0; 2 * 16 * 16 * 3];
    let image = resnet::Tensor::<f32, 2, 16, 16, 3>::from_slice(&pixels)?;
    let mut session = Features::init(0).session();
    let FeaturesOutputs { layer1, layer2_0 } = session.run(image)?;
    println!("{:?} {:?}", layer1.as_slice(), layer2_0.as_slice());
    let mut session = Unloaded::embedded()?.session();
    let early: &resnet::Tensor<f32, 2, 16, 16, 64> = session.run(image)?.layer1;
    println!("{early:?}");
    Ok(())
}
