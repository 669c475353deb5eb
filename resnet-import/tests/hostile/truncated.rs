//! Files that end too early.

use crate::{imported, rejected, seeds};

/// Of files no longer than this, every beginning is tried.
const TINY: usize = 3_000;

#[test]
fn beginnings_of_files_are_refused() {
    for (name, file) in seeds() {
        imported(&name, &file);
        let step = if file.len() <= TINY { 1 } else { 997 };
        for len in (0..file.len()).step_by(step) {
            rejected(&name, &file[..len], "");
        }
        // The last bytes too, which hold a zip archive's directory.
        for len in file.len().saturating_sub(50)..file.len() {
            rejected(&name, &file[..len], "");
        }
    }
}
