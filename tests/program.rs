//! A plan that is executed: the same bits as compiled code; and whoever makes a plan that cannot be executed is told what is wrong
//! with it.

mod common;
#[path = "common/plans.rs"]
mod plans;

use std::num::NonZeroUsize;

use common::{isas, reference_input, run, session};
use plans::{SMALL, plan, shipped, weights};
use resnet::runtime::{Precision, Program, Weights};
use resnet::{Error, Network};
use resnet_plan::{Action, Algorithm, Algorithms, Buffer, Element, Plan, Residual, View};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct ResNet20Int8; model "cifar/resnet20", precision: int8 }

fn program(plan: &Plan, threads: usize) -> Result<Program, Error> {
    Program::new(plan.clone(), weights(plan).unwrap(), NonZeroUsize::new(threads).unwrap())
}

fn same_bits<N: Network>(plan: &Plan) {
    let input = reference_input::<N>(true);
    for isa in isas("an executed plan") {
        // (Scales of other weights will do.)
        let description = resnet::runtime::Description { calibrated: None, ..N::DESCRIPTION };
        let weights = Weights::formula_for(isa, &description).unwrap();
        let expected = run(&mut session::<N>(weights.clone(), 1), &input);
        for threads in 1..=3 {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut program = Program::new(plan.clone(), weights.clone(), threads).unwrap();
            for _ in 0..2 {
                assert_eq!(program.run(&input).unwrap(), expected, "{isa}, {threads} threads");
            }
        }
    }
}

#[test]
fn an_executed_plan_gives_the_bits_of_compiled_code() {
    same_bits::<Digits>(&shipped("digits", Precision::F32));
    same_bits::<ResNet20Int8>(&shipped("cifar/resnet20", Precision::Int8));
}

#[test]
fn an_input_of_another_length_is_an_error() {
    let mut program = program(&plan(SMALL, Precision::F32), 1).unwrap();
    assert!(matches!(program.run(&[0.0; 3]), Err(Error::Length { expected: 1024, found: 3, .. })));
}

#[test]
fn weights_of_another_network_are_refused() {
    let refused = |plan: Plan, other: &Plan| {
        let made = Program::new(plan, weights(other).unwrap(), NonZeroUsize::MIN);
        assert!(matches!(made, Err(Error::OtherWeights { .. })));
    };
    let small = || plan(SMALL, Precision::F32);
    refused(small(), &shipped("digits", Precision::F32));
    refused(small(), &plan(SMALL, Precision::Bf16));
    refused(plan(SMALL, Precision::Bf16), &small());
    let mut other = small();
    other.description.layers.to_mut()[0].kernel.name = "another".into();
    refused(small(), &other);
}

/// The index of the first step that does this.
fn step(plan: &Plan, does: impl Fn(&Action) -> bool) -> usize {
    plan.steps.iter().position(|step| does(&step.action)).unwrap()
}

fn conv(plan: &mut Plan) -> &mut resnet_plan::Conv {
    let index = step(plan, |action| matches!(action, Action::Conv { .. }));
    match &mut plan.steps[index].action {
        Action::Conv { conv, .. } => conv,
        _ => unreachable!(),
    }
}

fn pool(plan: &mut Plan) -> &mut resnet_plan::Pool {
    let index = step(plan, |action| matches!(action, Action::Pool(_)));
    match &mut plan.steps[index].action {
        Action::Pool(pool) => pool,
        _ => unreachable!(),
    }
}

/// What is read by the first step that does this.
fn read(plan: &mut Plan, does: impl Fn(&Action) -> bool) -> &mut View {
    let index = step(plan, does);
    plan.steps[index].read.as_mut().unwrap()
}

/// `change` makes a good plan one that cannot be executed, with this message among those of the error.
fn refused(message: &str, change: impl FnOnce(&mut Plan)) {
    let good = plan(SMALL, Precision::F32);
    let weights = weights(&good).unwrap();
    let mut changed = good;
    change(&mut changed);
    match Program::new(changed, weights, NonZeroUsize::MIN) {
        Err(Error::Plan { faults, .. }) => {
            assert!(faults.iter().any(|fault| fault.contains(message)), "{message}: {faults:#?}");
        }
        Err(error) => panic!("{message}: {error}"),
        Ok(_) => panic!("not refused: {message}"),
    }
}

fn is_conv(action: &Action) -> bool {
    matches!(action, Action::Conv { .. })
}

fn is_subsample(action: &Action) -> bool {
    matches!(action, Action::Subsample { .. })
}

#[test]
fn windows_lie_in_what_was_written() {
    refused("a window reaches below the input", |plan| conv(plan).from[0] += 1);
    refused("a window reaches beyond the right edge of the input", |plan| conv(plan).stride[1] += 1);
    refused("a window is empty", |plan| conv(plan).kernel = [0, 3]);
    refused("reads what was not written", |plan| {
        // Without zeros around the value.
        let clear = step(plan, |action| *action == Action::Clear);
        plan.steps[clear].action = Action::Input;
        plan.steps[clear].write.size = [1, 1];
    });
    refused("reads what was not written", |plan| {
        // The halo is written over.
        let input = step(plan, |action| *action == Action::Input);
        plan.steps[input].write.at = [0, 0];
    });
    refused("reads what was not written", |plan| {
        // The same, and then the value is where it should be: not all around it are zeros.
        let input = step(plan, |action| *action == Action::Input);
        let mut elsewhere = plan.steps[input].clone();
        elsewhere.write.at = [0, 0];
        plan.steps.insert(input, elsewhere);
        plan.sections[0].steps.end += 1;
    });
    refused("a window holds nothing of the image", |plan| pool(plan).padding[0] = 3);
    refused("a window holds nothing of the image", |plan| pool(plan).stride[1] = 100);
    refused("the padding is too large", |plan| pool(plan).padding[3] = usize::MAX);
    refused("the rows or columns do not fit", |plan| {
        let index = step(plan, is_subsample);
        let Action::Subsample { stride, .. } = &mut plan.steps[index].action else { unreachable!() };
        stride[0] = 9;
    });
    refused("the channels do not fit", |plan| {
        let index = step(plan, is_subsample);
        let Action::Subsample { front, .. } = &mut plan.steps[index].action else { unreachable!() };
        *front = usize::MAX;
    });
    refused("a value reaches outside its tensor", |plan| read(plan, is_subsample).at[1] += 2);
}

#[test]
fn indices_are_of_something() {
    refused("there is no buffer 999", |plan| plan.steps[0].write.buffer = 999);
    refused("there is no buffer", |plan| read(plan, is_conv).buffer = usize::MAX);
    refused("there is no buffer 999 for the output", |plan| plan.outputs[0].view.buffer = 999);
    refused("with the weights w18446744073709551615", |plan| {
        let index = step(plan, is_conv);
        let Action::Conv { layer, .. } = &mut plan.steps[index].action else { unreachable!() };
        *layer = usize::MAX;
    });
    refused("it must begin at step", |plan| plan.sections[0].steps.end = usize::MAX);
    refused("it must begin at step", |plan| plan.sections[0].passes = 0);
    refused("does not do all images", |plan| plan.sections[0].passes = usize::MAX);
}

#[test]
fn elements_are_those_that_were_written() {
    refused("reads what was not written", |plan| read(plan, is_conv).element = Element::I8(1.0));
    refused("there is no kernel for these elements", |plan| {
        let index = step(plan, is_conv);
        plan.steps[index].write.element = Element::Bf16;
    });
    refused("there is no kernel for these elements", |plan| {
        conv(plan).residual = Residual::Quantized { signed: true, scale: 1.0 };
    });
    refused("adds to what was not written", |plan| conv(plan).residual = Residual::Same);
    refused("the output is not dense f32", |plan| plan.outputs[0].view.element = Element::Bf16);
}

#[test]
fn memory_is_enough() {
    refused("lies at", |plan| plan.description.peak_bytes -= 1);
    refused("lies at", |plan| plan.buffers[0].offset += 1);
    refused("lies at", |plan| plan.buffers[0].bytes = usize::MAX);
    refused("larger than any memory", |plan| plan.description.peak_bytes = usize::MAX);
    refused("does not fit buffer", |plan| plan.buffers[0].bytes /= 2);
    refused("cannot be computed as", |plan| plan.description.scratch_bytes = 0);
    refused("overlap while both are needed", |plan| {
        let conv = step(plan, is_conv);
        let [read, write] = [plan.steps[conv].read.unwrap().buffer, plan.steps[conv].write.buffer];
        plan.buffers[write].offset = plan.buffers[read].offset;
    });
    refused("writes what it reads", |plan| {
        let softmax = step(plan, |action| *action == Action::Softmax);
        plan.steps[softmax].write.buffer = plan.steps[softmax].read.unwrap().buffer;
    });
}

#[test]
fn the_output_is_what_was_written() {
    refused("the output was not written", |plan| {
        plan.buffers.push(Buffer { offset: 0, ..plan.buffers[0].clone() });
        plan.outputs[0].view.buffer = plan.buffers.len() - 1;
    });
    refused("the output was not written", |plan| plan.outputs[0].view.dims[3] += 1);
    refused("the input [0, 16, 16, 4] is empty or too large", |plan| plan.input[0] = 0);
}

#[test]
fn algorithms_have_their_numbers() {
    for algorithm in [
        Algorithm::Winograd { output: 4, block: usize::MAX, depth: usize::MAX, fused: false },
        Algorithm::Winograd { output: usize::MAX, block: usize::MAX, depth: usize::MAX, fused: true },
        Algorithm::Winograd { output: 4, block: 0, depth: 0, fused: false },
        Algorithm::WinogradRows { block: 0 },
        Algorithm::WinogradRows { block: usize::MAX },
        Algorithm::Strassen { block: usize::MAX },
    ] {
        refused("the algorithm does not compute", |plan| conv(plan).algorithms = Algorithms::all(algorithm));
        refused("cannot be computed as", |plan| plan.description.layers.to_mut()[0].algorithm = algorithm);
    }
}

/// Memory that the system does not have is an error, and what it has may be more than is used.
#[test]
fn absurd_memory_is_an_error() {
    let good = plan(SMALL, Precision::F32);
    let checked = |plan: &Plan, bytes| match program(plan, 2) {
        Ok(mut program) => assert!(program.run(&[0.5; 1024]).is_ok()),
        Err(error) => assert!(matches!(error, Error::Memory { bytes: found } if found == bytes)),
    };
    for bytes in [1 << 46, 1 << 62, isize::MAX as usize] {
        let mut large = good.clone();
        large.description.peak_bytes = bytes;
        checked(&large, bytes);
        let mut large = good.clone();
        large.description.scratch_bytes = bytes;
        checked(&large, bytes);
    }
}
