//! The checker of plans. It shares nothing with the planner: it takes the steps as they are, works out for itself what
//! is written and how long it is needed, and looks whether the places agree with that.
//!
//! 1. A buffer begins on a cache line, and ends inside the arena.
//! 2. A view fits its buffer, and its value fits its tensor.
//! 3. Two buffers that hold something at the same time do not overlap.
//! 4. A step reads only what was written before: the value itself, and zeros around it if its window reaches there.
//! 5. A step that adds finds something to add to; no step reads the buffer it writes.
//! 6. The output was written, and is dense.
//!    That of several passes lies in a buffer that no step touches.
//! 7. A convolution's algorithm can compute its windows, and has the weights that it needs and room to work in.

use crate::plan::{Action, Plan, Step, View};

/// What is wrong with a plan; empty: nothing.
pub fn check(plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    let mut written: Vec<Written> = vec![Written::default(); plan.buffers.len()];
    let mut needed: Vec<Option<[usize; 2]>> = vec![None; plan.buffers.len()];
    for buffer in &plan.buffers {
        if !buffer.offset.is_multiple_of(64) || buffer.offset + buffer.bytes > plan.peak_bytes {
            faults.push(format!("buffer {} lies at {} of {}", buffer.name, buffer.offset, plan.peak_bytes));
        }
    }
    for (time, step) in plan.steps.iter().enumerate() {
        for view in step.read.iter().chain([&step.write]) {
            if let Err(fault) = fits(plan, view) {
                faults.push(format!("step {time} ({}): {fault}", step.name));
                return faults;
            }
            let span = needed[view.buffer].get_or_insert([time, time]);
            span[1] = time;
        }
        if let Some(read) = &step.read {
            if read.buffer == step.write.buffer {
                faults.push(format!("step {time} ({}) writes what it reads", step.name));
            }
            if !written[read.buffer].covers(read, touched(step, read)) {
                faults.push(format!("step {time} ({}) reads what was not written", step.name));
            }
        }
        let adds = matches!(step.action, Action::Add { .. } | Action::Conv { residual: Some(_), .. });
        if adds && !written[step.write.buffer].covers(&step.write, rectangle(&step.write)) {
            faults.push(format!("step {time} ({}) adds to what was not written", step.name));
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
                faults.push(format!("step {time} ({}) cannot be computed as {algorithm}", step.name));
            }
        }
        written[step.write.buffer].add(step);
    }
    if fits(plan, &plan.output).is_err()
        || !written[plan.output.buffer].covers(&plan.output, rectangle(&plan.output))
    {
        faults.push("the output was not written".to_owned());
    } else if let Some(span) = &mut needed[plan.output.buffer] {
        span[1] = plan.steps.len();
    }
    if plan.passes > 1 {
        let [images, height, width, channels] = plan.output.dims;
        if plan.whole.dims != [plan.passes * images, height, width, channels]
            || fits(plan, &plan.whole).is_err()
        {
            faults.push("the outputs of all passes do not fit".to_owned());
        } else if needed[plan.whole.buffer].replace([0, plan.steps.len()]).is_some() {
            faults.push("a step uses what holds the outputs of all passes".to_owned());
        }
    } else if plan.whole != plan.output {
        faults.push("the output of one pass is not the output".to_owned());
    }
    if !plan.output.is_dense() {
        faults.push("the output is not dense".to_owned());
    }
    for (i, a) in plan.buffers.iter().enumerate() {
        for (j, b) in plan.buffers.iter().enumerate().skip(i + 1) {
            let (Some(a_time), Some(b_time)) = (needed[i], needed[j]) else { continue };
            let together = a_time[0] <= b_time[1] && b_time[0] <= a_time[1];
            if together && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes {
                faults.push(format!("buffers {} and {} overlap while both are needed", a.name, b.name));
            }
        }
    }
    faults
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
    fn add(&mut self, step: &Step) {
        if self.dims != Some(step.write.dims) {
            *self = Written { dims: Some(step.write.dims), ..Written::default() };
        }
        let place = rectangle(&step.write);
        if step.action == Action::Clear { self.zeros_around = Some(place) } else { self.value = Some(place) }
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
