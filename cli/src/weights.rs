//! The weights that a command line names: a file, the reference's formula, or random ones.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::anyhow;
use resnet::Error;
use resnet::runtime::weights::fill::Filler;
use resnet::runtime::{Description, Isa, Weights, weights};
use resnet_plan::WeightTensor;

use crate::print::complain;
use crate::progress;

/// The help of `--weights`, of which the last sentence is the command line's promise: see `Weights::map_for_command`.
pub(crate) const HELP: &str = "A weight file (plain or packed; calibrate, verify: plain), `formula` for the weights of the reference, or `init` or \
     `init:SEED` for random ones. A file must stay as it is while the command runs";

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
    #[arg(long = "weights", help = HELP, value_name = "FILE|formula|init[:SEED]")]
    source: WeightSource,
    #[command(flatten)]
    despite: Despite,
}

/// Whether the scales of int8 must have been calibrated with the weights.
#[derive(Debug, clap::Args)]
pub(crate) struct Despite {
    /// Load weights that the scales of int8 were not calibrated with
    #[arg(long)]
    despite_calibration: bool,
}

impl Despite {
    /// Weights for a network.
    pub(crate) fn load(
        &self,
        source: &WeightSource,
        description: &Description,
        isa: Isa,
    ) -> anyhow::Result<Weights> {
        let calibrated = description.calibrated.filter(|_| !self.despite_calibration);
        let description = Description { calibrated, ..description.clone() };
        let loaded = progress::during("loading weights", || source.load(&description, isa));
        loaded.map_err(|error| match error {
            Error::Calibration { network, origin, expected, found } => anyhow!(
                "the scales of `{network}` were calibrated with the weights {expected:016x}, {origin} holds {found:016x}: \
                 calibrate them (resnet calibrate), or add --despite-calibration"
            ),
            other => other.into(),
        })
    }
}

impl WeightArguments {
    /// The weights, packed for an instruction set.
    pub(crate) fn load(&self, description: &Description, isa: Isa) -> anyhow::Result<Weights> {
        self.despite.load(&self.source, description, isa)
    }

    /// Whether these are weights as a spec names them: packed ones serve one instruction set and precision alone.
    pub(crate) fn plain(&self) -> anyhow::Result<()> {
        self.source.plain()
    }

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
    pub(crate) fn load(&self, description: &Description, isa: Isa) -> Result<Weights, Error> {
        match self {
            WeightSource::File(file) => {
                let doubts = weights::File::open(file)?.doubts(description);
                let weights = Weights::map_for_command(isa, description, file)?;
                doubts.iter().for_each(|doubt| complain(format_args!("warning: {doubt}")));
                Ok(weights)
            }
            WeightSource::Formula => Weights::formula_for(isa, description),
            WeightSource::Init(seed) => Weights::try_init_for(isa, description, *seed),
        }
    }

    /// See [`WeightArguments::plain`].
    pub(crate) fn plain(&self) -> anyhow::Result<()> {
        let WeightSource::File(file) = self else { return Ok(()) };
        weights::File::open(file)?.plain().map_err(|reason| anyhow!("{} holds {reason}", file.display()))
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
