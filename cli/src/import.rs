//! `resnet import`: a checkpoint of another framework becomes a spec and a weight file.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use resnet::runtime::{files, threads};
use resnet_dsl::spec::Overrides;
use resnet_import::{Check, Contents, Format, Imported, Like, Specs, write};
use resnet_plan::Ending;

use crate::model::{self, Model};
use crate::print::say;
use crate::progress;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checkpoint: ONNX (.onnx), Keras (.keras, .h5), PyTorch (.pth, .pt, .bin, .th), safetensors (or its .index.json), NumPy (.npz)
    file: PathBuf,
    /// PREFIX.yaml and PREFIX.safetensors are written [default: the file's name, in the current folder]
    #[arg(long, value_name = "PREFIX")]
    output: Option<PathBuf>,
    /// The spec that the file is of: a spec file (.yaml or .yml), or the name of one that ships [default: all that ship are tried]
    #[arg(long, value_name = "SPEC")]
    like: Option<String>,
    /// What weights are written as
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    dtype: Dtype,
    /// Do not compute outputs of what was imported
    #[arg(long)]
    no_check: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Dtype {
    #[default]
    F32,
    F16,
    Bf16,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    let prefix = match &arguments.output {
        Some(output) => without(output, &["yaml", "yml", "safetensors"]),
        None => without(Path::new(file.file_stem().context("the file has no name")?), &INNER),
    };
    let name = prefix.file_name().context("--output is a folder, and no prefix of files")?;
    let name = name.to_string_lossy().into_owned();
    if prefix.as_os_str().as_encoded_bytes().ends_with(b"/") {
        bail!("--output {} is a folder: add the name of the files, without an ending", prefix.display());
    }
    if let Some(folder) = prefix.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        bail!("there is no folder {}: make it, or give another --output", folder.display());
    }
    let [spec, weights] = ["yaml", "safetensors"].map(|ending| with_ending(&prefix, ending));
    if let Some(path) = [&spec, &weights].into_iter().find(|path| is_same(path, file)) {
        bail!("{} is the file that is imported: use --output PREFIX for another name", path.display());
    }
    if !arguments.force {
        free(&[&spec, &weights])?;
    }
    let shipped: Vec<Like> = Like::shipped().collect();
    let like = arguments
        .like
        .as_ref()
        .map(|like| model::read(like).map(|(text, folder)| Like { name: like.clone(), text, folder }));
    let like = like.transpose()?;
    let specs = like.as_ref().map_or(Specs::Any(&shipped), Specs::Only);
    let contents = resnet_import::read(file)?;
    line("read", &what_is(file, &contents))?;
    let imported = resnet_import::import(&contents, specs, &name, file)?;
    line("network", &imported.network)?;
    for note in &imported.notes {
        line("note", note)?;
    }
    compiles_there(&imported.spec, &spec)?;
    let format = arguments.dtype.format();
    let checked = written(arguments, &contents, &imported, &spec, &weights, format)?;
    let megabytes = write::bytes(&imported.weights, format) as f64 / 1e6;
    let digits = usize::from(megabytes < 10.0);
    line(
        "wrote",
        &format!(
            "{} ({} lines), {} ({megabytes:.digits$} MB)",
            spec.display(),
            imported.spec.lines().count(),
            weights.display()
        ),
    )?;
    if let Some(checked) = checked {
        line("checked", &checked)?;
    }
    next(&imported, &name, &spec, &weights)
}

/// The spec as a file at its place: one that was copied may name files beside the one that it is like.
fn compiles_there(text: &str, spec: &Path) -> anyhow::Result<()> {
    let (name, folder) = (spec.display().to_string(), spec.parent().map(Path::to_owned));
    let model = Model { name, text: text.to_owned(), folder, overrides: Overrides::default() };
    let compiled = model.compile();
    compiled.context(
        "the spec would not compile at its new place: use an --output in the folder of that which it is like",
    )?;
    Ok(())
}

/// Writes both files, or none: into a folder of their own first, so that they are whole and looked at before anything is replaced.
fn written(
    arguments: &Arguments,
    contents: &Contents,
    imported: &Imported,
    spec: &Path,
    weights: &Path,
    format: Format,
) -> anyhow::Result<Option<String>> {
    if let Some(path) = [spec, weights].into_iter().find(|path| path.is_dir()) {
        bail!("cannot write {}, which is a folder: use --output PREFIX for another name", path.display());
    }
    let folder = weights.with_file_name(format!(".resnet-{}", std::process::id()));
    // (Not if it is there, whatever it is: nobody can have put links into it.)
    fs::create_dir(&folder).with_context(|| format!("cannot write {}", weights.display()))?;
    let write = || -> anyhow::Result<Option<String>> {
        let unfinished = [folder.join("spec.yaml"), folder.join("weights.safetensors")];
        let [new_spec, new_weights] = &unfinished;
        files::replace(new_spec, |to| to.write_all(imported.spec.as_bytes()))
            .with_context(|| format!("cannot write {}", spec.display()))?;
        files::replace(new_weights, |to| write::weights(&imported.weights, format, to))
            .with_context(|| format!("cannot write {}", weights.display()))?;
        let checked = match arguments.no_check {
            true => None,
            false => {
                let check = progress::during("checking", || {
                    resnet_import::check(contents, imported, new_weights, format, threads::cores())
                });
                Some(in_words(
                    check.with_context(|| format!("nothing was imported of {}", arguments.file.display()))?,
                ))
            }
        };
        for (new, path) in unfinished.iter().zip([spec, weights]) {
            fs::rename(new, path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(checked)
    };
    let result = write();
    // What is left in it is of an error, which is the one that is told.
    let _ = fs::remove_dir_all(&folder);
    result
}

impl Dtype {
    fn format(self) -> Format {
        match self {
            Dtype::F32 => Format::F32,
            Dtype::F16 => Format::F16,
            Dtype::Bf16 => Format::Bf16,
        }
    }
}

/// Whether none of these files is there.
fn free(paths: &[&Path]) -> anyhow::Result<()> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => {
            bail!("{} is there already: add --force to replace it, or --output PREFIX", path.display())
        }
        None => Ok(()),
    }
}

/// Whether two paths are one file.
fn is_same(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// Endings that stand before the last one, as in `.pth.tar` and `.safetensors.index.json`.
const INNER: [&str; 8] = ["pth", "pt", "th", "bin", "ckpt", "safetensors", "index", "weights"];

/// A path without the endings of its name that are among these, or, if it has none of them, as it is.
fn without(path: &Path, endings: &[&str]) -> PathBuf {
    let mut path = path.to_owned();
    while let Some(ending) = path.extension().and_then(OsStr::to_str)
        && endings.iter().any(|known| known.eq_ignore_ascii_case(ending))
    {
        path.set_extension("");
    }
    path
}

/// The prefix with an ending behind it, whatever dots it has.
fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn line(label: &str, text: &str) -> anyhow::Result<()> {
    Ok(say!("  {label:<9} {text}")?)
}

/// `model.onnx: 122 operators, 25.6 M parameters (ONNX model)`
fn what_is(file: &Path, contents: &Contents) -> String {
    let (count, format) = match contents {
        Contents::Tensors(checkpoint) => (format!("{} tensors", checkpoint.tensors.len()), checkpoint.format),
        Contents::Network(model) => (format!("{} operators", model.operators), &*model.format),
    };
    let weights = contents.tensors().iter().filter(|tensor| tensor.element.is_float());
    let parameters: usize = weights.map(|tensor| tensor.bytes.len() / tensor.element.bytes()).sum();
    let parameters = match parameters {
        0..1_000_000 => format!("{:.1} k", parameters as f64 / 1e3),
        _ => format!("{:.1} M", parameters as f64 / 1e6),
    };
    // Of "ONNX model (opset 17)", what is in brackets.
    let format = format.split_once('(').map_or(format, |(_, more)| more.trim_end_matches(')'));
    format!("{}: {count}, {parameters} parameters ({format})", file.display())
}

fn in_words(check: Check) -> String {
    match check {
        Check::Finite => "the weights load, and the outputs of a random input are finite".to_owned(),
        Check::Agrees { distance, size } => {
            let size = size.map_or(String::new(), |[height, width]| format!(" of {height}x{width}"));
            format!("outputs of a random input{size} agree with the file's own graph to {distance:.0e}")
        }
        Check::TooLarge => {
            "nothing: the values of the file's graph are too large for its input, which cannot be smaller"
                .to_owned()
        }
    }
}

/// What to do with the files.
fn next(imported: &Imported, name: &str, spec: &Path, weights: &Path) -> anyhow::Result<()> {
    let [command_spec, command_weights] = [spec, weights].map(|path| in_shell(&path.display().to_string()));
    line(
        "next",
        &match imported.compiled.plan.description().ending {
            Ending::Features => {
                // Several outputs are an archive of them.
                let ending = if imported.compiled.plan.outputs.len() > 1 { "npz" } else { "npy" };
                format!(
                    "resnet run {command_spec} --weights {command_weights} --input photo.jpg --output features.{ending}"
                )
            }
            _ => format!("resnet classify photo.jpg --model {command_spec} --weights {command_weights}"),
        },
    )?;
    line(
        "",
        &format!("or, in Rust:  resnet::resnet! {{ pub struct {}; include {:?} }}", type_name(name), spec),
    )
}

/// A name as that of a type: `my-model.v2` is `MyModelV2`.
fn type_name(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let upper = parts.map(|part| part[..1].to_uppercase() + &part[1..]);
    let name: String = upper.collect();
    let is_type = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name != "Self";
    if is_type { name } else { format!("Net{name}") }
}

/// A path as an argument of a shell.
fn in_shell(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/+,:@%".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[test]
fn endings_are_no_part_of_names() {
    for (stem, name) in [
        ("x.pth", "x"),
        ("model.safetensors.index", "model"),
        ("a/best.v2.PTH", "a/best.v2"),
        ("epoch.12", "epoch.12"),
        (".pth", ".pth"),
        ("pth", "pth"),
    ] {
        assert_eq!(without(Path::new(stem), &INNER), Path::new(name), "{stem}");
    }
}

#[test]
fn types_have_names() {
    for (name, expected) in
        [("model", "Model"), ("my-model.v2", "MyModelV2"), ("50", "Net50"), ("é", "Net"), ("self", "NetSelf")]
    {
        assert_eq!(type_name(name), expected);
    }
}

#[test]
fn paths_are_arguments() {
    assert_eq!(in_shell("a/b-1.yaml"), "a/b-1.yaml");
    assert_eq!(in_shell("my model (1).yaml"), "'my model (1).yaml'");
    assert_eq!(in_shell("it's"), r"'it'\''s'");
}
