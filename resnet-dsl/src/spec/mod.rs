//! Specs: the language a network is described in (`docs/spec-language.md`).
//!
//! `text -> tree -> ast -> Network`: `yaml` reads the text, `parse` checks keys and values, `blocks` spells the
//! layers out. Each goes on after a mistake, so that all are reported in one go.

pub mod ast;
mod blocks;
pub(crate) mod fields;
pub mod names;
pub mod network;
mod parse;
mod print;
pub mod tree;
pub(crate) mod yaml;

use crate::diag::Diagnostics;
use network::{LayerKind, Network, Precision};

/// What the caller asks for instead of what the spec says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Classes.
    pub classes: Option<usize>,
    /// Height, width and channels of the input.
    pub input: Option<[usize; 3]>,
    /// Images a run.
    pub batch: Option<usize>,
    /// Whether convolutions may be computed by Winograd's algorithm.
    pub winograd: Option<bool>,
    /// What the layers compute in.
    pub precision: Option<Precision>,
}

/// Gives the text of a file that a spec names, or says why it cannot.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// The network of a YAML text, and all mistakes of the text. If there are any, the network is what can be understood: it
/// ends before the first layer or block that cannot, and its shapes may be looked at for more mistakes.
pub fn parse(text: &str, overrides: &Overrides, read: ReadFile<'_>) -> (Option<Network>, Diagnostics) {
    let mut errors = Diagnostics::default();
    let mut network = match yaml::read(text) {
        Ok(tree) => {
            parse::spec(&tree, overrides, read, &mut errors).map(|spec| blocks::expand(spec, &mut errors))
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    if let (Some(network), Some(allowed)) = (&mut network, overrides.winograd) {
        for layer in &mut network.layers {
            if let LayerKind::Conv { winograd, .. } = &mut layer.kind {
                *winograd = allowed;
            }
        }
    }
    if let (Some(network), Some(precision)) = (&mut network, &overrides.precision) {
        network.precision = precision.clone();
    }
    (network, errors)
}
