//! The checker of plans. It shares nothing with the planner: it takes the steps as they are, works out for itself what
//! is written and how long it is needed, and looks whether the places agree with that.
//!
//! 1. A buffer begins on a cache line, and ends inside the arena.
//! 2. A view fits its buffer, and its value fits its tensor.
//! 3. Two buffers that hold something at the same time do not overlap.
//! 4. A step reads only what was written before: the value itself, and zeros around it if its window reaches there.
//! 5. A step that adds finds something to add to; no step reads the buffer it writes.
//! 6. The output of the whole batch was written, and is dense.
//! 7. A convolution's algorithm can compute its windows, and has the weights that it needs and room to work in.
//! 8. Sections are all steps, in order; the images of their passes are the batch.
//! 9. What one section writes and another reads, and the output, is there for all images: each pass of a section writes the part
//!    that belongs to it, and parts have one size, in all sections. Such a buffer is needed from the first to the last step of a
//!    section of several passes, whichever step uses it: all other passes have their parts there.

use crate::plan::{Action, Plan, Section, Step, View};

/// What is wrong with a plan; empty: nothing.
pub fn check(plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    let mut written: Vec<Written> = vec![Written::default(); plan.buffers.len()];
    let mut needed: Vec<Option<Needed>> = vec![None; plan.buffers.len()];
    for buffer in &plan.buffers {
        if !buffer.offset.is_multiple_of(64) || buffer.offset + buffer.bytes > plan.peak_bytes {
            faults.push(format!("buffer {} lies at {} of {}", buffer.name, buffer.offset, plan.peak_bytes));
        }
    }
    let mut end = 0;
    for section in &plan.sections {
        let follows = section.steps.start == end && section.steps.end > end;
        if !follows || section.steps.end > plan.steps.len() || section.passes == 0 {
            let (steps, passes) = (&section.steps, section.passes);
            faults.push(format!("{passes} passes of steps {steps:?} are no section from step {end} on"));
            return faults;
        }
        end = section.steps.end;
        for time in section.steps.clone() {
            let fault = |fault: &str| format!("step {time} ({}) {fault}", plan.steps[time].name);
            let step = &plan.steps[time];
            let (read, write) =
                (step.read.map(|read| of_all(plan, section, read)), of_all(plan, section, step.write));
            for (view, part) in read.iter().zip(&step.read).chain([(&write, &step.write)]) {
                if let Err(error) = fits(plan, view) {
                    faults.push(fault(&format!("is wrong: {error}")));
                    return faults;
                }
                if section.passes * part.dims[0] != plan.input[0] {
                    faults.push(fault("does not do all images"));
                }
                let need = needed[view.buffer].get_or_insert(Needed::new(time, section, view));
                if let Err(error) = need.again(time, section, view, plan.buffers[view.buffer].whole) {
                    faults.push(fault(error));
                }
            }
            if let (Some(read), Some(part)) = (&read, &step.read) {
                if read.buffer == write.buffer {
                    faults.push(fault("writes what it reads"));
                }
                if !written[read.buffer].covers(read, touched(step, part)) {
                    faults.push(fault("reads what was not written"));
                }
            }
            let adds = matches!(step.action, Action::Add { .. } | Action::Conv { residual: Some(_), .. });
            if adds && !written[write.buffer].covers(&write, rectangle(&write)) {
                faults.push(fault("adds to what was not written"));
            }
            if let Action::Conv { layer, kernel, stride, algorithm, .. } = step.action {
                let packed = &plan.layers[layer];
                let [.., inputs, filters] = packed.shape;
                let channels = [inputs, filters];
                let fits = algorithm.scratch_bytes(kernel, stride, channels) <= plan.scratch_bytes;
                if !algorithm.computes(kernel, stride, channels)
                    || packed.algorithm != algorithm
                    || packed.shape[..2] != kernel
                    || !fits
                {
                    faults.push(fault(&format!("cannot be computed as {algorithm}")));
                }
            }
            written[write.buffer].add(step.action, &write);
        }
    }
    if end != plan.steps.len() {
        faults.push(format!("no section has step {end}"));
    }
    if plan.output.dims[0] != plan.input[0]
        || fits(plan, &plan.output).is_err()
        || !written[plan.output.buffer].covers(&plan.output, rectangle(&plan.output))
    {
        faults.push("the output was not written".to_owned());
    } else if let Some(needed) = &mut needed[plan.output.buffer] {
        needed.steps[1] = plan.steps.len();
    }
    if !plan.output.is_dense() {
        faults.push("the output is not dense".to_owned());
    }
    for (i, a) in plan.buffers.iter().enumerate() {
        for (j, b) in plan.buffers.iter().enumerate().skip(i + 1) {
            let (Some(a_needed), Some(b_needed)) = (&needed[i], &needed[j]) else { continue };
            let (a_time, b_time) = (a_needed.steps, b_needed.steps);
            let together = a_time[0] <= b_time[1] && b_time[0] <= a_time[1];
            if together && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes {
                faults.push(format!("buffers {} and {} overlap while both are needed", a.name, b.name));
            }
        }
    }
    faults
}

/// A view of what lies in a buffer for all images, where that is what the buffer holds.
fn of_all(plan: &Plan, section: &Section, view: View) -> View {
    let [images, height, width, channels] = view.dims;
    let passes = plan.buffers.get(view.buffer).filter(|buffer| buffer.whole).map_or(1, |_| section.passes);
    View { dims: [passes * images, height, width, channels], ..view }
}

/// How long a buffer is needed, and as what.
#[derive(Clone, Copy)]
struct Needed {
    steps: [usize; 2],
    section: usize,
    bytes: usize,
}

impl Needed {
    fn new(time: usize, section: &Section, view: &View) -> Self {
        Needed { steps: [time; 2], section: section.steps.start, bytes: view.bytes() }
    }

    /// Another use.
    fn again(
        &mut self,
        time: usize,
        section: &Section,
        view: &View,
        whole: bool,
    ) -> Result<(), &'static str> {
        let mut until = time;
        if whole && section.passes > 1 {
            self.steps[0] = self.steps[0].min(section.steps.start);
            until = section.steps.end - 1;
        }
        self.steps[1] = self.steps[1].max(until);
        if whole && view.bytes() != self.bytes {
            return Err("has parts of another size than other steps");
        }
        if !whole && section.steps.start != self.section {
            return Err("uses what another section has for one pass");
        }
        Ok(())
    }
}

/// Rows and columns `[top, bottom, left, right]`, the second and fourth exclusive.
type Rectangle = [usize; 4];

/// What a buffer holds, in the shape in which it was written.
#[derive(Clone, Default)]
struct Written {
    dims: Option<[usize; 4]>,
    value: Option<Rectangle>,
    zeros_around: Option<Rectangle>,
}

impl Written {
    fn add(&mut self, action: Action, write: &View) {
        if self.dims != Some(write.dims) {
            *self = Written { dims: Some(write.dims), ..Written::default() };
        }
        let place = rectangle(write);
        if action == Action::Clear { self.zeros_around = Some(place) } else { self.value = Some(place) }
    }

    fn covers(&self, view: &View, part: Rectangle) -> bool {
        let Some(dims) = self.dims else { return false };
        let whole = [0, dims[1], 0, dims[2]];
        let everything = self.value == Some(whole) || self.value.is_some() && self.zeros_around == self.value;
        if dims != view.dims {
            // Another shape of the same numbers: all of them must be there.
            return self.value == Some(whole) && dims.iter().product::<usize>() == view.dims.iter().product();
        }
        everything || self.value.is_some_and(|value| inside(part, value))
    }
}

/// What a step reads of a view's tensor.
fn touched(step: &Step, read: &View) -> Rectangle {
    match step.action {
        Action::Conv { kernel, stride, from, .. } => {
            let reach = |axis: usize| from[axis] + (step.write.size[axis] - 1) * stride[axis] + kernel[axis];
            [from[0], reach(0), from[1], reach(1)]
        }
        _ => rectangle(read),
    }
}

fn rectangle(view: &View) -> Rectangle {
    [view.at[0], view.at[0] + view.size[0], view.at[1], view.at[1] + view.size[1]]
}

fn inside(inner: Rectangle, outer: Rectangle) -> bool {
    inner[0] >= outer[0] && inner[1] <= outer[1] && inner[2] >= outer[2] && inner[3] <= outer[3]
}

fn fits(plan: &Plan, view: &View) -> Result<(), String> {
    let Some(buffer) = plan.buffers.get(view.buffer) else {
        return Err(format!("there is no buffer {}", view.buffer));
    };
    if view.bytes() > buffer.bytes {
        return Err(format!("{:?} does not fit buffer {}", view.dims, buffer.name));
    }
    if !inside(rectangle(view), [0, view.dims[1], 0, view.dims[2]]) {
        return Err(format!("a value lies outside its tensor {:?}", view.dims));
    }
    Ok(())
}
