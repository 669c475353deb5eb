//! `compiled MODEL`: the time of `run` of a network that the macro compiled into this program, whole batch, input copy
//! included; or its output for one input. The keys of `--json` are those of `resnet bench --json`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use npyz::{NpyFile, Order, WriterBuilder};
use resnet::runtime::{Isa, Shape, Weights};
use resnet::{Network, Session};
use serde_json::json;

/// A network that is compiled into this program.
struct Case {
    model: &'static str,
    batch: usize,
    precision: &'static str,
    run: fn(&Arguments) -> anyhow::Result<()>,
}

/// `Name "model" batch precision;`: a type and a case for each line.
macro_rules! cases {
    ($($name:ident $model:literal $batch:literal $precision:ident;)*) => {
        $(resnet::resnet! { struct $name; model $model, batch: $batch, precision: $precision })*

        const CASES: &[Case] = &[$(Case {
            model: $model,
            batch: $batch,
            precision: stringify!($precision),
            run: run::<$name>,
        }),*];
    };
}

cases! {
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
    ResNet50Bf16 "resnet50" 1 bf16;
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

/// Time a network that is compiled into this program, or compute its output for one input.
#[derive(Parser)]
struct Arguments {
    /// The network: its spec's path under specs/ without the ending, as torchvision/resnet50
    model: String,
    /// A safetensors file, or `formula` for the weights of the reference [default: random]
    #[arg(long, value_name = "FILE|formula")]
    weights: Option<PathBuf>,
    /// Images a run
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// What the layers compute in: f32, bf16 or int8
    #[arg(long, value_name = "P", default_value = "f32")]
    precision: String,
    /// Threads, this one included [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Instruction set [default: the best that the machine has]
    #[arg(long, value_name = "NAME", env = "RESNET_ISA")]
    isa: Option<String>,
    /// How long to measure, after a warm-up of a fifth of it
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure nothing: run once for this input (npy, float32, NHWC)
    #[arg(long, value_name = "FILE", requires = "output", conflicts_with_all = ["seconds", "json"])]
    input: Option<PathBuf>,
    /// Where to write the output for it
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
}

/// 0, or 1 for an error; a wrong command line ends with 2, in `parse`.
fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { model, batch, precision, .. } = arguments;
    let asked = |case: &&Case| case.model == model && case.batch == *batch && case.precision == precision;
    let Some(case) = CASES.iter().find(asked) else {
        let line = |case: &Case| format!("\n  {} batch {} {}", case.model, case.batch, case.precision);
        let known: String = CASES.iter().map(line).collect();
        bail!("`{model}` batch {batch} {precision} is not compiled into this program; these are:{known}");
    };
    (case.run)(arguments)
}

fn run<N: Network>(arguments: &Arguments) -> anyhow::Result<()> {
    let isa = arguments.isa.as_deref().map_or(Ok(Isa::best()), Isa::choose)?;
    let isa = isa.serving(N::DESCRIPTION.precision);
    let weights = match &arguments.weights {
        None => Weights::init_for(isa, &N::DESCRIPTION, 0),
        Some(file) if file.as_os_str() == "formula" => Weights::formula_for(isa, &N::DESCRIPTION)?,
        Some(file) => Weights::load_for(isa, &N::DESCRIPTION, file)?,
    };
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = arguments.threads.unwrap_or_else(cores);
    let mut session = Session::with_threads(&N::from_weights(weights), threads);
    match (&arguments.input, &arguments.output) {
        (Some(input), Some(output)) => {
            let input = read(input, N::Input::DIMS)?;
            let scores = session.run(N::Input::from_slice(&input)?)?;
            write(output, N::Output::DIMS, scores.as_slice())
                .with_context(|| format!("cannot write {}", output.display()))
        }
        _ => time(&mut session, isa, arguments),
    }
}

fn time<N: Network>(session: &mut Session<N>, isa: Isa, arguments: &Arguments) -> anyhow::Result<()> {
    let seconds = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let input = noise(N::Input::LEN);
    measure(session, &input, seconds / 5)?;
    let times = measure(session, &input, seconds)?;
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let (min, median, p90) = (at(0.0), at(0.5), at(0.9));
    let gflops = 2.0 * N::DESCRIPTION.macs as f64 / median / 1e6;
    let Arguments { model, batch, precision, .. } = arguments;
    let (runs, threads) = (times.len(), session.threads());
    if arguments.json {
        let report = json!({
            "model": model,
            "precision": precision,
            "isa": isa.name(),
            "threads": threads,
            "batch": batch,
            "runs": runs,
            "min_ms": min,
            "median_ms": median,
            "p90_ms": p90,
            "gflops": gflops,
            "peak_bytes": N::DESCRIPTION.peak_bytes,
            "weight_bytes": N::DESCRIPTION.weight_bytes,
        });
        writeln!(stdout(), "{report}")?;
    } else {
        let isa = isa.name();
        writeln!(stdout(), "{model} {precision} on {isa}, batch {batch}, {threads} thread(s), {runs} runs")?;
        writeln!(stdout(), "  median {median:.3} ms   min {min:.3}   p90 {p90:.3}   {gflops:.1} GFLOP/s")?;
    }
    Ok(())
}

/// Times of at least three runs, in milliseconds, sorted.
fn measure<N: Network>(
    session: &mut Session<N>,
    input: &[f32],
    budget: Duration,
) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < budget {
        let run = Instant::now();
        session.run(N::Input::from_slice(input)?)?;
        times.push(run.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Values in [-2, 2), the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 22) as f32 - 2.0)
        .collect()
}

fn read(path: &Path, dims: [usize; 4]) -> anyhow::Result<Vec<f32>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let array = NpyFile::new(BufReader::new(file)).with_context(|| format!("{name} is not an npy file"))?;
    let shape = array.shape();
    ensure!(shape == dims.map(|size| size as u64), "{name} has shape {shape:?}, the network takes {dims:?}");
    ensure!(array.order() == Order::C, "{name} is in Fortran order: save it with numpy.ascontiguousarray");
    array.into_vec().with_context(|| format!("{name} does not hold float32"))
}

fn write(path: &Path, dims: [usize; 4], values: &[f32]) -> std::io::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    let shape = dims.map(|size| size as u64);
    let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    array.extend(values)?;
    array.finish()
}
