//! The `resnet!` macro: a thin shell over `resnet-dsl`, which does everything but read files.
#![forbid(unsafe_code)]

mod arguments;

use std::path::{Path, PathBuf};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use resnet_dsl::Spec;
use resnet_dsl::calibration::Calibration;
use resnet_dsl::codegen;
use syn::{LitStr, parse_macro_input};

use arguments::{Arguments, Item, Resnet, Source};

/// Compiles a residual network into a type of your own.
///
/// ```ignore
/// resnet::resnet! { pub struct Digits; include "specs/digits.yaml" }
/// resnet::resnet! { pub struct Head6; model "torchvision/resnet50", classes: 6, input: 160x160x3, batch: 8 }
/// ```
/// A path is relative to the folder of your `Cargo.toml`; `model` names a spec that ships with the compiler. `classes`,
/// `input` (height x width x channels), `batch`, `winograd` (`on` or `off`) and `precision` (`f32`, `bf16`, `int8` or
/// `int8 { calibration: "table.yaml" }`) override the spec's.
#[proc_macro]
pub fn resnet(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let Resnet { item, network } = parse_macro_input!(tokens);
    expand(&item, &network).into()
}

/// `resnet! { pub struct ResNet50; ... }`
///
/// ```ignore
/// resnet::resnet50! { include "specs/resnet50.yaml" }
/// ```
#[proc_macro]
pub fn resnet50(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let network: Arguments = parse_macro_input!(tokens);
    let item = Item {
        attributes: TokenStream::new(),
        visibility: quote!(pub),
        name: Ident::new("ResNet50", Span::call_site()),
    };
    expand(&item, &network).into()
}

fn expand(item: &Item, arguments: &Arguments) -> TokenStream {
    let mut files = Vec::new();
    let mut overrides = arguments.overrides.clone();
    let mut warnings = Vec::new();
    let mut output = [overrides.batch.unwrap_or(1), 1, 1, overrides.classes.unwrap_or(1)];
    let compiled = read(arguments, &mut files).and_then(|(name, text, folder)| {
        if let Some(file) = &arguments.calibration {
            overrides.calibration = Some(calibration(file, &mut files)?);
        }
        let spec = Spec { name: &name, text: &text, overrides: &overrides };
        let mut read = |file: &str| {
            let path = folder.as_deref().ok_or("a built-in spec has no files beside it")?.join(file);
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            files.extend(path.to_str().map(str::to_owned));
            text
        };
        warnings = spec.warnings(&mut read).messages(&name, &text);
        spec.compile(&mut read).map_err(|errors| {
            output = spec.probable_output();
            errors.messages(&name, &text)
        })
    });
    files.sort_unstable();
    files.dedup();
    let files = existing(files);
    let Item { attributes, visibility, name } = item;
    let item = codegen::Item {
        attributes: attributes.clone(),
        visibility: visibility.clone(),
        name: name.clone(),
        files: &files,
    };
    match compiled {
        Ok(compiled) => {
            let network = codegen::generate(&compiled.plan, &item);
            let warnings = codegen::warnings(&warnings, arguments.source.span());
            quote!(#network #warnings)
        }
        Err(messages) => codegen::skeleton(&item, &messages, arguments.source.span(), output),
    }
}

/// The spec's name and text, and the folder that its own paths are relative to. Files that were read, or would be if
/// they were there, are added to `files`.
fn read(
    arguments: &Arguments,
    files: &mut Vec<String>,
) -> Result<(String, String, Option<PathBuf>), Vec<String>> {
    match &arguments.source {
        Source::Model(name) => match resnet_dsl::shipped::get(&name.value()) {
            Some(text) => Ok((name.value(), text.to_owned(), None)),
            None => Err(vec![resnet_dsl::shipped::unknown(&name.value())]),
        },
        Source::File(file) => {
            let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
            let path = Path::new(&root).join(file.value());
            let text = std::fs::read_to_string(&path)
                .map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
            files.extend(path.to_str().map(str::to_owned));
            Ok((file.value(), text, path.parent().map(Path::to_owned)))
        }
    }
}

/// The calibration table that the user names here.
fn calibration(file: &LitStr, files: &mut Vec<String>) -> Result<Calibration, Vec<String>> {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(file.value());
    let text = std::fs::read_to_string(&path)
        .map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
    files.extend(path.to_str().map(str::to_owned));
    Calibration::parse(&text).map_err(|errors| errors.messages(&file.value(), &text))
}

/// `include_bytes!` of a file that is missing would be a second error for the same mistake.
fn existing(files: Vec<String>) -> Vec<String> {
    files.into_iter().filter(|file| Path::new(file).is_file()).collect()
}
