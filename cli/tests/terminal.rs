//! What the command line is for people at a terminal, and for programs that read it.

mod common;

use common::{resnet, scratch, stderr, stdout, write_npy};
use serde_json::Value;

#[test]
fn without_arguments_it_says_what_to_try() {
    let message = stderr(2, &[]);
    assert!(message.contains("Try first:") && message.matches("  resnet ").count() == 3, "{message}");
    assert!(message.lines().count() < 12, "{message}");
}

#[test]
fn every_help_has_examples() {
    for command in
        ["run", "pack", "bench", "calibrate", "verify", "import", "inspect", "classify", "completions"]
    {
        let help = stdout(&[command, "--help"]);
        assert!(help.contains(&format!("Examples:\n  resnet {command} ")), "{help}");
    }
}

#[test]
fn each_shell_has_completions() {
    for (shell, part) in [
        ("bash", "complete -F _resnet"),
        ("zsh", "#compdef resnet"),
        ("fish", "complete -c resnet"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[resnet]"),
    ] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains(part) && script.contains("calibrate"), "{shell}: {script}");
    }
    stderr(2, &["completions", "tcsh"]);
}

/// Neither colors nor progress where nobody looks.
#[test]
fn pipes_get_plain_text() {
    let verify =
        ["verify", "digits", "--weights", "models/digits.safetensors", "--images", "examples/images"];
    for arguments in [&verify[..], &["bench", "no/such"], &["classify", "no/such.png"], &["--help"], &[]] {
        let output = resnet(arguments);
        let is_plain = |bytes: &[u8]| !bytes.contains(&0x1b) && !bytes.contains(&b'\r');
        assert!(is_plain(&output.stdout) && is_plain(&output.stderr), "{arguments:?}");
    }
}

#[test]
fn programs_read_json() {
    let read = |arguments: &[&str]| -> Vec<Value> {
        let text = stdout(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let images = ["examples/images/3-handwritten.png", "examples/images/7-handwritten.png"];
    let guesses = read(&["classify", images[0], images[1], "--top", "2"]);
    for (object, (image, label)) in guesses.iter().zip([(images[0], "3"), (images[1], "7")]) {
        assert_eq!((&object["image"], &object["guesses"][0]["label"]), (&image.into(), &label.into()));
        assert_eq!(object["guesses"].as_array().map(Vec::len), Some(2));
        assert!(object["guesses"][0]["probability"].as_f64() > Some(0.5), "{object}");
    }
    assert_eq!(guesses.len(), 2);

    let [table, packed, output] = ["json.yaml", "json.packed", "json.npy"].map(scratch);
    let digits = ["digits", "--weights", "models/digits.safetensors"];
    let with = |command: &str, more: &[&str]| {
        let objects = read(&[&[command], &digits[..], more].concat());
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects[0].clone()
    };
    let object = with("calibrate", &["--images", "examples/images", "--output", &table]);
    assert_eq!((&object["output"], object["scales"].as_u64()), (&table.clone().into(), Some(12)));
    assert!(object["worst"]["snr_db"].as_f64() <= object["median"]["snr_db"].as_f64(), "{object}");
    let object = with("pack", &["--output", &packed]);
    let bytes = std::fs::metadata(&packed).unwrap().len();
    assert!((1..=bytes).contains(&object["bytes"].as_u64().unwrap()), "{object}");
    let input = write_npy("json-input.npy", &[3, 28, 28, 1], &[0.5f32; 3 * 28 * 28]);
    let object = with("run", &["--input", &input, "--output", &output]);
    assert_eq!(object["arrays"][0]["shape"], serde_json::json!([3, 1, 1, 10]));
}
