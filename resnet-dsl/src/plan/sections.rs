//! A batch whose activations outgrow the caches is computed in parts, and the parts grow as activations shrink.
//!
//! ```text
//! for each step: the most images whose activations, from this step on, are within the budget
//! where that number grows, weights are still to be used, and little of each image lies between two steps:
//!     a section begins, whose passes take that many images
//! each step is that of a plan for as many images as a pass of its section takes
//! ```
//! Steps that share a layer lie in one section, since its weights are packed for one size of blocks.
//!
//! Plans of one network for different numbers of images have the same steps, buffers and layers; they differ in
//! sizes, algorithms and splits.

use resnet_plan::check::ALIGNMENT;
use resnet_plan::{Action, Buffer, Plan, Section, Step};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::plan::{LARGEST_ACTIVATIONS, LARGEST_BOUNDARY};

/// The sections of a batch, by the buffers of one image.
pub(super) fn choose(one: &Plan, batch: usize) -> Vec<Section> {
    let end = one.steps.len();
    let bytes = |first: usize, last: usize| -> usize {
        let live = |buffer: &&Buffer| buffer.live[0] <= first && buffer.live[1] >= last;
        one.buffers.iter().filter(live).map(|buffer| buffer.bytes).sum()
    };
    let mut peaks: Vec<usize> = (0..end).map(|step| bytes(step, step)).collect();
    for step in (1..end).rev() {
        peaks[step - 1] = peaks[step - 1].max(peaks[step]);
    }
    let fit = |images: usize, peak: usize| images.saturating_mul(peak) <= LARGEST_ACTIVATIONS;
    let divisors: Vec<usize> = (1..=batch).filter(|images| batch.is_multiple_of(*images)).collect();
    let most = |peak: usize| divisors.iter().rfind(|images| fit(**images, peak)).map_or(1, |images| *images);
    let last_layer = one.steps.iter().rposition(|step| matches!(step.action, Action::Conv { .. }));
    let layer = |step: &Step| step.action.layer();
    let parts_a_layer = |step: usize| {
        let mut before = one.steps[..step].iter().filter_map(layer);
        before.any(|before| one.steps[step..].iter().filter_map(layer).any(|behind| behind == before))
    };
    // More images a pass: weights are read and transformed less often. (Nothing else gains.)
    let is_worth_it = |step: usize| {
        last_layer.is_some_and(|last| step <= last)
            && bytes(step - 1, step) <= LARGEST_BOUNDARY
            && !parts_a_layer(step)
    };
    let mut sections: Vec<Section> = Vec::new();
    for (step, peak) in peaks.into_iter().enumerate() {
        let passes = batch / most(peak);
        match sections.last_mut() {
            Some(last) if passes >= last.passes || !is_worth_it(step) => {
                last.steps.end = step + 1;
            }
            _ => sections.push(Section { steps: step..step + 1, passes }),
        }
    }
    sections
}

/// One plan of the steps that each section takes from a plan of its own, without places.
///
/// # Errors
/// Plans that do not have the same steps.
pub(super) fn join(
    sections: Vec<Section>,
    plans: &[Plan],
    one: Plan,
    batch: usize,
) -> Result<Plan, Diagnostics> {
    let same = |plan: &Plan| {
        plan.steps.iter().map(|step| &step.name).eq(one.steps.iter().map(|step| &step.name))
            && plan.buffers.len() == one.buffers.len()
            && plan.description.layers.len() == one.description.layers.len()
            && plan.description.lists == one.description.lists
    };
    if !plans.iter().all(same) || plans.len() != sections.len() {
        let mut errors = Diagnostics::default();
        let message = "the plan is wrong: its steps depend on the number of images";
        errors.push(Diagnostic::new(message, Span::default()));
        return Err(errors);
    }
    let mut joined = one;
    // Each buffer's sections, the first and the last.
    let mut used: Vec<Option<[usize; 2]>> = vec![None; joined.buffers.len()];
    for (index, (section, plan)) in sections.iter().zip(plans).enumerate() {
        joined.steps[section.steps.clone()].clone_from_slice(&plan.steps[section.steps.clone()]);
        for step in &plan.steps[section.steps.clone()] {
            if let Action::Conv { layer, .. } = step.action {
                joined.description.layers.to_mut()[layer] = plan.description.layers[layer].clone();
            }
            for view in step.views() {
                let [_, last] = used[view.buffer].get_or_insert([index; 2]);
                *last = index;
                joined.buffers[view.buffer].bytes = section.passes * view.bytes();
            }
        }
    }
    for (buffer, (index, used)) in joined.buffers.iter_mut().zip(used.into_iter().enumerate()) {
        let Some([first, last]) = used else { continue };
        let is_output = joined.outputs.iter().any(|output| output.view.buffer == index);
        let (first_section, last_section) = (&sections[first], &sections[last]);
        buffer.whole = first < last || is_output && last_section.passes > 1;
        if !buffer.whole {
            buffer.bytes = plans[first].buffers[index].bytes;
            continue;
        }
        buffer.bytes = buffer.bytes.next_multiple_of(ALIGNMENT);
        // Another pass must not write over it.
        if first_section.passes > 1 {
            buffer.live[0] = first_section.steps.start;
        }
        if last_section.passes > 1 {
            buffer.live[1] = buffer.live[1].max(last_section.steps.end - 1);
        }
    }
    joined.input[0] *= batch;
    for output in &mut joined.outputs {
        output.view.dims[0] *= batch;
    }
    joined.description.macs *= batch as u64;
    joined.sections = sections;
    Ok(joined)
}
