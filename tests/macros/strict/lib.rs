//! No prelude, and no warning of any kind.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    single_use_lifetimes,
    trivial_casts,
    unused_results
)]

::resnet::resnet! {
    /// A network.
    pub struct Digits; model "digits"
}

/// Names that the macro must not stumble over.
pub mod names {
    #![allow(missing_docs, missing_debug_implementations, non_camel_case_types, dead_code)]

    pub struct Self_;
    pub mod runtime {}
    pub mod plan {}
    pub mod core {}
    pub struct Some;
    ::resnet::resnet! { pub struct Option; model "digits", precision: int8 }
}
