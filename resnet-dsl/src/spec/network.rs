//! The checked network: what a spec says, flattened to layers in the order of the text.
//!
//! This is all that the rest of the compiler sees of a spec. Stages, blocks, defaults, naming schemes and
//! overrides are resolved; shapes are not (that is the first pass over the IR), so `same` padding, ceil-mode
//! pooling and "the whole window" are still written as such.

pub use resnet_plan::{ChannelOrder, Preprocessing};

use crate::calibration::Calibration;
use crate::diag::Span;

/// A checked network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The spec's own name: `resnet50`.
    pub name: String,
    /// Batch, height, width and channels of the input (NHWC).
    pub input: [usize; 4],
    /// Where the input's size was given.
    pub input_span: Span,
    /// What the layers compute in.
    pub precision: Precision,
    /// Layers in an order in which every layer follows its inputs; the last one is the network's output.
    pub layers: Vec<Layer>,
    /// Whose formula weights the names allow.
    pub scheme: Scheme,
    /// Endings of tensor names that a weight file may hold and the network does not use (`num_batches_tracked`).
    pub ignored: Vec<String>,
    /// How a picture becomes an input.
    pub preprocessing: Preprocessing,
    /// How many classes there are, if that is known.
    pub classes: Option<usize>,
    /// Names of the classes, in the order of the output; empty where the spec names none.
    pub labels: Vec<String>,
}

/// What layers compute in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Weights and values in bf16.
    Bf16,
    /// Weights and values in 8-bit integers, by the scales of a table.
    Int8(Calibration),
}

impl Precision {
    /// Without the table.
    pub fn kind(&self) -> resnet_plan::Precision {
        match self {
            Precision::F32 => resnet_plan::Precision::F32,
            Precision::Bf16 => resnet_plan::Precision::Bf16,
            Precision::Int8(_) => resnet_plan::Precision::Int8,
        }
    }

    /// int8: the fingerprint of the weights that the scales were made with.
    pub fn calibrated(&self) -> Option<u64> {
        match self {
            Precision::F32 | Precision::Bf16 => None,
            Precision::Int8(table) => Some(table.weights),
        }
    }
}

/// One layer: an operator with a unique name.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The value's name, by its place in the spec: `res3a_branch2b`, `layer2.0.conv1`.
    pub name: String,
    /// What it reads, in operand order.
    pub inputs: Vec<Operand>,
    /// What it computes.
    pub kind: LayerKind,
    /// The residual block, or `stem`, or `head`, that it is part of: equal blocks share code.
    pub block: String,
    /// Where the spec asks for it; shape errors point here.
    pub span: Span,
}

/// A layer's operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The network's input.
    Input,
    /// The output of `layers[i]`.
    Layer(usize),
}

/// What a layer computes. Sizes are `[height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// Surrounds each image with zeros.
    ZeroPad(Sides),
    /// Cross-correlation, `filters` outputs.
    Conv {
        /// Output channels.
        filters: usize,
        /// Window.
        kernel: [usize; 2],
        /// Step.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: Padding,
        /// Where its weights are found.
        weights: Weights,
        /// Whether it may be computed by Winograd's algorithm.
        winograd: bool,
    },
    /// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, a channel at a time.
    BatchNorm {
        /// Added to the variance.
        epsilon: f64,
        /// Tensor names.
        gamma: String,
        /// Tensor names.
        beta: String,
        /// Tensor names.
        mean: String,
        /// Tensor names.
        variance: String,
    },
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// Sum of two equal shapes: the main branch first, the shortcut second.
    Add,
    /// Maximum of a window; padding never wins.
    MaxPool(Pool),
    /// Mean of a window.
    AveragePool {
        /// Window, stride, padding.
        pool: Pool,
        /// Whether padding counts as zeros in the mean (PyTorch's default) or not at all (TensorFlow's).
        count_padding: bool,
    },
    /// Mean of the whole image.
    GlobalAveragePool,
    /// Every `stride`-th pixel, with zero channels put before and behind (He et al. 2015, shortcut A).
    Subsample {
        /// Step.
        stride: [usize; 2],
        /// Zero channels in front.
        front: usize,
        /// Zero channels behind.
        back: usize,
    },
    /// `[N, H, W, C]` to `[N, 1, 1, H*W*C]`.
    Flatten,
    /// Fully connected, `units` outputs.
    Dense {
        /// Outputs.
        units: usize,
        /// Where its weights are found.
        weights: Weights,
    },
    /// Softmax over channels.
    Softmax,
}

/// The weights of a convolution or dense layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Tensor name of the kernel.
    pub kernel: String,
    /// Order of the kernel's elements in a weight file.
    pub layout: KernelLayout,
    /// Tensor name of the bias; `None`: without.
    pub bias: Option<String>,
}

/// Order of a kernel's elements in a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelLayout {
    /// `[height, width, input, output]`, dense `[input, output]`; flattened images are `(h, w, c)`: Keras.
    Hwio,
    /// `[output, input, height, width]`, dense `[output, input]`; flattened images are `(c, h, w)`: PyTorch.
    Oihw,
}

/// Padding as the spec says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// None.
    Valid,
    /// TensorFlow's: output size is `ceil(input / stride)`, the odd zero goes behind.
    Same,
    /// Numbers.
    Sides(Sides),
}

/// Pixels on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

/// A pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window.
    pub window: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Pixels around the input.
    pub padding: Padding,
    /// Round the output size up, as PyTorch's `ceil_mode` (a window must still start inside the input or its top or left padding).
    pub ceil: bool,
}

/// The naming scheme that the weights follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Keras layer names of the source document: `res2a_branch2a/kernel`.
    Document,
    /// torchvision's: `layer1.0.conv1.weight`.
    Torchvision,
    /// A pattern of the user's own; it has no formula weights.
    Custom,
}
