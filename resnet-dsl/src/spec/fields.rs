//! The fields of a map, taken out one by one. What is missing, of the wrong type or left over becomes a diagnostic, and
//! reading goes on with a default, so that one look reports everything.

use resnet_plan::nearest;

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ops::{Padding, Sides};
use crate::spec::tree::{Key, Kind, Node};

/// The largest size, stride, filter count or padding; larger ones are taken for mistakes.
pub(crate) const LARGEST: usize = 1 << 16;

/// The fields of one map.
pub(crate) struct Fields<'a> {
    /// What the map is, as messages call it: `a stage`.
    what: &'static str,
    span: Span,
    /// Whether it is a map at all; if not, that is said, and nothing is missing from it.
    is_map: bool,
    rest: Vec<&'a (Key, Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a map; of anything else, none, and a diagnostic.
    pub(crate) fn of(node: &'a Node, what: &'static str, errors: &mut Diagnostics) -> Self {
        let rest = match &node.kind {
            Kind::Map(map) => map.iter().collect(),
            Kind::Unknown => Vec::new(),
            other => {
                let message = format!("{what} is a map of keys and values, not {}", other.describe());
                errors.push(Diagnostic::new(message, node.span));
                Vec::new()
            }
        };
        let is_map = matches!(node.kind, Kind::Map(_));
        Fields { what, span: node.span, is_map, rest, known: Vec::new() }
    }

    /// Where the map stands.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let place = self.rest.iter().position(|(k, _)| k.text == key)?;
        Some(&self.rest.remove(place).1)
    }

    /// Whether a field, not yet taken out, is this word.
    pub(crate) fn has_word(&self, key: &str, word: &str) -> bool {
        self.rest.iter().any(|(k, value)| k.text == key && value.word() == Some(word))
    }

    /// Takes a field out that must be there.
    pub(crate) fn required(&mut self, key: &'static str, errors: &mut Diagnostics) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() && self.is_map {
            errors.push(Diagnostic::new(format!("{} needs `{key}`", self.what), self.span));
        }
        node
    }

    /// Takes a field out and reads it, if it is there.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        errors: &mut Diagnostics,
        read: impl FnOnce(&'a Node, &mut Diagnostics) -> Option<T>,
    ) -> Option<T> {
        self.take(key).and_then(|node| read(node, errors))
    }

    /// Takes a field out as it is written, if it can be read.
    pub(crate) fn checked<T>(
        &mut self,
        key: &'static str,
        errors: &mut Diagnostics,
        read: impl FnOnce(&'a Node, &mut Diagnostics) -> Option<T>,
    ) -> Option<&'a Node> {
        self.take(key).filter(|node| read(node, errors).is_some())
    }

    /// Whatever is left is not known here.
    pub(crate) fn finish(self, errors: &mut Diagnostics) {
        for (key, _) in self.rest {
            let message = format!("{} has no key `{}`", self.what, key.text);
            let help = match nearest(&key.text, &self.known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the keys are {}", self.known.join(", ")),
            };
            errors.push(Diagnostic::new(message, key.span).help(help).minor());
        }
    }
}

/// Says that a value is not what is expected, unless it is not known yet.
pub(crate) fn wrong(node: &Node, expected: &str, errors: &mut Diagnostics) {
    if node.kind == Kind::Unknown {
        return;
    }
    let message = format!("expected {expected}, found {}", node.kind.describe());
    errors.push(Diagnostic::new(message, node.span));
}

/// A number from 0 to [`LARGEST`].
pub(crate) fn count(node: &Node, errors: &mut Diagnostics) -> Option<usize> {
    match node.kind {
        Kind::Int(number) if (0..=LARGEST as i64).contains(&number) => Some(number as usize),
        Kind::Int(number) if number > 0 => {
            errors.push(Diagnostic::new(format!("{number} is too large: at most {LARGEST}"), node.span));
            None
        }
        _ => {
            wrong(node, "a whole number of at least 0", errors);
            None
        }
    }
}

/// A number from 1 to [`LARGEST`].
pub(crate) fn size(node: &Node, errors: &mut Diagnostics) -> Option<usize> {
    match node.kind {
        Kind::Int(number) if number < 1 => {
            wrong(node, "a whole number of at least 1", errors);
            None
        }
        Kind::Int(_) => count(node, errors),
        _ => {
            wrong(node, "a whole number of at least 1", errors);
            None
        }
    }
}

/// Height and width: `3`, or `3x5`, or `[3, 5]`.
pub(crate) fn pair(node: &Node, errors: &mut Diagnostics) -> Option<[usize; 2]> {
    match &node.kind {
        Kind::List(list) if list.len() == 2 => Some([size(&list[0], errors)?, size(&list[1], errors)?]),
        Kind::Text(_) => sizes::<2>(node, "a size: 3, or height x width as in 3x5", errors),
        _ => size(node, errors).map(|side| [side, side]),
    }
}

/// `224x224x3`.
pub(crate) fn sizes<const N: usize>(
    node: &Node,
    expected: &str,
    errors: &mut Diagnostics,
) -> Option<[usize; N]> {
    let Kind::Text(text) = &node.kind else {
        wrong(node, expected, errors);
        return None;
    };
    let numbers: Option<Vec<usize>> = text.split('x').map(|number| number.trim().parse().ok()).collect();
    match numbers.map(<[usize; N]>::try_from) {
        Some(Ok(sizes)) if sizes.iter().all(|size| (1..=LARGEST).contains(size)) => Some(sizes),
        Some(Ok(_)) => {
            let message = format!("every size is from 1 to {LARGEST}, unlike in `{text}`");
            errors.push(Diagnostic::new(message, node.span));
            None
        }
        _ => {
            wrong(node, expected, errors);
            None
        }
    }
}

/// `true` or `false`.
pub(crate) fn flag(node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    match node.kind {
        Kind::Bool(value) => Some(value),
        _ => {
            wrong(node, "`true` or `false`", errors);
            None
        }
    }
}

/// A number.
pub(crate) fn number(node: &Node, errors: &mut Diagnostics) -> Option<f64> {
    match node.kind {
        Kind::Int(number) => Some(number as f64),
        Kind::Float(0.0)
            if node
                .written
                .split(['e', 'E'])
                .next()
                .is_some_and(|digits| digits.contains(|d| matches!(d, '1'..='9'))) =>
        {
            let message = format!("{} is too small: it would be read as 0", node.written);
            errors.push(Diagnostic::new(message, node.span));
            None
        }
        Kind::Float(number) if number.is_finite() => Some(number),
        _ => {
            wrong(node, "a number", errors);
            None
        }
    }
}

/// A number that f32 can hold.
pub(crate) fn single(node: &Node, errors: &mut Diagnostics) -> Option<f32> {
    let number = number(node, errors)?;
    let single = number as f32;
    if single.is_finite() && (single != 0.0 || number == 0.0) {
        return Some(single);
    }
    let message = format!("{number:e} is not a number that f32 can hold");
    errors.push(Diagnostic::new(message, node.span).help("f32 holds 0 and sizes from 1e-45 to 3.4e38"));
    None
}

/// A word.
pub(crate) fn text(node: &Node, errors: &mut Diagnostics) -> Option<String> {
    let word = node.word();
    if word.is_none() {
        wrong(node, "a word", errors);
    }
    word.map(str::to_owned)
}

/// One of some words.
pub(crate) fn choice<T: Copy>(
    node: &Node,
    choices: &[(&'static str, T)],
    errors: &mut Diagnostics,
) -> Option<T> {
    let found = match &node.kind {
        Kind::Text(text) => choices.iter().find(|(name, _)| name == text),
        _ => None,
    };
    if found.is_none() {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        wrong(node, &format!("one of {}", names.join(", ")), errors);
    }
    found.map(|(_, value)| *value)
}

/// Each item of a list.
pub(crate) fn list<'a, T>(
    node: &'a Node,
    errors: &mut Diagnostics,
    mut item: impl FnMut(&'a Node, &mut Diagnostics) -> Option<T>,
) -> Option<Vec<T>> {
    match &node.kind {
        Kind::List(list) => Some(list.iter().filter_map(|node| item(node, errors)).collect()),
        _ => {
            wrong(node, "a list", errors);
            None
        }
    }
}

/// A padding: `valid`, `same`, a number, or numbers a side.
pub(crate) fn padding(node: &Node, errors: &mut Diagnostics) -> Option<Padding> {
    match &node.kind {
        Kind::Text(_) => choice(node, &[("valid", Padding::Valid), ("same", Padding::Same)], errors),
        _ => sides(node, errors).map(Padding::Sides),
    }
}

/// Pixels on each side: a number, or a map.
pub(crate) fn sides(node: &Node, errors: &mut Diagnostics) -> Option<Sides> {
    if let Kind::Map(_) = node.kind {
        let mut fields = Fields::of(node, "a padding", errors);
        let sides = four_sides(&mut fields, errors);
        fields.finish(errors);
        return Some(sides);
    }
    count(node, errors).map(|side| Sides { top: side, bottom: side, left: side, right: side })
}

/// The sides that a map has; the others are 0.
pub(crate) fn four_sides(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Sides {
    let mut side = |key| fields.read(key, errors, count).unwrap_or(0);
    Sides { top: side("top"), bottom: side("bottom"), left: side("left"), right: side("right") }
}
