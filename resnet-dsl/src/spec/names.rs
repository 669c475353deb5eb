//! Naming schemes: how values and weight tensors are called by their place in the network.
//!
//! A scheme is a table of patterns, in YAML: those that ship lie in `specs/names`. `{stage}`, `{block}`, `{conv}` (its number
//! in the block, or in the stem), `{letter}` (the same as a, b, c), `{classes}` and, for tensors, `{layer}` stand for what they say.

use resnet_plan::text::is_name;
use resnet_plan::{KernelLayout, nearest};

use crate::diag::{Diagnostic, Diagnostics};
use crate::shipped;
use crate::spec::fields::{self, Fields};
use crate::spec::tree::{Kind, Node};
use crate::spec::yaml;

/// A naming scheme.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// Order of a kernel's elements.
    pub layout: KernelLayout,
    /// The number of the first stage.
    pub first_stage: usize,
    /// Endings of tensors that a file may hold beside the network's.
    pub ignored: Vec<String>,
    /// The number of a stage's first block.
    first_block: usize,
    /// The number of a block's first convolution.
    first_conv: usize,
    /// Whether blocks are called a, b, c unless the spec names them; else by numbers.
    letters: bool,
    /// What all names of tensors begin with.
    prefix: String,
    patterns: [String; PATTERNS.len()],
}

/// The scheme of specs that name none.
pub const USUAL: &str = "torchvision";

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
    Stage,
    Dense,
    Softmax,
    Kernel,
    Bias,
    Gamma,
    Beta,
    Mean,
    Variance,
    Slope,
    Exponent,
}

/// Patterns and their keys in a scheme.
const PATTERNS: [(Name, &str); 23] = [
    (Name::StemConv, "stem_conv"),
    (Name::StemNorm, "stem_norm"),
    (Name::StemRelu, "stem_relu"),
    (Name::MaxPool, "max_pool"),
    (Name::AveragePool, "average_pool"),
    (Name::Conv, "conv"),
    (Name::Norm, "norm"),
    (Name::Relu, "relu"),
    (Name::Shortcut, "shortcut"),
    (Name::ShortcutNorm, "shortcut_norm"),
    (Name::Add, "add"),
    (Name::Block, "block"),
    (Name::Stage, "stage"),
    (Name::Dense, "dense"),
    (Name::Softmax, "softmax"),
    (Name::Kernel, "kernel"),
    (Name::Bias, "bias"),
    (Name::Gamma, "gamma"),
    (Name::Beta, "beta"),
    (Name::Mean, "mean"),
    (Name::Variance, "variance"),
    (Name::Slope, "slope"),
    (Name::Exponent, "exponent"),
];

/// All placeholders. The last one is for tensors.
const PLACEHOLDERS: [&str; 6] = ["{stage}", "{block}", "{conv}", "{letter}", "{classes}", "{layer}"];

impl Name {
    /// The pattern's key in a scheme.
    pub fn key(self) -> &'static str {
        PATTERNS[self as usize].1
    }
}

/// What the placeholders of a pattern stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// `{stage}`
    pub stage: usize,
    /// `{block}`
    pub block: &'a str,
    /// `{conv}` and `{letter}`: the first one is 1 here
    pub conv: usize,
    /// `{classes}`
    pub classes: usize,
}

impl Names {
    /// The scheme [`USUAL`].
    pub fn usual() -> Self {
        ships(USUAL).unwrap_or_else(Names::empty)
    }

    fn empty() -> Self {
        Names {
            layout: KernelLayout::Oihw,
            first_stage: 1,
            ignored: Vec::new(),
            first_block: 0,
            first_conv: 1,
            letters: false,
            prefix: String::new(),
            patterns: Default::default(),
        }
    }

    /// The name of a value.
    pub fn name(&self, name: Name, place: Place<'_>) -> String {
        self.fill(&self.patterns[name as usize], place)
    }

    /// The name of a layer's tensor.
    pub fn tensor(&self, name: Name, layer: &str) -> String {
        self.prefix.clone() + &self.patterns[name as usize].replace("{layer}", layer)
    }

    /// A pattern with its placeholders filled in.
    pub fn fill(&self, pattern: &str, Place { stage, block, conv, classes }: Place<'_>) -> String {
        if !pattern.contains('{') {
            return pattern.to_owned();
        }
        let index = conv.saturating_sub(1);
        pattern
            .replace("{stage}", &stage.to_string())
            .replace("{conv}", &(index + self.first_conv).to_string())
            .replace("{letter}", &letter(index))
            .replace("{classes}", &classes.to_string())
            .replace("{block}", block)
    }

    /// What a block is called that the spec gives no name.
    pub fn block(&self, index: usize) -> String {
        if self.letters { letter(index) } else { (index + self.first_block).to_string() }
    }
}

/// a, b, ... z, then a1, b1, ...
fn letter(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    if index < 26 { letter.to_string() } else { format!("{letter}{}", index / 26) }
}

/// A scheme that ships.
fn ships(name: &str) -> Option<Names> {
    let tree = yaml::read(shipped::scheme(name)?).ok()?;
    let mut fields = Fields::of(&tree, "a naming scheme", &mut Diagnostics::default());
    let base = fields.take("like").and_then(|like| ships(like.word()?)).unwrap_or_else(Names::empty);
    Some(scheme(base, fields, &mut Diagnostics::default()))
}

/// The name of a scheme that ships, or a map: one of them under `like`, and what is different.
pub(super) fn parse(node: &Node, errors: &mut Diagnostics) -> Option<Names> {
    let by_name = |node: &Node, errors: &mut Diagnostics| {
        let found = node.word().and_then(ships);
        if found.is_none() {
            let known: Vec<&str> = shipped::schemes().collect();
            let found = node.word().map_or(node.kind.describe(), |word| format!("`{word}`"));
            let error = Diagnostic::new(format!("{found} is not a naming scheme"), node.span);
            errors.push(error.help(match node.word().and_then(|word| nearest(word, &known)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}, or a map of patterns", known.join(", ")),
            }));
        }
        found
    };
    if !matches!(node.kind, Kind::Map(_)) {
        return by_name(node, errors);
    }
    let mut fields = Fields::of(node, "a naming scheme", errors);
    let base = fields.read("like", errors, by_name).unwrap_or_else(Names::usual);
    Some(scheme(base, fields, errors))
}

/// A scheme that differs from another in these fields.
fn scheme(mut names: Names, mut fields: Fields<'_>, errors: &mut Diagnostics) -> Names {
    let layouts = [("oihw", KernelLayout::Oihw), ("hwio", KernelLayout::Hwio), ("ohwi", KernelLayout::Ohwi)];
    let blocks = [("letters", true), ("numbers", false)];
    let mut set = |key, to: &mut usize| {
        if let Some(number) = fields.read(key, errors, fields::count) {
            *to = number;
        }
    };
    set("first_stage", &mut names.first_stage);
    set("first_block", &mut names.first_block);
    set("first_conv", &mut names.first_conv);
    if let Some(layout) = fields.read("layout", errors, |node, e| fields::choice(node, &layouts, e)) {
        names.layout = layout;
    }
    if let Some(letters) = fields.read("blocks", errors, |node, e| fields::choice(node, &blocks, e)) {
        names.letters = letters;
    }
    if let Some(ignored) = fields.read("ignored", errors, |node, e| fields::list(node, e, fields::text)) {
        names.ignored = ignored;
    }
    if let Some(prefix) = fields.take("prefix") {
        match prefix.kind {
            Kind::List(_) | Kind::Map(_) => fields::wrong(prefix, "a word", errors),
            _ if prefix.word().is_none() => names.prefix = String::new(),
            _ => names.prefix = name(prefix, &[], errors).unwrap_or_default(),
        }
    }
    for (name, key) in PATTERNS {
        if let Some(pattern) = fields.read(key, errors, pattern) {
            names.patterns[name as usize] = pattern;
        }
    }
    fields.finish(errors);
    names
}

fn pattern(node: &Node, errors: &mut Diagnostics) -> Option<String> {
    name(node, &PLACEHOLDERS, errors)
}

/// A layer's own name. It may say where the layer stands.
pub(super) fn of_layer(node: &Node, errors: &mut Diagnostics) -> Option<String> {
    name(node, &PLACEHOLDERS[..5], errors)
}

/// What the text form of a graph can hold as a name, and some placeholders. One that is wrong is left out, and all around it is clear.
pub(super) fn name(node: &Node, placeholders: &[&str], errors: &mut Diagnostics) -> Option<String> {
    let text = fields::text(node, errors)?;
    let letters = placeholders.iter().fold(text.clone(), |rest, placeholder| rest.replace(placeholder, "x"));
    let error = if let Some(start) = letters.find(['{', '}']) {
        let unknown = letters[start..].split_inclusive('}').next().unwrap_or_default();
        let message = format!("`{unknown}` in `{text}` is not a placeholder");
        Diagnostic::new(message, node.span).help(match placeholders {
            [] => "here are none".to_owned(),
            _ => format!("there are {}", placeholders.join(", ")),
        })
    } else if !is_name(&letters) {
        let message = format!("`{text}` cannot be a name");
        Diagnostic::new(message, node.span).help("names are made of letters, digits and _ . / -")
    } else {
        return Some(text);
    };
    errors.push(error.minor());
    None
}

#[test]
fn schemes_that_ship_are_complete() {
    for name in shipped::schemes() {
        let tree = yaml::read(shipped::scheme(name).unwrap()).unwrap();
        let mut errors = Diagnostics::default();
        let names = parse(&tree, &mut errors).unwrap();
        assert_eq!(errors, Diagnostics::default(), "{name}");
        assert_eq!(names, ships(name).unwrap(), "{name}");
        assert!(names.patterns.iter().all(|pattern| !pattern.is_empty()), "{name}");
    }
}
