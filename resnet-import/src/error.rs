//! Why a file cannot be imported.

use std::io;
use std::path::PathBuf;

/// Why a file cannot be imported: what, where in the file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what its beginning says, or ends too early.
    #[error("{0}")]
    Malformed(String),
    /// The file asks for something that is never done: calling a function, reading another file.
    #[error("{0}")]
    Refused(String),
    /// What the file describes has no counterpart here.
    #[error("{0}")]
    Unsupported(String),
}

/// A text of a file as messages show it: printable, and not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown = chars.by_ref().take(120).collect::<String>().escape_debug().to_string();
    if chars.next().is_some() {
        shown.push_str("..");
    }
    shown
}
