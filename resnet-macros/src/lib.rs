//! The procedural macro behind `resnet!`: a thin shell over `resnet-dsl`, which does everything but read files.
#![forbid(unsafe_code)]

mod arguments;
mod file;

use std::io::Write;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::quote;
use resnet_dsl::Spec;
use resnet_dsl::calibration::Calibration;
use resnet_dsl::codegen;
use resnet_dsl::summary::Summary;
use syn::parse_macro_input;

use arguments::{Arguments, Item, Resnet, Source};
use file::File;

/// The environment variable that asks for a line about each network on standard error.
const SUMMARY: &str = "RESNET_SUMMARY";

/// What `resnet::resnet!` calls, with the path of the crate `resnet` in front, in parentheses.
#[proc_macro]
pub fn network(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(&parse_macro_input!(tokens)).into()
}

fn expand(Resnet { library, item, network: arguments }: &Resnet) -> TokenStream {
    let mut files = Vec::new();
    let mut overrides = arguments.overrides.clone();
    let (mut warnings, mut layers) = Default::default();
    let scores = [overrides.batch.unwrap_or(1), 1, 1, overrides.classes.unwrap_or(1)];
    let mut outputs = vec![(String::new(), scores)];
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
        let compiled = spec.parse(&mut read).and_then(|parsed| {
            warnings = parsed.warnings.messages(&name, &text);
            layers = Summary::new(&parsed)?.to_string();
            parsed.compile()
        });
        compiled.map_err(|errors| {
            outputs = spec.probable_outputs();
            errors.messages(&name, &text)
        })
    });
    files.sort_unstable();
    files.dedup();
    let files = existing(files);
    let Item { attributes, visibility, name } = item;
    let weights = arguments.weights.as_ref().map(|file| (file, file.path()));
    let variables = [&arguments.variables()[..], &[SUMMARY.to_owned()]].concat();
    let item = codegen::Item {
        attributes: attributes.clone(),
        visibility: visibility.clone(),
        name: name.clone(),
        library: arguments.library.as_ref().map_or_else(|| library.clone(), |path| quote!(#path)),
        layers: Some(&layers),
        weights: weights.as_ref().and_then(|(_, path)| path.to_str()),
        files: &files,
        variables: &variables,
    };
    let unusable = |path: &Path| !path.is_file() || path.to_str().is_none();
    let mut mistakes = match weights.as_ref().filter(|(_, path)| unusable(path)) {
        Some((file, path)) => {
            vec![(format!("{} is no file (with a name in UTF-8)", path.display()), file.span)]
        }
        None => Vec::new(),
    };
    match compiled {
        Ok(compiled) if mistakes.is_empty() => {
            if std::env::var_os(SUMMARY).is_some_and(|value| !value.is_empty() && value != "0") {
                // A build whose output nobody reads is no worse.
                let _ = writeln!(std::io::stderr(), "resnet: {}", codegen::line(&compiled.plan));
            }
            let network = codegen::generate(&compiled.plan, &item);
            let warnings = codegen::warnings(&item, &warnings, arguments.source.span());
            quote!(#network #warnings)
        }
        Ok(compiled) => codegen::skeleton(&item, &mistakes, &codegen::outputs(&compiled.plan)),
        Err(messages) => {
            mistakes.extend(messages.into_iter().map(|message| (message, arguments.source.span())));
            codegen::skeleton(&item, &mistakes, &outputs)
        }
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
            let path = file.path();
            let text = text(&path, files)?;
            Ok((file.name.clone(), text, path.parent().map(Path::to_owned)))
        }
    }
}

/// The calibration table that the user names here.
fn calibration(file: &File, files: &mut Vec<String>) -> Result<Calibration, Vec<String>> {
    let text = text(&file.path(), files)?;
    Calibration::parse(&text).map_err(|errors| errors.messages(&file.name, &text))
}

/// The text of a file, which is added to `files`.
fn text(path: &Path, files: &mut Vec<String>) -> Result<String, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
    files.extend(path.to_str().map(str::to_owned));
    Ok(text)
}

/// `include_bytes!` of a file that is missing would be a second error for the same mistake.
fn existing(files: Vec<String>) -> Vec<String> {
    files.into_iter().filter(|file| Path::new(file).is_file()).collect()
}
