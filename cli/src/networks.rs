//! The networks that are compiled into this program, and the weights that a command line asks for.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use resnet::runtime::network::Observation;
use resnet::runtime::{Description, Isa, Shape, Weights};
use resnet::{Network, Session};
use resnet_dsl::calibration::Calibration;
use resnet_dsl::spec::Overrides;
use resnet_dsl::spec::metadata::Precision;
use resnet_dsl::{Compiled, Spec, shipped};

/// A network that is compiled into this program.
pub(crate) struct Variant {
    /// The spec's path under `specs/`, without its ending.
    pub(crate) model: &'static str,
    /// `[N, H, W, C]` of the input.
    pub(crate) input: [usize; 4],
    /// `[N, H, W, C]` of the output.
    pub(crate) output: [usize; 4],
    /// Its constants.
    pub(crate) description: &'static Description,
    start: fn(Weights, NonZeroUsize) -> Box<dyn Run>,
}

/// A session of some network.
pub(crate) trait Run {
    /// Output of an input, both NHWC.
    fn run(&mut self, input: &[f32]) -> Result<&[f32], resnet::Error>;
    /// The output, and what each step of the plan writes.
    fn run_observed(
        &mut self,
        input: &[f32],
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<&[f32], resnet::Error>;
    /// Time of each step of the plan.
    fn run_timed(&mut self, input: &[f32]) -> Result<Vec<Duration>, resnet::Error>;
    /// Threads it runs on.
    fn threads(&self) -> usize;
}

/// `Name "model" batch precision;`: a type and a variant for each line.
macro_rules! variants {
    ($($name:ident $model:literal $batch:literal $precision:ident;)*) => {
        $(resnet::resnet! { struct $name; model $model, batch: $batch, precision: $precision })*

        /// All compiled variants.
        pub(crate) const VARIANTS: &[Variant] = &[$(Variant::of::<$name>($model)),*];
    };
}

variants! {
    ResNet50 "resnet50" 1 f32;
    TorchvisionResNet18 "torchvision/resnet18" 1 f32;
    TorchvisionResNet18Batch8 "torchvision/resnet18" 8 f32;
    TorchvisionResNet34 "torchvision/resnet34" 1 f32;
    TorchvisionResNet50 "torchvision/resnet50" 1 f32;
    TorchvisionResNet50Batch8 "torchvision/resnet50" 8 f32;
    TorchvisionResNet101 "torchvision/resnet101" 1 f32;
    TorchvisionResNet152 "torchvision/resnet152" 1 f32;
    CifarResNet20 "cifar/resnet20" 1 f32;
    Digits "digits" 1 f32;
    TorchvisionResNet18Bf16 "torchvision/resnet18" 1 bf16;
    TorchvisionResNet18Batch8Bf16 "torchvision/resnet18" 8 bf16;
    TorchvisionResNet50Bf16 "torchvision/resnet50" 1 bf16;
    TorchvisionResNet50Batch8Bf16 "torchvision/resnet50" 8 bf16;
    CifarResNet20Bf16 "cifar/resnet20" 1 bf16;
    DigitsBf16 "digits" 1 bf16;
    TorchvisionResNet18Int8 "torchvision/resnet18" 1 int8;
    TorchvisionResNet18Batch8Int8 "torchvision/resnet18" 8 int8;
    TorchvisionResNet50Int8 "torchvision/resnet50" 1 int8;
    TorchvisionResNet50Batch8Int8 "torchvision/resnet50" 8 int8;
    CifarResNet20Int8 "cifar/resnet20" 1 int8;
    DigitsInt8 "digits" 1 int8;
}

/// The weights of `digits`, trained by `models/train_digits.py`.
const DIGITS: &[u8] = include_bytes!("../../models/digits.safetensors");

impl Variant {
    const fn of<N: Network>(model: &'static str) -> Self {
        Variant {
            model,
            input: N::Input::DIMS,
            output: N::Output::DIMS,
            description: &N::DESCRIPTION,
            start: |weights, threads| Box::new(Session::with_threads(&N::from_weights(weights), threads)),
        }
    }

    /// What its layers compute in.
    pub(crate) fn precision(&self) -> String {
        self.description.precision.to_string()
    }

    /// What the compiler made of it.
    pub(crate) fn compiled(&self) -> anyhow::Result<Compiled> {
        let text = shipped::get(self.model).with_context(|| format!("`{}` does not ship", self.model))?;
        let precision = precision(self.model, &self.precision())?;
        let overrides =
            Overrides { batch: Some(self.input[0]), precision: Some(precision), ..Overrides::default() };
        let spec = Spec { name: self.model, text, overrides: &overrides };
        let compiled = spec.compile(&mut |_| Err("a built-in spec has no files beside it".to_owned()));
        compiled.map_err(|errors| anyhow!("{}", errors.render(self.model, text)))
    }

    /// What a calibration table names this network by.
    pub(crate) fn fingerprint_of_spec(&self) -> anyhow::Result<u64> {
        let text = shipped::get(self.model).with_context(|| format!("`{}` does not ship", self.model))?;
        let spec = Spec { name: self.model, text, overrides: &Overrides::default() };
        let fingerprint = spec.fingerprint(&mut |_| Err("a built-in spec has no files beside it".to_owned()));
        fingerprint.map_err(|errors| anyhow!("{}", errors.render(self.model, text)))
    }

    /// The fingerprint of the weights in a file, or of the reference formula.
    pub(crate) fn fingerprint(&self, file: &Path) -> anyhow::Result<u64> {
        if file.as_os_str() == "formula" {
            return Ok(Weights::formula_fingerprint(self.description));
        }
        Ok(Weights::fingerprint(self.description, file)?)
    }

    /// A session with these weights.
    pub(crate) fn start(&self, weights: Weights, threads: NonZeroUsize) -> Box<dyn Run> {
        (self.start)(weights, threads)
    }

    /// Reads a weight file (maps a packed one), or fills the weights by the reference formula.
    pub(crate) fn weights(
        &self,
        file: &Path,
        isa: Isa,
        despite_calibration: bool,
    ) -> anyhow::Result<Weights> {
        let calibrated = self.description.calibrated.filter(|_| !despite_calibration);
        let description = Description { calibrated, ..*self.description };
        if file.as_os_str() == "formula" {
            return Ok(Weights::formula_for(isa, &description)?);
        }
        Ok(Weights::map_for(isa, &description, file)?)
    }

    /// The weights that are embedded in this program.
    pub(crate) fn embedded_weights(&self, isa: Isa) -> anyhow::Result<Weights> {
        match self.model {
            "digits" => Ok(Weights::from_bytes_for(isa, self.description, DIGITS)?),
            model => bail!("no weights of `{model}` are built in: give a file with --weights"),
        }
    }
}

impl<N: Network> Run for Session<N> {
    fn run(&mut self, input: &[f32]) -> Result<&[f32], resnet::Error> {
        Session::run(self, N::Input::from_slice(input)?).map(Shape::as_slice)
    }

    fn run_observed(
        &mut self,
        input: &[f32],
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<&[f32], resnet::Error> {
        Session::run_observed(self, N::Input::from_slice(input)?, observe).map(Shape::as_slice)
    }

    fn run_timed(&mut self, input: &[f32]) -> Result<Vec<Duration>, resnet::Error> {
        Session::run_timed(self, N::Input::from_slice(input)?)
    }

    fn threads(&self) -> usize {
        Session::threads(self)
    }
}

/// A precision by its name, with the calibration table that ships with a model.
pub(crate) fn precision(model: &str, name: &str) -> anyhow::Result<Precision> {
    match name {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        "int8" => {
            let text = shipped::calibration(model)
                .with_context(|| format!("no calibration table of `{model}` ships: name one in the spec"))?;
            let table = Calibration::parse(text);
            Ok(Precision::Int8(table.map_err(|errors| anyhow!("{}", errors.render(model, text)))?))
        }
        _ => bail!("`{name}` is not a precision: f32, bf16 or int8"),
    }
}

/// The variant of a model with a batch size and a precision.
pub(crate) fn find(model: &str, batch: usize, precision: &str) -> anyhow::Result<&'static Variant> {
    let found =
        VARIANTS.iter().find(|v| v.model == model && v.input[0] == batch && v.precision() == precision);
    found.with_context(|| {
        let line = |v: &Variant| format!("\n  {} batch {} {}", v.model, v.input[0], v.precision());
        let known: String = VARIANTS.iter().map(line).collect();
        format!("`{model}` batch {batch} {precision} is not compiled into this program; these are:{known}")
    })
}

/// A network and its weights.
#[derive(Debug, clap::Args)]
pub(crate) struct Model {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference
    #[arg(long, value_name = "FILE|formula")]
    weights: PathBuf,
    /// What the layers compute in: f32, bf16 or int8
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
    /// Load weights that the scales of int8 were not calibrated with
    #[arg(long)]
    despite_calibration: bool,
}

impl Model {
    /// The variant for so many images a run.
    pub(crate) fn variant(&self, batch: usize) -> anyhow::Result<&'static Variant> {
        find(&self.model, batch, &self.precision)
    }

    /// The weights for it.
    pub(crate) fn weights(&self, variant: &Variant, isa: Isa) -> anyhow::Result<Weights> {
        variant.weights(&self.weights, isa, self.despite_calibration)
    }
}

/// Threads and instruction set, as every command takes them.
#[derive(Debug, clap::Args)]
pub(crate) struct Machine {
    /// Threads, this one included [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set: scalar, avx2, avx512, avx512vnni, avx512bf16 or amx [default: the best that the machine has]
    #[arg(long, value_name = "NAME", env = "RESNET_ISA")]
    isa: Option<String>,
}

impl Machine {
    /// The number of threads.
    pub(crate) fn threads(&self) -> anyhow::Result<NonZeroUsize> {
        match self.threads {
            None => Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
            Some(count) => NonZeroUsize::new(count).context("--threads must be at least 1"),
        }
    }

    /// The instruction set.
    pub(crate) fn isa(&self) -> anyhow::Result<Isa> {
        match &self.isa {
            None => Ok(Isa::best()),
            Some(name) => Ok(Isa::choose(name)?),
        }
    }
}
