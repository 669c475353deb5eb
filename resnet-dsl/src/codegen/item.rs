//! The type that is written: its constants and methods, and what stands around them. Their documentation is that of
//! `docs/generated-type.md`, which has a section for each.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;
use resnet_plan::{Description, Ending, Plan};

use super::description;
use crate::shipped;

/// The type that is asked for.
pub struct Item<'a> {
    /// Doc comments and other attributes of the user's, before the type. `cfg` among them applies to all that is written.
    pub attributes: Vec<syn::Attribute>,
    /// `pub`, or what the user wrote.
    pub visibility: TokenStream,
    /// The type's name.
    pub name: Ident,
    /// The path of the crate `resnet` in the user's code.
    pub library: TokenStream,
    /// The table of its layers, for its documentation.
    pub layers: Option<&'a str>,
    /// The file of its weights, to be put into the program: an absolute path.
    pub weights: Option<&'a str>,
    /// Files whose change must rebuild the crate: absolute paths.
    pub files: &'a [String],
    /// Environment variables whose change must rebuild the crate.
    pub variables: &'a [String],
}

impl Item<'_> {
    /// A public type of this name in a crate that depends on `resnet`.
    pub fn new(name: Ident) -> Self {
        Item {
            attributes: Vec::new(),
            visibility: quote!(pub),
            name,
            library: quote!(::resnet),
            layers: None,
            weights: None,
            files: &[],
            variables: &[],
        }
    }

    /// The user's `cfg`s.
    pub(super) fn conditions(&self) -> TokenStream {
        let conditions = self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        quote!(#(#conditions)*)
    }

    /// What makes cargo build anew when a file or a variable changes.
    pub(super) fn tracked(&self) -> TokenStream {
        let Item { files, variables, .. } = self;
        quote! {
            #(const _: &[u8] = ::core::include_bytes!(#files);)*
            #(const _: ::core::option::Option<&str> = ::core::option_env!(#variables);)*
        }
    }

    /// The documentation of a constant or method.
    fn doc(&self, member: &str) -> TokenStream {
        let lines = section(member).map(|line| match line.trim() {
            // (Examples of a user's type cannot be tested in the user's crate.)
            "```rust" | "```rust,no_run" => "```text".to_owned(),
            _ => format!(
                " {}",
                line.strip_prefix("###").unwrap_or(line).replace("Digits", &self.name.to_string())
            ),
        });
        quote!(#(#[doc = #lines])*)
    }
}

/// The lines below a heading of the page.
fn section(member: &str) -> impl Iterator<Item = &'static str> {
    let lines =
        shipped::PAGE.lines().skip_while(move |line| line.strip_prefix("### ") != Some(member)).skip(1);
    lines.take_while(|line| !line.starts_with("## ") && !line.starts_with("### "))
}

/// The type.
pub(super) fn definition(plan: &Plan, item: &Item<'_>) -> TokenStream {
    let Item { attributes, visibility, name, library, .. } = item;
    let summary = description::summary(plan);
    // (No line of it can end the block: names that are not plain are in quotes.)
    let layers = item.layers.map(|table| format!("\n# Layers\n\n```text\n{}\n```", table.trim_end()));
    let layers = layers.iter();
    quote! {
        #(#attributes)*
        #[doc = ""]
        #[doc = #summary]
        #(#[doc = #layers])*
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #visibility struct #name {
            weights: #library::runtime::Weights,
        }
    }
}

/// Its constants.
pub(super) fn constants(plan: &Plan, item: &Item<'_>) -> TokenStream {
    let Description { parameters, macs, weight_bytes, peak_bytes, scratch_bytes, .. } = plan.description;
    let Description { labels, preprocessing, .. } = &plan.description;
    let sizes = [
        ("PEAK_BYTES", peak_bytes),
        ("SCRATCH_BYTES", scratch_bytes),
        ("PARAMETERS", parameters),
        ("WEIGHT_BYTES", weight_bytes),
    ];
    let sizes = sizes.map(|(constant, value)| {
        let doc = item.doc(constant);
        let (constant, value) = (Ident::new(constant, Span::call_site()), Literal::usize_unsuffixed(value));
        quote!(#doc pub const #constant: usize = #value;)
    });
    let [macs_doc, labels_doc, preprocessing_doc] =
        ["MACS", "LABELS", "PREPROCESSING"].map(|name| item.doc(name));
    let macs = Literal::u64_unsuffixed(macs);
    let labels = labels.iter().map(|label| &**label);
    let preprocessing = super::constant(preprocessing);
    quote! {
        #(#sizes)*
        #macs_doc
        pub const MACS: u64 = #macs;
        #labels_doc
        pub const LABELS: &'static [&'static str] = &[#(#labels),*];
        #preprocessing_doc
        pub const PREPROCESSING: plan::Preprocessing = #preprocessing;
    }
}

/// Its methods. Of those that a network may lack, there is one that tells why.
pub(super) fn methods(plan: &Plan, item: &Item<'_>) -> TokenStream {
    let result = quote!(::core::result::Result<Self, runtime::Error>);
    let path = quote!(path: impl ::core::convert::AsRef<::std::path::Path>);
    let description = quote!(&<Self as runtime::Runs>::DESCRIPTION);
    let made = quote!(.map(<Self as runtime::Runs>::from_weights));
    let threads = quote!(threads: ::core::num::NonZeroUsize);
    let [load, despite, map, from_bytes, init] =
        ["load", "load_despite_calibration", "map", "from_bytes", "init"].map(|name| item.doc(name));
    let session = if plan.outputs.len() > 1 { "session of several outputs" } else { "session" };
    let [session, session_with, embedded, classifier, classifier_with] =
        [session, "session_with", "embedded", "classifier", "classifier_with"].map(|name| item.doc(name));
    let embedded = match item.weights {
        Some(file) => quote! {
            #embedded
            pub fn embedded() -> #result {
                Self::from_bytes(::core::include_bytes!(#file))
            }
        },
        None => quote! {
            #[doc(hidden)]
            pub fn embedded<T>() -> #result where Self: runtime::network::Embedded<T> {
                ::core::unreachable!()
            }
        },
    };
    let classifiers = match plan.description.ending {
        Ending::Logits | Ending::Probabilities => quote! {
            #classifier
            pub fn classifier(&self) -> runtime::Classifier<Self> {
                runtime::Classifier::new(self)
            }

            #classifier_with
            pub fn classifier_with(&self, #threads) -> runtime::Classifier<Self> {
                runtime::Classifier::with_threads(self, threads)
            }
        },
        Ending::Features => quote! {
            #[doc(hidden)]
            pub fn classifier<T>(&self) -> runtime::Classifier<Self> where Self: runtime::Classes<T> {
                ::core::unreachable!()
            }

            #[doc(hidden)]
            pub fn classifier_with<T>(&self, _: ::core::num::NonZeroUsize) -> runtime::Classifier<Self>
            where
                Self: runtime::Classes<T>,
            {
                ::core::unreachable!()
            }
        },
    };
    quote! {
        #load
        pub fn load(#path) -> #result {
            runtime::Weights::load(#description, path.as_ref())#made
        }

        #despite
        pub fn load_despite_calibration(#path) -> #result {
            runtime::Weights::load_despite_calibration(#description, path.as_ref())#made
        }

        #map
        pub fn map(#path) -> #result {
            Self::load(path)
        }

        #from_bytes
        pub fn from_bytes(bytes: &[u8]) -> #result {
            runtime::Weights::from_bytes(#description, bytes)#made
        }

        #embedded

        #init
        pub fn init(seed: u64) -> Self {
            <Self as runtime::Runs>::from_weights(runtime::Weights::init(#description, seed))
        }

        #session
        pub fn session(&self) -> runtime::Session<Self> {
            runtime::Session::new(self)
        }

        #session_with
        pub fn session_with(&self, #threads) -> runtime::Session<Self> {
            runtime::Session::with_threads(self, threads)
        }

        #classifiers
    }
}
