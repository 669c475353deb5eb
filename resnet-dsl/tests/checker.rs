//! The checker of plans finds what is wrong with the sections of a batch.

use resnet_dsl::Spec;
use resnet_dsl::spec::Overrides;
use resnet_plan::{Plan, Section, check};

/// A plan of three sections, and the index of a buffer that the first leaves to the second.
fn plan() -> (Plan, usize) {
    let file = include_str!("filetests/plan/sections.yaml");
    let text = file.split_once("=== expected").map_or(file, |(text, _)| text);
    let overrides = Overrides::default();
    let spec = Spec { name: "sections", text, overrides: &overrides };
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
    let passes: Vec<usize> = plan.sections.iter().map(|section| section.passes).collect();
    assert_eq!(passes, [4, 2, 1]);
    assert_eq!(check(&plan), [""; 0]);
    let shared = plan.buffers.iter().position(|buffer| buffer.whole).unwrap();
    (plan, shared)
}

/// What the checker says first of a plan that was changed.
fn fault(change: impl FnOnce(&mut Plan, usize)) -> String {
    let (mut plan, shared) = plan();
    change(&mut plan, shared);
    check(&plan).into_iter().next().unwrap_or_default()
}

#[test]
fn what_another_section_reads_is_there_for_all_images() {
    let found = fault(|plan, shared| plan.buffers[shared].whole = false);
    assert!(found.ends_with("uses what another section has for one pass"), "{found}");
    let found = fault(|plan, shared| plan.buffers[shared].bytes /= 4);
    assert!(found.contains("does not fit"), "{found}");
}

/// The first step's buffer is dead when the boundary is first written, in the same pass, but not in the next one.
#[test]
fn other_passes_do_not_write_over_it() {
    let found = fault(|plan, shared| {
        let first = plan.steps[0].write.buffer;
        assert!(plan.buffers[first].live[1] + 1 < plan.sections[0].steps.end);
        plan.buffers[first].offset = plan.buffers[shared].offset;
    });
    assert!(found.ends_with("overlap while both are needed"), "{found}");
}

#[test]
fn passes_are_the_batch() {
    let found = fault(|plan, _| plan.sections[0].passes = 2);
    assert!(found.ends_with("does not do all images"), "{found}");
    let found = fault(|plan, _| plan.sections[0].passes = 0);
    assert!(found.contains("it must begin at step"), "{found}");
}

#[test]
fn sections_are_all_steps() {
    let found = fault(|plan, _| {
        plan.sections.pop();
    });
    assert!(found.starts_with("no section has step"), "{found}");
    let found = fault(|plan, _| {
        plan.sections.remove(1);
    });
    assert!(found.contains("it must begin at step"), "{found}");
    let found = fault(|plan, _| {
        let steps = plan.steps.len();
        plan.sections.push(Section { steps: steps..steps + 1, passes: 1 });
    });
    assert!(found.contains("it must begin at step"), "{found}");
}

#[test]
fn the_output_is_of_all_images() {
    let found = fault(|plan, _| plan.outputs[0].view.dims[0] = 1);
    assert_eq!(found, "the output was not written");
}

/// A pass of two images holds as many elements as a batch of four images of half the size.
#[test]
fn the_output_is_not_that_of_a_pass() {
    let found = fault(|plan, _| {
        let output = plan.outputs[0].view.buffer;
        plan.sections[2].passes = 2;
        for step in &mut plan.steps[plan.sections[2].steps.clone()] {
            step.write.dims[0] = 2;
            step.read.as_mut().unwrap().dims[0] = 2;
        }
        assert!(!plan.buffers[output].whole);
        plan.outputs[0].view.dims[3] /= 2;
    });
    assert_eq!(found, "the output was not written");
}

#[test]
fn parts_have_one_size() {
    let found = fault(|plan, shared| {
        let last = plan.steps.iter().rposition(|step| step.read.is_some_and(|read| read.buffer == shared));
        let read = plan.steps[last.unwrap()].read.as_mut().unwrap();
        read.dims[3] /= 2;
    });
    assert!(found.ends_with("has parts of another size than other steps"), "{found}");
}
