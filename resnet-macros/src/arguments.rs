//! What stands between the braces of the macro.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use resnet_dsl::spec::Overrides;
use resnet_plan::Precision;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, LitInt, LitStr, Path, Token, Visibility};

use crate::file::File;

/// `($crate) pub struct Name; include "path", classes: 6`
pub(crate) struct Resnet {
    /// The path of the crate `resnet`, which the macro that the user calls knows.
    pub(crate) library: TokenStream,
    pub(crate) item: Item,
    pub(crate) network: Arguments,
}

/// The type that the user asks for.
pub(crate) struct Item {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: TokenStream,
    pub(crate) name: Ident,
}

/// `include "path", classes: 6, input: 160x160x3, batch: 8`
pub(crate) struct Arguments {
    pub(crate) source: Source,
    pub(crate) overrides: Overrides,
    /// The calibration table's file.
    pub(crate) calibration: Option<File>,
    /// The file of weights that is put into the program.
    pub(crate) weights: Option<File>,
    /// The path of the crate `resnet`, if the user gives it.
    pub(crate) library: Option<Path>,
}

/// Where the spec is.
pub(crate) enum Source {
    /// A file.
    File(File),
    /// A spec that is built into the compiler.
    Model(LitStr),
}

impl Parse for Resnet {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let library;
        syn::parenthesized!(library in input);
        let library = library.parse()?;
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse::<Visibility>()?.into_token_stream();
        input.parse::<Token![struct]>()?;
        let name = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(Resnet { library, item: Item { attributes, visibility, name }, network: input.parse()? })
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let kind: Ident = input.parse()?;
        let source = match kind.to_string().as_str() {
            "include" => Source::File(input.parse()?),
            "model" => Source::Model(input.parse()?),
            _ => {
                return Err(syn::Error::new(
                    kind.span(),
                    "expected `include \"path/to/spec.yaml\"` or `model \"torchvision/resnet50\"`",
                ));
            }
        };
        let mut overrides = Overrides::default();
        let (mut calibration, mut weights, mut library) = (None, None, None);
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key = input.call(Ident::parse_any)?;
            if key == "crate" {
                input.parse::<Token![=]>()?;
            } else {
                input.parse::<Token![:]>()?;
            }
            let twice = match key.to_string().as_str() {
                "classes" => overrides.classes.replace(number(&input.parse()?)?).is_some(),
                "batch" => overrides.batch.replace(number(&input.parse()?)?).is_some(),
                "input" => overrides.input.replace(size(&input.parse()?)?).is_some(),
                "winograd" => overrides.winograd.replace(switch(&input.parse()?)?).is_some(),
                "weights" => weights.replace(input.parse()?).is_some(),
                "crate" => library.replace(input.call(Path::parse_mod_style)?).is_some(),
                "precision" => overrides.precision.replace(precision(input, &mut calibration)?).is_some(),
                _ => {
                    let known = ["classes", "input", "batch", "winograd", "precision", "weights", "crate"];
                    let message = match resnet_plan::nearest(&key.to_string(), &known) {
                        Some(nearest) => format!("unknown key `{key}`: did you mean `{nearest}`?"),
                        None => format!("unknown key `{key}`: the keys are {}", known.join(", ")),
                    };
                    return Err(syn::Error::new(key.span(), message));
                }
            };
            if twice {
                return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
            }
        }
        Ok(Arguments { source, overrides, calibration, weights, library })
    }
}

/// `f32`, `bf16`, `int8` or `int8 { calibration: "path" }`
fn precision(input: ParseStream<'_>, calibration: &mut Option<File>) -> syn::Result<Precision> {
    let name: Ident = input.parse()?;
    match name.to_string().as_str() {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "int8" if input.peek(syn::token::Brace) => {
            let inner;
            syn::braced!(inner in input);
            let key: Ident = inner.parse()?;
            if key != "calibration" {
                return Err(syn::Error::new(key.span(), "expected `calibration: \"table.yaml\"`"));
            }
            inner.parse::<Token![:]>()?;
            *calibration = Some(inner.parse()?);
            inner.parse::<Option<Token![,]>>()?;
            if inner.is_empty() { Ok(Precision::Int8) } else { Err(inner.error("expected `}`")) }
        }
        "int8" => Ok(Precision::Int8),
        _ => Err(syn::Error::new(name.span(), "expected `f32`, `bf16` or `int8`")),
    }
}

impl Arguments {
    /// Environment variables that its paths depend on.
    pub(crate) fn variables(&self) -> Vec<String> {
        let source = match &self.source {
            Source::File(file) => Some(file),
            Source::Model(_) => None,
        };
        let files = [source, self.calibration.as_ref(), self.weights.as_ref()];
        files.into_iter().flatten().flat_map(|file| file.variables.clone()).collect()
    }
}

impl Source {
    /// Where the user wrote it.
    pub(crate) fn span(&self) -> Span {
        match self {
            Source::File(file) => file.span,
            Source::Model(name) => name.span(),
        }
    }
}

fn number(literal: &LitInt) -> syn::Result<usize> {
    if literal.suffix().is_empty() {
        return literal.base10_parse();
    }
    Err(syn::Error::new(literal.span(), "expected a number"))
}

/// `on` or `off`
fn switch(word: &Ident) -> syn::Result<bool> {
    match word.to_string().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(syn::Error::new(word.span(), "expected `on` or `off`")),
    }
}

/// `160x160x3`, which Rust reads as the number 160 with the suffix `x160x3`.
fn size(literal: &LitInt) -> syn::Result<[usize; 3]> {
    let text = format!("{}{}", literal.base10_digits(), literal.suffix());
    let numbers: Option<Vec<usize>> = text.split('x').map(|number| number.parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| syn::Error::new(literal.span(), "expected height x width x channels, as in 224x224x3"))
}
