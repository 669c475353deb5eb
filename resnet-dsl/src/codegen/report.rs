//! What is reported of a spec when it is built. Instead of a network that has mistakes: the errors, and a type that the user's code compiles
//! with, so that nothing but the mistakes is reported. Beside one that has none: warnings, and for who asks for it, a line that says
//! how large it is.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use resnet_plan::{Description, Dims, Element, Plan};

use super::outputs::{self, Several};
use super::{Item, tensor};
use crate::quoted;

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

/// One line: `resnet50 25.6 M parameters, 4.09 G multiply-adds, 5.28 MB activations, weights 102 MB f32`. Multiply-adds and
/// activations are those of the whole batch.
pub fn line(plan: &Plan) -> String {
    let Description { name, parameters, macs, peak_bytes, weight_bytes, precision, .. } = &plan.description;
    let batch = if plan.input[0] == 1 { String::new() } else { format!(", batch {}", plan.input[0]) };
    format!(
        "{} {} parameters, {} multiply-adds, {}B activations, weights {}B {precision}{batch}",
        quoted::network(name),
        short(*parameters as u64),
        short(*macs),
        short(*peak_bytes as u64),
        short(*weight_bytes as u64),
    )
}

/// Three digits and a prefix: `25.6 M`.
fn short(number: u64) -> String {
    let prefixes = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (unit, prefix) = prefixes.into_iter().find(|(unit, _)| number as f64 >= *unit).unwrap_or((1.0, ""));
    let number = number as f64 / unit;
    let digits = if unit == 1.0 { 0 } else { 2 - (number.log10() as usize).min(2) };
    format!("{number:.digits$} {prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [7, 999, 1_000, 25_557_032, 102_000_000, 4_089_184_256];
        assert_eq!(numbers.map(short), ["7 ", "999 ", "1.00 k", "25.6 M", "102 M", "4.09 G"]);
    }
}
