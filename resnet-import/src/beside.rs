//! Files beside the one that names them.

use crate::error::{Error, shown};

/// A name is that of a file, without folders, on any system. `what` is said to be in it.
///
/// # Errors
/// If it is none: no file elsewhere is opened.
pub(crate) fn plain(name: &str, what: impl FnOnce() -> String) -> Result<(), Error> {
    if !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0']) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} is in the file `{}`: only files in the model's own folder are read, by a plain name",
        what(),
        shown(name)
    )))
}

#[test]
fn names_have_no_folders() {
    for name in ["", ".", "..", "/x", "a/b", "../x", "C:x", "a\\b", "x\0"] {
        assert!(plain(name, || "it".to_owned()).is_err(), "{name:?}");
    }
    assert!(plain("model.onnx.data", || "it".to_owned()).is_ok());
}
