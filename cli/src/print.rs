//! What commands print. A reader that leaves ends the command quietly, and no other failure to print is lost.

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};

use resnet_dsl::diag::Diagnostics;

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output")]
pub(crate) struct Unwritable(#[from] io::Error);

/// Whether whoever reads the output has seen enough: `resnet inspect ... | head`, or a file that is a pipe.
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a line on standard output, as `println!`, which panics where this gives an error.
macro_rules! say {
    ($($text:tt)*) => {
        crate::print::output(format_args!($($text)*))
    };
}
pub(crate) use say;

pub(crate) fn output(text: Arguments<'_>) -> Result<(), Unwritable> {
    let mut output = io::stdout().lock();
    output.write_fmt(text)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

/// Prints a line on standard error: if nobody reads it, there is nobody to tell. `error:` and `warning:` at its begin are in colors.
pub(crate) fn complain(text: Arguments<'_>) {
    let text = text.to_string();
    let colors = [("error:", "\x1b[1;31m"), ("warning:", "\x1b[1;33m")];
    let begin = colors.iter().find_map(|(word, color)| Some((word, color, text.strip_prefix(word)?)));
    let _ = match begin {
        Some((word, color, rest)) if is_colored() => writeln!(io::stderr(), "{color}{word}\x1b[0m{rest}"),
        _ => writeln!(io::stderr(), "{text}"),
    };
}

/// The mistakes of a text, for standard error.
pub(crate) fn shown(diagnostics: &Diagnostics, origin: &str, text: &str) -> String {
    if is_colored() { diagnostics.render_styled(origin, text) } else { diagnostics.render(origin, text) }
}

/// Whether standard error is in colors: if it is a terminal and `NO_COLOR` is not set (no-color.org).
fn is_colored() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !plain
}
