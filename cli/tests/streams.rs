//! Readers that leave, devices that are full, and outputs that are no plain files.

mod common;

use std::fs;
use std::process::Stdio;

use common::{command, resnet, scratch, stderr, stdout, write_npy};

const WEIGHTS: &str = "models/digits.safetensors";

/// Every command that prints, with little to do.
fn commands() -> Vec<Vec<String>> {
    let (packed, table) = (scratch("streams.packed"), scratch("streams.yaml"));
    let commands: [&[&str]; 8] = [
        &["classify", "examples/images/1-handwritten.png", "examples/images/2-handwritten.png"],
        &["bench", "digits", "--seconds", "0.01"],
        &["bench", "digits", "--seconds", "0.01", "--json"],
        &["bench", "digits", "--seconds", "0.01", "--layers"],
        &["inspect", "digits"],
        &["pack", "digits", "--weights", WEIGHTS, "--output", &packed],
        &[
            "calibrate",
            "digits",
            "--method",
            "minmax",
            "--weights",
            WEIGHTS,
            "--inputs",
            "formula",
            "--output",
            &table,
        ],
        &["verify", "digits", "--weights", WEIGHTS, "--inputs", "formula", "--precision", "bf16"],
    ];
    commands.map(|words| words.iter().map(|word| (*word).to_owned()).collect()).to_vec()
}

#[test]
fn commands_end_quietly_when_their_reader_leaves() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    }
}

/// Linux has a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let full = || fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(&words).stdout(full()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {message}");
        assert!(message.starts_with("error: cannot write the output: "), "{words:?}: {message}");
        // With nowhere to say it either.
        let status = command(&words).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{words:?}");
    }
}

#[cfg(unix)]
#[test]
fn outputs_that_are_no_plain_files() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let input = write_npy("streams-input.npy", &[1, 28, 28, 1], &[0.5f32; 28 * 28]);
    let arguments = |kind: &str, output: &str| -> Vec<String> {
        let more: &[&str] = match kind {
            "run" => &["--input", &input],
            "calibrate" => &["--inputs", "formula", "--method", "minmax"],
            _ => &[],
        };
        let all = [&[kind, "digits", "--weights", WEIGHTS, "--output", output][..], more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    for kind in ["run", "calibrate", "pack"] {
        let write = |output: &str| {
            let words = arguments(kind, output);
            stdout(&words.iter().map(String::as_str).collect::<Vec<_>>());
        };
        let folder = scratch(&format!("outputs-{kind}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| format!("{folder}/{name}");
        write(&path("plain"));
        let expected = fs::read(path("plain")).unwrap();

        fs::write(path("real"), "old").unwrap();
        symlink("real", path("link")).unwrap();
        write(&path("link"));
        assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
        assert!(fs::read(path("real")).unwrap() == expected, "{kind} by a link");

        let made = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(made.success());
        let fifo = path("fifo");
        let reader = std::thread::spawn(move || fs::read(fifo).unwrap());
        write(&path("fifo"));
        assert!(reader.join().unwrap() == expected, "{kind} by a fifo");
        assert!(fs::symlink_metadata(path("fifo")).unwrap().file_type().is_fifo());

        #[cfg(target_os = "linux")]
        {
            // A pipe, by a link that leads to no path.
            let words = arguments(kind, "/dev/stdout");
            let output = resnet(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(output.status.success() && output.stdout == expected, "{kind} to a pipe");
        }
        write("/dev/null");
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());

        // What fails leaves what was there, and nothing new.
        for output in [path("no/such/folder"), folder.clone()] {
            let words = arguments(kind, &output);
            let message = stderr(1, &words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(message.contains("cannot write") && message.contains(&output), "{message}");
        }
        #[cfg(target_os = "linux")]
        {
            let words = arguments(kind, "/dev/full");
            let message = stderr(1, &words.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(message.contains("cannot write /dev/full"), "{message}");
        }
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["fifo", "link", "plain", "real"]);
    }
}
