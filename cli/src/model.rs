//! A network that a command line names: its spec, what is asked for instead of what the spec says, and its weights.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use resnet::runtime::weights::fill::Filler;
use resnet::runtime::{Description, Isa, Precision, Weights, weights};
use resnet_dsl::calibration::Calibration;
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Compiled, Spec, shipped};
use resnet_plan::WeightTensor;

/// The network that a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Network {
    /// A spec file (.yaml or .yml), or the name of a spec that ships, as torchvision/resnet50
    #[arg(value_name = "SPEC")]
    spec: String,
    /// Images a run [default: those of the input file, else the spec's]
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
    /// Whether convolutions may be computed by Winograd's algorithm
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
    text: String,
    /// Where the spec's own files are; `None`: it ships.
    folder: Option<PathBuf>,
    pub(crate) overrides: Overrides,
}

impl Network {
    /// Reads the spec and the calibration table.
    pub(crate) fn read(&self) -> anyhow::Result<Model> {
        let mut model = self.settings.read(&self.spec)?;
        model.overrides.batch = self.batch;
        Ok(model)
    }
}

impl Settings {
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
        Ok(Model { name: spec.to_owned(), text, folder, overrides })
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

    /// What a calibration table names it by.
    pub(crate) fn fingerprint(&self) -> anyhow::Result<u64> {
        self.with(|spec, read| spec.fingerprint(read))
    }

    /// What something makes of the spec, given a way to read files beside it.
    pub(crate) fn with<T>(
        &self,
        make: impl FnOnce(&Spec<'_>, &mut dyn FnMut(&str) -> Result<String, String>) -> Result<T, Diagnostics>,
    ) -> anyhow::Result<T> {
        let spec = Spec { name: &self.name, text: &self.text, overrides: &self.overrides };
        let mut read = |file: &str| {
            let folder = self.folder.as_deref().ok_or("a spec that ships has no files beside it")?;
            std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string())
        };
        make(&spec, &mut read).map_err(|errors| {
            anyhow!("{} cannot be compiled\n\n{}", self.name, errors.render(&self.name, &self.text))
        })
    }
}

/// Where weights come from.
#[derive(Clone, Debug)]
pub(crate) enum WeightSource {
    /// A file, plain or packed.
    File(PathBuf),
    /// The formula of the reference.
    Formula,
    /// Glorot's, from a seed.
    Init(u64),
}

/// Weights as most commands take them.
#[derive(Debug, clap::Args)]
pub(crate) struct WeightArguments {
    /// A weight file (plain or packed), `formula` for the weights of the reference, or `init` or `init:SEED` for random ones.
    /// A file must stay as it is while the command runs
    #[arg(long = "weights", value_name = "FILE|formula|init[:SEED]")]
    source: WeightSource,
    /// Load weights that the scales of int8 were not calibrated with
    #[arg(long)]
    despite_calibration: bool,
}

impl WeightArguments {
    /// The weights, packed for an instruction set.
    pub(crate) fn load(&self, description: &Description, isa: Isa) -> anyhow::Result<Weights> {
        let calibrated = description.calibrated.filter(|_| !self.despite_calibration);
        self.source.load(&Description { calibrated, ..description.clone() }, isa)
    }
}

impl WeightArguments {
    /// What reads their tensors, as they are in a weight file.
    pub(crate) fn tensors(&self) -> anyhow::Result<Box<Tensors>> {
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        Ok(match &self.source {
            WeightSource::File(file) => {
                let file = weights::File::open(file)?;
                Box::new(move |tensor: &WeightTensor<'_>| file.tensor(tensor).map(wide))
            }
            WeightSource::Formula => Box::new(move |tensor| Ok(wide(Filler::Formula.fill(tensor)))),
            WeightSource::Init(seed) => {
                let filler = Filler::Glorot { seed: *seed };
                Box::new(move |tensor| Ok(wide(filler.fill(tensor))))
            }
        })
    }
}

/// Reads tensors of weights.
pub(crate) type Tensors = dyn FnMut(&WeightTensor<'_>) -> Result<Vec<f64>, String>;

impl WeightSource {
    /// The weights, packed for an instruction set.
    pub(crate) fn load(&self, description: &Description, isa: Isa) -> anyhow::Result<Weights> {
        Ok(match self {
            WeightSource::File(file) => Weights::map_for_command(isa, description, file)?,
            WeightSource::Formula => Weights::formula_for(isa, description)?,
            WeightSource::Init(seed) => Weights::init_for(isa, description, *seed),
        })
    }

    /// What a calibration table names them by.
    pub(crate) fn fingerprint(&self, description: &Description) -> anyhow::Result<u64> {
        Ok(match self {
            WeightSource::File(file) => Weights::fingerprint(description, file)?,
            WeightSource::Formula => Weights::formula_fingerprint(description),
            WeightSource::Init(seed) => Weights::init_fingerprint(description, *seed),
        })
    }
}

impl FromStr for WeightSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            _ if text == "formula" => Ok(WeightSource::Formula),
            _ if text == "init" => Ok(WeightSource::Init(0)),
            Some(("init", seed)) => seed
                .parse()
                .map(WeightSource::Init)
                .map_err(|_| format!("`{seed}` is not a seed, a number from 0")),
            _ => Ok(WeightSource::File(text.into())),
        }
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

/// The text of a spec, and the folder of its file.
fn read(spec: &str) -> anyhow::Result<(String, Option<PathBuf>)> {
    let path = Path::new(spec);
    let is_file = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    if is_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the spec {spec}"))?;
        return Ok((text, path.parent().map(Path::to_owned)));
    }
    match shipped::get(spec) {
        Some(text) => Ok((text.to_owned(), None)),
        None => {
            let known: Vec<&str> = shipped::names().collect();
            bail!(
                "no spec `{spec}` ships; there are {}. A spec of your own ends in .yaml or .yml",
                known.join(", ")
            )
        }
    }
}

/// A calibration table.
fn table(path: &Path) -> anyhow::Result<Calibration> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the table {name}"))?;
    Calibration::parse(&text).map_err(|errors| anyhow!("{}", errors.render(&name.to_string(), &text)))
}

/// `160x160x3`
fn size(text: &str) -> Result<[usize; 3], String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
    sizes
        .and_then(|sizes| sizes.try_into().ok())
        .ok_or_else(|| "expected height x width x channels, as 224x224x3".to_owned())
}
