//! The plan: a network as a list of steps over buffers of known places.

use std::ops::Range;

use crate::action::Action;
use crate::description::Description;
use crate::element::Element;
use crate::pixels::{Area, Dims};

/// A network, ready to be written down as code or to be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is known of it beside the steps: weights, sizes, preprocessing, labels.
    pub description: Description,
    /// Shape of the whole input, f32.
    pub input: Dims,
    /// What a run gives, at least one. Where one is asked for, it is the last.
    pub outputs: Vec<Output>,
    /// How often the steps are done. One after another, they are all steps.
    pub sections: Vec<Section>,
    /// The parts of the arena.
    pub buffers: Vec<Buffer>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// A value that is there after a run, of the whole batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What the spec calls it; all outputs have different names.
    pub name: String,
    /// The value: dense, f32.
    pub view: View,
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

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The value that is computed.
    pub name: String,
    /// The block of the spec that it belongs to.
    pub block: String,
    /// What is done.
    pub action: Action,
    /// What is read; nothing where the network's input is, or where nothing is.
    pub read: Option<View>,
    /// The gate that a convolution multiplies its sums with, if it has one.
    pub gate: Option<View>,
    /// What is written.
    pub write: View,
}

impl Plan {
    /// What is known of the network beside its steps: what weights are loaded for.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Shape of the last output; zeros if there is none, which the checker refuses.
    pub fn output(&self) -> Dims {
        self.outputs.last().map_or([0; 4], |output| output.view.dims)
    }

    /// Images of a pass of a section.
    pub fn images(&self, section: &Section) -> usize {
        self.input[0] / section.passes.max(1)
    }

    /// The steps in the order in which they are done, pass after pass of each section.
    pub fn order(&self) -> impl Iterator<Item = &Step> {
        self.sections.iter().flat_map(|section| {
            let steps = &self.steps[section.steps.clone()];
            (0..section.passes).flat_map(move |_| steps)
        })
    }

    /// Whether all steps are done once, for the whole batch.
    pub fn is_at_once(&self) -> bool {
        self.sections.iter().all(|section| section.passes == 1)
    }
}

impl Step {
    /// All views: what is read, then what is written.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.read.iter().chain(&self.gate).chain([&self.write])
    }
}

impl View {
    /// The tensor's shape, and where the value lies in it.
    pub const fn area(&self) -> Area {
        Area { dims: self.dims, at: self.at, size: self.size }
    }

    /// Size of the tensor, or [`usize::MAX`].
    pub const fn bytes(&self) -> usize {
        self.area().len().saturating_mul(self.element.bytes())
    }

    /// Whether the value fills its tensor.
    pub const fn is_dense(&self) -> bool {
        self.area().is_dense()
    }
}
