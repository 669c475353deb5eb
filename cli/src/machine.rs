//! Threads and instruction set, as every command takes them.

use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use resnet::runtime::threads::{self, Threads};
use resnet::runtime::{Isa, Precision};

/// Threads and instruction set, as every command takes them.
#[derive(Debug, clap::Args)]
pub(crate) struct Machine {
    /// Threads, this one included: at most 64, or four times the number of cores if that is more [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set: scalar, avx2, avxvnni, avx512, avx512vnni, avx512bf16 or amx; verify: also all [default: the best that the machine has]
    #[arg(long, value_name = "NAME", env = "RESNET_ISA")]
    isa: Option<String>,
}

impl Machine {
    /// The number of threads.
    pub(crate) fn threads(&self) -> anyhow::Result<NonZeroUsize> {
        let most = Threads::most();
        match self.threads {
            None => Ok(threads::cores()),
            Some(count) if count > most => bail!("--threads is at most {most} on this machine"),
            Some(count) => NonZeroUsize::new(count).context("--threads must be at least 1"),
        }
    }

    /// The instruction sets whose kernels serve a precision: the one that is named, or for `all` each that the machine has.
    pub(crate) fn isas(&self, precision: Precision) -> anyhow::Result<Vec<Isa>> {
        let named = match self.isa.as_deref() {
            Some("all") => Isa::available(),
            _ => vec![self.isa()?],
        };
        let serving: Vec<Isa> = named.into_iter().map(|isa| isa.serving(precision)).collect();
        // Several may be served by the same kernels.
        let is_first = |(index, isa): &(usize, &Isa)| !serving[..*index].contains(isa);
        Ok(serving.iter().enumerate().filter(is_first).map(|(_, isa)| *isa).collect())
    }

    /// The instruction set.
    pub(crate) fn isa(&self) -> anyhow::Result<Isa> {
        match self.isa.as_deref() {
            // An empty variable is none.
            None | Some("") => Ok(Isa::best()),
            Some(name) => Ok(Isa::choose(name)?),
        }
    }
}
