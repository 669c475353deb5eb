//! Images on the command line: folders, standard input, any number of them.

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{command, scratch, stderr, stdout};

const WEIGHTS: [&str; 2] = ["--weights", "models/digits.safetensors"];

/// What a command prints that reads a file from standard input.
fn piped(arguments: &[&str], file: &str) -> String {
    let bytes = std::fs::read(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut command = command(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn array(path: &str) -> (Vec<u64>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// In the order of their names, however many sessions share them.
#[test]
fn a_folder_is_its_images() {
    for threads in ["1", "2", "3"] {
        let text = stdout(&["classify", "examples/images", "--top", "1", "--threads", threads]);
        let lines: Vec<&str> = text.lines().collect();
        for (digit, line) in lines[..10].iter().enumerate() {
            let start = format!("examples/images/{digit}-handwritten.png  {digit} ");
            assert!(line.replace('\\', "/").starts_with(&start), "{line}");
        }
        assert!(lines[11].contains("images/s"), "{}", lines[11]);
    }
    let folder = scratch("no-images");
    std::fs::create_dir_all(&folder).unwrap();
    assert!(stderr(1, &["classify", &folder]).contains("there are no images in"));
}

#[test]
fn standard_input_is_an_image() {
    let text = piped(&["classify", "-", "--top", "1"], "examples/images/4-handwritten.png");
    assert!(text.starts_with("-  4 "), "{text}");
    assert!(stderr(1, &["classify", "-", "-"]).contains("named twice"));
    if cfg!(unix) {
        // A pipe by its name, as a shell's `<(..)` is.
        let text = piped(&["classify", "/dev/stdin", "--top", "1"], "examples/images/4-handwritten.png");
        assert!(text.starts_with("/dev/stdin  4 "), "{text}");
    }
}

/// `run` takes arrays and images, any number, whatever the batch: the outputs are those of each alone.
#[test]
fn run_takes_images() {
    let run = |inputs: &[&str], batch: &str, output: &str| {
        let output = scratch(output);
        let settings = ["--batch", batch, "--output", &output, "--input"];
        stdout(&[&["run", "digits"], &WEIGHTS[..], &settings, inputs].concat());
        array(&output)
    };
    let (shape, folder) = run(&["examples/images"], "1", "folder.npy");
    assert_eq!(shape, [10, 1, 1, 10]);
    for (digit, scores) in folder.chunks(10).enumerate() {
        assert!(scores.iter().all(|score| *score <= scores[digit]), "{digit}: {scores:?}");
    }
    let seven = "examples/images/7-handwritten.png";
    assert_eq!(run(&[seven, "examples/images"], "1", "eleven.npy").1, [&folder[70..80], &folder].concat());
    let (shape, batches) = run(&["examples/images"], "4", "batches.npy");
    assert_eq!(shape, [10, 1, 1, 10]);
    for (found, expected) in batches.iter().zip(&folder) {
        assert!((found - expected).abs() <= 1e-4, "{found}, alone {expected}");
    }
    let output = scratch("piped.npy");
    let arguments = ["run", "digits", "--input", "-", "--output", &output];
    piped(&[&arguments[..], &WEIGHTS].concat(), seven);
    assert_eq!(array(&output).1, folder[70..80]);
}

#[test]
fn images_have_a_limit() {
    let seven = "examples/images/7-handwritten.png";
    let message = stderr(1, &["classify", seven, "--max-pixels", "783"]);
    assert!(message.contains("28 x 28 pixels, more than 783: see --max-pixels"), "{message}");
    stdout(&["classify", seven, "--max-pixels", "784"]);
}

/// A network that ends in features has no classes to name.
#[test]
fn classify_needs_classes() {
    let spec = scratch("features.yaml");
    std::fs::write(&spec, "name: features\ninput: 8x8x3\nhead: [average_pool: global]").unwrap();
    let seven = "examples/images/7-handwritten.png";
    let message = stderr(1, &["classify", seven, "--model", &spec, "--weights", "init"]);
    assert!(message.contains("`features` ends in features"), "{message}");
}
