//! A spec as it is written: settings resolved from the general to the special, definitions of blocks written out as layers.

use resnet_plan::{Activation as Function, Preprocessing};

use crate::diag::{Diagnostics, Span};
use crate::ops::{Op, Padding};
use crate::spec::metadata::Precision;
use crate::spec::names::Names;

/// A whole spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// `name`
    pub name: String,
    /// `input`: height, width, channels
    pub input: [usize; 3],
    /// Where it stands.
    pub input_span: Span,
    /// `batch`
    pub batch: usize,
    /// `precision`, and `calibration`
    pub precision: Precision,
    /// `classes`
    pub classes: Option<usize>,
    /// `names`
    pub names: Names,
    /// `stem`
    pub stem: Vec<Layer>,
    /// `stages`
    pub stages: Vec<Stage>,
    /// `head`
    pub head: Vec<Layer>,
    /// `outputs`
    pub outputs: Vec<Reference>,
    /// `preprocessing`
    pub preprocessing: Preprocessing,
    /// `labels`
    pub labels: Vec<String>,
    /// Where they stand.
    pub labels_span: Span,
    /// What has no effect.
    pub warnings: Diagnostics,
}

/// A layer of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its own name, if it has one.
    pub name: Option<String>,
    /// The value that it reads; `None`: that of the layer before.
    pub from: Option<Reference>,
    /// What it is.
    pub kind: LayerKind,
    /// Where it stands.
    pub span: Span,
}

/// An earlier value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it is called.
    pub name: String,
    /// Where that stands.
    pub span: Span,
}

/// What networks are made of.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // there are few layers
pub enum LayerKind {
    /// A single operator; how its tensors are called is not known yet.
    Op(Op),
    /// `conv`
    Conv(Conv),
    /// `relu` and others
    Activation(Activation),
    /// `gate`
    Gate(Vec<Layer>),
    /// `residual`
    Residual {
        /// `branch`
        branch: Vec<Layer>,
        /// `shortcut`
        shortcut: Shortcut,
        /// `activation`, of the sum
        activation: Activation,
    },
    /// `add`
    Add {
        /// What is added to the layer's input.
        with: Vec<Reference>,
        /// `activation`, of the sum
        activation: Activation,
    },
    /// `dense`
    Dense {
        /// `units`; `None`: the classes.
        units: Option<usize>,
        /// `bias`
        bias: bool,
        /// `activation`
        activation: Activation,
    },
    /// Its input as it is: `from`, `dropout`.
    Nothing,
    /// Something that could not be understood; what follows it cannot be checked.
    Unclear,
}

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// Which.
    pub function: Function,
    /// PReLU: whether there is one slope for all channels.
    pub shared: bool,
}

impl Activation {
    /// Nothing is changed.
    pub const NONE: Self = Activation { function: Function::None, shared: false };
}

impl From<Function> for Activation {
    fn from(function: Function) -> Self {
        Activation { function, shared: false }
    }
}

/// A convolution and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `filters`
    pub filters: usize,
    /// `kernel`
    pub kernel: [usize; 2],
    /// `stride`
    pub stride: [usize; 2],
    /// `dilation`
    pub dilation: [usize; 2],
    /// `groups`
    pub groups: usize,
    /// `standardized`: its epsilon
    pub standardized: Option<f64>,
    /// `padding`
    pub padding: Padding,
    /// `bias`
    pub bias: bool,
    /// `batch_norm`: its epsilon
    pub batch_norm: Option<f64>,
    /// `norm`: what the batch norm is called
    pub norm: Option<String>,
    /// `activation`
    pub activation: Activation,
    /// `winograd`
    pub winograd: bool,
}

/// The other side of a residual's sum.
#[derive(Clone, Debug, PartialEq)]
pub enum Shortcut {
    /// The input where shapes agree, else a projection.
    Auto(Projection),
    /// The input.
    Identity,
    /// A 1x1 convolution with the branch's stride and filters.
    Projection(Projection),
    /// Every n-th pixel and zero channels, where shapes differ; `None`: half of the channels in front.
    Subsample {
        /// Zero channels in front.
        front: Option<usize>,
        /// Zero channels behind.
        back: Option<usize>,
    },
    /// The input where shapes agree, else these layers.
    Layers(Vec<Layer>),
}

/// What a 1x1 convolution of a shortcut does beside convolving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projection {
    /// `bias`
    pub bias: bool,
    /// `batch_norm`: its epsilon
    pub batch_norm: Option<f64>,
    /// `winograd`
    pub winograd: bool,
}

/// A stage: blocks of one size of image.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its blocks.
    pub blocks: Vec<Block>,
}

/// A block, its definition written out.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its own name, if it has one.
    pub name: Option<String>,
    /// Its layers.
    pub layers: Vec<Layer>,
    /// Where it stands.
    pub span: Span,
}
