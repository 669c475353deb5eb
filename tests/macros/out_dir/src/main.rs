//! A spec that a build script writes.
resnet::resnet! { pub struct Pets; include concat!(env!("OUT_DIR"), "/pets.yaml") }
resnet::resnet! { pub struct Again; include core::concat!(env!("OUT_DIR"), "/pets", ".yaml",), classes: 3 }

fn main() {
    println!("{} {}", Pets::PEAK_BYTES, Again::PEAK_BYTES);
}
