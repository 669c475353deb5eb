//! Attributes of the struct belong to all that is written for it.
resnet::resnet! {
    #[cfg(any())]
    pub struct Never; model "torchvision/resnet18"
}
resnet::resnet! {
    #[cfg(any())]
    pub struct Wrong; include "no/such.yaml"
}
resnet::resnet! {
    #[cfg(all())]
    #[cfg_attr(all(), must_use)]
    #[doc(alias = "small")]
    pub struct Digits; model "digits"
}

fn main() {
    println!("{}", Digits::PEAK_BYTES);
}
