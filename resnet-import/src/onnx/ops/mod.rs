//! What the operators of ONNX become.

mod activation;
mod arithmetic;
mod conv;
mod dense;
mod norm;
mod parts;
mod pixels;
mod pool;
mod shape;

pub(super) use norm::standardized;
pub(super) use parts::split;

use crate::error::Error;
use crate::onnx::graph::Builder;
use crate::onnx::proto::{Node, is_standard};
use crate::onnx::unsupported;
use crate::onnx::value::Value;

/// The value that a node gives, some of whose inputs depend on the network's.
pub(super) fn convert(builder: &mut Builder<'_>, node: &Node) -> Result<Value, Error> {
    if !is_standard(&node.domain) {
        return Err(unsupported(format!(
            "is of the domain `{}`, which is not ONNX's own: export the model without it, or before it is optimized for an engine",
            node.domain
        )));
    }
    match node.op.as_str() {
        "Conv" => conv::conv(builder, node),
        "Gemm" => dense::gemm(builder, node),
        "MatMul" => dense::mat_mul(builder, node),
        "BatchNormalization" => norm::batch(builder, node),
        "InstanceNormalization" => norm::instance(builder, node),
        "GroupNormalization" => norm::group(builder, node),
        "ReduceL2" => norm::l2(builder, node),
        "LpNormalization" => norm::lp(builder, node),
        "Relu" | "LeakyRelu" | "PRelu" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Swish" => {
            activation::plain(builder, node)
        }
        "Clip" => activation::clip(builder, node),
        "Softmax" => activation::softmax(builder, node),
        "Add" => arithmetic::add(builder, node),
        "Sub" => arithmetic::sub(builder, node),
        "Mul" => arithmetic::mul(builder, node),
        "Div" => arithmetic::div(builder, node),
        "Neg" => arithmetic::neg(builder, node),
        "Max" => arithmetic::max(builder, node),
        "MaxPool" => pool::max(builder, node),
        "AveragePool" => pool::average(builder, node),
        "GlobalAveragePool" => pool::global_average(builder, node),
        "GlobalMaxPool" => pool::global_max(builder, node),
        "ReduceMean" => pool::reduce_mean(builder, node),
        "Identity" | "Dropout" => shape::identity(builder, node),
        "Concat" => parts::concat(builder, node),
        "Cast" => shape::cast(builder, node),
        "Shape" => shape::shape(builder, node),
        "Flatten" => shape::flatten(builder, node),
        "Reshape" => shape::reshape(builder, node),
        "Squeeze" => shape::squeeze(builder, node),
        "Unsqueeze" => shape::unsqueeze(builder, node),
        "Transpose" => shape::transpose(builder, node),
        "Expand" => shape::expand(builder, node),
        "Pad" => pixels::pad(builder, node),
        "Slice" => pixels::slice(builder, node),
        "Resize" | "Upsample" => pixels::resize(builder, node),
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => Err(unsupported(
            "belongs to a quantized model: import the model of floats that it was made of; `precision: int8` quantizes that here",
        )),
        _ if node.has_graph() => {
            Err(unsupported("has a graph of its own: a network here computes the same for every image"))
        }
        _ => {
            Err(unsupported("has no counterpart in the language; docs/spec-language.md lists what there is"))
        }
    }
}
