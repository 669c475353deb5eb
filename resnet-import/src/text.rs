//! Specs as text, and networks in words.

use std::fmt::Write;

use crate::candidate::Candidate;

/// The spec that is like one that ships, but for what is given.
pub(crate) fn like(name: &str, like: &str, classes: Option<usize>, output: Option<&str>) -> String {
    let mut text = format!("name: {}\nlike: {like}\n", word(name));
    if let Some(classes) = classes {
        let _ = writeln!(text, "classes: {classes}");
    }
    if let Some(output) = output {
        let _ = writeln!(text, "outputs: [{output}]");
    }
    text
}

/// A candidate in words.
pub(crate) fn network(candidate: &Candidate, output: Option<&str>) -> String {
    let [height, width, channels] = candidate.input;
    let name = &candidate.like.name;
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
    if starts && text.chars().all(plain) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
