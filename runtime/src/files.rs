//! Writing files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file by `write`. What was there stays until the new file is complete; if writing fails, it stays for good.
///
/// ```text
/// /dev/stdout:                   is printed to
/// a link:                        what it points to is written
/// a device, pipe or socket:      is written to
/// a file, or nothing:            write beside it, then rename
/// ```
///
/// # Errors
/// What the system or `write` says.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if is_standard_output(path) {
        // A file opened anew would not share its place with what is printed.
        let mut output = BufWriter::new(io::stdout());
        write(&mut output)?;
        return output.flush();
    }
    // (Asked of the path as it is: links of `/proc`, as `/dev/fd/3` is one, can lead to what has no path.)
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return fill(OpenOptions::new().write(true).open(path)?, write).map(drop);
    }
    let path = &target(path)?;
    let (unfinished, file) = beside(path)?;
    let permissions = old.map_or(Ok(()), |old| file.set_permissions(old.permissions()));
    let result = permissions.and_then(|()| fill(file, write)).and_then(|file| {
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if result.is_err() {
        // It may be gone; the error that is told is the first one.
        let _ = fs::remove_file(&unfinished);
    }
    result
}

/// Whether a path is that of the process' standard output.
pub fn is_standard_output(path: &Path) -> bool {
    cfg!(unix) && path == Path::new("/dev/stdout")
}

fn fill(file: File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut buffer = BufWriter::new(file);
    write(&mut buffer)?;
    buffer.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Where a path leads, links followed, those to nothing as well.
fn target(path: &Path) -> io::Result<PathBuf> {
    /// The most links that a system follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links, one to the next"))
}

/// A new file in the same folder, which is the same file system.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    if path.file_name().is_none() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut attempt = 0u32;
    loop {
        // Short, since the file's own name may be as long as names can be.
        let unfinished = path.with_file_name(format!(".resnet-{}-{attempt}.part", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&unfinished) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            result => return result.map(|file| (unfinished, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("resnet-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = folder("failure");
        let path = folder.join("file");
        let fails = |to: &mut dyn Write| to.write_all(b"new").and(Err(io::Error::other("no more")));
        replace(&path, fails).unwrap_err();
        assert_eq!(names(&folder), [""; 0]);
        replace(&path, |to| to.write_all(b"old")).unwrap();
        replace(&path, fails).unwrap_err();
        assert_eq!(names(&folder), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&folder, |_| Ok(())).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = folder("links");
        fs::write(folder.join("real"), "old").unwrap();
        fs::set_permissions(folder.join("real"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.join("sub")).unwrap();
        for (link, to) in
            [("sub/link", "../real"), ("second", "sub/link"), ("dangling", "sub/new"), ("a", "b"), ("b", "a")]
        {
            symlink(to, folder.join(link)).unwrap();
        }
        for link in ["sub/link", "second", "dangling"] {
            replace(&folder.join(link), |to| write!(to, "by {link}")).unwrap();
            assert!(folder.join(link).is_symlink());
        }
        assert_eq!(fs::read(folder.join("real")).unwrap(), b"by second");
        assert_eq!(fs::metadata(folder.join("real")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(folder.join("sub/new")).unwrap(), b"by dangling");
        replace(&folder.join("a"), |_| Ok(())).unwrap_err();
        assert_eq!(names(&folder.join("sub")), ["link", "new"]);
        replace(Path::new("/dev/null"), |to| to.write_all(b"gone")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
