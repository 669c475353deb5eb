//! Why a file cannot be imported.

use std::io;
use std::path::PathBuf;

/// Why a file cannot be imported: what, where in the file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{}", printable(&format!("cannot read {}", file.display())))]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what its beginning says, or ends too early.
    #[error("{}", printable(.0))]
    Malformed(String),
    /// The file asks for something that is never done: calling a function, reading another file.
    #[error("{}", printable(.0))]
    Refused(String),
    /// What the file describes has no counterpart here.
    #[error("{}", printable(.0))]
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

/// Characters of a message at most.
const LONGEST: usize = 3_000;

/// A message whose names and texts come from a file: line ends stay, other control characters (which terminals obey) are escaped, and
/// what is too long is cut.
fn printable(message: &str) -> String {
    let printed =
        |c: char| if c == '\n' || !c.is_control() { c.to_string() } else { c.escape_debug().to_string() };
    let mut characters = message.chars();
    let mut printable: String = characters.by_ref().take(LONGEST).map(printed).collect();
    if characters.next().is_some() {
        printable.push_str("..");
    }
    printable
}
