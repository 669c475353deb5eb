//! What a pass changed, value by value, in the lines of [`brief`](crate::ir::brief).
//!
//! ```text
//! walk the values of the new graph; a value whose line is the same is left out
//!     in front of it: the old values up to its place that are gone
//!     it is new, computes something else, or the same in another way
//! ```
//! A value keeps its name as long as it computes the same thing, so names tell which lines belong together.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::ir::brief::Row;

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The block that it belongs to.
    pub block: String,
    /// Its whole name.
    pub name: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a value, with its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is gone: its old line.
    Removed(String),
    /// It is new: its line.
    Added(String),
    /// Another operator computes it: the old and the new line.
    Replaced(String, String),
    /// The same operator in another way: its name, the words that are gone, the words that are new.
    Adjusted(String, Vec<String>, Vec<String>),
}

/// The changes from one graph to the next, in the order of the new one.
pub fn changes(before: &[Row], after: &[Row]) -> Vec<Change> {
    let kept: HashSet<&str> = after.iter().map(|row| row.name.as_str()).collect();
    let places: HashMap<&str, usize> =
        before.iter().enumerate().map(|(place, row)| (row.name.as_str(), place)).collect();
    let gone = |rows: &[Row]| -> Vec<Change> {
        let rows = rows.iter().filter(|row| !kept.contains(row.name.as_str()));
        rows.map(|row| change(row, ChangeKind::Removed(row.to_string()))).collect()
    };
    let (mut changes, mut seen) = (Vec::new(), 0);
    for row in after {
        let Some(place) = places.get(row.name.as_str()) else {
            changes.push(change(row, ChangeKind::Added(row.to_string())));
            continue;
        };
        changes.extend(gone(&before[seen.min(*place)..*place]));
        seen = seen.max(place + 1);
        let old = &before[*place];
        if old.columns == row.columns {
            continue;
        }
        changes.push(change(
            row,
            if old.operator == row.operator {
                let (removed, added) = words(&old.to_string(), &row.to_string());
                ChangeKind::Adjusted(row.columns[0].clone(), removed, added)
            } else {
                ChangeKind::Replaced(old.to_string(), row.to_string())
            },
        ));
    }
    changes.extend(gone(&before[seen..]));
    changes
}

/// `-` and the old line, `+` and the new one; or `~`, the name, and the words that differ.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ChangeKind::Removed(line) => write!(f, "- {line}"),
            ChangeKind::Added(line) => write!(f, "+ {line}"),
            ChangeKind::Replaced(old, new) => write!(f, "- {old}\n+ {new}"),
            ChangeKind::Adjusted(name, removed, added) => {
                write!(f, "~ {name}")?;
                removed.iter().try_for_each(|word| write!(f, " -{word}"))?;
                added.iter().try_for_each(|word| write!(f, " +{word}"))
            }
        }
    }
}

fn change(row: &Row, kind: ChangeKind) -> Change {
    Change { block: row.block.clone(), name: row.name.clone(), kind }
}

/// The words of each line that the other one does not have, without punctuation.
fn words(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let words = |line: &str| -> Vec<String> {
        let words = line.split_whitespace().map(|word| word.trim_matches(['{', '}', ',', ':']).to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let (old, new) = (words(old), words(new));
    let without = |these: &[String], others: &[String]| {
        these.iter().filter(|word| !others.contains(word)).cloned().collect()
    };
    (without(&old, &new), without(&new, &old))
}
