//! Definitions of blocks: those of a spec, and those that ship. A definition is a list of layers in which words stand for
//! what the stage says that uses it.

use std::rc::Rc;

use resnet_plan::nearest;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::shipped;
use crate::spec::budget::Budget;
use crate::spec::fields::{Fields, list};
use crate::spec::layers::{self, Context};
use crate::spec::scope::{Scope, numbered};
use crate::spec::settings::Defaults;
use crate::spec::tree::{Key, Kind, Node};
use crate::spec::yaml;

/// The most filters that a block takes.
const MOST_FILTERS: usize = 64;

/// Words that mean something in every definition, beside `f1`, `f2`.. and `s1`, `s2`..
pub(super) const WORDS: [&str; 10] =
    ["f", "classes", "stride", "stage", "block", "kernel", "padding", "shortcut", "before_add", "after_add"];

/// The definitions of a spec.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    own: Vec<Rc<Definition>>,
    /// Names of those that are not understood: who uses one makes no other mistake.
    unclear: Vec<String>,
}

/// A kind of block.
#[derive(Debug)]
pub(super) struct Definition {
    /// What it is called.
    pub(super) name: String,
    /// Its parameters and their defaults; one without a default must be given.
    parameters: Vec<(Key, Node)>,
    /// What one number of filters stands for; `None`: for each of them.
    pub(super) filters: Option<Vec<Node>>,
    /// How many filters a block takes.
    pub(super) takes: usize,
    /// Its layers.
    pub(super) layers: Node,
    /// Where it stands in the spec; `None`: it ships.
    pub(super) extent: Option<Span>,
}

/// What a stage calls a block: a definition, and what its parameters are.
#[derive(Clone, Debug)]
pub(super) struct BlockKind {
    pub(super) definition: Rc<Definition>,
    /// Values of parameters, in the order of the definition.
    pub(super) arguments: Vec<(String, Argument)>,
}

/// The value of a parameter.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    /// As the stage gives it.
    Given(Node),
    /// As the definition has it, whose words are still to be worked out.
    Default(Node),
}

impl Definitions {
    /// The definitions of a spec.
    pub(super) fn read(node: &Node, errors: &mut Diagnostics) -> Option<Self> {
        let Kind::Map(map) = &node.kind else {
            let message = format!("`define` is a map of names and definitions, not {}", node.kind.describe());
            errors.push(Diagnostic::new(message, node.span));
            return None;
        };
        let mut definitions = Definitions::default();
        for (name, node) in map {
            if shipped::block(&name.text).is_some() {
                let message = format!("the name `{}` is that of a block that ships", name.text);
                errors.push(Diagnostic::new(message, name.span).help("give yours another name"));
            }
            match definition(&name.text, node, Some(node.extent()), errors) {
                Some(definition) => definitions.own.push(Rc::new(definition)),
                None => definitions.unclear.push(name.text.clone()),
            }
        }
        Some(definitions)
    }

    /// Says what is wrong with a spec's own definitions, whoever uses them.
    pub(super) fn check(&self, defaults: &Defaults, errors: &mut Diagnostics) {
        for definition in &self.own {
            let mut scope = Scope::default().block(definition.takes);
            let numbered = (1..=definition.takes).flat_map(|n| [format!("f{n}"), format!("s{n}")]);
            let parameters = definition.parameters.iter().map(|(key, _)| key.text.clone());
            for word in WORDS.map(str::to_owned).into_iter().chain(numbered).chain(parameters) {
                scope.set(word, Node::new(Kind::Unknown, definition.layers.span));
            }
            let context = Context { defaults, scope: &scope, budget: &Budget::default(), depth: 0 };
            layers::layers(&definition.layers, context, errors);
        }
    }

    /// `basic`, or `{bottleneck_d: {groups: 32}}`.
    pub(super) fn kind(&self, node: &Node, errors: &mut Diagnostics) -> Option<BlockKind> {
        let (name, span, given) = match &node.kind {
            Kind::Map(map) if map.len() == 1 => {
                (Some(map[0].0.text.as_str()), map[0].0.span, Some(&map[0].1))
            }
            _ => (node.word(), node.span, None),
        };
        let Some(name) = name else {
            let message = format!("expected a kind of block, found {}", node.kind.describe());
            let help = "write `block: basic`, or `block: {NAME: {PARAMETER: VALUE}}`";
            errors.push(Diagnostic::new(message, span).help(help));
            return None;
        };
        if self.unclear.iter().any(|unclear| unclear == name) {
            return None;
        }
        let own = self.own.iter().find(|own| own.name == name).cloned();
        let Some(definition) = own.or_else(|| ships(name, span)) else {
            let mut known: Vec<&str> = shipped::blocks().collect();
            known.extend(self.own.iter().map(|own| own.name.as_str()));
            let help = match nearest(name, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}; `define` makes others", known.join(", ")),
            };
            let message = format!("`{name}` is not a kind of block");
            errors.push(Diagnostic::new(message, span).help(help));
            return None;
        };
        let arguments = definition.arguments(given, span, errors)?;
        Some(BlockKind { definition, arguments })
    }
}

impl Definition {
    /// Whether a place lies in it.
    pub(super) fn encloses(&self, place: Span) -> bool {
        self.extent.is_some_and(|extent| extent.start <= place.start && place.end <= extent.end)
    }

    /// The values of all parameters.
    fn arguments(
        &self,
        given: Option<&Node>,
        span: Span,
        errors: &mut Diagnostics,
    ) -> Option<Vec<(String, Argument)>> {
        let given: &[(Key, Node)] = match given.map(|node| &node.kind) {
            None | Some(Kind::Null) => &[],
            Some(Kind::Map(map)) => map,
            Some(other) => {
                let message = format!("parameters are a map of keys and values, not {}", other.describe());
                errors.push(Diagnostic::new(message, span));
                return None;
            }
        };
        let known: Vec<&str> = self.parameters.iter().map(|(key, _)| key.text.as_str()).collect();
        for (key, _) in given.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let help = match nearest(&key.text, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "it has none".to_owned(),
                None => format!("its parameters are {}", known.join(", ")),
            };
            let message = format!("`{}` has no parameter `{}`", self.name, key.text);
            errors.push(Diagnostic::new(message, key.span).help(help).minor());
        }
        let mut arguments = Vec::new();
        for (key, default) in &self.parameters {
            let own = given.iter().find(|(name, _)| name.text == key.text);
            let argument = match own {
                Some((_, value)) => Argument::Given(value.clone()),
                None if default.kind != Kind::Null => Argument::Default(default.clone()),
                None => {
                    let message = format!("`{}` needs its parameter `{}`", self.name, key.text);
                    let help = format!("write `block: {{{}: {{{}: VALUE}}}}`", self.name, key.text);
                    errors.push(Diagnostic::new(message, span).help(help));
                    continue;
                }
            };
            arguments.push((key.text.clone(), argument));
        }
        (arguments.len() == self.parameters.len()).then_some(arguments)
    }
}

/// The definition that ships under a name, as if it stood at `span`.
fn ships(name: &str, span: Span) -> Option<Rc<Definition>> {
    let tree = yaml::read(shipped::block(name)?).ok()?.at(span);
    definition(name, &tree, None, &mut Diagnostics::default()).map(Rc::new)
}

/// `{parameters: {key: default}, filters: [f, 4 * f], layers: [...]}`
fn definition(name: &str, node: &Node, extent: Option<Span>, errors: &mut Diagnostics) -> Option<Definition> {
    let mut fields = Fields::of(node, "a definition", errors);
    let parameters = fields.read("parameters", errors, parameters).unwrap_or_default();
    let filters = fields.read("filters", errors, |node, e| list(node, e, |node, _| Some(node.clone())));
    let layers = fields.required("layers", errors);
    fields.finish(errors);
    let layers = layers?.clone();
    let takes = filters.as_ref().map_or_else(|| highest(&layers), Vec::len);
    if takes > MOST_FILTERS {
        let message = format!("a block takes at most {MOST_FILTERS} filters, here are {takes}");
        errors.push(Diagnostic::new(message, node.span));
        return None;
    }
    Some(Definition { name: name.to_owned(), parameters, filters, takes, layers, extent })
}

/// Names and defaults.
fn parameters(node: &Node, errors: &mut Diagnostics) -> Option<Vec<(Key, Node)>> {
    let Kind::Map(map) = &node.kind else {
        let message = format!("parameters are a map of names and defaults, not {}", node.kind.describe());
        errors.push(Diagnostic::new(message, node.span));
        return None;
    };
    for (key, _) in map {
        let name = key.text.as_str();
        let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let is_word = name.chars().all(letter) && name.starts_with(|first: char| !first.is_ascii_digit());
        let taken = WORDS.contains(&name) || numbered(name, 'f').or(numbered(name, 's')).is_some();
        if taken || !is_word {
            let what = if taken { "means something else in definitions" } else { "cannot be a parameter" };
            let error = Diagnostic::new(format!("`{name}` {what}"), key.span);
            errors.push(
                error.help("a parameter is a word of letters, digits and _, and no word of the language"),
            );
        }
    }
    Some(map.clone())
}

/// The highest N of all words fN.
fn highest(node: &Node) -> usize {
    match &node.kind {
        Kind::Text(text) => {
            let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            words.filter_map(|word| numbered(word, 'f')).max().unwrap_or(0)
        }
        Kind::List(list) => list.iter().map(highest).max().unwrap_or(0),
        Kind::Map(map) => map.iter().map(|(_, node)| highest(node)).max().unwrap_or(0),
        _ => 0,
    }
}
