//! A spec's text as a tree of maps, lists and scalars, each with its place. The tree knows no YAML: any syntax with the
//! same keys can make it.

use crate::diag::Span;

/// A part of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
    /// A scalar as it is written; empty for nothing, lists and maps.
    pub written: String,
}

impl Node {
    /// A scalar as a word: `no`, `1e5` or `007` are taken as they are written, not as what they could stand for.
    pub fn word(&self) -> Option<&str> {
        let word = match &self.kind {
            Kind::Text(text) => text,
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => &self.written,
            Kind::List(_) | Kind::Map(_) | Kind::Unknown => return None,
        };
        Some(word.as_str()).filter(|word| !word.is_empty())
    }

    /// A value that stands nowhere by itself, but is asked for at `span`.
    pub fn new(kind: Kind, span: Span) -> Self {
        let written = match &kind {
            Kind::Text(text) => text.clone(),
            Kind::Int(number) => number.to_string(),
            _ => String::new(),
        };
        Node { span, kind, written }
    }

    /// How many parts it has, itself among them.
    pub fn parts(&self) -> usize {
        match &self.kind {
            Kind::List(list) => 1 + list.iter().map(Node::parts).sum::<usize>(),
            Kind::Map(map) => 1 + map.iter().map(|(_, node)| node.parts()).sum::<usize>(),
            _ => 1,
        }
    }

    /// The same, as if all of it stood at `span`.
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        match &mut self.kind {
            Kind::List(list) => list.iter_mut().for_each(|node| *node = std::mem::take(node).at(span)),
            Kind::Map(map) => {
                for (key, node) in map {
                    key.span = span;
                    *node = std::mem::take(node).at(span);
                }
            }
            _ => {}
        }
        self
    }

    /// From the first to the last byte of all its parts.
    pub fn extent(&self) -> Span {
        let join = |a: Span, b: Span| Span { start: a.start.min(b.start), end: a.end.max(b.end) };
        match &self.kind {
            Kind::List(list) => list.iter().map(Node::extent).fold(self.span, join),
            Kind::Map(map) => {
                map.iter().map(|(key, node)| join(key.span, node.extent())).fold(self.span, join)
            }
            _ => self.span,
        }
    }
}

/// What a part of the text is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Kind {
    /// Nothing: `key:` without a value.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Anything else that is one word or line.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in order.
    Map(Vec<(Key, Node)>),
    /// A value that is known only where a definition is used. Nothing is wrong with it.
    Unknown,
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Kind {
    /// What it is, in words.
    pub fn describe(&self) -> String {
        match self {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Int(value) => format!("`{value}`"),
            Kind::Float(value) => format!("`{value:?}`"),
            Kind::Text(text) if text.trim().parse::<f64>().is_ok() => {
                format!("the text `{}`", first_of(text))
            }
            Kind::Text(text) => format!("`{}`", first_of(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Unknown => "an unknown value".to_owned(),
        }
    }
}

/// The beginning of a text that may be long.
fn first_of(text: &str) -> String {
    text.chars().take(40).collect()
}
