//! Convolution, with everything that is fused into it.

use resnet_plan::{Algorithms, Split};

use crate::ir::param::{BiasParam, KernelParam};
use crate::ops::window::image;
use crate::ops::{Attributes, Dims, Padding, ShapeError, Text, window};

/// A convolution: `relu?(bias + sum(window * kernel) + residual?)`. The residual is its second operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Output channels.
    pub filters: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Zeros around the input; numbers from shape inference on.
    pub padding: Padding,
    /// Kernel.
    pub weights: KernelParam,
    /// Bias, of `filters` elements.
    pub bias: Option<BiasParam>,
    /// Whether negative sums become zero.
    pub relu: bool,
    /// How it is computed: from the start where the spec says it, else from `select-algorithms` on.
    pub algorithms: Option<Algorithms>,
    /// What threads share out, from `assign-split` on.
    pub split: Option<Split>,
}

impl Conv2d {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the window is larger than the padded input, or the residual has another shape.
    pub fn infer(&mut self, x: Dims, residual: Option<Dims>) -> Result<Dims, ShapeError> {
        let (sides, [height, width]) = window::resolve(x, self.kernel, self.stride, self.padding, false)?;
        self.padding = Padding::Sides(sides);
        let channels = [x[3], self.filters];
        let computes = |algorithms: Algorithms| {
            algorithms
                .each()
                .into_iter()
                .all(|algorithm| algorithm.computes(self.kernel, self.stride, channels))
        };
        if !self.algorithms.is_none_or(computes) {
            return Err(ShapeError::new(
                "Winograd's algorithm computes 3x3 windows of stride 1 (winograd4) or 2 (winograd2), fused those of multiples of 16 channels (with stride 2 to multiples of 32), that of rows windows of 3 or 4 times as many rows as their stride, Strassen's 1x1 windows of multiples of 32 channels",
            ));
        }
        let output = [x[0], height, width, self.filters];
        match residual {
            Some(other) if other != output => {
                Err(ShapeError::new(format!("a residual of {} is added to {}", image(other), image(output))))
            }
            _ => Ok(output),
        }
    }

    /// Multiply-adds.
    pub fn macs(&self, x: Dims, output: Dims) -> u64 {
        (output.iter().product::<usize>() * self.kernel[0] * self.kernel[1] * x[3]) as u64
    }

    /// Learned parameters.
    pub fn parameters(&self, x: Dims) -> u64 {
        let bias = if self.bias.is_some() { self.filters } else { 0 };
        (self.kernel[0] * self.kernel[1] * x[3] * self.filters + bias) as u64
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        window::print(self.kernel, self.stride, self.padding, to);
        to.put("filters", self.filters);
        to.put("w", &self.weights);
        if let Some(bias) = &self.bias {
            to.put("b", bias);
        }
        to.flag("relu", self.relu);
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
            padding: from.take::<Text<_>>("p")?.0,
            filters: from.take_size("filters")?,
            weights: from.take("w")?,
            bias: from.take_optional("b")?,
            relu: from.take_flag("relu"),
            algorithms: from.take_optional("algorithm")?,
            split: from.take_optional("split")?,
        })
    }
}
