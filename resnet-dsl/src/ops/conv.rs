//! Convolution, with everything that is fused into it.

use resnet_plan::algorithm::Channels;
use resnet_plan::conv::blocks;
use resnet_plan::{Algorithm, Algorithms, BatchNorm, Precision, Split};

use crate::ir::param::{BiasParam, KernelParam, Param};
use crate::ops::window::image;
use crate::ops::{Activation, Attributes, Dims, Padding, ShapeError, Text, window, within};

/// A convolution: `activation((bias + sum(window * kernel)) * gate? + residual?)`. Its operands: the input; the gate, if it is `gated`, one
/// element for each channel of an image; the residual, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Output channels.
    pub filters: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// From one input of a window to the next, in pixels.
    pub dilation: [usize; 2],
    /// Groups of channels: each group of outputs is computed of its own group of inputs.
    pub groups: usize,
    /// Zeros around the input; numbers from shape inference on.
    pub padding: Padding,
    /// Kernel.
    pub weights: KernelParam,
    /// Bias, of `filters` elements.
    pub bias: Option<BiasParam>,
    /// The weights of each filter are loaded minus their mean, over the square root of their variance and this.
    pub standardized: Option<f64>,
    /// Whether the second operand is a gate.
    pub gated: bool,
    /// What becomes of the sums.
    pub activation: Activation,
    /// How it is computed: from the start where the spec says it, else from `select-algorithms` on.
    pub algorithms: Option<Algorithms>,
    /// What threads share out, from `assign-split` on.
    pub split: Option<Split>,
}

impl Conv2d {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the window is larger than the padded input, or an operand is missing, left over, or has another shape.
    pub fn infer(&mut self, x: Dims, others: &[Dims]) -> Result<Dims, ShapeError> {
        let channels = [x[3], self.filters];
        if self.groups == 0 || !channels.iter().all(|channels| channels.is_multiple_of(self.groups)) {
            let ([inputs, filters], groups) = (channels, self.groups);
            let message =
                format!("{inputs} channels and {filters} filters are not {groups} groups of one size");
            return Err(ShapeError::new(message).help("use a number of groups that divides both"));
        }
        if self.dilation.contains(&0) {
            return Err(ShapeError::new("a dilation is at least 1"));
        }
        norms_fit(&self.weights, channels)?;
        self.bias.as_ref().map_or(Ok(()), |bias| norms_fit(bias, channels))?;
        let (sides, [height, width]) = window::resolve(x, self.window(), self.stride, self.padding, false)?;
        self.padding = Padding::Sides(sides);
        let computes = |algorithms: Algorithms| {
            algorithms.each().into_iter().all(|algorithm| self.allows(algorithm, channels[0]))
        };
        if !self.algorithms.is_none_or(computes) {
            return Err(ShapeError::new(
                "Winograd's algorithm computes 3x3 windows of stride 1 (winograd4) or 2 (winograd2), fused those of multiples of 16 channels (with stride 2 to multiples of 32), that of rows windows of 3 or 4 times as many rows as their stride, Strassen's 1x1 windows of multiples of 32 channels; only winograd4 computes a dilation, and only it and winograd2 compute groups, those of 32 filters or more each",
            ));
        }
        let output = [x[0], height, width, self.filters];
        let residual = match (self.gated, others) {
            (false, []) => None,
            (false, [residual]) => Some(*residual),
            (true, [gate, rest @ ..]) if rest.len() < 2 => {
                if *gate != [x[0], 1, 1, self.filters] {
                    let message = format!("a gate of {} multiplies {}", image(*gate), image(output));
                    return Err(ShapeError::new(message));
                }
                rest.first().copied()
            }
            _ => {
                let message = format!("`conv2d` does not take {} operands", others.len() + 1);
                return Err(ShapeError::new(message));
            }
        };
        match residual {
            Some(other) if other != output => {
                Err(ShapeError::new(format!("a residual of {} is added to {}", image(other), image(output))))
            }
            _ => Ok(output),
        }
    }

    /// Its gate and its residual, of its operands.
    pub fn gate_and_residual<T: Copy>(&self, operands: &[T]) -> [Option<T>; 2] {
        let at = |index: usize| operands.get(index).copied();
        if self.gated { [at(1), at(2)] } else { [None, at(1)] }
    }

    /// Multiply-adds.
    pub fn macs(&self, x: Dims, output: Dims) -> u64 {
        (output.iter().product::<usize>() * self.kernel[0] * self.kernel[1] * x[3] / self.groups.max(1))
            as u64
    }

    /// Learned parameters.
    pub fn parameters(&self, x: Dims) -> u64 {
        let bias = if self.bias.is_some() { self.filters } else { 0 };
        let weights = self.kernel[0] * self.kernel[1] * x[3] / self.groups.max(1) * self.filters;
        (weights + bias) as u64 + self.activation.parameters(self.filters)
    }

    /// Height and width of what a window covers.
    pub fn window(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let steps = self.kernel[axis].saturating_sub(1).saturating_mul(self.dilation[axis]);
            steps.saturating_add(self.kernel[axis].min(1))
        })
    }

    /// Its channels, from so many inputs, in the blocks that they are computed in.
    pub fn channels(&self, inputs: usize, precision: Precision) -> Channels {
        let all = [inputs, self.filters];
        Channels { all, blocks: blocks(self.groups, all, precision) }
    }

    /// Whether an algorithm may compute it, in whatever precision: its window and dilation, its gate, and its groups, from so many inputs, in
    /// the blocks of f32, which are the narrowest.
    pub fn allows(&self, algorithm: Algorithm, inputs: usize) -> bool {
        let channels = self.channels(inputs, Precision::F32);
        algorithm == Algorithm::Direct
            || (self.dilation == [1, 1] || algorithm.dilates())
                && (!self.gated || self.groups == 1 && algorithm.gates())
                && algorithm.computes(self.kernel, self.stride, channels)
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        window::print(self.kernel, self.stride, self.padding, to);
        if self.dilation != [1, 1] {
            to.put("d", Text(self.dilation));
        }
        if self.groups != 1 {
            to.put("groups", self.groups);
        }
        to.put("filters", self.filters);
        if let Some(epsilon) = self.standardized {
            to.put("standardized", format_args!("{epsilon:e}"));
        }
        to.put("w", &self.weights);
        if let Some(bias) = &self.bias {
            to.put("b", bias);
        }
        to.flag("gated", self.gated);
        self.activation.print(to);
        if let Some(algorithms) = self.algorithms {
            to.put("algorithm", algorithms);
        }
        if let Some(split) = self.split {
            to.put("split", split);
        }
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        Ok(Conv2d {
            kernel: from.take::<Text<_>>("k")?.0,
            stride: from.take::<Text<_>>("s")?.0,
            dilation: from.take_optional::<Text<_>>("d")?.map_or([1, 1], |dilation| dilation.0),
            groups: from.take_optional("groups")?.unwrap_or(1),
            padding: from.take::<Text<_>>("p")?.0,
            filters: from.take_size("filters")?,
            weights: from.take("w")?,
            bias: from.take_optional("b")?,
            gated: from.take_flag("gated"),
            standardized: from.take_optional("standardized")?,
            activation: Activation::read(from)?,
            algorithms: from.take_optional("algorithm")?,
            split: from.take_optional("split")?,
        })
    }
}

/// Whether the norms that are folded into a weight are of channels that there are: inputs and outputs.
pub(super) fn norms_fit<T>(param: &Param<T>, [inputs, outputs]: [usize; 2]) -> Result<(), ShapeError> {
    let range = |norm: &Option<BatchNorm>| norm.as_ref().and_then(|norm| norm.channels);
    within(range(&param.input_norm), inputs)?;
    within(range(&param.batch_norm), outputs)
}
