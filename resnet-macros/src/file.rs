//! A file that the user names: `"path"`, `env!("NAME")` or `concat!(..)` of those, as in
//! `concat!(env!("OUT_DIR"), "/pets.yaml")`. The compiler expands these macros only for its own macros, so they are read here.

use std::path::{Path, PathBuf};

use proc_macro2::{Ident, Span, TokenStream};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{LitStr, Macro, Token};

/// A file that the user names.
#[derive(Clone)]
pub(crate) struct File {
    /// The path as it is written, variables filled in.
    pub(crate) name: String,
    /// Where it is written.
    pub(crate) span: Span,
    /// Environment variables that it depends on.
    pub(crate) variables: Vec<String>,
}

impl File {
    /// Where it is: paths are relative to the folder of the user's Cargo.toml.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(&self.name)
    }
}

impl Parse for File {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            return Ok(File { name: text.value(), span: text.span(), variables: Vec::new() });
        }
        let expected = "expected a path: \"..\", env!(\"..\") or concat!(..)";
        let start = input.fork();
        let call: Macro = input.parse().map_err(|_| start.error(expected))?;
        let name = call.path.segments.last().map(|segment| &segment.ident);
        let span = name.map_or_else(Span::call_site, Ident::span);
        match name.map(Ident::to_string).as_deref() {
            Some("env") => variable(call.tokens, span),
            Some("concat") => concatenated(call.tokens, span),
            _ => Err(syn::Error::new(span, expected)),
        }
    }
}

fn variable(tokens: TokenStream, span: Span) -> syn::Result<File> {
    let variable = Punctuated::<LitStr, Token![,]>::parse_terminated.parse2(tokens)?;
    let Some(variable) = variable.first() else {
        return Err(syn::Error::new(span, "expected env!(\"NAME\")"));
    };
    let name = std::env::var(variable.value()).map_err(|_| {
        let message =
            format!("the environment variable `{}` is not set where this is compiled", variable.value());
        syn::Error::new(variable.span(), message)
    })?;
    Ok(File { name, span, variables: vec![variable.value()] })
}

fn concatenated(tokens: TokenStream, span: Span) -> syn::Result<File> {
    let parts = Punctuated::<File, Token![,]>::parse_terminated.parse2(tokens)?;
    let name = parts.iter().map(|part| &*part.name).collect();
    Ok(File { name, span, variables: parts.into_iter().flat_map(|part| part.variables).collect() })
}
