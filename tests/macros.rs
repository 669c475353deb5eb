//! The macros in a user's crate: what compiles, and the errors of what does not.
//!
//! Each folder of `tests/macros/` is the source of a crate; its errors are in `expected.txt` (none: it compiles), one
//! block each: where the compiler shows it, and what it says. A spec's warnings are there as well. `BLESS=1` writes them anew. All mistakes must be there,
//! and nothing that only follows from them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::path;
use serde_json::Value;

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
fn user_crate(case: &Path, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest(MANIFEST)).unwrap();
    copy(case, &folder);
    // The versions that this workspace is built with, so that nothing is fetched.
    fs::copy(path("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
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

/// A debug build as everyone makes it, without a word on the profile, has frames of unoptimized kernels. Windows' main thread has
/// 1 MB of stack.
#[test]
#[ignore = "compiles the runtime without optimization, for half a minute; `.ci/run` has it"]
fn a_debug_build_serves_a_small_stack() {
    let output = cargo("run", &user_crate(&path("tests/macros/stack"), "stack")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{message}", String::from_utf8_lossy(&output.stdout));
}

/// The errors that the compiler reports, and the warnings of the macro.
fn reports(folder: &Path) -> String {
    let output = cargo("check", folder).arg("--message-format=json").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let messages = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (mut errors, mut failed) = (String::new(), false);
    for message in messages.filter(|message| message["reason"] == "compiler-message") {
        let message = &message["message"];
        let summary = message["message"].as_str().unwrap_or_default();
        let error = message["level"] == "error" && !summary.starts_with("aborting due to");
        failed |= error;
        // Proc macros warn by the use of something deprecated.
        if error || message["code"]["code"] == "deprecated" {
            let span = &message["spans"][0];
            let place = format!("{}:{}:{}", span["file_name"], span["line_start"], span["column_start"]);
            errors += &format!("{}\n{summary}\n\n", place.replace('"', ""));
        }
    }
    assert_eq!(failed, !output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    errors.replace(&folder.display().to_string(), "$DIR")
}

/// Cargo in the folder of a user's crate.
fn cargo(command: &str, folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([command, "--offline", "--quiet"]).env_remove("RUSTFLAGS").current_dir(folder);
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-target"));
    cargo
}

// (Tests that share a build folder wait for each other.)
#[test]
fn user_crates() {
    let mut failed = Vec::new();
    let cases = fs::read_dir(path("tests/macros")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut cases: Vec<_> = cases.collect();
    cases.sort();
    assert!(cases.len() > 10, "{cases:?}");
    for case in cases {
        let case = path("tests/macros").join(case);
        let found = reports(&user_crate(&case, "user"));
        let file = case.join("expected.txt");
        if std::env::var_os("BLESS").is_some() {
            if found.is_empty() { drop(fs::remove_file(&file)) } else { fs::write(&file, &found).unwrap() }
        }
        if found != fs::read_to_string(&file).unwrap_or_default() {
            failed.push(format!("{}:\n{found}", file.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The examples of `docs/generated-type.md`, each in a function.
#[test]
fn the_page_of_the_generated_type_is_true() {
    let page = fs::read_to_string(path("docs/generated-type.md")).unwrap();
    let mut blocks = page.split("```rust").skip(1).map(|block| block.split_once("```").unwrap().0);
    let mut code = blocks.next().unwrap().to_owned();
    let mut calls = String::new();
    for (index, block) in blocks.enumerate() {
        let (run, block) = block.strip_prefix(",no_run").map_or((true, block), |block| (false, block));
        code += "#[allow(unused_variables, unused_mut)]\n";
        code +=
            &format!("fn example_{index}() -> Result<(), Box<dyn std::error::Error>> {{{block}Ok(())}}\n");
        calls += &if run { format!("example_{index}()?;") } else { format!("let _ = example_{index};") };
    }
    code += &format!("fn main() -> Result<(), Box<dyn std::error::Error>> {{ {calls} Ok(()) }}");
    let folder = user_crate(&path("tests/macros/renamed"), "page");
    fs::write(folder.join("Cargo.toml"), manifest(MANIFEST)).unwrap();
    fs::write(folder.join("main.rs"), code).unwrap();
    for shared in ["specs", "models"] {
        fs::create_dir(folder.join(shared)).unwrap();
        copy(&path(shared), &folder.join(shared));
    }
    let output = cargo("run", &folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
