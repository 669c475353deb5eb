//! What a compiled network tells the runtime of itself: its constants, its weights, its forward function.

use std::cell::RefCell;

use crate::arena::Arena;
use crate::kernels::Algorithm;
use crate::numbers::{Element, Numbers, NumbersMut};
use crate::tensor::Shape;
use crate::threads::Threads;
use crate::weights::Weights;

/// A compiled network. The `resnet!` macro writes the only implementations.
pub trait Network: Clone + Send + Sync + 'static {
    /// What goes in: `[N, H, W, C]`.
    type Input: Shape<Element = f32>;
    /// What comes out.
    type Output: Shape<Element = f32>;
    /// Everything that is known when the network is compiled.
    const DESCRIPTION: Description;

    /// A network with these weights.
    fn from_weights(weights: Weights) -> Self;
    /// Its weights.
    fn weights(&self) -> &Weights;
    /// Computes the output, which lies in the arena.
    fn forward<'a>(context: &Context<'_>, input: &Self::Input, arena: &'a mut Arena) -> &'a Self::Output;
}

/// What layers run with.
pub struct Context<'a> {
    /// The packed weights, and the kernels they are packed for.
    pub weights: &'a Weights,
    /// The threads that share each layer.
    pub threads: &'a Threads,
    /// Who wants to know what the steps do.
    pub(crate) observer: Option<Observer<'a>>,
}

/// Who is told what each step has done.
pub(crate) type Observer<'a> = RefCell<&'a mut dyn FnMut(Observation<'_>)>;

/// What a step has done.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The tensor that it wrote into, halo included: `[N, H, W, C]`.
    pub dims: [usize; 4],
    /// What the tensor holds now.
    pub numbers: Numbers<'a>,
}

impl Context<'_> {
    /// Does one step of the plan.
    #[inline(always)]
    pub(crate) fn step<Y: Shape>(&self, y: &mut Y, step: impl FnOnce(NumbersMut<'_>)) {
        step(Y::Element::numbers_mut(y.as_mut_slice()));
        if let Some(observer) = &self.observer {
            let numbers = Y::Element::numbers(y.as_slice());
            observer.borrow_mut()(Observation { dims: Y::DIMS, numbers });
        }
    }
}

/// Everything that is known of a network when it is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The spec's name.
    pub name: &'static str,
    /// What the layers compute in.
    pub precision: Precision,
    /// int8: the fingerprint of the weights that the scales were made with.
    pub calibrated: Option<u64>,
    /// The layers that have weights, in the order of use.
    pub layers: &'static [LayerWeights],
    /// Endings of tensor names that a weight file may hold though the network does not use them.
    pub ignored: &'static [&'static str],
    /// The naming scheme of the weights.
    pub scheme: Scheme,
    /// Size of the whole activation arena in bytes.
    pub peak_bytes: usize,
    /// Working memory of each thread in bytes, beside the arena.
    pub scratch_bytes: usize,
    /// Learnable parameters.
    pub parameters: usize,
    /// Multiply-adds of one run, the whole batch.
    pub macs: u64,
    /// Size of the weights in bytes, batch norms folded, without padding.
    pub weight_bytes: usize,
    /// Whether the output is the softmax's, so that it sums to one.
    pub probabilities: bool,
    /// How a picture becomes an input.
    pub preprocessing: Preprocessing,
    /// Names of the classes, in the order of the output; may be empty.
    pub labels: &'static [&'static str],
}

/// What the layers of a network compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// Weights and values in bf16, sums in f32.
    Bf16,
    /// Weights and values in 8-bit integers, by calibrated scales; sums in 32-bit integers.
    Int8,
}

impl Precision {
    /// Numbers in a word of four bytes.
    pub(crate) fn per_word(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 => 2,
            Precision::Int8 => 4,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        })
    }
}

/// The weights of one convolution; a dense layer is a convolution with a window as large as its input.
#[derive(Clone, Copy, Debug)]
pub struct LayerWeights {
    /// The layer's name in the spec.
    pub name: &'static str,
    /// Height, width, inputs, outputs.
    pub shape: [usize; 4],
    /// How the convolution is computed, which its weights are packed for.
    pub algorithm: Algorithm,
    /// The kernel.
    pub kernel: Kernel,
    /// int8: the scales of input and output.
    pub scales: Option<Scales>,
    /// Tensor name of the bias.
    pub bias: Option<&'static str>,
    /// The batch norm that is folded into kernel and bias.
    pub batch_norm: Option<BatchNorm>,
}

/// What a layer's int8 are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// A step of the input.
    pub input: f32,
    /// Whether the input's numbers are signed.
    pub signed: bool,
    /// A step of the output; 1 if that is f32.
    pub output: f32,
}

/// A kernel in a weight file.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Tensor name.
    pub name: &'static str,
    /// The tensor's sizes in the file: `[H, W, I, O]` or `[O, I, H, W]`, two for a dense layer.
    pub dims: &'static [usize],
    /// Order of the elements.
    pub layout: KernelLayout,
}

/// Order of a kernel's elements in a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelLayout {
    /// `[height, width, input, output]`: Keras.
    Hwio,
    /// `[output, input, height, width]`: PyTorch.
    Oihw,
}

/// A batch norm in a weight file, and its constant.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// Tensor name of the scale.
    pub gamma: &'static str,
    /// Tensor name of the offset.
    pub beta: &'static str,
    /// Tensor name of the running mean.
    pub mean: &'static str,
    /// Tensor name of the running variance.
    pub variance: &'static str,
    /// Added to the variance.
    pub epsilon: f64,
}

/// The naming scheme of a network's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Keras layer names: `res2a_branch2a/kernel`.
    Document,
    /// torchvision's: `layer1.0.conv1.weight`.
    Torchvision,
    /// The user's own.
    Custom,
}

/// How a picture becomes an input.
#[derive(Clone, Copy, Debug)]
pub struct Preprocessing {
    /// Resize the shorter side to this many pixels first.
    pub resize: Option<usize>,
    /// Cut the middle out of the resized picture; otherwise it is resized to the input's size, aspect lost.
    pub crop: bool,
    /// Order of the channels.
    pub channels: ChannelOrder,
    /// Multiplied with each byte before mean and deviation.
    pub scale: f32,
    /// Subtracted, a channel.
    pub mean: &'static [f32],
    /// Divided by, a channel.
    pub std: &'static [f32],
}

/// Order of a picture's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of brightness.
    Gray,
}
