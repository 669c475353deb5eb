//! What a spec says without effect is a warning at its macro.
resnet::resnet! { pub struct Strides; include "strides.yaml" }

fn main() {
    println!("{:?}", Strides::init(0));
}
