//! The checker of plans. It shares nothing with the planner: it takes the steps as they are, works out for itself what
//! is written and how long it is needed, and looks whether the places agree with that. A plan without faults can be executed.
//!
//! 1. A buffer begins on a cache line, and ends inside the arena, which memory can hold.
//! 2. A view fits its buffer, and its value fits its tensor.
//! 3. Two buffers that hold something at the same time do not overlap.
//! 4. A step reads only what was written before, as what it was written: the value itself, and zeros around it if its window
//!    reaches there; never anything outside its tensor.
//! 5. A step that adds or multiplies finds something to add to or to multiply; no step reads the buffer it writes.
//! 6. There is an output; each, of the whole batch, was written, is f32 and dense, and has a name of its own.
//! 7. A step's shapes fit each other ([`Step::task`]); it has the weights that it needs, and a convolution room to work in; weights
//!    can be packed ([`LayerWeights::check`], [`ListWeights::check`](crate::ListWeights::check)).
//! 8. Sections are all steps, in order; the images of their passes are the batch.
//! 9. What one section writes and another reads, and each output, is there for all images: each pass of a section writes the part
//!    that belongs to it, and parts have one size, in all sections. Such a buffer is needed from the first to the last step of a
//!    section of several passes, whichever step uses it: all other passes have their parts there.

use crate::action::Action;
use crate::activation::Activation;
use crate::conv::{Conv, Residual};
use crate::description::LayerWeights;
use crate::element::Element;
use crate::pixels::{Area, Dims, plus, times};
use crate::plan::{Output, Plan, Section, Step, View};

/// Every buffer begins at a multiple of this: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// The most views that compiled code lays over an arena at once.
pub const MAX_VIEWS: usize = 8;

/// What is wrong with a plan; empty: nothing.
pub fn check(plan: &Plan) -> Vec<String> {
    let mut faults = plan.description.faults();
    let peak = plan.description.peak_bytes;
    if peak > isize::MAX as usize {
        faults.push(format!("an arena of {peak} bytes is larger than any memory"));
        return faults;
    }
    for buffer in &plan.buffers {
        if !buffer.offset.is_multiple_of(ALIGNMENT) || plus(buffer.offset, buffer.bytes) > peak {
            faults.push(format!("buffer {} lies at {} of {peak}", buffer.name, buffer.offset));
        }
    }
    if Area::dense(plan.input).is_empty() || Area::dense(plan.input).len() > isize::MAX as usize / 4 {
        faults.push(format!("the input {:?} is empty or too large", plan.input));
        return faults;
    }
    let mut buffers = vec![Tracked::default(); plan.buffers.len()];
    let mut end = 0;
    for section in &plan.sections {
        let follows = section.steps.start == end && section.steps.end > end;
        if !follows || section.steps.end > plan.steps.len() || section.passes == 0 {
            let (steps, passes) = (&section.steps, section.passes);
            faults.push(format!("a section has steps {steps:?} and {passes} passes: it must begin at step {end} and have at least one of each"));
            return faults;
        }
        end = section.steps.end;
        for time in section.steps.clone() {
            let step = &plan.steps[time];
            let fault = |fault: &str| format!("step {time} ({}) {fault}", step.name);
            if let Err(error) = step.views().try_for_each(|view| fits(plan, section, view)) {
                faults.push(fault(&format!("is wrong: {error}")));
                return faults;
            }
            faults.extend(check_step(plan, section, time, &mut buffers).iter().map(|found| fault(found)));
        }
    }
    if end != plan.steps.len() {
        faults.push(format!("no section has step {end}"));
    }
    faults.extend(outputs(plan, &mut buffers));
    faults.extend(overlaps(plan, &buffers));
    faults
}

/// What is known of a buffer: when it is needed, and what it holds.
#[derive(Clone, Default)]
struct Tracked {
    needed: Option<Needed>,
    written: Written,
}

/// What is wrong with a step, whose views fit their buffers.
fn check_step(plan: &Plan, section: &Section, time: usize, buffers: &mut [Tracked]) -> Vec<String> {
    let step = &plan.steps[time];
    let mut faults = Vec::new();
    let write = whole_batch(plan, section, step.write);
    for part in step.views() {
        let view = &whole_batch(plan, section, *part);
        if times(section.passes, part.dims[0]) != plan.input[0] {
            faults.push("does not do all images".to_owned());
        }
        let need = buffers[view.buffer].needed.get_or_insert(Needed::new(time, section, view));
        if let Err(error) = need.again(time, section, view, plan.buffers[view.buffer].whole) {
            faults.push(error.to_owned());
        }
    }
    let [_, height, width, channels] = plan.input;
    if let Err(error) = step.task([plan.images(section), height, width, channels]) {
        faults.push(format!("cannot be computed: {error}"));
        return faults;
    }
    let read = step.read.map(|read| (read, touched(step, &read)));
    for (read, part) in read.into_iter().chain(step.gate.map(|gate| (gate, rectangle(&gate)))) {
        let read = whole_batch(plan, section, read);
        if read.buffer == write.buffer {
            faults.push("writes what it reads".to_owned());
        }
        if !buffers[read.buffer].written.covers(&read, part) {
            faults.push("reads what was not written".to_owned());
        }
    }
    let held = &buffers[write.buffer].written;
    let held = held.element.filter(|element| {
        let same_size = *element == write.element || element.is_quantized() && write.element.is_quantized();
        same_size && held.covers(&View { element: *element, ..write }, rectangle(&write))
    });
    let added = match step.action {
        Action::Add { residual: expected, .. } | Action::Multiply { held: expected, .. } => {
            held == Some(expected)
        }
        Action::Conv { conv, .. } if conv.residual.is_some() => {
            held.is_some() && conv.residual == Residual::of(held, write.element)
        }
        _ => true,
    };
    if !added {
        faults.push("adds to what was not written, or multiplies it".to_owned());
    }
    if let (Action::Conv { layer, conv }, Some(read)) = (step.action, &step.read)
        && !has_weights(plan, layer, conv, [read, &step.write])
    {
        faults.push(format!("cannot be computed as {} with the weights w{layer}", conv.algorithms));
    }
    if let Some(list) = step.action.list()
        && !has_list(plan, list, step)
    {
        faults.push(format!("cannot be computed with the weights l{list}"));
    }
    buffers[write.buffer].written.add(step.action, &write);
    faults
}

/// Whether a layer has the weights of a convolution between these views, and threads the room to work in.
fn has_weights(plan: &Plan, layer: usize, conv: Conv, [read, write]: [&View; 2]) -> bool {
    let Some(weights) = plan.description.layers.get(layer) else { return false };
    let LayerWeights {
        shape: [height, width, inputs, outputs], algorithm, elements, blocks, ref slope, ..
    } = *weights;
    let precision = plan.description.precision;
    let scratch = conv.scratch_len(precision, [read.dims[3], write.dims[3]]);
    read.element.precision() == precision
        && elements == [read.element, write.element]
        && blocks == conv.blocks
        && (blocks == 1 || outputs == write.dims[3])
        && slope.is_some() == (conv.activation == Activation::Prelu)
        && algorithm == conv.algorithms.packing(precision)
        && [height, width] == conv.kernel
        && inputs.checked_next_multiple_of(read.element.per_word()) == Some(read.dims[3])
        && outputs.checked_next_multiple_of(write.element.per_word()) == Some(write.dims[3])
        && times(scratch, size_of::<f32>()) <= plan.description.scratch_bytes
}

/// Whether a list has the weights of a step.
fn has_list(plan: &Plan, list: usize, step: &Step) -> bool {
    plan.description.lists.get(list).is_some_and(|list| {
        let stored = list.channels.checked_next_multiple_of(step.write.element.per_word());
        list.serve(step.action) && stored == Some(step.write.dims[3])
    })
}

/// What is wrong with the outputs.
fn outputs(plan: &Plan, buffers: &mut [Tracked]) -> Vec<String> {
    let mut faults = Vec::new();
    if plan.outputs.is_empty() {
        faults.push("there is no output".to_owned());
    }
    for (index, Output { name, view }) in plan.outputs.iter().enumerate() {
        if plan.outputs[..index].iter().any(|other| other.name == *name) {
            faults.push(format!("two outputs are called {name}"));
        }
        faults.extend(output(plan, view, buffers));
    }
    faults
}

/// What is wrong with an output. It is needed until the end.
fn output(plan: &Plan, output: &View, buffers: &mut [Tracked]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(buffer) = buffers.get_mut(output.buffer) else {
        return vec![format!("there is no buffer {} for the output", output.buffer)];
    };
    let fits = output.area().check().is_ok() && output.bytes() <= plan.buffers[output.buffer].bytes;
    let written = buffer.written.covers(output, rectangle(output));
    // What is not whole holds the images of one pass.
    let passes = |needed: &Needed| {
        let section = plan.sections.iter().find(|section| section.steps.start == needed.section);
        section.map_or(1, |section| section.passes)
    };
    let of_all = plan.buffers[output.buffer].whole || buffer.needed.as_ref().is_none_or(|n| passes(n) == 1);
    if output.dims[0] != plan.input[0] || !fits || !written || !of_all {
        faults.push("the output was not written".to_owned());
    } else if let Some(needed) = &mut buffer.needed {
        needed.steps[1] = plan.steps.len();
    }
    if !output.is_dense() || output.element != Element::F32 {
        faults.push("the output is not dense f32".to_owned());
    }
    faults
}

/// Buffers that overlap while both are needed.
fn overlaps(plan: &Plan, buffers: &[Tracked]) -> Vec<String> {
    let mut faults = Vec::new();
    for (i, a) in plan.buffers.iter().enumerate() {
        for (j, b) in plan.buffers.iter().enumerate().skip(i + 1) {
            let (Some(a_needed), Some(b_needed)) = (&buffers[i].needed, &buffers[j].needed) else { continue };
            let (a_time, b_time) = (a_needed.steps, b_needed.steps);
            let together = a_time[0] <= b_time[1] && b_time[0] <= a_time[1];
            let meet = a.offset < plus(b.offset, b.bytes) && b.offset < plus(a.offset, a.bytes);
            if together && meet {
                faults.push(format!("buffers {} and {} overlap while both are needed", a.name, b.name));
            }
        }
    }
    faults
}

/// A view of what lies in a buffer for all images, where that is what the buffer holds.
fn whole_batch(plan: &Plan, section: &Section, view: View) -> View {
    let [images, height, width, channels] = view.dims;
    let passes = plan.buffers.get(view.buffer).filter(|buffer| buffer.whole).map_or(1, |_| section.passes);
    View { dims: [times(passes, images), height, width, channels], ..view }
}

/// Whether a view lies in its buffer, and its value in its tensor.
fn fits(plan: &Plan, section: &Section, view: &View) -> Result<(), String> {
    let Some(buffer) = plan.buffers.get(view.buffer) else {
        return Err(format!("there is no buffer {}", view.buffer));
    };
    let view = whole_batch(plan, section, *view);
    if view.bytes() > buffer.bytes {
        return Err(format!("{:?} does not fit buffer {}", view.dims, buffer.name));
    }
    view.area().check().map_err(|fault| format!("{fault}, {:?}", view.dims))
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
    element: Option<Element>,
    dims: Option<Dims>,
    value: Option<Rectangle>,
    /// Outside of this, it holds zeros.
    zeros_around: Option<Rectangle>,
}

impl Written {
    fn add(&mut self, action: Action, write: &View) {
        if self.dims != Some(write.dims) {
            *self = Written { dims: Some(write.dims), ..Written::default() };
        }
        let place = rectangle(write);
        // Zeros and values stay what they are until something is written over them.
        if action == Action::Clear {
            self.value = self.value.filter(|value| inside(*value, place));
            self.zeros_around = Some(place);
        } else {
            (self.element, self.value) = (Some(write.element), Some(place));
            self.zeros_around = self.zeros_around.map(|zeros| hull(zeros, place));
        }
    }

    /// Whether it holds a part of a view's tensor, as the view's elements.
    fn covers(&self, view: &View, part: Rectangle) -> bool {
        let (Some(dims), Some(value)) = (self.dims, self.value) else { return false };
        if self.element != Some(view.element) {
            return false;
        }
        let whole = [0, dims[1], 0, dims[2]];
        let everything = value == whole || self.zeros_around == Some(value);
        if dims != view.dims {
            // Another shape of the same elements of each image: all of them must be there.
            let same = dims[0] == view.dims[0] && Area::dense(dims).len() == view.area().len();
            return same && everything && inside(part, tensor(view));
        }
        inside(part, if everything { whole } else { value })
    }
}

/// What a step reads of a view's tensor.
fn touched(step: &Step, read: &View) -> Rectangle {
    match step.action {
        Action::Conv { conv, .. } => conv.reads(step.write.size),
        _ => rectangle(read),
    }
}

/// The value of a view.
fn rectangle(view: &View) -> Rectangle {
    [view.at[0], plus(view.at[0], view.size[0]), view.at[1], plus(view.at[1], view.size[1])]
}

/// The whole tensor of a view.
fn tensor(view: &View) -> Rectangle {
    [0, view.dims[1], 0, view.dims[2]]
}

/// The smallest rectangle that holds both.
fn hull(a: Rectangle, b: Rectangle) -> Rectangle {
    [a[0].min(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].max(b[3])]
}

fn inside(inner: Rectangle, outer: Rectangle) -> bool {
    inner[0] >= outer[0] && inner[1] <= outer[1] && inner[2] >= outer[2] && inner[3] <= outer[3]
}
