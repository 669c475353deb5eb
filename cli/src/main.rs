//! The `resnet` command line: run, time, calibrate, inspect and classify with any spec.
#![forbid(unsafe_code)]

mod arrays;
mod bench;
mod calibrate;
mod classify;
mod completions;
mod examples;
mod images;
#[cfg(feature = "import")]
mod import;
mod inputs;
mod inspect;
mod layers;
mod machine;
mod model;
mod pack;
mod page;
mod pipeline;
mod print;
mod progress;
mod run;
mod verify;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use print::{complain, reader_left};

/// Residual networks compiled ahead of time into plain Rust: tools for any spec, whose plan is executed as it is.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compute a network's outputs for inputs in files.
    #[command(after_help = examples::RUN)]
    Run(run::Arguments),
    /// Write weights down as the kernels read them: loading them is a mapping.
    #[command(after_help = examples::PACK)]
    Pack(pack::Arguments),
    /// Time a network's executed plan.
    #[command(after_help = examples::BENCH)]
    Bench(bench::Arguments),
    /// Choose the quantization scales of int8, by what a network's values are for some inputs.
    #[command(after_help = examples::CALIBRATE)]
    Calibrate(calibrate::Arguments),
    /// Compare a network's values with float64, layer by layer, and each with the bound of its algorithm and precision.
    #[command(after_help = examples::VERIFY)]
    Verify(verify::Arguments),
    /// Turn a checkpoint of another framework into a spec and a weight file.
    #[cfg(feature = "import")]
    #[command(after_help = examples::IMPORT)]
    Import(import::Arguments),
    /// Show what the compiler makes of a spec, stage by stage.
    #[command(after_help = examples::INSPECT)]
    Inspect(inspect::Arguments),
    /// Say what is in images.
    #[command(after_help = examples::CLASSIFY)]
    Classify(classify::Arguments),
    /// Print what a shell needs to complete these commands.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Arguments),
}

/// 0, or 1 for an error; a command line that is wrong ends with 2, in `parse`.
fn main() -> ExitCode {
    if std::env::args_os().len() < 2 {
        complain(format_args!("{}", examples::FIRST));
        return ExitCode::from(2);
    }
    let result = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Pack(arguments) => pack::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        #[cfg(feature = "import")]
        Command::Import(arguments) => import::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
