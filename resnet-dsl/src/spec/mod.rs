//! Specs: the language a network is described in (`docs/spec-language.md`).
//!
//! `text -> tree -> ast -> Graph`: `yaml` reads the text, `parse` checks keys and values and writes the definitions of blocks
//! out, `lower` makes nodes of layers. Each goes on after a mistake, so that all are reported in one go.

pub mod ast;
mod budget;
mod define;
mod expression;
pub(crate) mod fields;
mod instance;
mod layers;
mod like;
mod lower;
pub mod metadata;
pub mod names;
mod parse;
mod preprocessing;
mod scope;
mod settings;
mod stages;
pub mod tree;
pub(crate) mod yaml;

use std::collections::HashMap;

use resnet_plan::{Algorithm, Algorithms, Dims, Precision};

use crate::Spec;
use crate::calibration::Calibration;
use crate::diag::{Diagnostics, Span};
use crate::ir::{Graph, Op};
use metadata::Metadata;

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
    /// int8: the calibration table.
    pub calibration: Option<Calibration>,
}

/// Gives the text of a file that a spec names, or says why it cannot.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

/// What a spec stands for.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What is computed, without types.
    pub graph: Graph,
    /// Batch, height, width and channels of the input.
    pub input: Dims,
    /// Where the input's size was given.
    pub input_span: Span,
    /// How many classes there are, if that is known.
    pub classes: Option<usize>,
    /// What is no part of the computation.
    pub metadata: Metadata,
    /// The stage of each block, by the block's name.
    pub stages: HashMap<String, String>,
    /// Where the labels were given.
    pub labels_span: Span,
    /// What has no effect.
    pub warnings: Diagnostics,
}

/// The graph of a YAML text, and all mistakes of the text. If there are any, the graph is what can be understood: it ends
/// before the first layer or block that cannot, and its shapes may be looked at for more mistakes.
pub fn parse(source: &Spec<'_>, read: ReadFile<'_>) -> (Option<Parsed>, Diagnostics) {
    let mut errors = Diagnostics::default();
    let tree = yaml::read(source.text).map_err(|error| errors.push(error)).ok();
    let spec = tree.and_then(|tree| parse::spec(&tree, source, read, &mut errors));
    let mut parsed = spec.map(|spec| lower::lower(spec, &mut errors));
    if let (Some(parsed), Some(allowed)) = (&mut parsed, source.overrides.winograd) {
        allow_winograd(&mut parsed.graph, allowed);
    }
    (parsed, errors)
}

/// Says of all convolutions whether they may be computed by Winograd's algorithm.
pub(crate) fn allow_winograd(graph: &mut Graph, allowed: bool) {
    for value in graph.topological() {
        if let Op::Conv2d(conv) = &mut graph.node_mut(value).op {
            conv.algorithms = (!allowed).then_some(Algorithms::all(Algorithm::Direct));
        }
    }
}
