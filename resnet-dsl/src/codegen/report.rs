//! What rustc reports of a spec. Instead of a network that has mistakes: the errors, and a type that the user's code compiles
//! with, so that nothing but the mistakes is reported. Beside one that has none: warnings.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use resnet_plan::{Dims, Element};

use super::outputs::{self, Several};
use super::{Item, tensor};

/// One compile error a message, at its span, and an empty shell of the type whose sessions claim to give these outputs.
pub fn skeleton(item: &Item<'_>, messages: &[(String, Span)], outputs: &[(String, Dims)]) -> TokenStream {
    let Item { attributes, visibility, name, library, .. } = item;
    let (conditions, tracked) = (item.conditions(), item.tracked());
    let (definition, given) = match outputs::several(outputs, item) {
        Some(Several { name, definition, .. }) => (definition, quote!(#name<'static>)),
        None => {
            let tensor = tensor(Element::F32, outputs.first().map_or([1; 4], |(_, dims)| *dims));
            (quote!(), quote!(&'static #tensor))
        }
    };
    let session = quote!(runtime::NoSession<#given>);
    let result = quote!(::core::result::Result<Self, runtime::Error>);
    let path = quote!(path: impl ::core::convert::AsRef<::std::path::Path>);
    let errors = messages
        .iter()
        .map(|(message, span)| quote_spanned!(*span=> #conditions ::core::compile_error! { #message }));
    quote! {
        #(#errors)*

        #(#attributes)*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #visibility struct #name {}
        #definition

        #conditions
        const _: () = {
            use #library::runtime::{self, plan};

            #tracked

            #[allow(missing_docs, unused_variables)]
            impl #name {
                pub const PEAK_BYTES: usize = 0;
                pub const SCRATCH_BYTES: usize = 0;
                pub const PARAMETERS: usize = 0;
                pub const MACS: u64 = 0;
                pub const WEIGHT_BYTES: usize = 0;
                pub const LABELS: &'static [&'static str] = &[];
                pub const PREPROCESSING: plan::Preprocessing = plan::Preprocessing::BYTES;
                pub fn load(#path) -> #result {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn load_despite_calibration(#path) -> #result {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn map(#path) -> #result {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn from_bytes(bytes: &[u8]) -> #result {
                    ::core::result::Result::Ok(Self {})
                }
                pub fn embedded() -> #result {
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
                pub fn classifier(&self) -> runtime::NoClassifier {
                    runtime::NoClassifier
                }
                pub fn classifier_with(&self, threads: ::core::num::NonZeroUsize) -> runtime::NoClassifier {
                    runtime::NoClassifier
                }
            }
        };
    }
}

/// One compiler warning a message, at `span`. (Stable proc macros have no other way than the use of something deprecated.)
pub fn warnings(item: &Item<'_>, messages: &[String], span: Span) -> TokenStream {
    let conditions = item.conditions();
    let warnings = messages.iter().map(|message| {
        quote_spanned! {span=>
            #conditions
            const _: () = {
                #[deprecated(note = #message)]
                const SPEC: () = ();
                SPEC
            };
        }
    });
    quote!(#(#warnings)*)
}
