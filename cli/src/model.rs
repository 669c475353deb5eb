//! A network that a command line names: its spec, and what is asked for instead of what the spec says.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use resnet::runtime::Precision;
use resnet_dsl::calibration::Calibration;
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::{self, Graph};
use resnet_dsl::spec::{Overrides, ReadFile};
use resnet_dsl::{Compiled, Spec, shipped};

use crate::print::{complain, shown};

/// The network that a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Network {
    /// A spec file (.yaml or .yml), or the name of a spec that ships, as torchvision/resnet50
    // (Where another argument stands for it, there is none.)
    #[arg(value_name = "SPEC", required = true)]
    spec: Option<String>,
    /// Images a run [default: the spec's; calibrate, verify: 1; verify --reference f32: up to 16]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[command(flatten)]
    settings: Settings,
}

/// What is asked for instead of what the spec says, as the macro takes it.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Classes
    #[arg(long, value_name = "K")]
    classes: Option<usize>,
    /// Height, width and channels of the input, as 160x160x3
    #[arg(long, value_name = "HxWxC", value_parser = size)]
    size: Option<[usize; 3]>,
    /// What the layers compute in
    #[arg(long, value_name = "P", value_enum)]
    precision: Option<PrecisionName>,
    /// int8: the calibration table [default: the spec's, else the one that ships with the spec]
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Whether convolutions may be computed with fewer products than a direct sum has: by Winograd's and Strassen's algorithms
    #[arg(long, value_name = "on|off", value_enum)]
    winograd: Option<Switch>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum PrecisionName {
    F32,
    Bf16,
    Int8,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// A spec that has been read.
#[derive(Clone)]
pub(crate) struct Model {
    /// As the command line names it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Where the spec's own files are; `None`: it ships.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) overrides: Overrides,
}

impl Network {
    /// The graph of a file that `inspect --full` wrote; `None`: it is a spec.
    pub(crate) fn graph(&self) -> anyhow::Result<Option<Graph>> {
        let Some(name) = self.spec.as_deref().filter(|name| name.ends_with(".ir")) else { return Ok(None) };
        if self.batch.is_some() || self.settings.is_set() {
            bail!("{name} is a graph, which has its batch, size and precision: leave the options away");
        }
        let text = std::fs::read_to_string(name).with_context(|| format!("cannot read the graph {name}"))?;
        let graph = ir::read::read(&text).map_err(|error| anyhow!("{name}: {error}"))?;
        match ir::verify::verify(&graph).first() {
            None => Ok(Some(graph)),
            Some(fault) => bail!("{name}: {fault}"),
        }
    }

    /// Reads the spec and the calibration table.
    pub(crate) fn read(&self) -> anyhow::Result<Model> {
        let spec = self.spec.as_deref().context("there is no SPEC")?;
        let mut model = self.settings.read(spec)?;
        model.overrides.batch = self.batch;
        Ok(model)
    }
}

impl Settings {
    fn is_set(&self) -> bool {
        let Settings { classes, size, precision, calibration, winograd } = self;
        classes.is_some()
            || size.is_some()
            || precision.is_some()
            || calibration.is_some()
            || winograd.is_some()
    }

    /// Reads a spec and the calibration table.
    pub(crate) fn read(&self, spec: &str) -> anyhow::Result<Model> {
        let (text, folder) = read(spec)?;
        let overrides = Overrides {
            classes: self.classes,
            input: self.size,
            batch: None,
            winograd: self.winograd.map(|switch| matches!(switch, Switch::On)),
            precision: self.precision.map(Precision::from),
            calibration: self.calibration.as_deref().map(table).transpose()?,
        };
        let model = Model { name: spec.to_owned(), text, folder, overrides };
        let warnings = model.with(|spec, read| Ok(spec.warnings(read)))?;
        if !warnings.is_empty() {
            complain(format_args!("{}", shown(&warnings, &model.name, &model.text)));
        }
        Ok(model)
    }
}

impl Model {
    /// The same for so many images a run, if the command line does not say how many.
    pub(crate) fn batch(mut self, images: usize) -> Self {
        self.overrides.batch.get_or_insert(images);
        self
    }

    /// The same in another precision.
    pub(crate) fn precision(mut self, precision: Precision) -> Self {
        self.overrides.precision = Some(precision);
        self
    }

    /// What the compiler makes of it.
    pub(crate) fn compile(&self) -> anyhow::Result<Compiled> {
        self.with(|spec, read| spec.compile(read))
    }

    /// The same, with all values that it has in any precision.
    pub(crate) fn compile_unfused(&self) -> anyhow::Result<Compiled> {
        self.with(|spec, read| spec.compile_unfused(read))
    }

    /// What a calibration table names it by.
    pub(crate) fn fingerprint(&self) -> anyhow::Result<u64> {
        self.with(|spec, read| spec.fingerprint(read))
    }

    /// What something makes of the spec, given a way to read files beside it.
    pub(crate) fn with<T>(
        &self,
        make: impl FnOnce(&Spec<'_>, ReadFile<'_>) -> Result<T, Diagnostics>,
    ) -> anyhow::Result<T> {
        let spec = Spec { name: &self.name, text: &self.text, overrides: &self.overrides };
        let mut read = |file: &str| {
            let folder = self.folder.as_deref().ok_or("a spec that ships has no files beside it")?;
            std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string())
        };
        make(&spec, &mut read).map_err(|errors| {
            anyhow!("{} cannot be compiled\n\n{}", self.name, shown(&errors, &self.name, &self.text))
        })
    }
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Bf16 => Precision::Bf16,
            PrecisionName::Int8 => Precision::Int8,
        }
    }
}

/// The text of a spec, and the folder of its file; no folder: it ships.
pub(crate) fn read(spec: &str) -> anyhow::Result<(String, Option<PathBuf>)> {
    let path = Path::new(spec);
    let is_file = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    if is_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the spec {spec}"))?;
        return Ok((text, path.parent().map(Path::to_owned)));
    }
    match shipped::get(spec) {
        Some(text) => Ok((text.to_owned(), None)),
        None => bail!("{} (A spec of your own ends in .yaml or .yml.)", shipped::unknown(spec)),
    }
}

/// A calibration table.
fn table(path: &Path) -> anyhow::Result<Calibration> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the table {name}"))?;
    Calibration::parse(&text).map_err(|errors| {
        anyhow!("{name} is no calibration table\n\n{}", shown(&errors, &name.to_string(), &text))
    })
}

/// `160x160x3`
fn size(text: &str) -> Result<[usize; 3], String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
    sizes
        .and_then(|sizes| sizes.try_into().ok())
        .ok_or_else(|| "expected height x width x channels, as 224x224x3".to_owned())
}
