//! Threads and instruction set, as every command takes them.

use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use resnet::runtime::Isa;
use resnet::runtime::threads::{self, Threads};

/// Threads and instruction set, as every command takes them.
#[derive(Debug, clap::Args)]
pub(crate) struct Machine {
    /// Threads, this one included: at most 64, or four times the number of cores if that is more [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Instruction set: scalar, avx2, avxvnni, avx512, avx512vnni, avx512bf16 or amx [default: the best that the machine has]
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

    /// The instruction set.
    pub(crate) fn isa(&self) -> anyhow::Result<Isa> {
        match self.isa.as_deref() {
            // An empty variable is none.
            None | Some("") => Ok(Isa::best()),
            Some(name) => Ok(Isa::choose(name)?),
        }
    }
}
