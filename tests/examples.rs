//! The examples print what they promise. `cargo test` builds them beside the tests; `cargo test --test examples` alone needs a
//! `cargo build --examples` before. `examples/server` has tests of its own.

use std::process::Command;

fn output(example: &str, arguments: &[&str]) -> String {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let output = Command::new(folder.join(example)).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{example}: {error}: `cargo build --examples` first"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn photo_names_the_digit() {
    for arguments in [[].as_slice(), &["examples/images/7-handwritten.png"]] {
        let output = output("photo", arguments);
        assert!(output.starts_with("7 ") && output.lines().count() == 3, "{output}");
    }
}

#[test]
fn pipeline_knows_every_digit() {
    let output = output("pipeline", &["examples/images"]);
    for digit in 0..10 {
        assert!(output.contains(&format!("{digit}-handwritten.png: {digit} ")), "{output}");
    }
    assert!(output.lines().last().unwrap().contains("images/s"), "{output}");
}
