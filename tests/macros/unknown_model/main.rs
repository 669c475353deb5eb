//! A model that does not ship.
resnet::resnet! { struct Net; model "torchvision/resnet51" }

fn main() {
    let _ = Net::init(0).session();
}
