//! Draws layers: each kind, with the fields that change what is computed.

use super::draw::{Draw, Fields, Network};
use super::tree::{Map, Tree};

/// The most elements of an image that is flattened into channels.
const LARGEST_FLAT: usize = 1 << 10;

/// A layer of stem or head.
pub(super) fn layer(draw: &mut Draw, network: &Network) -> Tree {
    match draw.number(0, 129) {
        0..60 => conv(draw, network),
        60..70 => pool(draw, "max_pool"),
        70..78 => pool(draw, "average_pool"),
        78..88 => Tree::one("zero_pad", sides(draw)),
        88..91 => Tree::one("average_pool", Tree::word("global")),
        91..95 if network.shape.iter().product::<usize>() <= LARGEST_FLAT => Tree::word("flatten"),
        95..98 if network.shape[..2] == [1, 1] => dense(draw, network),
        98..100 => Tree::word("softmax"),
        100..106 => alone(draw),
        106..112 => norm(draw, network.shape[2]),
        112..116 => residual(draw, network),
        116..120 => gate(draw, network.shape[2]),
        120..122 => Tree::one("blur", blur(draw)),
        122..124 => Tree::one("upsample", pair(draw, 3)),
        124..126 => statistics(draw),
        126..128 => gem(draw),
        128 => Tree::word("l2_normalize"),
        _ => Tree::word("dropout"),
    }
}

/// An activation that is a layer.
fn alone(draw: &mut Draw) -> Tree {
    match draw.number(0, 7) {
        0 => Tree::one("leaky_relu", Tree::Word(draw.pick(&["0.1", "0.5"]).to_owned())),
        1 => {
            let shared = ("shared".to_owned(), flag(draw));
            named(draw, "prelu", vec![shared])
        }
        index => Tree::word(["relu", "relu6", "silu", "sigmoid", "hard_swish", "hard_sigmoid"][index - 2]),
    }
}

/// An activation that ends a layer.
pub(super) fn activation(draw: &mut Draw) -> Tree {
    let names = ["none", "relu", "relu6", "silu", "sigmoid", "hard_swish", "hard_sigmoid", "leaky_relu"];
    if draw.one_in(8) {
        Tree::one("leaky_relu", Tree::one("slope", Tree::word("0.2")))
    } else {
        Tree::word(draw.pick(&names))
    }
}

/// A layer with a name that nothing else has.
fn named(draw: &mut Draw, kind: &str, fields: Map) -> Tree {
    let name = ("name".to_owned(), Tree::Word(draw.name()));
    Tree::one(kind, Tree::Map([vec![name], fields].concat()))
}

fn norm(draw: &mut Draw, channels: usize) -> Tree {
    let mut fields = Fields::default();
    if channels > 1 && draw.one_in(3) {
        let first = draw.number(0, channels - 1);
        let range = [first, draw.number(first + 1, channels)].map(Tree::Number);
        fields.put("channels", Tree::List(range.to_vec()));
    }
    fields.perhaps(draw, 4, "epsilon", |_| Tree::word("1.0e-3"));
    let kind = draw.pick(&["batch_norm", "group_norm", "instance_norm"]);
    if kind != "batch_norm" {
        fields.perhaps(draw, 2, "affine", flag);
    }
    if kind == "group_norm" {
        fields.put("groups", Tree::Number(draw.pick(&[1, 1, 2, 4, 8])));
    }
    named(draw, kind, fields.0)
}

fn residual(draw: &mut Draw, network: &Network) -> Tree {
    let channels = network.shape[2];
    let mut fields = Fields::default();
    let filters = if draw.one_in(2) { channels } else { network.channels(draw) };
    let mut branch: Vec<Tree> = (0..draw.number(0, 2)).map(|_| inner(draw, channels)).collect();
    branch.push(inner_conv(draw, filters));
    fields.put("branch", Tree::List(branch));
    if filters != channels && draw.one_in(2) {
        fields.put("shortcut", Tree::List(vec![inner(draw, channels), inner_conv(draw, filters)]));
    }
    fields.perhaps(draw, 2, "activation", activation);
    Tree::one("residual", Tree::Map(fields.0))
}

fn gate(draw: &mut Draw, channels: usize) -> Tree {
    let mut layers = vec![Tree::one("average_pool", Tree::word("global"))];
    if draw.one_in(2) {
        let kernel = ("kernel".to_owned(), Tree::Number(draw.pick(&[1, 3, 5])));
        layers.push(named(draw, "channel_conv", vec![kernel]));
    } else {
        layers.push(inner_conv(draw, channels.div_ceil(4)));
        layers.push(inner_conv(draw, channels));
    }
    layers.push(Tree::word(draw.pick(&["sigmoid", "hard_sigmoid"])));
    if draw.one_in(4) {
        layers = vec![inner_conv(draw, channels)];
    }
    Tree::one("gate", Tree::List(layers))
}

/// A layer that keeps shapes.
fn inner(draw: &mut Draw, channels: usize) -> Tree {
    match draw.number(0, 3) {
        0 => alone(draw),
        1 => norm(draw, channels),
        2 => gate(draw, channels),
        _ => inner_conv(draw, channels),
    }
}

/// A convolution that keeps the size of an image.
fn inner_conv(draw: &mut Draw, filters: usize) -> Tree {
    let mut fields = Fields::default();
    fields.put("filters", Tree::Number(filters));
    fields.put("kernel", Tree::Number(draw.pick(&[1, 1, 3])));
    fields.put("padding", Tree::word("half"));
    fields.put("batch_norm", Tree::word("false"));
    fields.perhaps(draw, 4, "dilation", |draw| pair(draw, 2));
    fields.perhaps(draw, 2, "activation", activation);
    named(draw, "conv", fields.0)
}

/// Blocks that the spec defines: a block's convolutions with groups, norms and gates between them.
pub(super) fn definition(draw: &mut Draw) -> Tree {
    let mut branch = Vec::new();
    for number in 1..=3 {
        let mut fields = Fields::default();
        fields.put("filters", Tree::Word(format!("f{number}")));
        fields.put("kernel", if number == 2 { Tree::word("kernel") } else { Tree::Number(1) });
        if number == 2 {
            fields.put("padding", Tree::word("padding"));
            fields.put("stride", Tree::word("stride"));
        }
        if number == 3 {
            fields.put("groups", Tree::word("groups"));
        }
        if number == 3 {
            fields.put("activation", Tree::word("before_add"));
        } else {
            fields.perhaps(draw, 3, "activation", activation);
        }
        branch.push(Tree::one("conv", Tree::Map(fields.0)));
        if draw.one_in(3) {
            let name = Tree::Word(format!("\"layer{{stage}}.{{block}}.between{number}\""));
            let name = ("name".to_owned(), name);
            let affine = ("affine".to_owned(), flag(draw));
            branch.push(Tree::one("instance_norm", Tree::Map(vec![name, affine])));
        }
    }
    let mut fields = Fields::default();
    fields.put("branch", Tree::List(branch));
    fields.put("shortcut", Tree::word("shortcut"));
    fields.put("activation", Tree::word("after_add"));
    let layers = Tree::List(vec![Tree::one("residual", Tree::Map(fields.0))]);
    let map =
        vec![("parameters".to_owned(), Tree::one("groups", Tree::Number(1))), ("layers".to_owned(), layers)];
    Tree::one("drawn", Tree::Map(map))
}

fn blur(draw: &mut Draw) -> Tree {
    let mut fields = Fields::default();
    fields.put("size", Tree::Number(draw.number(1, 5)));
    fields.perhaps(draw, 2, "stride", stride);
    Tree::Map(fields.0)
}

fn statistics(draw: &mut Draw) -> Tree {
    let mut fields = Fields::default();
    fields.put("over", Tree::word(draw.pick(&["image", "width"])));
    fields.put("epsilon", Tree::word("1.0e-3"));
    Tree::one("statistics_pool", Tree::Map(fields.0))
}

fn gem(draw: &mut Draw) -> Tree {
    let learned = ("learned".to_owned(), flag(draw));
    named(draw, "gem_pool", vec![learned])
}

fn conv(draw: &mut Draw, network: &Network) -> Tree {
    let mut fields = Fields::default();
    // As many outputs as inputs: narrow groups share vectors.
    let filters = if draw.one_in(4) { network.shape[2] } else { network.channels(draw) };
    fields.put("filters", Tree::Number(filters));
    fields.put("kernel", kernel(draw));
    let common = |groups: &usize| filters.is_multiple_of(*groups) && network.shape[2].is_multiple_of(*groups);
    let groups: Vec<usize> = [2, 4, 8, 16, 32, filters].into_iter().filter(common).collect();
    if !groups.is_empty() {
        fields.perhaps(draw, 4, "groups", |draw| Tree::Number(draw.pick(&groups)));
    }
    fields.perhaps(draw, 6, "dilation", |draw| pair(draw, 3));
    fields.perhaps(draw, 10, "standardized", |_| Tree::one("epsilon", Tree::word("1.0e-4")));
    fields.perhaps(draw, 2, "stride", stride);
    fields.perhaps(draw, 2, "padding", padding);
    fields.perhaps(draw, 4, "bias", flag);
    fields.perhaps(draw, 4, "batch_norm", batch_norm);
    fields.perhaps(draw, 3, "activation", activation);
    fields.perhaps(draw, 8, "winograd", winograd);
    Tree::one("conv", Tree::Map(fields.0))
}

pub(super) fn dense(draw: &mut Draw, network: &Network) -> Tree {
    let mut fields = Fields::default();
    fields.perhaps(draw, 2, "units", |draw| Tree::Number(network.channels(draw)));
    fields.perhaps(draw, 3, "bias", flag);
    fields.perhaps(draw, 4, "activation", activation);
    Tree::one("dense", Tree::Map(fields.0))
}

fn pool(draw: &mut Draw, kind: &str) -> Tree {
    let mut fields = Fields::default();
    fields.put("window", pair(draw, 4));
    fields.perhaps(draw, 2, "stride", stride);
    fields.perhaps(draw, 2, "padding", padding);
    fields.perhaps(draw, 2, "ceil", flag);
    if kind == "average_pool" {
        fields.perhaps(draw, 2, "count_padding", flag);
    }
    Tree::one(kind, Tree::Map(fields.0))
}

pub(super) fn kernel(draw: &mut Draw) -> Tree {
    match draw.number(0, 9) {
        0..4 => Tree::Number(3),
        4..6 => Tree::Number(1),
        _ => pair(draw, 7),
    }
}

pub(super) fn stride(draw: &mut Draw) -> Tree {
    if draw.one_in(2) { Tree::Number(2) } else { pair(draw, 3) }
}

/// One number for both sides, or two.
pub(super) fn pair(draw: &mut Draw, most: usize) -> Tree {
    if draw.one_in(2) {
        return Tree::Number(draw.number(1, most));
    }
    Tree::List((0..2).map(|_| Tree::Number(draw.number(1, most))).collect())
}

pub(super) fn padding(draw: &mut Draw) -> Tree {
    match draw.number(0, 5) {
        0 => Tree::word("valid"),
        1 | 2 => Tree::word("same"),
        3 => Tree::Number(1),
        _ => sides(draw),
    }
}

fn sides(draw: &mut Draw) -> Tree {
    if draw.one_in(2) {
        return Tree::Number(draw.number(0, 3));
    }
    let mut fields = Fields::default();
    for side in ["top", "bottom", "left", "right"] {
        fields.perhaps(draw, 2, side, |draw| Tree::Number(draw.number(0, 3)));
    }
    Tree::Map(fields.0)
}

pub(super) fn flag(draw: &mut Draw) -> Tree {
    Tree::word(draw.pick(&["true", "false"]))
}

pub(super) fn winograd(draw: &mut Draw) -> Tree {
    Tree::word(draw.pick(&["on", "off"]))
}

pub(super) fn batch_norm(draw: &mut Draw) -> Tree {
    match draw.number(0, 3) {
        0 => Tree::word("true"),
        1 => Tree::one("epsilon", Tree::word("1.0e-3")),
        _ => Tree::word("false"),
    }
}
