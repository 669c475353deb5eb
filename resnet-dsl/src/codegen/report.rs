//! What rustc reports of a spec. Instead of a network that has mistakes: the errors, and a type that the user's code compiles
//! with, so that nothing but the mistakes is reported. Beside one that has none: warnings.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::codegen::Item;
use crate::ops::Dims;

/// One compile error a message, at `span`, and an empty shell of the type whose sessions claim to give `output`.
pub fn skeleton(item: &Item<'_>, messages: &[String], span: Span, output: Dims) -> TokenStream {
    let Item { attributes, visibility, name, files } = item;
    let [n, h, w, c] = output.map(Literal::usize_unsuffixed);
    let session = quote!(::resnet::runtime::NoSession<::resnet::Tensor<f32, #n, #h, #w, #c>>);
    let errors = messages.iter().map(|message| quote_spanned!(span=> ::core::compile_error! { #message }));
    quote! {
        #(#errors)*

        #attributes
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #visibility struct #name {}

        const _: () = {
            #(const _: &[u8] = ::core::include_bytes!(#files);)*

            #[allow(missing_docs, unused_variables)]
            impl #name {
                pub const PEAK_BYTES: usize = 0;
                pub const SCRATCH_BYTES: usize = 0;
                pub const PARAMETERS: usize = 0;
                pub const MACS: u64 = 0;
                pub const WEIGHT_BYTES: usize = 0;
                pub fn load(
                    path: impl ::core::convert::AsRef<::std::path::Path>,
                ) -> ::core::result::Result<Self, ::resnet::Error> {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn map(
                    path: impl ::core::convert::AsRef<::std::path::Path>,
                ) -> ::core::result::Result<Self, ::resnet::Error> {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn from_bytes(bytes: &[u8]) -> ::core::result::Result<Self, ::resnet::Error> {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn init(seed: u64) -> Self {
                    Self {}
                }
                pub fn session(&self) -> #session {
                    ::core::default::Default::default()
                }
                pub fn session_with(&self, threads: ::core::num::NonZeroUsize) -> #session {
                    ::core::default::Default::default()
                }
            }
        };
    }
}

/// One compiler warning a message, at `span`. (Stable proc macros have no other way than the use of something deprecated.)
pub fn warnings(messages: &[String], span: Span) -> TokenStream {
    let warnings = messages.iter().map(|message| {
        quote_spanned! {span=>
            const _: () = {
                #[deprecated(note = #message)]
                const SPEC: () = ();
                SPEC
            };
        }
    });
    quote!(#(#warnings)*)
}
