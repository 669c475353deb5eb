//! A spec that is not there.
resnet::resnet50! { include "specs/nowhere.yaml" }

fn main() {
    println!("{}", ResNet50::PARAMETERS);
}
