//! What a spec says beside the layers: precision, names of weights, preprocessing, labels.

use crate::calibration::Calibration;

/// What a spec says that is no part of the computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Naming scheme of the weights.
    pub scheme: Scheme,
    /// Endings of tensor names that a weight file may hold and the network does not use (`num_batches_tracked`).
    pub ignored: Vec<String>,
    /// How an image becomes an input.
    pub preprocessing: Preprocessing,
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
    /// `f32`, `bf16` or `int8`.
    pub fn name(&self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8(_) => "int8",
        }
    }
}

/// Order of a kernel's elements in a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelLayout {
    /// `[height, width, input, output]`, dense `[input, output]`; flattened images are `(h, w, c)`: Keras.
    Hwio,
    /// `[output, input, height, width]`, dense `[output, input]`; flattened images are `(c, h, w)`: PyTorch.
    Oihw,
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

/// How an image becomes an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// Resize the shorter side to this many pixels first; `None`: resize straight to the input's size.
    pub resize: Option<usize>,
    /// Whether the middle of the resized image is cut out; if not, it is resized to the input's size, aspect lost.
    pub crop: bool,
    /// Order of the channels.
    pub channels: ChannelOrder,
    /// Multiplied with each byte before mean and deviation.
    pub scale: f32,
    /// Subtracted, a channel.
    pub mean: Vec<f32>,
    /// Divided by, a channel.
    pub std: Vec<f32>,
}

/// Order of an image's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (Caffe, Keras' ResNet50).
    Bgr,
    /// One channel of brightness.
    Gray,
}

impl ChannelOrder {
    /// `rgb`, `bgr` or `gray`.
    pub fn name(self) -> &'static str {
        match self {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
            ChannelOrder::Gray => "gray",
        }
    }
}
