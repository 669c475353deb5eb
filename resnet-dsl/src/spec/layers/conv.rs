//! Convolutions and dense layers.

use resnet_plan::Activation as Function;

use crate::diag::{Diagnostic, Diagnostics};
use crate::ops::{ChannelConv, Op, Padding, Sides};
use crate::spec::ast::{Activation, Conv, LayerKind};
use crate::spec::fields::{self, Fields, choice, flag, pair, size};
use crate::spec::layers::{Context, LayerType, activation, kind};
use crate::spec::names;
use crate::spec::settings::{batch_norm, epsilon, switch};
use crate::spec::tree::{Kind, Node};

pub(super) const KINDS: &[LayerType] = &[
    kind("conv", "a convolution", None, conv),
    kind("channel_conv", "a convolution along channels", Some("kernel"), channel_conv),
    kind("dense", "a dense layer", Some("units"), dense),
];

fn conv(fields: &mut Fields<'_>, context: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let defaults = context.defaults;
    let filters = fields.required("filters", errors).and_then(|node| size(node, errors));
    let kernel = fields.required("kernel", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    let dilation = fields.read("dilation", errors, pair).unwrap_or([1, 1]);
    let groups = fields.read("groups", errors, size).unwrap_or(1);
    let standardized = fields.read("standardized", errors, standardized).flatten();
    let padding = fields.read("padding", errors, |node, errors| padding(node, kernel?, dilation, errors));
    let bias = fields.read("bias", errors, flag).unwrap_or(defaults.bias);
    let batch_norm = fields.read("batch_norm", errors, batch_norm).unwrap_or(defaults.batch_norm);
    let norm = fields.read("norm", errors, names::of_layer);
    let relu = fields.read("relu", errors, flag);
    let (relu_node, own) = (relu.is_some(), fields.read("activation", errors, activation));
    if relu_node && own.is_some() {
        let message = "a convolution has `relu` or `activation`, not both";
        errors.push(Diagnostic::new(message, fields.span()).help("`relu: false` is `activation: none`"));
    }
    let usual = || match relu {
        Some(true) => Some(Function::Relu.into()),
        Some(false) => Some(Activation::NONE),
        None => defaults.activation(),
    };
    let activation = own.or_else(usual);
    let winograd = fields.read("winograd", errors, switch).unwrap_or(defaults.winograd);
    Some(LayerKind::Conv(Conv {
        filters: filters?,
        kernel: kernel?,
        stride,
        dilation,
        groups,
        standardized,
        padding: padding.unwrap_or(Padding::Valid),
        bias,
        batch_norm,
        norm,
        activation: activation?,
        winograd,
    }))
}

fn dense(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let units = fields.read("units", errors, size);
    let bias = fields.read("bias", errors, flag).unwrap_or(true);
    let activation = fields.read("activation", errors, activation).unwrap_or(Activation::NONE);
    Some(LayerKind::Dense { units, bias, activation })
}

/// The convolution of an ECA block, along channels.
fn channel_conv(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    let kernel = fields.required("kernel", errors).and_then(|node| size(node, errors))?;
    Some(LayerKind::Op(Op::ChannelConv(ChannelConv { kernel, weights: "".into() })))
}

/// The padding of a convolution: `half` of its window, rounded down, or as of other layers.
pub(in crate::spec) fn padding(
    node: &Node,
    kernel: [usize; 2],
    dilation: [usize; 2],
    errors: &mut Diagnostics,
) -> Option<Padding> {
    let Kind::Text(_) = node.kind else { return fields::padding(node, errors) };
    let half = |axis: usize| dilation[axis] * (kernel[axis] - 1) / 2;
    let (height, width) = (half(0), half(1));
    let half = Padding::Sides(Sides { top: height, bottom: height, left: width, right: width });
    choice(node, &[("valid", Padding::Valid), ("same", Padding::Same), ("half", half)], errors)
}

/// `false`, `true`, or `{epsilon: 1.0e-6}`.
fn standardized(node: &Node, errors: &mut Diagnostics) -> Option<Option<f64>> {
    if let Kind::Bool(on) = node.kind {
        return Some(on.then_some(1e-8));
    }
    let mut fields = Fields::of(node, "standardized weights", errors);
    let epsilon = fields.required("epsilon", errors).and_then(|node| epsilon(node, errors));
    fields.finish(errors);
    epsilon.map(Some)
}
