//! What the words of a definition stand for where it is used, and values with their words worked out.

use std::cell::Cell;

use resnet_plan::nearest;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::spec::budget::Budget;
use crate::spec::expression::{self, Word};
use crate::spec::tree::{Kind, Node};

/// Keys whose values are names, in which words stand for themselves.
const NAMES: [&str; 4] = ["name", "norm", "from", "with"];
/// Keys of lists of layers: each layer is worked out when it is read.
const LAYERS: [&str; 3] = ["branch", "shortcut", "layers"];

/// Words and their values. Stem and head know `classes`.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    words: Vec<(String, Node)>,
    /// How many filters a block takes; `None`: it is no block.
    filters: Option<usize>,
    /// Whether one of `s1`, `s2`.. was asked for.
    used_strides: Cell<bool>,
    /// The parameter whose default is worked out, and those behind it.
    pending: Vec<String>,
}

impl Scope {
    /// The same words, for a block of so many filters.
    pub(super) fn block(&self, filters: usize) -> Self {
        Scope { words: self.words.clone(), filters: Some(filters), ..Scope::default() }
    }

    /// Gives a word its value.
    pub(super) fn set(&mut self, word: impl Into<String>, value: Node) {
        self.words.push((word.into(), value));
    }

    /// The same words, to work out the default of the first of these parameters.
    pub(super) fn before<'a>(&self, parameters: impl Iterator<Item = &'a String>) -> Self {
        Scope { pending: parameters.cloned().collect(), ..self.clone() }
    }

    /// Whether one of `s1`, `s2`.. was asked for.
    pub(super) fn used_strides(&self) -> bool {
        self.used_strides.get()
    }

    /// What a word stands for, if it is not just a word.
    fn get(&self, word: &str) -> Option<&Node> {
        let value = self.words.iter().find(|(known, _)| known == word).map(|(_, value)| value)?;
        self.used_strides.set(self.used_strides.get() || numbered(word, 's').is_some());
        Some(value)
    }

    /// A value in which words and expressions are worked out. What a word stands for is taken as it is.
    pub(super) fn fill(&self, node: &Node, budget: &Budget, errors: &mut Diagnostics) -> Node {
        let unknown = Node::new(Kind::Unknown, node.span);
        let copy = |node: &Node, errors: &mut Diagnostics| {
            budget.take_values(node.parts(), node.span, errors).map_or(unknown.clone(), |()| node.clone())
        };
        match &node.kind {
            Kind::Text(text) => match self.get(text) {
                // A default that nobody wrote stands where it is asked for.
                Some(value) if value.span == Span::default() => copy(&value.clone().at(node.span), errors),
                Some(value) => copy(value, errors),
                None if expression::is_expression(text) => self.number(node, text, errors),
                None => match self.unknown(text) {
                    Some(message) => {
                        errors.push(Diagnostic::new(message, node.span));
                        unknown
                    }
                    None => copy(node, errors),
                },
            },
            Kind::List(list) => {
                let list = list.iter().map(|item| self.fill(item, budget, errors)).collect();
                Node { kind: Kind::List(list), ..Node::new(Kind::Null, node.span) }
            }
            Kind::Map(map) => {
                let mut filled = Vec::with_capacity(map.len());
                for (key, value) in map {
                    let is = |keys: &[&str]| keys.contains(&key.text.as_str());
                    let keep = is(&NAMES) || is(&LAYERS) && matches!(value.kind, Kind::List(_));
                    let value = if keep { copy(value, errors) } else { self.fill(value, budget, errors) };
                    filled.push((key.clone(), value));
                }
                Node::new(Kind::Map(filled), node.span)
            }
            _ => copy(node, errors),
        }
    }

    /// The number that an expression stands for.
    fn number(&self, node: &Node, text: &str, errors: &mut Diagnostics) -> Node {
        let mut word = |word: &str| match self.get(word).map(|value| &value.kind) {
            Some(Kind::Int(number)) => Ok(Word::Number(*number)),
            Some(Kind::Unknown) => Ok(Word::Unknown),
            Some(other) => Err(format!("`{word}` is {}, which is not a whole number", other.describe())),
            None => Err(self.unknown(word).unwrap_or_else(|| format!("`{word}` is not known here"))),
        };
        let kind = match expression::value(text, &mut word) {
            Ok(number) => number.map_or(Kind::Unknown, Kind::Int),
            Err(message) => {
                let known: Vec<&str> = self.words.iter().map(|(word, _)| word.as_str()).collect();
                let error = Diagnostic::new(message, node.span).label(format!("in `{text}`"));
                let near = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                let unknown = |word: &&str| {
                    !known.contains(word)
                        && word.starts_with(char::is_alphabetic)
                        && self.unknown(word).is_none()
                };
                let near = near.filter(unknown).find_map(|word| nearest(word, &known));
                errors.push(match near {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error,
                });
                Kind::Unknown
            }
        };
        Node::new(kind, node.span)
    }

    /// Why a word has no value, if it is one of the language.
    fn unknown(&self, word: &str) -> Option<String> {
        if let Some(place) = self.pending.iter().position(|pending| pending == word) {
            let which = if place == 0 { "is the default's own parameter" } else { "comes later" };
            return Some(format!("`{word}` {which}: a default may use the parameters before it"));
        }
        let number = numbered(word, 'f').or(numbered(word, 's'))?;
        Some(match self.filters? {
            filters if number > filters => {
                format!("there is no `{word}`: blocks of this kind take {filters} filters")
            }
            _ => format!(
                "`{word}` is not known here: the layers of a definition may use it, defaults and `filters` not"
            ),
        })
    }
}

/// The number of `f1` or `s1`.
pub(super) fn numbered(word: &str, letter: char) -> Option<usize> {
    let number = word.strip_prefix(letter)?;
    let number: usize = number.bytes().all(|digit| digit.is_ascii_digit()).then(|| number.parse().ok())??;
    (number > 0).then_some(number)
}
