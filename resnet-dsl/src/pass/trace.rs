//! What each pass changes, as values and as text.
//!
//! ```text
//! fold-batch-norm: 53 batch norms folded
//!   stem:
//!     - %conv1 = conv2d %input {7x7 s=2 p=3 filters=64} : 112x112x64  conv1.weight
//!     - %bn1 = batch_norm %conv1 : 112x112x64  bn1
//!     + %bn1 = conv2d %input {7x7 s=2 p=3 filters=64} : 112x112x64  conv1.weight, fold bn1
//! ```
//! `~` marks a value that the same operator computes in another way: the words of its line that are gone, and the new ones.

use std::fmt;

use super::{Pass, run_until};
use crate::diag::Diagnostics;
use crate::ir::Graph;
use crate::ir::brief;
use crate::ir::diff::{Change, ChangeKind, changes};

/// What a pass did.
#[derive(Clone, Debug)]
pub struct Done {
    /// The pass.
    pub pass: Pass,
    /// The values that it changed, in the order of the graph.
    pub changes: Vec<Change>,
    /// Values of the graph after it.
    pub values: usize,
}

/// Runs all passes and tells what each did.
///
/// # Errors
/// Those of [`run_until`].
pub fn trace(graph: &mut Graph) -> Result<Vec<Done>, Diagnostics> {
    let mut rows = brief::rows(graph);
    let mut all = Vec::new();
    run_until(graph, None, |pass, graph| {
        let next = brief::rows(graph);
        all.push(Done { pass: *pass, changes: changes(&rows, &next), values: next.len() });
        rows = next;
    })?;
    Ok(all)
}

impl Done {
    /// In words: `53 batch norms folded`. What it puts in another operator's place counts, else what it takes away, else what
    /// it changes.
    pub fn outcome(&self) -> String {
        let count =
            |kind: fn(&ChangeKind) -> bool| self.changes.iter().filter(|change| kind(&change.kind)).count();
        let counts = [
            count(|kind| matches!(kind, ChangeKind::Replaced(..))),
            count(|kind| matches!(kind, ChangeKind::Removed(_))),
            self.changes.len(),
        ];
        let [one, several] = self.pass.done;
        match counts.into_iter().find(|count| *count > 0) {
            None => "nothing to do".to_owned(),
            Some(1) => format!("1 {one}"),
            Some(count) => format!("{count} {several}"),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.pass.name, self.outcome())?;
        for block in self.changes.chunk_by(|a, b| a.block == b.block) {
            if let Some(change) = block.first() {
                writeln!(f, "  {}:", change.block)?;
            }
            for change in block {
                change.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))?;
            }
        }
        Ok(())
    }
}
