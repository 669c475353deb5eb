//! What a command shows while it works, on standard error, and only where that is a terminal.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What takes less is done before one has read that it is being done.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two frames of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// A bar of so many things.
pub(crate) fn bar(count: usize, things: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left");
    let bar = ProgressBar::new(count as u64).with_message(things);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    // It is seen before the first thing is done.
    bar.enable_steady_tick(PATIENCE);
    bar
}

/// Does some work, and says what, if it takes long.
pub(crate) fn during<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (working, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let spinner = ProgressBar::new_spinner().with_message(what);
                spinner.enable_steady_tick(TICK);
                let _ = end.recv();
                spinner.finish_and_clear();
            }
        });
        let result = work();
        drop(working);
        result
    })
}
