//! How long the steps of a plan probably take on one core, by the cost model that also chose their algorithms.
//!
//! ```text
//! a convolution: its multiply-adds, transforms and weights by the cost model, at the rate that kernels reach,
//!                and what it reads and writes, at the speed of the cache that holds the activations
//! another step:  what it reads and writes
//! each:          the same again for each pass, and what starting a step takes
//! ```

use std::collections::HashMap;

use resnet_plan::{Action, Class, Conv, Precision, Residual, Step, View};

use crate::Compiled;
use crate::ir::{Node, Op, Value};
use crate::ops::Conv2d;
use crate::ops::cost::Layer;

/// A core of a processor, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// What it is.
    pub name: String,
    /// Which algorithms it takes.
    pub class: Class,
    /// Multiply-adds of f32 a second on registers, and nothing else.
    pub multiply_adds: f64,
}

impl Machine {
    /// What the constants here were measured on.
    pub fn reference() -> Self {
        Machine {
            name: "one core of a Zen 4 at 3.7 GHz, AVX-512".to_owned(),
            class: Class::Dots,
            multiply_adds: 16.0 * 3.7e9,
        }
    }

    /// Multiply-adds of a precision a second on registers: what an instruction multiplies more of, beside f32.
    pub fn multiply_adds_of(&self, precision: Precision) -> f64 {
        let times = match (self.class, precision) {
            (_, Precision::F32) | (Class::Wide, Precision::Bf16) => 1,
            (Class::Wide, Precision::Int8) => 2,
            (Class::Dots, precision) => precision.per_word(),
            // A tile's instruction takes 16 cycles for 8,192 products of bf16.
            (Class::Tiles, precision) => 8 * precision.per_word(),
        };
        self.multiply_adds * times as f64
    }

    /// Bytes of activations that it reads or writes a second.
    pub fn bandwidth(&self) -> f64 {
        self.multiply_adds * BYTES
    }
}

// Fitted to ResNet-50's convolutions on the reference machine, f32, by least squares of relative errors.
/// The share of the multiply-adds on registers that kernels reach.
const REACHED: f64 = 0.98;
/// Bytes of activations that are read or written in the time of a multiply-add.
const BYTES: f64 = 0.5;
/// Seconds that it takes to start a step.
const START: f64 = 0.3e-6;

/// What is expected of a step in a run, of all passes together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// How long it takes.
    pub seconds: f64,
    /// Bytes of activations that it reads and writes.
    pub bytes: usize,
}

/// What is expected of each step of the plan.
pub fn predict(Compiled { graph, plan }: &Compiled, machine: &Machine) -> Vec<Prediction> {
    let convolution = |value: Value| match graph.node(value) {
        Node { name, op: Op::Conv2d(conv), .. } => Some((name.as_str(), conv)),
        _ => None,
    };
    let convolutions: HashMap<&str, &Conv2d> =
        graph.topological().into_iter().filter_map(convolution).collect();
    let multiply_adds = |step: &Step| match (&step.action, &step.read, convolutions.get(step.name.as_str())) {
        (Action::Conv { conv: Conv { algorithms, .. }, .. }, Some(read), Some(conv)) => {
            let shape = |view: &View| [view.dims[0], view.size[0], view.size[1], view.dims[3]];
            let [x, y] = [read, &step.write].map(shape);
            let layer = Layer { conv, precision: plan.description.precision, x, y };
            layer.cost(algorithms.of(machine.class), machine.class)
        }
        _ => 0,
    };
    let predict = |step: &Step, passes: usize| {
        let bytes = moved(step);
        let computed = multiply_adds(step) as f64 / (REACHED * machine.multiply_adds);
        let seconds = computed + bytes as f64 / machine.bandwidth() + START;
        Prediction { seconds: passes as f64 * seconds, bytes: passes * bytes }
    };
    let sections = plan.sections.iter().flat_map(|section| {
        let steps = plan.steps[section.steps.clone()].iter();
        steps.map(|step| predict(step, section.passes))
    });
    sections.collect()
}

/// Bytes that a step reads and writes.
fn moved(step: &Step) -> usize {
    let value = |view: &View| {
        let [batch, _, _, channels] = view.dims;
        batch * view.size[0] * view.size[1] * channels * view.element.bytes()
    };
    let gate = step.gate.as_ref().map_or(0, value);
    gate + match (&step.action, &step.read) {
        (Action::Clear, _) => step.write.bytes() - value(&step.write),
        (Action::Conv { conv, .. }, Some(read)) if conv.residual != Residual::None => {
            value(read) + 2 * value(&step.write)
        }
        (Action::Add { .. } | Action::Multiply { .. }, Some(read)) => value(read) + 2 * value(&step.write),
        (_, read) => read.as_ref().map_or(0, value) + value(&step.write),
    }
}
