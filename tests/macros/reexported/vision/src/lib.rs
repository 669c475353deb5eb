//! A library that re-exports `resnet`, and has a macro of its own.
pub use resnet;

#[macro_export]
macro_rules! network {
    ($name:ident, $model:literal) => {
        $crate::resnet::resnet! { pub struct $name; model $model }
    };
}
