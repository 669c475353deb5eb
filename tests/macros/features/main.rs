//! What a network does not have.
resnet::resnet! { pub struct Features; include "features.yaml" }
resnet::resnet! { pub struct Several; include "several.yaml" }

fn main() {
    let net = Features::init(0);
    let _session = net.session();
    let _classifier = net.classifier();
    let _again = Features::embedded();
    let _scores = Several::init(0).session().run_each(&[], &mut []);
    let _classifier = Several::init(0).classifier();
}
