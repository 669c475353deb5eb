//! YAML to [`tree`](crate::spec::tree).
//!
//! Derived deserialization stops at the first mistake; a tree of everything that is there can be checked to the end.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned, UserMessageFormatter};

use crate::diag::{Diagnostic, Span};
use crate::spec::tree::{Key, Kind, Node};

/// The most bytes of a spec.
const LARGEST: usize = 1 << 20;

/// The tree of a YAML text.
///
/// # Errors
/// Where the text is not YAML.
pub(crate) fn read(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > LARGEST {
        let message = format!("the spec is {} bytes long, more than {LARGEST}", text.len());
        return Err(Diagnostic::new(message, Span::default()));
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let tree: Result<Spanned<Yaml>, _> = serde_saphyr::from_str_with_options(text, options);
    match tree {
        Ok(tree) => Ok(node(tree, text)),
        Err(error) => {
            let span = error.location().map_or_else(Span::default, |location| span(&location, text));
            Err(match error.without_snippet() {
                Error::DuplicateMappingKey { key: Some(key), .. } => {
                    Diagnostic::new(format!("the key `{key}` is given twice"), span)
                }
                error => {
                    let reason = error.render_with_formatter(&UserMessageFormatter);
                    let line = reason.lines().next().unwrap_or_default();
                    // The place is shown by the diagnostic.
                    let line = line.split(" at line ").next().unwrap_or_default();
                    Diagnostic::new("this is not YAML", span).label(line)
                }
            })
        }
    }
}

/// What serde sees: the tree with serde_saphyr's places.
enum Yaml {
    Scalar(Kind),
    List(Vec<Spanned<Yaml>>),
    Map(Vec<(Spanned<String>, Spanned<Yaml>)>),
}

fn node(Spanned { value, referenced, defined }: Spanned<Yaml>, text: &str) -> Node {
    let span = span(&referenced, text);
    let written = match &value {
        Yaml::Scalar(_) => defined.span().byte_offset().zip(defined.span().byte_len()),
        Yaml::List(_) | Yaml::Map(_) => None,
    };
    let written = written.and_then(|(start, length)| text.get(start as usize..(start + length) as usize));
    let kind = match value {
        Yaml::Scalar(kind) => kind,
        Yaml::List(list) => Kind::List(list.into_iter().map(|item| node(item, text)).collect()),
        Yaml::Map(map) => {
            let entry = |(key, value): (Spanned<String>, _)| {
                let span = self::span(&key.referenced, text);
                (Key { text: key.value, span }, node(value, text))
            };
            Kind::Map(map.into_iter().map(entry).collect())
        }
    };
    // A map or list of many lines is shown by its first line.
    let first = text.get(span.start..span.end).and_then(|part| part.find('\n'));
    let span = Span { end: first.map_or(span.end, |length| span.start + length), ..span };
    Node { span, kind, written: written.unwrap_or_default().trim().to_owned() }
}

fn span(location: &Location, text: &str) -> Span {
    let place = location.span();
    let (start, length) = match place.byte_offset().zip(place.byte_len()) {
        Some((start, length)) => (start as usize, length as usize),
        None => (at(location.line() as usize, location.column() as usize, text), 0),
    };
    let start = start.min(text.len());
    // Never empty: that would stand for no place.
    Span { start, end: (start + length.max(1)).min(text.len()) }
}

/// The byte at a line and column, both from 1.
fn at(line: usize, column: usize, text: &str) -> usize {
    let lines = text.split_inclusive('\n');
    let start: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
    let before = text[start..].chars().take(column.saturating_sub(1));
    start + before.map(char::len_utf8).sum::<usize>()
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Yaml;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map, a list, a word or a number")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Int(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(i64::try_from(value).map_or(Kind::Float(value as f64), Kind::Int)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Float(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Text(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Null))
            }

            fn visit_none<E>(self) -> Result<Yaml, E> {
                Ok(Yaml::Scalar(Kind::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = access.next_element()? {
                    list.push(item);
                }
                Ok(Yaml::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    map.push(entry);
                }
                Ok(Yaml::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
