//! Specs as text, and networks in words.

use crate::candidate::{Candidate, Like};
use crate::error::Error;

/// What a network has otherwise than the spec that it is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difference {
    /// Classes.
    pub(crate) classes: Option<usize>,
    /// Height, width and channels of the input.
    pub(crate) input: Option<[usize; 3]>,
    /// Names of the values that it gives.
    pub(crate) outputs: Vec<String>,
    /// The epsilon of batch norms.
    pub(crate) epsilon: Option<f64>,
}

impl Difference {
    /// The spec: one that ships is named, one of the caller's is copied.
    ///
    /// # Errors
    /// If the caller's would have to be changed.
    pub(crate) fn spec(&self, name: &str, like: &Like) -> Result<String, Error> {
        let mut lines = Vec::new();
        if let Some(classes) = self.classes {
            lines.push(format!("classes: {classes}"));
        }
        if let Some([height, width, channels]) = self.input {
            lines.push(format!("input: {height}x{width}x{channels}"));
        }
        if let Some(epsilon) = self.epsilon {
            lines.push(format!("batch_norm: {{epsilon: {}}}", number(epsilon)));
        }
        if !self.outputs.is_empty() {
            lines.push(format!("outputs: [{}]", self.outputs.join(", ")));
        }
        if like.ships() {
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            return Ok(format!("name: {}\nlike: {}\n{lines}", word(name), like.name));
        }
        if lines.is_empty() {
            return Ok(like.text.clone());
        }
        let lines = lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(" and ");
        Err(Error::Unsupported(format!(
            "the file differs from {}: write {lines} in it, and try again",
            like.name
        )))
    }
}

/// A candidate in words.
pub(crate) fn network(name: &str, candidate: &Candidate, output: Option<&str>) -> String {
    let [height, width, channels] = candidate.input;
    let what = match (output, candidate.classes) {
        (Some(output), _) => format!(" up to {output}"),
        (None, Some(classes)) => format!(" with {classes} classes"),
        (None, None) => String::new(),
    };
    format!("{name}{what}, input {height}x{width}x{channels}")
}

/// A word of YAML, in quotes where it needs them.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// A number of YAML: with a point, by which also older readers know it; as short as f32 allows, if it is one.
pub(crate) fn number(number: f64) -> String {
    let single = number as f32;
    let text = if f64::from(single) == number { format!("{single:?}") } else { format!("{number:?}") };
    match text.split_once('e') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0e{power}"),
        _ => text,
    }
}

#[test]
fn numbers_have_points() {
    for (value, text) in [
        (1e-5, "1.0e-5"),
        (f64::from(1e-5f32), "1.0e-5"),
        (1.001e-5, "1.001e-5"),
        (0.001, "0.001"),
        (3.0, "3.0"),
    ] {
        assert_eq!(number(value), text);
    }
}
