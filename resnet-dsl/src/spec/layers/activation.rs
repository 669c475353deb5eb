//! Activations: as layers, and as the field `activation` of others.

use resnet_plan::Activation as Function;

use crate::diag::Diagnostics;
use crate::spec::ast::{Activation, LayerKind};
use crate::spec::fields::{Fields, choice, flag, single, wrong};
use crate::spec::layers::{Context, LayerType, kind};
use crate::spec::tree::{Kind, Node};

pub(super) const KINDS: &[LayerType] = &[
    kind("relu", "an activation", None, |_, _, _| plain(Function::Relu)),
    kind("relu6", "an activation", None, |_, _, _| plain(Function::Relu6)),
    kind("leaky_relu", "an activation", Some("slope"), leaky_relu),
    kind("prelu", "an activation", None, prelu),
    kind("silu", "an activation", None, |_, _, _| plain(Function::Silu)),
    kind("hard_swish", "an activation", None, |_, _, _| plain(Function::HardSwish)),
    kind("sigmoid", "an activation", None, |_, _, _| plain(Function::Sigmoid)),
    kind("hard_sigmoid", "an activation", None, |_, _, _| plain(Function::HardSigmoid)),
];

/// Those without fields.
const PLAIN: [(&str, Function); 7] = [
    ("none", Function::None),
    ("relu", Function::Relu),
    ("relu6", Function::Relu6),
    ("silu", Function::Silu),
    ("hard_swish", Function::HardSwish),
    ("sigmoid", Function::Sigmoid),
    ("hard_sigmoid", Function::HardSigmoid),
];

/// The slope of a leaky ReLU, as in PyTorch.
const SLOPE: f32 = 0.01;

/// `relu`, `none`, `{leaky_relu: {slope: 0.1}}`.
pub(in crate::spec) fn activation(node: &Node, errors: &mut Diagnostics) -> Option<Activation> {
    let Kind::Map(_) = node.kind else {
        let others = [("leaky_relu", Function::LeakyRelu(SLOPE)), ("prelu", Function::Prelu)];
        let known: Vec<(&str, Function)> = PLAIN.into_iter().chain(others).collect();
        return choice(node, &known, errors).map(Activation::from);
    };
    if let Kind::Map(map) = &node.kind
        && map.len() != 1
    {
        wrong(node, "one activation, as `{leaky_relu: {slope: 0.1}}`", errors);
        return None;
    }
    let mut fields = Fields::of(node, "an activation", errors);
    let mut one = |key, read: fn(&mut Fields<'_>, &mut Diagnostics) -> Option<Activation>| {
        fields.read(key, errors, |node, errors| {
            let mut fields = Fields::of(node, "an activation", errors);
            let activation = read(&mut fields, errors);
            fields.finish(errors);
            activation
        })
    };
    let activation = [one("leaky_relu", leaky), one("prelu", parametric)].into_iter().flatten().next();
    fields.finish(errors);
    activation
}

/// The layer of an activation without fields.
fn plain(function: Function) -> Option<LayerKind> {
    Some(LayerKind::Activation(function.into()))
}

fn leaky_relu(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    leaky(fields, errors).map(LayerKind::Activation)
}

fn prelu(fields: &mut Fields<'_>, _: Context<'_>, errors: &mut Diagnostics) -> Option<LayerKind> {
    parametric(fields, errors).map(LayerKind::Activation)
}

fn leaky(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Option<Activation> {
    let slope = match fields.take("slope") {
        Some(node) => single(node, errors)?,
        None => SLOPE,
    };
    Some(Function::LeakyRelu(slope).into())
}

fn parametric(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Option<Activation> {
    let shared = fields.read("shared", errors, flag).unwrap_or(false);
    Some(Activation { function: Function::Prelu, shared })
}
