//! What a network does not have.
resnet::resnet! { pub struct Features; include "features.yaml" }

fn main() {
    let net = Features::init(0);
    let _session = net.session();
    let _classifier = net.classifier();
    let _again = Features::embedded();
}
