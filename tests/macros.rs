//! The macros in a user's crate: what compiles, and the errors of what does not.
//!
//! Each folder of `tests/macros/` is the source of a crate; its errors are in `expected.txt` (none: it compiles), one
//! block each: where the compiler shows it, and what it says. A spec's warnings are there as well. `BLESS=1` writes them anew. All mistakes must be there,
//! and nothing that only follows from them.

mod common;

use std::fs;
use std::path::Path;

use common::crates::{cargo, user_crate};
use common::path;
use serde_json::Value;

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

/// Asked for by a variable, whose change is a reason to build again.
#[test]
fn a_line_for_each_network() {
    let folder = user_crate(&path("tests/macros/good"), "summary");
    let lines = |summary: &str| {
        let output = cargo("check", &folder).env("RESNET_SUMMARY", summary).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{message}");
        message.lines().filter(|line| line.starts_with("resnet: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(""), [""; 0]);
    let lines = lines("1");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let resnet50 =
        "resnet: resnet50 23.5 M parameters, 4.09 G multiply-adds, 5.28 MB activations, weights 93.9 MB f32";
    assert!(lines.iter().any(|line| line == resnet50), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(" f32, batch 2")), "{lines:?}");
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
