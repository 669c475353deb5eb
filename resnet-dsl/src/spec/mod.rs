//! Specs: the language a network is described in (`docs/spec-language.md`).
//!
//! `text -> tree -> ast -> Network`: [`yaml`] reads the text, [`parse`] checks keys and values, [`blocks`] spells the
//! layers out. Each goes on after a mistake, so that all are reported in one go.

pub mod ast;
mod blocks;
mod fields;
pub mod names;
pub mod network;
mod parse;
mod print;
pub mod tree;
mod yaml;

use crate::diag::Diagnostics;
use network::Network;

/// What the caller asks for instead of what the spec says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Classes.
    pub classes: Option<usize>,
    /// Height, width and channels of the input.
    pub input: Option<[usize; 3]>,
    /// Images a run.
    pub batch: Option<usize>,
}

/// Gives the text of a file that a spec names, or says why it cannot.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// The checked network of a YAML text.
///
/// # Errors
/// All mistakes.
pub fn parse(text: &str, overrides: &Overrides, read: ReadFile<'_>) -> Result<Network, Diagnostics> {
    let mut errors = Diagnostics::default();
    let tree = match yaml::read(text) {
        Ok(tree) => tree,
        Err(error) => {
            errors.push(error);
            return Err(errors);
        }
    };
    let network =
        parse::spec(&tree, overrides, read, &mut errors).map(|spec| blocks::expand(spec, &mut errors));
    match network {
        Some(network) if errors.is_empty() => Ok(network),
        _ => Err(errors),
    }
}
