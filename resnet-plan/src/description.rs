//! What is known of a network beside its steps: weights, sizes, preprocessing, labels.
//!
//! Text and lists are borrowed (a compiled network's, in the program) or owned (a plan's that was just made).

use std::borrow::Cow;

use crate::algorithm::{Algorithm, Channels, PRODUCTS};
use crate::constant::constant;
use crate::element::{Element, Precision};
use crate::list::ListWeights;
use crate::pixels::{Fault, plus, times};
use crate::preprocessing::Preprocessing;
use crate::winograd::Tile;

/// Text that is part of the program or made at run time.
pub type Text = Cow<'static, str>;

/// Everything that is known of a network when it is compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The spec's name.
    pub name: Text,
    /// What the layers compute in.
    pub precision: Precision,
    /// int8: the fingerprint of the weights that the scales were made with.
    pub calibrated: Option<u64>,
    /// The layers that have weights, in the order of first use.
    pub layers: Cow<'static, [LayerWeights]>,
    /// The weights of other steps, in the order of use.
    pub lists: Cow<'static, [ListWeights]>,
    /// Endings of tensor names that a weight file may hold though the network does not use them.
    pub ignored: Cow<'static, [Text]>,
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
    /// What the output is.
    pub ending: Ending,
    /// How an image becomes an input.
    pub preprocessing: Preprocessing,
    /// Names of the classes, in the order of the output; may be empty.
    pub labels: Cow<'static, [Text]>,
}

/// What a network's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Features: nothing is known of what they stand for.
    Features,
    /// A logit for each class, of which a softmax makes probabilities.
    Logits,
    /// A probability for each class.
    Probabilities,
}

/// The weights of one convolution, or of one with a gate and the one that the gate is made by; a dense layer is a convolution with a window as large as its input.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// The layer's name in the spec.
    pub name: Text,
    /// Height, width, inputs, outputs.
    pub shape: [usize; 4],
    /// Groups of channels: the outputs of each depend on as large a part of the inputs, and only for those there are weights in a file.
    pub groups: usize,
    /// Blocks of neighbouring groups, as the convolution computes them: see [`blocks`](crate::conv::blocks).
    pub blocks: usize,
    /// What its weights are packed for: see [`Algorithms::packing`](crate::Algorithms::packing).
    pub algorithm: Algorithm,
    /// What it reads and writes.
    pub elements: [Element; 2],
    /// The batch norm of the input that is folded into kernel and bias: there is no padding between it and the layer.
    pub input_norm: Option<BatchNorm>,
    /// The kernel.
    pub kernel: Kernel,
    /// What is added to the variance of each output's weights, if these are standardized: less their mean, over the root of that sum.
    pub standardized: Option<f64>,
    /// Tensor name of the bias.
    pub bias: Option<Text>,
    /// The batch norm of the sums that is folded into kernel and bias.
    pub batch_norm: Option<BatchNorm>,
    /// The slopes of [`Activation::Prelu`](crate::Activation::Prelu), where that follows.
    pub slope: Option<Slope>,
}

/// A kernel in a weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Tensor name.
    pub name: Text,
    /// Order of its elements there.
    pub layout: KernelLayout,
}

/// Order of a kernel's elements in a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelLayout {
    /// Convolution, Keras: `[height, width, input, output]`.
    Hwio,
    /// Convolution, PyTorch: `[output, input, height, width]`.
    Oihw,
    /// Convolution, TensorFlow Lite and MLX: `[output, height, width, input]`.
    Ohwi,
    /// Dense, Keras: `[input, output]`, inputs in the order height, width, channel.
    Io,
    /// Dense, PyTorch: `[output, input]`, inputs in the order channel, height, width.
    Oi,
    /// Dense, TensorFlow Lite and MLX: `[output, input]`, inputs in the order height, width, channel.
    OiHwc,
}

/// A batch norm in a weight file, and its constant.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Tensor name of the scale.
    pub gamma: Text,
    /// Tensor name of the offset.
    pub beta: Text,
    /// Tensor name of the running mean.
    pub mean: Text,
    /// Tensor name of the running variance.
    pub variance: Text,
    /// Added to the variance.
    pub epsilon: f64,
    /// The first channel that is normalized and the end: the others are left as they are, and tensors have an element for each of
    /// these. `None`: all.
    pub channels: Option<[usize; 2]>,
}

/// The slopes of a PReLU in a weight file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slope {
    /// Tensor name.
    pub name: Text,
    /// Whether there is one for all channels, not one for each.
    pub single: bool,
}

constant!(
    enum Ending {
        Features,
        Logits,
        Probabilities,
    }
);
constant!(struct LayerWeights {
    name, shape, groups, blocks, algorithm, elements, input_norm, kernel, standardized, bias, batch_norm, slope,
});
constant!(struct Kernel { name, layout });
constant!(
    enum KernelLayout {
        Hwio,
        Oihw,
        Io,
        Ohwi,
        Oi,
        OiHwc,
    }
);
constant!(struct BatchNorm { gamma, beta, mean, variance, epsilon, channels });
constant!(struct Slope { name, single });
constant!(enum Role {
    Kernel { fan_in, fan_out },
    Bias,
    Gamma,
    Beta,
    Mean,
    Variance { epsilon },
    Slope,
    Exponent,
});

impl BatchNorm {
    /// Channels that are normalized, of so many.
    pub fn normalized(&self, channels: usize) -> usize {
        self.channels.map_or(channels, |[first, end]| end.saturating_sub(first))
    }
}

impl Slope {
    /// Elements of the tensor, for so many channels.
    pub fn len(&self, channels: usize) -> usize {
        if self.single { 1 } else { channels }
    }
}

/// A tensor of a weight file.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its sizes.
    pub dims: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// What a tensor of a weight file is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// The kernel of a convolution or dense layer.
    Kernel {
        /// Elements that go into one of the output: the window's size times the input channels of a group.
        fan_in: usize,
        /// The window's size times the output channels of a group.
        fan_out: usize,
    },
    /// The bias of a convolution or dense layer.
    Bias,
    /// A batch norm's scale.
    Gamma,
    /// A batch norm's offset.
    Beta,
    /// A batch norm's running mean.
    Mean,
    /// A batch norm's running variance.
    Variance {
        /// What is added to it.
        epsilon: f64,
    },
    /// The slopes of a PReLU.
    Slope,
    /// The exponent of a generalized mean.
    Exponent,
}

impl Description {
    /// Every tensor that a weight file must hold: those of layers in the order of use, then those of lists.
    pub fn tensors(&self) -> impl Iterator<Item = WeightTensor<'_>> {
        let lists = self.lists.iter().flat_map(ListWeights::tensors);
        self.layers.iter().flat_map(LayerWeights::tensors).chain(lists)
    }

    /// What is wrong with its layers and lists: see [`LayerWeights::check`] and [`ListWeights::check`]. Weights are loaded only where that is nothing.
    pub fn faults(&self) -> Vec<String> {
        let fault = |layer: &LayerWeights| {
            let fault = layer.check(self.precision).err()?;
            Some(format!("layer {} {:?} is wrong: {fault}", layer.name, layer.shape))
        };
        let list_fault = |list: &ListWeights| {
            let fault = list.check().err()?;
            Some(format!("weights of {} ({} channels) are wrong: {fault}", list.name, list.channels))
        };
        self.layers.iter().filter_map(fault).chain(self.lists.iter().filter_map(list_fault)).collect()
    }
}

impl WeightTensor<'_> {
    /// Its elements, or [`usize::MAX`].
    pub fn len(&self) -> usize {
        len(&self.dims)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Elements of a tensor of these sizes, or [`usize::MAX`].
fn len(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |len, size| times(len, *size))
}

impl LayerWeights {
    /// Whether both are loaded and packed alike: all but their names are equal.
    pub fn is_same(&self, other: &LayerWeights) -> bool {
        self.kernel == other.kernel && LayerWeights { name: self.name.clone(), ..other.clone() } == *self
    }

    /// The tensors that a weight file has for it: kernel, bias, the input's norm, the sums' norm (gamma, beta, mean, variance), slopes.
    pub fn tensors(&self) -> Vec<WeightTensor<'_>> {
        let [.., outputs] = self.shape;
        let mut tensors = vec![self.kernel.tensor(self.group_shape(), self.groups)];
        let mut add = |name, len, role| tensors.push(WeightTensor { name, dims: vec![len], role });
        if let Some(bias) = &self.bias {
            add(bias, outputs, Role::Bias);
        }
        for (norm, channels) in self.norms() {
            let normalized = norm.normalized(channels);
            add(&norm.gamma, normalized, Role::Gamma);
            add(&norm.beta, normalized, Role::Beta);
            add(&norm.mean, normalized, Role::Mean);
            add(&norm.variance, normalized, Role::Variance { epsilon: norm.epsilon });
        }
        if let Some(slope) = &self.slope {
            add(&slope.name, slope.len(outputs), Role::Slope);
        }
        tensors
    }

    /// The batch norms that are folded into it, that of the input first, and of how many channels they are.
    fn norms(&self) -> impl Iterator<Item = (&BatchNorm, usize)> {
        let [_, _, inputs, outputs] = self.shape;
        let input_norm = self.input_norm.iter().map(move |norm| (norm, inputs));
        input_norm.chain(self.batch_norm.iter().map(move |norm| (norm, outputs)))
    }

    /// Height, width, inputs of a group, and outputs of all: the shape of the kernel in a weight file.
    pub fn group_shape(&self) -> [usize; 4] {
        let [height, width, inputs, outputs] = self.shape;
        [height, width, inputs / self.groups.max(1), outputs]
    }

    /// Learnable parameters: kernel, bias, batch norms' scales and offsets, slopes; or [`usize::MAX`].
    pub fn parameters(&self) -> usize {
        let outputs = self.shape[3];
        let bias = if self.bias.is_some() { outputs } else { 0 };
        let norms = self.norms().map(|(norm, channels)| times(2, norm.normalized(channels))).fold(0, plus);
        let slopes = self.slope.as_ref().map_or(0, |slope| slope.len(outputs));
        plus(plus(len(&self.group_shape()), bias), plus(norms, slopes))
    }

    /// Size in bytes, batch norms folded, without padding; or [`usize::MAX`].
    pub fn bytes(&self) -> usize {
        let bias = usize::from(self.bias.is_some() || self.norms().next().is_some());
        let lists = bias + usize::from(self.slope.is_some());
        plus(
            times(len(&self.group_shape()), self.elements[0].bytes()),
            times(lists * size_of::<f32>(), self.shape[3]),
        )
    }

    /// Whether weights of this shape can be packed for its algorithm, in a network of this precision.
    ///
    /// # Errors
    /// If there are none or too many, or the layer computes in something else, or the algorithm not with such kernels; if groups, blocks or
    /// a batch norm are not of its channels.
    pub fn check(&self, precision: Precision) -> Result<(), Fault> {
        let [height, width, inputs, outputs] = self.shape;
        let len = len(&self.shape);
        if len == 0 || len > isize::MAX as usize / size_of::<f64>() {
            return Err(Fault::new("there are no weights, or more than any memory holds"));
        }
        let LayerWeights { groups, blocks, .. } = *self;
        let divide = |parts: usize, whole: usize| parts > 0 && whole.is_multiple_of(parts);
        if !divide(groups, inputs) || !divide(groups, outputs) || !divide(blocks, groups) {
            return Err(Fault::new("groups do not divide the channels, or blocks not the groups"));
        }
        let whole_words = (inputs / blocks).is_multiple_of(precision.per_word());
        if blocks > 1 && !whole_words {
            return Err(Fault::new("blocks are not whole words"));
        }
        let within = |(norm, channels): (&BatchNorm, usize)| {
            norm.channels.is_none_or(|[first, end]| first < end && end <= channels)
        };
        if !self.norms().all(within) {
            return Err(Fault::new("a batch norm is not of channels that there are"));
        }
        if self.elements[0].precision() != precision {
            return Err(Fault::new("it reads elements of another precision than the network's"));
        }
        let channels = Channels { all: [inputs, outputs], blocks };
        let computes = |stride| self.algorithm.computes([height, width], [stride; 2], channels);
        let computes = match self.algorithm {
            Algorithm::Direct => true,
            // The stride is a step's, and does not matter to packing.
            Algorithm::WinogradRows { .. } => blocks == 1,
            Algorithm::Winograd { output, .. } => computes(if output == Tile::Four.output() { 1 } else { 2 }),
            Algorithm::Strassen { .. } => computes(1),
        };
        if !computes || self.algorithm != Algorithm::Direct && precision != Precision::F32 {
            return Err(Fault::new("the algorithm does not compute with such a kernel"));
        }
        Ok(())
    }

    /// The packed kernel of a block: its rows, in words of four bytes (or [`usize::MAX`]), and the channels of a row.
    pub fn packed_shape(&self) -> [usize; 2] {
        let [height, width, inputs, outputs] = self.shape;
        let [inputs, outputs] = [inputs, outputs].map(|channels| channels / self.blocks.max(1));
        let depth = times(inputs.div_ceil(self.elements[0].per_word()), times(height, width));
        match self.algorithm {
            Algorithm::Direct | Algorithm::Winograd { .. } | Algorithm::WinogradRows { .. } => {
                [depth, outputs]
            }
            Algorithm::Strassen { .. } => [times(PRODUCTS, depth / 2), outputs / 2],
        }
    }
}

impl Kernel {
    /// Its tensor, for a layer of this height, width, inputs of a group and outputs of all groups.
    pub fn tensor(&self, shape: [usize; 4], groups: usize) -> WeightTensor<'_> {
        let [height, width, inputs, outputs] = shape;
        let window = times(height, width);
        let role =
            Role::Kernel { fan_in: times(window, inputs), fan_out: times(window, outputs / groups.max(1)) };
        WeightTensor { name: &self.name, dims: self.layout.dims(shape), role }
    }
}

impl KernelLayout {
    /// The same framework's layout of dense layers.
    pub const fn dense(self) -> Self {
        match self {
            KernelLayout::Hwio | KernelLayout::Io => KernelLayout::Io,
            KernelLayout::Oihw | KernelLayout::Oi => KernelLayout::Oi,
            KernelLayout::Ohwi | KernelLayout::OiHwc => KernelLayout::OiHwc,
        }
    }

    /// Sizes of a kernel in a weight file, for a layer of this height, width, inputs and outputs.
    pub fn dims(self, [height, width, inputs, outputs]: [usize; 4]) -> Vec<usize> {
        match self {
            KernelLayout::Hwio => vec![height, width, inputs, outputs],
            KernelLayout::Oihw => vec![outputs, inputs, height, width],
            KernelLayout::Ohwi => vec![outputs, height, width, inputs],
            KernelLayout::Io => vec![len(&[height, width, inputs]), outputs],
            KernelLayout::Oi | KernelLayout::OiHwc => vec![outputs, len(&[height, width, inputs])],
        }
    }

    /// How far apart neighbours are in the file: outputs, inputs, positions in the window.
    pub fn strides(self, [height, width, inputs, outputs]: [usize; 4]) -> [usize; 3] {
        let window = times(height, width);
        match self {
            KernelLayout::Hwio | KernelLayout::Io => [1, outputs, times(inputs, outputs)],
            KernelLayout::Oihw | KernelLayout::Oi => [times(inputs, window), window, 1],
            KernelLayout::Ohwi | KernelLayout::OiHwc => [times(inputs, window), 1, inputs],
        }
    }
}
