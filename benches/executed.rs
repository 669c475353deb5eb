//! What it costs to execute a plan instead of compiled code: both in one process, in turns, with the same weights and input.
//! Prints the medians of both, and the median of the ratios of neighbouring runs.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use resnet::runtime::{Isa, Program, Shape, Weights};
use resnet::{Network, Session};
use resnet_dsl::{Spec, shipped};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct ResNet50; model "torchvision/resnet50" }

/// How long each pair is measured.
const TIME: Duration = Duration::from_secs(8);

fn pair<N: Network>(model: &str, threads: NonZeroUsize) {
    let text = shipped::get(model).expect("a shipped model");
    let overrides = Default::default();
    let spec = Spec { name: model, text, overrides: &overrides };
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).expect("a shipped model").plan;
    let weights = Weights::init_for(Isa::best(), plan.description(), 0);
    let mut session = Session::with_threads(&N::from_weights(weights.clone()), threads);
    let mut program = Program::new(plan, weights, threads).expect("a plan of the compiler");
    let input = vec![0.5; N::Input::LEN];
    let image = N::Input::from_slice(&input).expect("of the input's length");
    let mut compiled = || time(|| assert!(session.run(image).is_ok()));
    let mut executed = || time(|| assert!(program.run(&input).is_ok()));
    let (mut times, start) = (Vec::new(), Instant::now());
    while times.len() < 20 || start.elapsed() < TIME {
        // Whoever is second finds warm caches.
        let pair = if times.len() % 2 == 0 {
            let first = compiled();
            [first, executed()]
        } else {
            let first = executed();
            [compiled(), first]
        };
        times.push(pair);
    }
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut all: Vec<f64> = times.iter().skip(4).map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{model:22} {threads} thread(s)  compiled {:8.3} ms  executed {:8.3} ms  ratio {:.3}",
        median(&|pair| pair[0]),
        median(&|pair| pair[1]),
        median(&|pair| pair[1] / pair[0])
    );
}

/// Milliseconds.
fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e3
}

fn main() {
    let mut counts =
        vec![NonZeroUsize::MIN, std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)];
    counts.dedup();
    for threads in counts {
        pair::<Digits>("digits", threads);
        pair::<ResNet50>("torchvision/resnet50", threads);
    }
}
