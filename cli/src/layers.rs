//! `resnet bench --layers`: where a network's time goes, step by step, against the peak of the machine.

use std::time::{Duration, Instant};

use resnet::runtime::kernels::peak_gops;
use resnet::runtime::{Isa, Plan, Program};
use resnet_plan::{Action, Class, Step};

use crate::print::say;

/// Prints one line a step: medians of the runs of some seconds, of all passes of a run together.
pub(crate) fn print(
    model: &str,
    program: &mut Program,
    input: &[f32],
    seconds: Duration,
    isa: Isa,
) -> anyhow::Result<()> {
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
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    let total: f64 = medians.iter().sum();
    let threads = program.threads();
    let peak = peak_gops(isa.kernels(), plan.description.precision) * threads as f64;
    say!(
        "{model} {} on {isa}, {threads} thread(s), the executed plan, peak {peak:.0} GFLOP/s",
        plan.description.precision
    )?;
    say!("{:>9} {:>6} {:>8} {:>6}  step", "us", "share", "GFLOP/s", "peak")?;
    for (index, (step, time)) in plan.steps.iter().zip(&medians).enumerate() {
        if let Some(section) = plan.sections.iter().find(|section| section.steps.start == index)
            && !plan.is_at_once()
        {
            say!("{} pass(es) of {} image(s):", section.passes, plan.images(section))?;
        }
        let share = 100.0 * time / total;
        let action = step.action.to_string();
        let (flops, of_peak) = match products(&plan, step) {
            0 => (String::new(), String::new()),
            macs => {
                let gflops = 2e-3 * macs as f64 / time;
                (format!("{gflops:.0}"), format!("{:.0}%", 100.0 * gflops / peak))
            }
        };
        say!("{time:>9.1} {share:>5.1}% {flops:>8} {of_peak:>6}  {} = {action}", step.name)?;
    }
    let gflops = 2e-3 * plan.description.macs as f64 / total;
    say!("{total:>9.1} {:>6} {gflops:>8.0} {:>5.0}%  all", "", 100.0 * gflops / peak)?;
    say!(
        "GFLOP/s count the products of a direct sum; more than the peak is what Winograd's algorithm saves."
    )?;
    Ok(())
}

/// What a step is computed by, on instruction sets of a class: the algorithm of a convolution, without the sizes of its blocks; of other
/// steps, what they do.
pub(crate) fn algorithm(step: &Step, class: Class) -> String {
    let (text, end) = match step.action {
        Action::Conv { conv, .. } => (conv.algorithms.of(class).to_string(), ':'),
        action => (action.to_string(), ','),
    };
    text.split(end).next().unwrap_or_default().to_owned()
}

/// Multiply-adds of a step as a direct sum, for the whole batch.
fn products(plan: &Plan, step: &Step) -> usize {
    match step.action {
        Action::Conv { layer, .. } => {
            plan.input[0]
                * step.write.size.iter().product::<usize>()
                * plan.description.layers[layer].shape.iter().product::<usize>()
        }
        _ => 0,
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
