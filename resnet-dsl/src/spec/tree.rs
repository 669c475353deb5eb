//! A spec's text as a tree of maps, lists and scalars, each with its place. The tree knows no YAML: any syntax with the
//! same keys can make it.

use crate::diag::Span;

/// A part of the text.
#[derive(Clone, Debug, PartialEq)]
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
            Kind::List(_) | Kind::Map(_) => return None,
        };
        Some(word.as_str()).filter(|word| !word.is_empty())
    }
}

/// What a part of the text is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Nothing: `key:` without a value.
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
            Kind::Float(value) => format!("`{value}`"),
            Kind::Text(text) => format!("`{}`", text.chars().take(40).collect::<String>()),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}
