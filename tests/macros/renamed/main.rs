//! The dependency has another name.
rn::resnet! { pub struct Digits; model "digits" }

fn main() {
    println!("{}", Digits::PEAK_BYTES);
}
