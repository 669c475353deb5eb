//! Crates of users, made of what a test has for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::path;

const MANIFEST: &str = r#"
[package]
name = "user"
edition = "2024"
[[bin]]
name = "user"
path = "main.rs"
[dependencies]
resnet = { path = "RESNET" }
[workspace]
"#;

/// A crate in the build's own folder, with the sources of a case. A case that is more than a `main.rs` has a manifest of its own, in
/// which `RESNET` is this workspace.
pub(crate) fn user_crate(case: &Path, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest(MANIFEST)).unwrap();
    copy(case, &folder);
    // The versions that this workspace is built with, so that nothing is fetched.
    fs::copy(path("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if from.ends_with("Cargo.toml") {
            fs::write(to, manifest(&fs::read_to_string(from).unwrap())).unwrap();
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn manifest(text: &str) -> String {
    text.replace("RESNET", &path("").display().to_string().replace('\\', "/"))
}

/// Cargo in the folder of a user's crate.
pub(crate) fn cargo(command: &str, folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--offline", "--quiet"]).env_remove("RUSTFLAGS").current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-target"));
    cargo
}
