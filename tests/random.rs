//! Random networks: each is drawn, compiled, executed, and compared value by value.
//!
//! `RANDOM_NETWORKS` says how many, `RANDOM_SEED` which ones. One that fails is shrunk, and printed as a spec.

mod common;
#[path = "random/compare.rs"]
mod compare;
#[path = "random/draw.rs"]
mod draw;
#[path = "../resnet-dsl/tests/formula/mod.rs"]
mod formula;
#[path = "random/found.rs"]
mod found;
#[path = "random/groups.rs"]
mod groups;
#[path = "../resnet-dsl/tests/integer/mod.rs"]
mod integer;
#[path = "random/layers.rs"]
mod layers;
#[path = "random/shrink.rs"]
mod shrink;
#[path = "random/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use common::{isas, say};
use compare::{Failure, How, check};
use draw::{Draw, Drawn};
use resnet::runtime::{Isa, Precision};
use resnet_plan::{Action, Plan};
use tree::Tree;

/// How many networks a run tries.
const NETWORKS: usize = 320;

/// How often something was drawn or chosen.
type Counts = BTreeMap<String, usize>;

#[test]
fn random_networks() {
    let (networks, seed) = (number("RANDOM_NETWORKS", NETWORKS), number("RANDOM_SEED", 0));
    let isas = isas("random networks");
    let start = Instant::now();
    let (next, counts, failures) = (AtomicUsize::new(0), Mutex::default(), Mutex::new(Vec::new()));
    let work = || {
        let mut own = Counts::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= networks || !failures.lock().unwrap().is_empty() {
                break;
            }
            if let Err(message) = one(seed, index, &isas, &mut own) {
                failures.lock().unwrap().push(message);
            }
        }
        let mut counts: MutexGuard<'_, Counts> = counts.lock().unwrap();
        own.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
    };
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
        work();
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let counts: Vec<String> =
        counts.into_inner().unwrap().iter().map(|(what, count)| format!("{what} {count}")).collect();
    let (seconds, counts) = (start.elapsed().as_secs(), counts.join(", "));
    say(&format!("{networks} random networks from seed {seed} in {seconds} s: {counts}"));
}

/// What an environment variable says, or the default.
fn number(variable: &str, default: usize) -> usize {
    let number =
        |value: String| value.parse().unwrap_or_else(|_| panic!("{variable}={value} is not a number"));
    std::env::var(variable).map_or(default, number)
}

/// Draws a network and checks it; counts what it is.
fn one(seed: usize, index: usize, isas: &[Isa], counts: &mut Counts) -> Result<(), String> {
    let mut draw = Draw::new(seed, index);
    let precision = draw.pick(&[Precision::F32, Precision::F32, Precision::Bf16, Precision::Int8]);
    let how = How { precision, isa: draw.pick(isas), threads: draw.number(1, 3) };
    let Drawn { spec, parts, misfits } = draw::network(&mut draw);
    let plan = check(&spec.text(), how)
        .map_err(|failure| format!("network {index} of seed {seed}: {}", smaller(spec, how, failure)))?;
    let threads = format!("{} threads", how.threads);
    let mut count = |what: String, count: usize| *counts.entry(what).or_default() += count;
    count("parts".to_owned(), parts);
    count("parts that did not fit".to_owned(), misfits);
    for what in [how.precision.to_string(), how.isa.to_string(), threads].into_iter().chain(chosen(&plan)) {
        count(what, 1);
    }
    Ok(())
}

/// The steps of a plan, the algorithms and splits of its convolutions, and whether it has several passes or outputs.
fn chosen(plan: &Plan) -> Vec<String> {
    let mut chosen = Vec::new();
    for step in &plan.steps {
        if let Action::Conv { layer, conv } = step.action {
            let weights = &plan.description.layers[layer];
            for (is, what) in [
                (weights.groups > 1, "groups"),
                (conv.dilation != [1, 1], "dilation"),
                (weights.standardized.is_some(), "standardized"),
                (weights.input_norm.is_some(), "norm before"),
            ] {
                chosen.extend(is.then(|| format!("conv with {what}")));
            }
            chosen.push(format!("conv then {}", conv.activation.name()));
            for (algorithm, class) in conv.algorithms.each().iter().zip(["", " of dots"]) {
                let algorithm = algorithm.to_string();
                chosen.extend(algorithm.split(':').next().map(|algorithm| format!("{algorithm}{class}")));
            }
            chosen.push(format!("split {}", conv.split));
        } else {
            let kind = format!("{:?}", step.action);
            chosen.extend(kind.split(|letter: char| !letter.is_alphanumeric()).next().map(str::to_lowercase));
        }
    }
    if plan.outputs.len() > 1 {
        chosen.push("several outputs".to_owned());
    }
    if !plan.is_at_once() {
        chosen.push("in passes".to_owned());
    }
    chosen
}

/// The smallest network that fails in the same way, and how.
fn smaller(spec: Tree, mut how: How, mut failure: Failure) -> String {
    let kind = discriminant(&failure);
    let mut fails = |spec: &Tree, how: How| match check(&spec.text(), how) {
        Err(found) if discriminant(&found) == kind => {
            failure = found;
            true
        }
        _ => false,
    };
    let one = How { threads: 1, ..how };
    if how.threads > 1 && fails(&spec, one) {
        how = one;
    }
    let spec = shrink::shrink(spec, |spec| draw::measure(spec).is_ok() && fails(spec, how));
    format!("{how:?}: {failure}\n\n{}", spec.text())
}
