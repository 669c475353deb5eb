//! What a network has otherwise than the spec that it is like, and the spec that says so.

use resnet_dsl::spec::Overrides;

use crate::candidate::{Candidate, Like, OPEN};
use crate::error::Error;
use crate::yaml::{number, word};

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

/// What a person has to look at where the spec is for images of other channels.
const TO_BE_SAID: &str =
    "pixels from 0 to 1; if the training subtracted a mean: {mean: [0.5], std: [0.5]}, a number a channel";

/// What is said about the preprocessing of a spec that is for images of other channels than the one that it is like.
pub(crate) fn note(spec: &str) -> Option<String> {
    spec.contains(OPEN).then(|| format!("images have other channels here, so nothing says how they become inputs: set `{OPEN}` in the spec"))
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
            if Candidate::parse(like, &Overrides::default())?.input[2] != channels {
                lines.push(OPEN.to_owned());
            }
        }
        if let Some(epsilon) = self.epsilon {
            lines.push(format!("batch_norm: {{epsilon: {}}}", number(epsilon)));
        }
        if !self.outputs.is_empty() {
            lines.push(format!("outputs: [{}]", self.outputs.join(", ")));
        }
        if like.ships() {
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let lines = lines.replace(OPEN, &format!("{OPEN} # {TO_BE_SAID}"));
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
