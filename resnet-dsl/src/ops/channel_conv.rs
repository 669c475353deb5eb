//! A convolution along the channels of a pixel, with as many zeros on both sides as keep their number (Wang et al. 2020,
//! "ECA-Net: Efficient Channel Attention", section 3.3).

use resnet_plan::text::tensor_name;
use resnet_plan::{Action, ListKind, Role, Text as Name};

use crate::evaluate::weights::tensor;
use crate::evaluate::{Array, EvaluateError, Load};
use crate::ops::window::image;
use crate::ops::{Activation, Attributes, Dims, ShapeError};
use crate::plan::step::Planning;

/// `y[c] = sum over k of w[k] * x[c + k - kernel / 2]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelConv {
    /// Elements of the kernel, an odd number.
    pub kernel: usize,
    /// The tensor of the kernel.
    pub weights: Name,
}

impl ChannelConv {
    /// Shape of the result.
    ///
    /// # Errors
    /// If the input has more than one pixel, or the kernel an even number of elements.
    pub fn infer(&self, x: Dims) -> Result<Dims, ShapeError> {
        if self.kernel.is_multiple_of(2) {
            let message = format!("a convolution along channels has an odd kernel, not {}", self.kernel);
            return Err(ShapeError::new(message));
        }
        match x {
            [_, 1, 1, _] => Ok(x),
            _ => Err(ShapeError::new(format!(
                "a convolution along channels needs an input of one pixel, this one is {}",
                image(x)
            ))
            .help("put `average_pool: global` before it")),
        }
    }

    /// Multiply-adds.
    pub fn macs(&self, output: Dims) -> u64 {
        output.iter().product::<usize>() as u64 * self.kernel as u64
    }

    pub(crate) fn words(&self) -> String {
        format!("conv along channels, {}", self.kernel)
    }

    pub(crate) fn evaluate(&self, x: &Array, load: Load<'_>) -> Result<Array, EvaluateError> {
        let (dims, role) = self.tensor();
        let kernel = tensor(&self.weights, &dims, role, load)?;
        let mut y = x.clone();
        let half = kernel.len() / 2;
        for (y, x) in y.data.chunks_exact_mut(x.dims[3]).zip(x.data.chunks_exact(x.dims[3])) {
            for (channel, y) in y.iter_mut().enumerate() {
                let inputs = kernel
                    .iter()
                    .enumerate()
                    .filter_map(|(k, weight)| Some(weight * x.get((channel + k).checked_sub(half)?)?));
                *y = inputs.sum();
            }
        }
        Ok(y)
    }

    pub(crate) fn action(&self, planning: &mut Planning<'_>) -> Action {
        let (dims, role) = self.tensor();
        let kind = ListKind::Tensor { name: self.weights.clone(), dims: dims.into(), role };
        Action::ChannelConv { kernel: self.kernel, list: planning.list(kind, &Activation::NONE) }
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("k", self.kernel);
        to.put("w", format_args!("@{}", self.weights));
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        let weights = tensor_name(&from.take::<String>("w")?)?;
        Ok(ChannelConv { kernel: from.take_size("k")?, weights })
    }

    /// Sizes and role of its tensor.
    fn tensor(&self) -> (Vec<usize>, Role) {
        (vec![1, 1, self.kernel], Role::Kernel { fan_in: self.kernel, fan_out: self.kernel })
    }
}
