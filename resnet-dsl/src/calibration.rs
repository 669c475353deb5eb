//! Calibration tables: the quantization scale of each value of a network. Text, made by `resnet calibrate`.
//!
//! ```text
//! format: resnet calibration 1
//! network: resnet20                  # for the reader
//! spec: "4f0c2a91d3b7e605"           # the network that it was made for, see `Spec::fingerprint`
//! weights: "90ab12cd34ef5678"        # the weights that it was made with
//! method: mse                        # for the reader
//! images: 8                          # for the reader
//! scales:
//!   input: 0.0207
//!   stem.relu: 0.0119
//! ```
//! `Display` of a table is this form.

use std::collections::BTreeMap;
use std::fmt;

use crate::diag::{Diagnostic, Diagnostics};
use crate::quoted::yaml;
use crate::spec::fields::{Fields, single, size, text};
use crate::spec::tree::{Kind, Node};
use crate::spec::yaml::read;

/// The version of the text form.
const FORMAT: &str = "resnet calibration 1";
/// The smallest and the largest scale: f32 holds the ratio of any two.
pub const SCALES: [f32; 2] = [1e-18, 1e18];

/// A calibration table.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The network's name.
    pub network: String,
    /// Fingerprint of the network.
    pub spec: u64,
    /// Fingerprint of the weights.
    pub weights: u64,
    /// How scales were chosen.
    pub method: String,
    /// Inputs that were looked at.
    pub images: usize,
    /// The quantization scale of each value.
    pub scales: BTreeMap<String, f32>,
}

impl Calibration {
    /// The table of a text.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(source: &str) -> Result<Self, Diagnostics> {
        let mut errors = Diagnostics::default();
        let tree = match read(source) {
            Ok(tree) => tree,
            Err(error) => {
                errors.push(error);
                return Err(errors);
            }
        };
        let table = Self::of(&tree, &mut errors);
        table.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// What is wrong with its scales: each is from 1e-18 to 1e18, so that f32 holds the ratio of any two.
    pub fn faults(&self) -> Vec<String> {
        self.scales.iter().filter_map(|(name, scale)| fault(name, *scale)).collect()
    }

    fn of(tree: &Node, errors: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(tree, "a calibration table", errors);
        let format = fields.required("format", errors);
        let known = format.and_then(|node| text(node, errors)).is_some_and(|format| format == FORMAT);
        if let Some(node) = format.filter(|_| !known) {
            let error = Diagnostic::new(format!("this is not `{FORMAT}`"), node.span);
            errors.push(error.help("make the table again: resnet calibrate"));
        }
        let network = fields.required("network", errors).and_then(|node| text(node, errors));
        let spec = fields.required("spec", errors).and_then(|node| fingerprint(node, errors));
        let weights = fields.required("weights", errors).and_then(|node| fingerprint(node, errors));
        let method = fields.required("method", errors).and_then(|node| text(node, errors));
        let images = fields.required("images", errors).and_then(|node| images(node, errors));
        let scales = fields.required("scales", errors).and_then(|node| scales(node, errors));
        fields.finish(errors);
        Some(Calibration {
            network: network?,
            spec: spec?,
            weights: weights?,
            method: method?,
            images: images?,
            scales: scales?,
        })
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calibration { network, spec, weights, method, images, scales } = self;
        let (network, method) = (yaml(network), yaml(method));
        writeln!(
            f,
            "format: {FORMAT}\nnetwork: {network}\nspec: \"{spec:016x}\"\nweights: \"{weights:016x}\""
        )?;
        writeln!(f, "method: {method}\nimages: {images}\nscales:")?;
        scales.iter().try_for_each(|(name, scale)| writeln!(f, "  {}: {scale:?}", yaml(name)))
    }
}

/// What is wrong with a scale.
fn fault(name: &str, scale: f32) -> Option<String> {
    let [least, most] = SCALES;
    (!(least..=most).contains(&scale))
        .then(|| format!("the scale of `{name}` is {scale:?}, which is not from {least:e} to {most:e}"))
}

fn fingerprint(node: &Node, errors: &mut Diagnostics) -> Option<u64> {
    let digits = text(node, errors)?;
    let number = u64::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 16);
    if number.is_none() {
        errors.push(Diagnostic::new("a fingerprint is 16 hexadecimal digits, in quotes", node.span));
    }
    number
}

/// Any number of images from 1 on.
fn images(node: &Node, errors: &mut Diagnostics) -> Option<usize> {
    match node.kind {
        Kind::Int(images) if images > 0 => usize::try_from(images).ok(),
        _ => size(node, errors),
    }
}

fn scales(node: &Node, errors: &mut Diagnostics) -> Option<BTreeMap<String, f32>> {
    let Kind::Map(entries) = &node.kind else {
        errors.push(Diagnostic::new("scales are a map of names to numbers", node.span));
        return None;
    };
    let mut scales = BTreeMap::new();
    for (key, node) in entries {
        let Some(scale) = single(node, errors) else { continue };
        if let Some(fault) = fault(&key.text, scale) {
            errors.push(Diagnostic::new(fault, node.span));
        }
        scales.insert(key.text.clone(), scale);
    }
    Some(scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Calibration {
        let scales = [("input", 0.020_718_5), ("layer1.0.relu", 1e-9)];
        Calibration {
            network: "net".to_owned(),
            spec: 0x0123_4567_89ab_cdef,
            weights: 7,
            method: "mse".to_owned(),
            images: 8,
            scales: scales.into_iter().map(|(name, scale)| (name.to_owned(), scale)).collect(),
        }
    }

    #[test]
    fn a_table_is_its_text() {
        assert_eq!(Calibration::parse(&table().to_string()), Ok(table()));
    }

    #[test]
    fn names_that_yaml_takes_for_something_else_come_back() {
        let names = [
            "no",
            "Off",
            "y",
            "null",
            "1.5",
            "1e5",
            "007",
            "0x10",
            "1_000",
            "-",
            "---",
            "...",
            ".inf",
            "a: b",
            "a # b",
            "a\nb",
            "'a'",
            "\"a\"",
            "\\",
            "~",
            "*a",
            "&a",
            "[a]",
            " a ",
            "\u{feff}a",
            "é/ü.1",
        ];
        for name in names {
            let scales = [(name.to_owned(), 0.5)].into_iter().collect();
            let table = Calibration { network: name.to_owned(), method: name.to_owned(), scales, ..table() };
            assert_eq!(Calibration::parse(&table.to_string()), Ok(table));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = table().to_string().replace("0.0207185", "0.0").replace("calibration 1", "calibration 9");
        let messages = Calibration::parse(&text).unwrap_err().messages("t.yaml", &text).join("\n");
        assert!(
            messages.contains("the scale of `input` is 0.0, which is not from 1e-18 to 1e18"),
            "{messages}"
        );
        assert!(messages.contains("this is not `resnet calibration 1`"), "{messages}");
    }
}
