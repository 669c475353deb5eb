//! A spec as it is written: settings resolved from the general to the special, layers and blocks not yet spelled out.

use resnet_plan::Preprocessing;

use crate::diag::Span;
use crate::ops::{AveragePool, Padding, Pool, Sides};
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
    /// Where the spec's own `stride_on` stands.
    pub stride_on_span: Option<Span>,
    /// `stages`
    pub stages: Vec<Stage>,
    /// `head`
    pub head: Vec<Layer>,
    /// `preprocessing`
    pub preprocessing: Preprocessing,
    /// `labels`
    pub labels: Vec<String>,
}

/// An entry of the stem or the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its own name, if it has one.
    pub name: Option<String>,
    /// What it is.
    pub kind: LayerKind,
    /// Where it stands.
    pub span: Span,
}

/// What stem and head are made of.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// `zero_pad`
    ZeroPad(Sides),
    /// `conv`
    Conv(Conv),
    /// `max_pool`
    MaxPool(Pool),
    /// `average_pool`
    AveragePool(AveragePool),
    /// `flatten`
    Flatten,
    /// `dense`
    Dense {
        /// `units`; `None`: the classes.
        units: Option<usize>,
        /// `bias`
        bias: bool,
    },
    /// `softmax`
    Softmax,
    /// Something that could not be understood; what follows it cannot be checked.
    Unclear,
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
    /// `padding`
    pub padding: Padding,
    /// `bias`
    pub bias: bool,
    /// `batch_norm`: its epsilon
    pub batch_norm: Option<f64>,
    /// `relu`
    pub relu: bool,
    /// `winograd`
    pub winograd: bool,
}

/// A stage: blocks of one size of image.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its blocks.
    pub blocks: Vec<Block>,
}

/// A residual block, all settings resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its own name, if it has one.
    pub name: Option<String>,
    /// Its settings.
    pub settings: Settings,
    /// Filters of its convolutions.
    pub filters: Vec<usize>,
    /// Stride; 1 for all but the first block of a stage.
    pub stride: [usize; 2],
    /// Whether something of it could not be understood; what follows it cannot be checked.
    pub unclear: bool,
    /// Where it stands.
    pub span: Span,
}

/// What a block inherits from its stage, and a stage from the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `block`
    pub kind: BlockKind,
    /// `kernel` of the convolutions that are not 1x1
    pub kernel: [usize; 2],
    /// `padding` of those; `None`: half the kernel
    pub padding: Option<Padding>,
    /// `stride_on`
    pub stride_on: StrideOn,
    /// Where that is written; `None`: nowhere.
    pub stride_on_span: Option<Span>,
    /// `shortcut`
    pub shortcut: Shortcut,
    /// `relu`
    pub relu: Relu,
    /// `bias`
    pub bias: bool,
    /// `batch_norm`: its epsilon
    pub batch_norm: Option<f64>,
    /// `winograd`
    pub winograd: bool,
}

/// The kinds of residual blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Two convolutions of the block's kernel.
    Basic,
    /// 1x1, the block's kernel, 1x1.
    Bottleneck,
}

/// Which convolution of a block has its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrideOn {
    /// The first: a bottleneck's 1x1 (the document, Keras, v1).
    First,
    /// A bottleneck's middle one (torchvision, v1.5). A basic block's first one.
    Middle,
}

/// The other side of a block's sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shortcut {
    /// The input where shapes agree, else a projection.
    Auto,
    /// The input.
    Identity,
    /// A 1x1 convolution.
    Projection {
        /// Epsilon of its batch norm; the outer option: as the block's others.
        batch_norm: Option<Option<f64>>,
    },
    /// Every n-th pixel and zero channels, where shapes differ; `None`: half of the channels in front.
    Subsample {
        /// Zero channels in front.
        front: Option<usize>,
        /// Zero channels behind.
        back: Option<usize>,
    },
}

/// Where a block's last ReLU stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relu {
    /// Behind the sum.
    AfterAdd,
    /// Behind the last convolution, before the sum.
    BeforeAdd,
    /// Nowhere.
    None,
}
