//! What commands print. A reader that leaves ends the command quietly, and no other failure to print is lost.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output")]
pub(crate) struct Unwritable(#[from] io::Error);

impl Unwritable {
    /// Whether whoever reads the output has seen enough: `resnet inspect ... | head`.
    pub(crate) fn reader_left(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints a line on standard output, as `println!`, which panics where this gives an error.
macro_rules! line {
    ($($text:tt)*) => {
        crate::print::output(format_args!($($text)*))
    };
}
pub(crate) use line;

pub(crate) fn output(text: Arguments<'_>) -> Result<(), Unwritable> {
    let mut output = io::stdout().lock();
    output.write_fmt(text)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Prints a line on standard error: if nobody reads it, there is nobody to tell.
pub(crate) fn complaint(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}
