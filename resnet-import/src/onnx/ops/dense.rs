//! Dense layers: `Gemm` and `MatMul`.

use resnet_dsl::ir::Op;
use resnet_dsl::ir::param::Param;
use resnet_dsl::ops::{Activation, Dense};
use resnet_plan::{Kernel, KernelLayout};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::constant;
use crate::onnx::elements;
use crate::onnx::graph::Builder;
use crate::onnx::ops::conv::own_name;
use crate::onnx::proto::Node;
use crate::onnx::value::{Axis, Image, Order, Value};
use crate::onnx::{malformed, unsupported};

/// `Gemm`: `alpha * x . kernel + beta * bias`.
pub(super) fn gemm(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    if node.int("transA").unwrap_or(0) != 0 {
        return Err(unsupported("transposes its first input, which has no counterpart"));
    }
    let image = builder.image(node, 0)?;
    let kernel = builder.constant(node, 1)?.ok_or_else(|| malformed("has no kernel"))?;
    let scaled = |tensor: Tensor, by: &str| match node.float(by).unwrap_or(1.0) {
        1.0 => tensor,
        by => {
            let len = Tensor::len(&tensor.dims).unwrap_or(0);
            let numbers = (0..len).map(|index| elements::get(&tensor, index) * by);
            let scaled = elements::collect(tensor.dims.clone(), tensor.element, numbers);
            Tensor { name: tensor.name, ..scaled }
        }
    };
    if node.float("alpha").unwrap_or(1.0) != 1.0 {
        builder.spend(kernel.bytes.len())?;
    }
    let bias = builder.constant(node, 2)?.map(|bias| scaled(bias, "beta"));
    let transposed = node.int("transB").unwrap_or(0) != 0;
    dense(builder, node, image, scaled(kernel, "alpha"), transposed, bias)
}

/// `MatMul` with a constant.
pub(super) fn mat_mul(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    let image = builder.image(node, 0)?;
    let kernel = builder.constant(node, 1)?.ok_or_else(|| malformed("has no kernel"))?;
    dense(builder, node, image, kernel, false, None)
}

fn dense(
    builder: &mut Builder<'_>,
    node: &Node,
    image: Image,
    kernel: Tensor,
    transposed: bool,
    bias: Option<Tensor>,
) -> Result<Value, Error> {
    let [_, height, width, channels] = image.dims;
    let is_row = image.axes.last() == Some(&Axis::Channel) || channels == 1;
    if [height, width] != [1, 1] || !is_row {
        return Err(unsupported(format!(
            "multiplies an image of {height}x{width}x{channels} with a matrix, which is known of flat values only"
        )));
    }
    let [rows, columns] = kernel.dims[..] else {
        return Err(unsupported(format!(
            "multiplies with a constant of the sizes {:?}, not a matrix",
            kernel.dims
        )));
    };
    let [inputs, units] = if transposed { [columns, rows] } else { [rows, columns] };
    if inputs != channels {
        return Err(malformed(format!("has a kernel of {inputs} inputs for a value of {channels}")));
    }
    // The language knows input-major kernels of images with channels last only.
    let (kernel, layout) = match (transposed, image.flat) {
        (true, None | Some(Order::ChannelsFirst)) => (kernel, KernelLayout::Oi),
        (true, Some(Order::ChannelsLast)) => (kernel, KernelLayout::OiHwc),
        (false, None | Some(Order::ChannelsLast)) => (kernel, KernelLayout::Io),
        (false, Some(Order::ChannelsFirst)) => {
            builder.spend(kernel.bytes.len())?;
            (constant::transpose(&kernel, None)?, KernelLayout::Oi)
        }
    };
    let name = own_name(node);
    let weights = Kernel { name: builder.tensor(&kernel, &kernel.dims, &format!("{name}.weight"))?, layout };
    let bias = match bias {
        None => None,
        Some(bias) if Tensor::len(&bias.dims) == Some(1) && units != 1 => {
            Some(builder.numbers(&vec![elements::get(&bias, 0); units], &format!("{name}.bias"))?)
        }
        Some(bias) => Some(builder.tensor(&bias, &[units], &format!("{name}.bias"))?),
    };
    let dense = Dense {
        units,
        weights: Param::load(weights),
        bias: bias.map(|bias| Param::load(Some(bias))),
        activation: Activation::NONE,
    };
    let plain = Image { flat: None, ..image };
    builder.unary(node, Op::Dense(dense), &plain)
}
