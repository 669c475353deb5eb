//! `resnet completions`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::print::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Written at once: a reader may leave.
    let mut script = Vec::new();
    generate(arguments.shell, &mut crate::Arguments::command(), "resnet", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end())?;
    Ok(())
}
