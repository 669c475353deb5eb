//! The plan: a network as a list of steps over buffers of known places. All that code is made from.
//!
//! `Graph -> schedule -> lower -> sections -> memory -> check`, one file each.

pub mod check;
mod lower;
mod memory;
mod print;
mod schedule;
mod sections;

use std::ops::Range;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ir::param::{BiasParam, KernelParam};
use crate::ir::{Element, Graph};
use crate::ops::{Algorithm, Dims, Split};
use crate::spec::metadata::Precision;

/// The most bytes of activations that a pass works on, if it takes more than one image: a part of a third-level cache.
pub const LARGEST_ACTIVATIONS: usize = 8 << 20;

/// The most bytes of an image that may lie between two sections. All images of a batch are written there and read again, from
/// memory if they are many: a hundredth of what computing an image takes, and less than larger passes save.
pub const LARGEST_BOUNDARY: usize = 1 << 20;

/// A network, ready to be written down as code.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network's name.
    pub name: String,
    /// What its layers compute in.
    pub precision: Precision,
    /// Shape of the whole input.
    pub input: Dims,
    /// The whole output, dense.
    pub output: View,
    /// How often the steps are done. One after another, they are all steps.
    pub sections: Vec<Section>,
    /// The parts of the arena.
    pub buffers: Vec<Buffer>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The weights, in the order of use.
    pub layers: Vec<Layer>,
    /// Size of the arena.
    pub peak_bytes: usize,
    /// Memory that each thread works in, beside the arena.
    pub scratch_bytes: usize,
    /// Multiply-adds of one run, all passes.
    pub macs: u64,
    /// Whether the output is a softmax's.
    pub probabilities: bool,
}

/// Steps that are done together: a large batch is computed in parts, whose activations stay in the caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The steps.
    pub steps: Range<usize>,
    /// How often they are done, each time for another part of the batch. The next section begins when all parts are done.
    pub passes: usize,
}

/// A part of the arena, for as long as what it holds is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The first value that it holds.
    pub name: String,
    /// Size.
    pub bytes: usize,
    /// Place in the arena.
    pub offset: usize,
    /// The first and the last step that need it.
    pub live: [usize; 2],
    /// Whether it holds something of all images, and not of a pass'. A step's view of it is the part that belongs to the pass.
    pub whole: bool,
}

/// A tensor in a buffer, and the part of it that is a value; around that lies the halo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Index of the buffer.
    pub buffer: usize,
    /// What it holds.
    pub element: Element,
    /// The tensor's shape, halo included. Channels are filled up to whole words of four bytes, the unit of convolutions.
    pub dims: Dims,
    /// The value's first row and column.
    pub at: [usize; 2],
    /// The value's height and width.
    pub size: [usize; 2],
}

/// One thing to do: a call of the runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The value that is computed.
    pub name: String,
    /// The block of the spec that it belongs to.
    pub block: String,
    /// What is done.
    pub action: Action,
    /// What is read; nothing where the network's input is.
    pub read: Option<View>,
    /// What is written.
    pub write: View,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Copies the network's input into the arena.
    Input,
    /// Writes zeros around the value.
    Clear,
    /// Copies a value.
    Copy,
    /// Convolves.
    Conv {
        /// Index of the weights.
        layer: usize,
        /// Window height and width.
        kernel: [usize; 2],
        /// Step.
        stride: [usize; 2],
        /// Row and column of the read tensor at which the first window begins.
        from: [usize; 2],
        /// What is already there, if the sums are added to it.
        residual: Option<Element>,
        /// Whether negative sums become zero.
        relu: bool,
        /// How it is computed.
        algorithm: Algorithm,
        /// What the threads share out.
        split: Split,
    },
    /// Pools.
    Pool {
        /// Which way.
        kind: PoolKind,
        /// Window height and width.
        window: [usize; 2],
        /// Step.
        stride: [usize; 2],
        /// Top, bottom, left, right.
        padding: [usize; 4],
    },
    /// Takes every n-th pixel, with `front` zero channels in front.
    Subsample {
        /// Step.
        stride: [usize; 2],
        /// Zero channels in front.
        front: usize,
        /// Channels that are taken.
        channels: usize,
    },
    /// Adds to what is already there.
    Add {
        /// What is already there.
        residual: Element,
        /// Whether negative sums become zero.
        relu: bool,
    },
    /// Softmax over channels.
    Softmax,
}

/// The ways of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The maximum.
    Max,
    /// The mean of the pixels of the image.
    Average,
    /// The mean of those and the padding's zeros.
    AverageWithPadding,
}

/// The weights of one convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The value that it computes.
    pub name: String,
    /// Height, width, inputs, outputs.
    pub shape: [usize; 4],
    /// What the weights are packed for.
    pub algorithm: Algorithm,
    /// What it reads and writes.
    pub elements: [Element; 2],
    /// The kernel.
    pub kernel: KernelParam,
    /// The bias.
    pub bias: Option<BiasParam>,
}

/// Plans a network for a batch. `graph` gives the network for so many images, after all passes of the compiler.
///
/// # Errors
/// What `graph` fails with; an operator that has no kernel on its own; or a fault of the planner, found by the checker.
pub fn plan(batch: usize, graph: impl Fn(usize) -> Result<Graph, Diagnostics>) -> Result<Plan, Diagnostics> {
    let one = draft(&graph(1)?)?;
    let sections = sections::choose(&one, batch);
    let draft = |section: &Section| match batch / section.passes {
        1 => Ok(one.clone()),
        images => draft(&graph(images)?),
    };
    let drafts = sections.iter().map(draft).collect::<Result<Vec<Plan>, _>>()?;
    let mut plan = sections::join(sections, &drafts, one, batch)?;
    plan.scratch_bytes = plan.steps.iter().map(|step| step.scratch_bytes(&plan.layers)).max().unwrap_or(0);
    plan.peak_bytes = memory::place(&mut plan.buffers);
    let mut errors = Diagnostics::default();
    for fault in check::check(&plan) {
        errors.push(Diagnostic::new(format!("the plan is wrong: {fault}"), Span::default()));
    }
    if errors.is_empty() { Ok(plan) } else { Err(errors) }
}

/// The plan of a graph for all of its images at once, without places.
fn draft(graph: &Graph) -> Result<Plan, Diagnostics> {
    let mut errors = Diagnostics::default();
    let order = schedule::schedule(graph);
    for value in order.iter().map(|value| graph.node(*value)).filter(|node| node.ty.is_none()) {
        errors.push(Diagnostic::new(format!("`{}` has no type: infer shapes first", value.name), value.span));
    }
    if errors.is_empty() { lower::lower(graph, &order) } else { Err(errors) }
}

impl Plan {
    /// Images of a pass of a section.
    pub fn images(&self, section: &Section) -> usize {
        self.input[0] / section.passes
    }

    /// Whether all steps are done once, for the whole batch.
    pub fn is_at_once(&self) -> bool {
        self.sections.iter().all(|section| section.passes == 1)
    }

    /// Learnable parameters: kernels, biases, and the scales and offsets of batch norms.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// Size of the weights, batch norms folded, without padding.
    pub fn weight_bytes(&self) -> usize {
        let bytes = |layer: &Layer| {
            let bias = layer.bias.as_ref().map_or(0, |_| layer.shape[3] * size_of::<f32>());
            layer.shape.iter().product::<usize>() * layer.elements[0].bytes() + bias
        };
        self.layers.iter().map(bytes).sum()
    }
}

impl Step {
    /// Memory that each thread works in.
    fn scratch_bytes(&self, layers: &[Layer]) -> usize {
        match self.action {
            Action::Conv { layer, kernel, stride, algorithm, .. } => {
                let [.., inputs, filters] = layers[layer].shape;
                algorithm.scratch_bytes(kernel, stride, [inputs, filters])
            }
            _ => 0,
        }
    }
}

impl Layer {
    fn parameters(&self) -> usize {
        let tensors = match &self.bias {
            None => 0,
            Some(BiasParam::Load(_)) => 1,
            Some(BiasParam::Folded(None, _)) => 2,
            Some(BiasParam::Folded(Some(_), _)) => 3,
        };
        self.shape.iter().product::<usize>() + tensors * self.shape[3]
    }
}

impl View {
    /// Size of the tensor.
    pub fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.element.bytes()
    }

    /// Whether the value fills its tensor.
    pub fn is_dense(&self) -> bool {
        self.size == [self.dims[1], self.dims[2]]
    }
}
