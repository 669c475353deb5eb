//! Naming schemes: how values and weight tensors are called by their place in the network.
//!
//! A scheme is a table of patterns. `{stage}`, `{block}`, `{conv}` (its number in the block, or in the stem), `{letter}`
//! (the same as a, b, c), `{classes}` and, for tensors, `{layer}` stand for what they say.

use resnet_plan::KernelLayout;

use crate::diag::{Diagnostic, Diagnostics};
use crate::spec::fields::{self, Fields};
use crate::spec::tree::{Kind, Node};

/// A naming scheme.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// Order of a kernel's elements.
    pub layout: KernelLayout,
    /// The number of the first stage.
    pub first_stage: usize,
    /// Whether blocks are called a, b, c unless the spec names them; else 0, 1, 2.
    pub letters: bool,
    /// Endings of tensors that a file may hold beside the network's.
    pub ignored: Vec<String>,
    patterns: [String; PATTERNS.len()],
}

/// What a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table below says it
pub enum Name {
    StemConv,
    StemNorm,
    StemRelu,
    MaxPool,
    AveragePool,
    Conv,
    Norm,
    Relu,
    Shortcut,
    ShortcutNorm,
    Add,
    Block,
    Dense,
    Softmax,
    Kernel,
    Bias,
    Gamma,
    Beta,
    Mean,
    Variance,
}

/// Key in a spec, torchvision's pattern, the document's (Keras').
const PATTERNS: [(Name, &str, &str, &str); 20] = [
    (Name::StemConv, "stem_conv", "conv{conv}", "conv{conv}"),
    (Name::StemNorm, "stem_norm", "bn{conv}", "bn_conv{conv}"),
    (Name::StemRelu, "stem_relu", "relu{conv}", "conv{conv}_relu"),
    (Name::MaxPool, "max_pool", "maxpool", "pool1"),
    (Name::AveragePool, "average_pool", "avgpool", "avg_pool"),
    (Name::Conv, "conv", "layer{stage}.{block}.conv{conv}", "res{stage}{block}_branch2{letter}"),
    (Name::Norm, "norm", "layer{stage}.{block}.bn{conv}", "bn{stage}{block}_branch2{letter}"),
    (Name::Relu, "relu", "layer{stage}.{block}.relu{conv}", "res{stage}{block}_branch2{letter}_relu"),
    (Name::Shortcut, "shortcut", "layer{stage}.{block}.downsample.0", "res{stage}{block}_branch1"),
    (Name::ShortcutNorm, "shortcut_norm", "layer{stage}.{block}.downsample.1", "bn{stage}{block}_branch1"),
    (Name::Add, "add", "layer{stage}.{block}.add", "add{stage}{block}"),
    (Name::Block, "block", "layer{stage}.{block}", "res{stage}{block}"),
    (Name::Dense, "dense", "fc", "fc{classes}"),
    (Name::Softmax, "softmax", "softmax", "fc{classes}_softmax"),
    (Name::Kernel, "kernel", "{layer}.weight", "{layer}/kernel"),
    (Name::Bias, "bias", "{layer}.bias", "{layer}/bias"),
    (Name::Gamma, "gamma", "{layer}.weight", "{layer}/gamma"),
    (Name::Beta, "beta", "{layer}.bias", "{layer}/beta"),
    (Name::Mean, "mean", "{layer}.running_mean", "{layer}/moving_mean"),
    (Name::Variance, "variance", "{layer}.running_var", "{layer}/moving_variance"),
];

/// What the placeholders of a pattern stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// `{stage}`
    pub stage: usize,
    /// `{block}`
    pub block: &'a str,
    /// `{conv}` and `{letter}`, from 1
    pub conv: usize,
    /// `{classes}`
    pub classes: usize,
    /// `{layer}`
    pub layer: &'a str,
}

impl Names {
    /// PyTorch's names: `layer1.0.conv1.weight`.
    pub fn torchvision() -> Self {
        Names {
            layout: KernelLayout::Oihw,
            first_stage: 1,
            letters: false,
            ignored: vec!["num_batches_tracked".to_owned()],
            patterns: PATTERNS.map(|(_, _, torchvision, _)| torchvision.to_owned()),
        }
    }

    /// The document's names, in Keras: `res2a_branch2a/kernel`.
    pub fn document() -> Self {
        Names {
            layout: KernelLayout::Hwio,
            first_stage: 2,
            letters: true,
            ignored: Vec::new(),
            patterns: PATTERNS.map(|(_, _, _, document)| document.to_owned()),
        }
    }

    /// A name.
    pub fn name(&self, name: Name, place: Place<'_>) -> String {
        let Place { stage, block, conv, classes, layer } = place;
        let letter = letter(conv.saturating_sub(1));
        self.patterns[name as usize]
            .replace("{stage}", &stage.to_string())
            .replace("{block}", block)
            .replace("{conv}", &conv.to_string())
            .replace("{letter}", &letter)
            .replace("{classes}", &classes.to_string())
            .replace("{layer}", layer)
    }

    /// What a block is called that the spec gives no name.
    pub fn block(&self, index: usize) -> String {
        if self.letters { letter(index) } else { index.to_string() }
    }
}

/// a, b, ... z, then a1, b1, ...
fn letter(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    if index < 26 { letter.to_string() } else { format!("{letter}{}", index / 26) }
}

/// `torchvision`, `document`, or a map: one of them under `like`, and what is different.
pub(super) fn parse(node: &Node, errors: &mut Diagnostics) -> Option<Names> {
    let schemes = [("torchvision", Names::torchvision as fn() -> Names), ("document", Names::document)];
    let scheme = |node: &Node, errors: &mut Diagnostics| Some(fields::choice(node, &schemes, errors)?());
    if !matches!(node.kind, Kind::Map(_)) {
        return scheme(node, errors);
    }
    let mut fields = Fields::of(node, "a naming scheme", errors);
    let mut names = fields.read("like", errors, scheme).unwrap_or_else(Names::torchvision);
    let layouts = [("oihw", KernelLayout::Oihw), ("hwio", KernelLayout::Hwio)];
    if let Some(layout) = fields.read("layout", errors, |node, errors| fields::choice(node, &layouts, errors))
    {
        names.layout = layout;
    }
    if let Some(first) = fields.read("first_stage", errors, fields::count) {
        names.first_stage = first;
    }
    let blocks = [("letters", true), ("numbers", false)];
    if let Some(letters) = fields.read("blocks", errors, |node, errors| fields::choice(node, &blocks, errors))
    {
        names.letters = letters;
    }
    if let Some(ignored) =
        fields.read("ignored", errors, |node, errors| fields::list(node, errors, fields::text))
    {
        names.ignored = ignored;
    }
    for (name, key, ..) in PATTERNS {
        if let Some(pattern) = fields.read(key, errors, pattern) {
            names.patterns[name as usize] = pattern;
        }
    }
    fields.finish(errors);
    Some(names)
}

/// A pattern whose placeholders are known.
fn pattern(node: &Node, errors: &mut Diagnostics) -> Option<String> {
    let pattern = fields::text(node, errors)?;
    let known = ["{stage}", "{block}", "{conv}", "{letter}", "{classes}", "{layer}"];
    let rest = known.iter().fold(pattern.clone(), |rest, placeholder| rest.replace(placeholder, ""));
    if rest.contains(['{', '}']) {
        let message = format!("`{pattern}` has an unknown placeholder");
        errors.push(Diagnostic::new(message, node.span).help(format!("there are {}", known.join(", "))));
        return None;
    }
    Some(pattern)
}
