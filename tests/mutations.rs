//! Plans of which something was changed at random: each is refused, or runs to its end. `PLAN_CASES` sets how many there are of
//! each network.

mod common;
#[path = "common/plans.rs"]
mod plans;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::say;
use plans::{SMALL, family, plan, shipped, weights};
use resnet::Error;
use resnet::runtime::{Precision, Program, Weights};
use resnet_plan::{Action, Algorithm, Algorithms, Element, ListKind, Plan, Residual, View};

/// Early steps are done for one image at a time.
const SECTIONS: &str = "
name: sections
input: 256x256x4
batch: 4
classes: 4
stem:
  - conv: {filters: 16, kernel: 1}
  - max_pool: {window: 4, stride: 4}
  - conv: {filters: 8, kernel: 3, padding: 1}
head:
  - average_pool: global
  - flatten
  - dense
";

struct Random(u64);

impl Random {
    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// All numbers of a plan.
fn numbers(plan: &mut Plan) -> Vec<&mut usize> {
    let mut numbers = vec![&mut plan.description.peak_bytes, &mut plan.description.scratch_bytes];
    numbers.extend(&mut plan.input);
    numbers.extend(plan.outputs.iter_mut().flat_map(|output| of_view(&mut output.view)));
    for layer in plan.description.layers.to_mut() {
        numbers.extend(&mut layer.shape);
        numbers.extend(of_algorithm(&mut layer.algorithm));
    }
    for list in plan.description.lists.to_mut() {
        numbers.push(&mut list.channels);
        match &mut list.kind {
            ListKind::GroupNorm { channels, .. } => numbers.extend(channels),
            ListKind::Tensor { dims, .. } => numbers.extend(dims.to_mut()),
            ListKind::Slopes | ListKind::BatchNorm(_) => {}
        }
    }
    for section in &mut plan.sections {
        numbers.extend([&mut section.steps.start, &mut section.steps.end, &mut section.passes]);
    }
    for buffer in &mut plan.buffers {
        numbers.extend([&mut buffer.bytes, &mut buffer.offset]);
        numbers.extend(&mut buffer.live);
    }
    for step in &mut plan.steps {
        numbers.extend(step.read.iter_mut().chain(&mut step.gate).chain([&mut step.write]).flat_map(of_view));
        match &mut step.action {
            Action::Conv { layer, conv } => {
                numbers.push(layer);
                numbers.extend(conv.kernel.iter_mut().chain(&mut conv.stride).chain(&mut conv.from));
                let Algorithms { wide, dots, tiles } = &mut conv.algorithms;
                numbers.extend([wide, dots, tiles].into_iter().flat_map(of_algorithm));
            }
            Action::Pool(pool) => {
                numbers.extend(pool.window.iter_mut().chain(&mut pool.stride).chain(&mut pool.padding));
            }
            Action::Subsample { stride, front, channels } => {
                numbers.extend(stride.iter_mut().chain([front, channels]));
            }
            Action::Add { list, .. }
            | Action::Multiply { list, .. }
            | Action::Activate { list, .. }
            | Action::Gem { list, .. } => numbers.extend(list),
            Action::Affine { list, .. } => numbers.push(list),
            Action::GroupNorm { groups, channels, list, .. } => {
                numbers.extend([groups].into_iter().chain(channels).chain(list));
            }
            Action::Upsample { times } => numbers.extend(times),
            Action::ChannelConv { kernel, list } => numbers.extend([kernel, list]),
            Action::Input
            | Action::Clear
            | Action::Copy
            | Action::Statistics { .. }
            | Action::L2Normalize { .. }
            | Action::Softmax => {}
        }
    }
    numbers
}

fn of_view(view: &mut View) -> Vec<&mut usize> {
    let View { buffer, element: _, dims, at, size } = view;
    [buffer].into_iter().chain(dims).chain(at).chain(size).collect()
}

fn of_algorithm(algorithm: &mut Algorithm) -> Vec<&mut usize> {
    match algorithm {
        Algorithm::Direct => vec![],
        Algorithm::Winograd { output, block, depth, fused: _ } => vec![output, block, depth],
        Algorithm::WinogradRows { block } | Algorithm::Strassen { block } => vec![block],
    }
}

/// What a number is changed to: what is near it, or wraps around.
fn others(number: usize) -> [usize; 8] {
    let (less, more, twice) = (number.wrapping_sub(1), number.wrapping_add(1), number.wrapping_mul(2));
    [0, 1, less, more, twice, 1 << 31, 1 << 62, usize::MAX]
}

/// Changes a number to one of those, or another number of the plan.
fn change_number(plan: &mut Plan, random: &mut Random) {
    let mut numbers = numbers(plan);
    let another = *numbers[random.below(numbers.len())];
    let index = random.below(numbers.len());
    let choice = random.below(9);
    *numbers[index] = others(*numbers[index]).get(choice).copied().unwrap_or(another);
}

/// Changes what is no number.
fn change_kind(plan: &mut Plan, random: &mut Random) {
    const ELEMENTS: [Element; 4] = [Element::F32, Element::Bf16, Element::U8(0.1), Element::I8(f32::NAN)];
    let (one, other) = (random.below(plan.steps.len()), random.below(plan.steps.len()));
    let buffer = random.below(plan.buffers.len());
    match random.below(8) {
        0 => plan.steps[one].write.element = random.of(&ELEMENTS),
        1 => plan.steps.swap(one, other),
        2 => plan.steps[one].read = Some(plan.steps[other].write),
        3 => plan.steps[one].action = plan.steps[other].action,
        4 => plan.buffers[buffer].whole ^= true,
        5 => plan.outputs[0].view = plan.steps[one].write,
        6 => {
            if let Action::GroupNorm { affine, .. } = &mut plan.steps[one].action {
                *affine ^= true;
            }
        }
        _ => {
            let residual = random.of(&[
                Residual::None,
                Residual::Same,
                Residual::Quantized { signed: true, scale: 1.0 },
            ]);
            if let Action::Conv { conv, .. } = &mut plan.steps[one].action {
                (conv.residual, conv.algorithms) = (residual, Algorithms::all(Algorithm::Direct));
            }
        }
    }
}

/// Weights for a changed plan: those of the good one, unless layers have changed to others that are as small.
fn weights_for(plan: &Plan, good: &Plan, weights: &Weights) -> Result<Weights, Error> {
    let (layers, lists) = (plan.description.layers.iter(), plan.description.lists.iter());
    let sizes =
        layers.map(|layer| layer.bytes()).chain(lists.map(|list| list.packed_len().saturating_mul(4)));
    let same = plan.description.layers == good.description.layers
        && plan.description.lists == good.description.lists;
    let changed = !same && sizes.fold(0, usize::saturating_add) < 1 << 20;
    if changed { plans::weights(plan) } else { Ok(weights.clone()) }
}

/// Whether a plan runs.
fn runs(plan: Plan, weights: Weights, threads: usize) -> bool {
    let Ok(mut program) = Program::new(plan, weights, NonZeroUsize::new(threads).unwrap()) else {
        return false;
    };
    // (Where no step reads the input, it may be larger than memory.)
    let len = program.plan().input.iter().product();
    match program.run(&vec![0.5; if len < 1 << 24 { len } else { 0 }]) {
        Ok(_) => {}
        Err(Error::Length { expected, .. }) => assert_eq!(expected, len),
        Err(error) => panic!("{error}"),
    }
    true
}

/// Changes each number of a plan alone, then something at random, `cases` times.
fn mutate(name: &str, good: &Plan, cases: usize) {
    let cases = std::env::var("PLAN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    let weights = weights(good).unwrap();
    assert!(runs(good.clone(), weights.clone(), 2), "{name}");
    let (mut all, mut ran) = (0, 0);
    let mut changed = |change: &str, plan: Plan| {
        all += 1;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _ = plan.to_string();
            weights_for(&plan, good, &weights).is_ok_and(|weights| runs(plan, weights, 1 + all % 2))
        }));
        ran += usize::from(result.unwrap_or_else(|_| panic!("{name}: {change} panicked")));
    };
    for index in 0..numbers(&mut good.clone()).len() {
        for choice in 0..others(0).len() {
            let mut plan = good.clone();
            let number = &mut *numbers(&mut plan)[index];
            *number = others(*number)[choice];
            changed(&format!("number {index}, choice {choice}"), plan);
        }
    }
    for case in 0..cases {
        let mut random = Random(case as u64);
        let mut plan = good.clone();
        for _ in 0..random.of(&[1, 1, 1, 2, 3]) {
            if random.below(4) == 0 {
                change_kind(&mut plan, &mut random);
            } else {
                change_number(&mut plan, &mut random);
            }
        }
        changed(&format!("case {case}"), plan);
    }
    say(&format!("{name}: of {all} changed plans {ran} ran, the others were refused"));
    assert!(0 < ran && ran < all, "{name}: {ran} ran");
}

#[test]
fn f32() {
    mutate("small", &plan(SMALL, Precision::F32), 1_500);
}

#[test]
fn bf16() {
    mutate("small in bf16", &plan(SMALL, Precision::Bf16), 1_500);
}

#[test]
fn quantized() {
    mutate("digits in int8", &shipped("digits", Precision::Int8), 1_000);
}

/// All steps, lists of weights, several outputs.
#[test]
fn of_the_family() {
    mutate("family", &family(), 1_000);
}

#[test]
fn in_sections() {
    let good = plan(SECTIONS, Precision::F32);
    assert!(!good.is_at_once());
    mutate("sections", &good, 500);
}
