//! Fully connected layer. Before code is made it becomes a convolution as large as its input.

use crate::ir::param::{BiasParam, KernelParam};
use crate::ops::conv::norms_fit;
use crate::ops::window::image;
use crate::ops::{Activation, Attributes, Dims, ShapeError};

/// `bias + x . kernel`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Outputs.
    pub units: usize,
    /// Kernel.
    pub weights: KernelParam,
    /// Bias, of `units` elements.
    pub bias: Option<BiasParam>,
    /// What becomes of the sums.
    pub activation: Activation,
}

impl Dense {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the input is not flat, or a folded batch norm is of channels that there are not.
    pub fn infer(&self, x: Dims) -> Result<Dims, ShapeError> {
        norms_fit(&self.weights, [x[3], self.units])?;
        self.bias.as_ref().map_or(Ok(()), |bias| norms_fit(bias, [x[3], self.units]))?;
        match x {
            [n, 1, 1, _] => Ok([n, 1, 1, self.units]),
            _ => Err(ShapeError::new(format!("a dense layer needs a flat input, this one is {}", image(x)))
                .help("put `flatten` before it")),
        }
    }

    /// Multiply-adds.
    pub fn macs(&self, x: Dims) -> u64 {
        (x.iter().product::<usize>() * self.units) as u64
    }

    /// Learned parameters.
    pub fn parameters(&self, [_, _, _, inputs]: Dims) -> u64 {
        let bias = if self.bias.is_some() { self.units } else { 0 };
        (inputs * self.units + bias) as u64 + self.activation.parameters(self.units)
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("units", self.units);
        to.put("w", &self.weights);
        if let Some(bias) = &self.bias {
            to.put("b", bias);
        }
        self.activation.print(to);
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let (weights, bias): (KernelParam, Option<BiasParam>) = (from.take("w")?, from.take_optional("b")?);
        if weights.input_norm.is_some() || bias.as_ref().is_some_and(|bias| bias.input_norm.is_some()) {
            return Err("`dense` does not take a norm of its input, as the convolution does that it becomes"
                .to_owned());
        }
        Ok(Dense { units: from.take_size("units")?, weights, bias, activation: Activation::read(from)? })
    }
}
