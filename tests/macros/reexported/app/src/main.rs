//! A crate that has no `resnet` of its own.
vision::resnet::resnet! { pub struct Digits; model "digits" }
vision::network!(Again, "digits");

mod inner {
    pub use vision::resnet as elsewhere;
    vision::resnet::resnet50! { model "torchvision/resnet50", classes: 3, crate = self::elsewhere }
}

fn main() {
    println!("{} {} {}", Digits::PEAK_BYTES, Again::PEAK_BYTES, inner::ResNet50::PEAK_BYTES);
}
