//! How much memory a file may ask for.

use crate::error::Error;

/// What may still be allocated for a file that is in memory already: at first as much as the file takes, and 48 MB.
///
/// What is a part of the file costs nothing. What has to be made of it (inflated, made contiguous) is taken from here before it is
/// allocated, so that a small file cannot ask for much.
#[derive(Clone)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    /// For a file of so many bytes.
    pub(crate) fn of(file: usize) -> Self {
        Budget { left: file.saturating_add(48 << 20) }
    }

    /// Takes `bytes` for `what`.
    ///
    /// # Errors
    ///
    /// If less is left.
    pub(crate) fn take(&mut self, bytes: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            Error::Refused(format!(
                "{} would take {bytes} bytes of memory, more than a file of this size may ask for",
                what()
            ))
        })?;
        Ok(())
    }
}
