//! `resnet bench --layers`: where a network's time goes, step by step, against the peak of the machine.

use std::time::{Duration, Instant};

use resnet::runtime::kernels::peak_gops;
use resnet::runtime::{Isa, Plan, Program};
use resnet_plan::{Action, Algorithms, Class, Conv, Step};
use resnet_report::Measured;
use serde_json::{Value, json};

use crate::bench::median;
use crate::print::{Unwritable, say};

/// The time of each step of an executed plan.
pub(crate) struct Layers {
    /// The network, as the command line names it.
    pub(crate) model: String,
    pub(crate) plan: Plan,
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) runs: usize,
    /// What all threads can do, measured.
    pub(crate) peak_gflops: f64,
    /// In the order of the plan.
    pub(crate) steps: Vec<StepTime>,
}

/// A step of a plan, and the time that it takes.
pub(crate) struct StepTime {
    /// The value that it computes.
    pub(crate) name: String,
    /// The block of the spec that it belongs to.
    pub(crate) block: String,
    /// What it does; a convolution names only the algorithm for this instruction set.
    pub(crate) action: String,
    /// What computes it: see [`algorithm`].
    pub(crate) algorithm: String,
    /// Median time of all its passes of a run, in microseconds.
    pub(crate) us: f64,
    /// Multiply-adds of a direct sum, for the whole batch.
    pub(crate) macs: usize,
}

impl Layers {
    /// Runs a program for some time, at least three times.
    pub(crate) fn measure(
        model: &str,
        program: &mut Program,
        input: &[f32],
        seconds: Duration,
        isa: Isa,
    ) -> anyhow::Result<Self> {
        let plan = program.plan().clone();
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); plan.steps.len()];
        let start = Instant::now();
        while times[0].len() < 3 || start.elapsed() < seconds {
            // A section's passes follow one another, and each does all of its steps.
            let mut observed = program.run_timed(input)?.into_iter();
            for section in &plan.sections {
                let mut sums = vec![Duration::ZERO; section.steps.len()];
                for _ in 0..section.passes {
                    for (sum, time) in sums.iter_mut().zip(&mut observed) {
                        *sum += time;
                    }
                }
                for (times, sum) in times[section.steps.clone()].iter_mut().zip(sums) {
                    times.push(sum.as_secs_f64() * 1e6);
                }
            }
        }
        let precision = plan.description.precision;
        let class = isa.class(precision);
        let step = |(step, times): (&Step, &Vec<f64>)| StepTime {
            name: step.name.clone(),
            block: step.block.clone(),
            action: of_class(step.action, class).to_string(),
            algorithm: algorithm(step, class),
            us: median(times),
            macs: products(&plan, step),
        };
        let steps = plan.steps.iter().zip(&times).map(step).collect();
        let threads = program.threads();
        let peak_gflops = peak_gops(isa.kernels(), precision) * threads as f64;
        Ok(Layers { model: model.to_owned(), plan, isa, threads, runs: times[0].len(), peak_gflops, steps })
    }

    /// The sum of all steps' times, in microseconds.
    pub(crate) fn total_us(&self) -> f64 {
        self.steps.iter().map(|step| step.us).sum()
    }

    /// An object: what was measured, and `steps`, each with `name`, `block`, `action`, `algorithm`, `us`, and `gflops` and
    /// `share_of_peak`, which are null where nothing is multiplied. A direct sum's operations are counted.
    pub(crate) fn json(&self) -> Value {
        let Layers { model, plan, isa, threads, peak_gflops, steps, .. } = self;
        let step = |step: &StepTime| {
            let gflops = step.gflops();
            json!({
                "name": step.name,
                "block": step.block,
                "action": step.action,
                "algorithm": step.algorithm,
                "us": step.us,
                "gflops": gflops,
                "share_of_peak": gflops.map(|gflops| gflops / peak_gflops),
            })
        };
        json!({
            "model": model,
            "precision": plan.description.precision.to_string(),
            "isa": isa.name(),
            "threads": threads,
            "batch": plan.input[0],
            "peak_gflops": peak_gflops,
            "total_us": self.total_us(),
            "steps": steps.iter().map(step).collect::<Vec<_>>(),
        })
    }

    /// For the page of the network.
    pub(crate) fn measured(&self) -> Measured {
        Measured {
            isa: self.isa.name().to_owned(),
            threads: self.threads,
            runs: self.runs,
            peak_gflops: self.peak_gflops,
            steps_us: self.steps.iter().map(|step| step.us).collect(),
        }
    }

    /// Prints a line a step.
    pub(crate) fn print(&self) -> Result<(), Unwritable> {
        let Layers { model, plan, isa, threads, peak_gflops: peak, steps, .. } = self;
        let (precision, total) = (plan.description.precision, self.total_us());
        say!("{model} {precision} on {isa}, {threads} thread(s), the executed plan, peak {peak:.0} GFLOP/s")?;
        say!("{:>9} {:>6} {:>8} {:>6}  step", "us", "share", "GFLOP/s", "peak")?;
        for (index, step) in steps.iter().enumerate() {
            if let Some(section) = plan.sections.iter().find(|section| section.steps.start == index)
                && !plan.is_at_once()
            {
                say!("{} pass(es) of {} image(s):", section.passes, plan.images(section))?;
            }
            let share = 100.0 * step.us / total;
            let (flops, of_peak) = match step.gflops() {
                None => (String::new(), String::new()),
                Some(gflops) => (format!("{gflops:.0}"), format!("{:.0}%", 100.0 * gflops / peak)),
            };
            let StepTime { name, action, us, .. } = step;
            say!("{us:>9.1} {share:>5.1}% {flops:>8} {of_peak:>6}  {name} = {action}")?;
        }
        let gflops = 2e-3 * plan.description.macs as f64 / total;
        say!("{total:>9.1} {:>6} {gflops:>8.0} {:>5.0}%  all", "", 100.0 * gflops / peak)?;
        say!(
            "GFLOP/s count the products of a direct sum; what exceeds the peak is saved by Winograd's and Strassen's algorithms."
        )
    }
}

impl StepTime {
    /// Operations of a direct sum; none where nothing is multiplied.
    pub(crate) fn gflops(&self) -> Option<f64> {
        (self.macs > 0).then(|| 2e-3 * self.macs as f64 / self.us)
    }
}

/// What a step is computed by, on instruction sets of a class: the algorithm of a convolution, without the sizes of its blocks; of other
/// steps, what they do.
pub(crate) fn algorithm(step: &Step, class: Class) -> String {
    match step.action {
        Action::Conv { conv, .. } => conv.algorithms.of(class).name(),
        action => action.to_string().split(',').next().unwrap_or_default().to_owned(),
    }
}

/// The action, with only the algorithm for a class in place of one for each.
fn of_class(action: Action, class: Class) -> Action {
    match action {
        Action::Conv { layer, conv } => {
            let algorithms = Algorithms::all(conv.algorithms.of(class));
            Action::Conv { layer, conv: Conv { algorithms, ..conv } }
        }
        other => other,
    }
}

/// Multiply-adds of a step as a direct sum, for the whole batch.
fn products(plan: &Plan, step: &Step) -> usize {
    match step.action {
        Action::Conv { layer, .. } => {
            plan.input[0]
                * step.write.size.iter().product::<usize>()
                * plan.description.layers[layer].group_shape().iter().product::<usize>()
        }
        _ => 0,
    }
}
