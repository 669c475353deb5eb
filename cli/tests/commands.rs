//! The command line from outside: what it prints, what it refuses, how it ends.

mod common;

use std::path::Path;

use common::{command, resnet, scratch, stderr, stdout, write_npy};
use serde_json::Value;

#[test]
fn classify_names_the_shipped_digits() {
    let images: Vec<String> =
        (0..10).map(|digit| format!("examples/images/{digit}-handwritten.png")).collect();
    let mut arguments = vec!["classify", "--top", "1"];
    arguments.extend(images.iter().map(String::as_str));
    let text = stdout(&arguments);
    for (digit, image) in images.iter().enumerate() {
        let line = text.lines().find(|line| line.starts_with(image)).unwrap();
        assert!(line.starts_with(&format!("{image}  {digit} ")), "{line}");
    }
    let summary = text.lines().last().unwrap();
    assert!(summary.contains("10 image(s)") && summary.contains("of memory"), "{summary}");
}

#[test]
fn classify_goes_on_after_a_bad_image() {
    let text = scratch("text.png");
    std::fs::write(&text, "no image").unwrap();
    let output = resnet(&["classify", &text, "no/such.png", "examples/images/3-handwritten.png"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace();
    assert_eq!(
        (words.next(), words.next()),
        (Some("examples/images/3-handwritten.png"), Some("3")),
        "{text}"
    );
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("text.png") && message.contains("no/such.png"), "{message}");
    assert!(message.contains("2 image(s) could not be read"), "{message}");
}

/// Each under its name, for all images of two runs.
#[test]
fn several_outputs_are_an_archive() {
    let spec = scratch("maps.yaml");
    let text = "name: maps\ninput: 8x8x3\nstem: [conv: {filters: 4, kernel: 3, padding: half}]\nblock: basic\n\
                stages: [{filters: 4, blocks: 1}, {filters: 8, blocks: 1, stride: 2}]\noutputs: [layer1, layer2]\n";
    std::fs::write(&spec, text).unwrap();
    let input = write_npy("maps.npy", &[3, 8, 8, 3], &vec![0.5f32; 3 * 8 * 8 * 3]);
    let output = scratch("maps.npz");
    let run = |output: &str| {
        ["run", &spec, "--weights", "formula", "--input", &input, "--output", output].map(str::to_owned)
    };
    let message = stderr(1, &run("maps.npy").each_ref().map(String::as_str));
    assert!(message.contains("2 outputs") && message.contains("--output maps.npz"), "{message}");
    stdout(&run(&output).each_ref().map(String::as_str));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&output).unwrap()).unwrap();
    for (name, shape) in [("layer1.npy", [3, 8, 8, 4]), ("layer2.npy", [3, 4, 4, 8])] {
        let file = npyz::NpyFile::new(archive.by_name(name).unwrap()).unwrap();
        assert_eq!(file.shape(), shape, "{name}");
        let values = file.into_vec::<f32>().unwrap();
        let (first, others) = values.split_at(values.len() / 3);
        assert!(
            first.iter().any(|value| *value > 0.0) && others.chunks(first.len()).all(|image| image == first)
        );
    }
}

#[test]
fn run_gives_the_references_scores() {
    // 64x64x3, in the reference's own order: the formula of tests/data/reference.
    let numbers = resnet::runtime::weights::fill::uniform("input").take(64 * 64 * 3);
    let input: Vec<f32> = numbers.map(|u| (2.0 * u - 1.0) * 2.0).collect();
    let input = write_npy("input.npy", &[1, 64, 64, 3], &input);
    let output = scratch("output.npy");
    stdout(&["run", "resnet50", "--weights", "formula", "--input", &input, "--output", &output]);
    let read = |path: &str| {
        let bytes = std::fs::read(path).unwrap();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        (file.shape().to_vec(), file.into_vec::<f32>().unwrap())
    };
    let (shape, scores) = read(&output);
    assert_eq!(shape, [1, 1, 1, 6]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/reference/seed64.npy");
    let (_, expected) = read(root.to_str().unwrap());
    for (score, expected) in scores.iter().zip(&expected) {
        assert!((score - expected).abs() <= 5e-6, "{scores:?}, expected {expected:?}");
    }
}

#[test]
fn run_refuses_what_does_not_fit() {
    let output = scratch("never.npy");
    let zeros = vec![0.0f32; 28 * 28];
    let good = write_npy("good.npy", &[1, 28, 28, 1], &zeros);
    let other_shape = write_npy("shape.npy", &[1, 28, 14, 2], &zeros);
    let other_type = write_npy("type.npy", &[1, 28, 28, 1], &vec![0.0f64; 28 * 28]);
    let weights = "models/digits.safetensors";
    let run = |input: &str, weights: &str, more: &[&str]| {
        let mut arguments =
            vec!["run", "digits", "--weights", weights, "--input", input, "--output", &output];
        arguments.extend(more);
        stderr(1, &arguments)
    };
    for (message, expected) in [
        (run(&other_shape, weights, &[]), "shape [1, 28, 14, 2], the network takes [1, 28, 28, 1]"),
        (run(&other_type, weights, &[]), "the network takes float32"),
        (run("no/such.npy", weights, &[]), "cannot open no/such.npy"),
        (run(weights, weights, &[]), "is not an image that can be read"),
        (run(&good, "no/such.safetensors", &[]), "cannot read no/such.safetensors"),
        (run(&good, "Cargo.toml", &[]), "is not a safetensors file"),
        (run(&good, weights, &["--threads", "0"]), "--threads must be at least 1"),
        (run(&good, weights, &["--threads", "40000"]), "--threads is at most "),
        (run(&good, weights, &["--isa", "altivec"]), "no instruction set is called \"altivec\""),
        (run(&good, weights, &["--isa", "avx-2"]), "did you mean avx2?"),
        (run(&good, weights, &["--classes", "6"]), "`fc.weight` has 10 classes, the network 6"),
    ] {
        assert!(message.contains(expected), "{message}\ndoes not contain {expected}");
    }
    assert!(!Path::new(&output).exists(), "nothing is written on an error");
    let missing = ["--weights", "formula", "--input", "no/such.npy", "--output", &output];
    let message = stderr(1, &[&["run", "no/such/model"][..], &missing].concat());
    assert!(message.contains("no spec `no/such/model` ships"), "{message}");
    let message =
        stderr(1, &["run", "cifar/resnet20", "--weights", "formula", "--input", &good, "--output", &output]);
    assert!(message.contains("[1, 32, 32, 3]"), "{message}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &["runn"][..],
        &["run", "digits"],
        &["bench"],
        &["bench", "digits", "--precision", "int3"],
        &["bench", "digits", "--size", "28x28"],
        &["bench", "digits", "--weights", "init:none"],
        &["inspect", "digits", "--after", "magic"],
        &[],
    ] {
        stderr(2, arguments);
    }
}

#[test]
fn bench_prints_one_json_object() {
    let text =
        stdout(&["bench", "digits", "--seconds", "0.01", "--threads", "2", "--isa", "scalar", "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    for key in ["min_ms", "median_ms", "p90_ms", "gflops", "peak_bytes", "weight_bytes"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key} in {text}");
    }
    assert_eq!(report["model"], "digits");
    assert_eq!(report["precision"], "f32");
    assert_eq!(report["isa"], "scalar");
    assert_eq!((report["threads"].as_u64(), report["batch"].as_u64()), (Some(2), Some(1)));
    let rounds = report["rounds_ms"].as_array().unwrap();
    assert!((3..=10).contains(&rounds.len()) && rounds.iter().all(|round| round.as_f64() > Some(0.0)));
    let text = stdout(&["bench", "digits", "--batch", "7", "--weights", "init:3", "--seconds", "0.01"]);
    assert!(text.contains("batch 7") && text.contains("of the executed plan"), "{text}");
    let message = stderr(1, &["bench", "digitz"]);
    assert!(message.contains("no spec `digitz` ships; did you mean `digits`?"), "{message}");
    let message = stderr(1, &["bench", "efficientnet"]);
    assert!(message.contains("there are") && message.contains("torchvision/resnet50"), "{message}");
}

#[test]
fn bench_prints_a_table_of_steps() {
    let text = stdout(&["bench", "digits", "--seconds", "0.01", "--threads", "1", "--layers"]);
    assert!(text.starts_with("digits f32 on "), "{text}");
    assert!(text.lines().any(|line| line.contains("layer1.0.relu1 = conv")), "{text}");
    assert!(text.lines().any(|line| line.ends_with(" all")), "{text}");
    let text = stdout(&["bench", "digits", "--seconds", "0.01", "--threads", "1", "--layers", "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let steps = report["steps"].as_array().unwrap();
    let total: f64 = steps.iter().map(|step| step["us"].as_f64().unwrap()).sum();
    assert!((total / report["total_us"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{text}");
    let conv =
        steps.iter().find(|step| step["name"] == "layer1.0.relu1" && step["action"] != "clear").unwrap();
    assert_eq!((&conv["block"], &conv["algorithm"]), (&"layer1.0".into(), &"winograd4".into()));
    assert!(conv["gflops"].as_f64() > Some(0.0) && conv["share_of_peak"].as_f64() > Some(0.0), "{conv}");
    let input = steps.iter().find(|step| step["action"] == "input").unwrap();
    assert_eq!((&input["name"], &input["gflops"]), (&"input".into(), &Value::Null));
    let batch =
        ["bench", "torchvision/resnet18", "--batch", "8", "--seconds", "0.01", "--threads", "1", "--layers"];
    let text = stdout(&batch);
    assert!(
        text.contains("4 pass(es) of 2 image(s):") && text.contains("1 pass(es) of 8 image(s):"),
        "{text}"
    );
}

#[test]
fn packed_weights_give_the_same_output() {
    let (packed, plain_output, packed_output) =
        (scratch("digits.packed"), scratch("plain.npy"), scratch("packed.npy"));
    let weights = "models/digits.safetensors";
    let text = stdout(&["pack", "digits", "--weights", weights, "--output", &packed]);
    assert!(text.contains("digits packed for "), "{text}");
    let input = write_npy("pack-input.npy", &[1, 28, 28, 1], &[0.5f32; 28 * 28]);
    for (weights, output) in [(weights, &plain_output), (&packed, &packed_output)] {
        stdout(&["run", "digits", "--weights", weights, "--input", &input, "--output", output]);
    }
    assert_eq!(std::fs::read(plain_output).unwrap(), std::fs::read(packed_output).unwrap());
    let message = stderr(1, &["bench", "cifar/resnet20", "--weights", &packed]);
    assert!(message.contains("packed for another network"), "{message}");
    let table = scratch("never.yaml");
    let calibrate = ["calibrate", "digits", "--weights", &packed, "--inputs", "formula", "--output", &table];
    let verify = ["verify", "digits", "--weights", &packed, "--inputs", "formula"];
    for command in [&calibrate[..], &verify, &[&verify[..], &["--precision", "bf16"]].concat()] {
        let message = stderr(1, command);
        assert!(message.contains("holds packed weights, where the plain file is needed"), "{message}");
    }
}

#[test]
fn calibrate_makes_the_table_that_ships() {
    let table = scratch("digits.calibration.yaml");
    let digits = ["--weights", "models/digits.safetensors", "--images", "examples/images"];
    let text = stdout(&[&["calibrate", "digits", "--output", &table][..], &digits].concat());
    assert!(text.contains("12 scales of digits") && text.contains("expected: "), "{text}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let head = |path: &Path| -> Vec<String> {
        std::fs::read_to_string(path).unwrap().lines().take(7).map(str::to_owned).collect()
    };
    // Scales may differ in the last places from machine to machine; what they are for does not.
    assert_eq!(head(Path::new(&table)), head(&root.join("specs/digits.calibration.yaml")));
    let text = stdout(&[&["verify", "digits", "--precision", "int8"][..], &digits].concat());
    assert!(text.contains("the best class is the same for 10 of 10"), "{text}");
    let classes =
        stdout(&["classify", "examples/images/7-handwritten.png", "--precision", "int8", "--top", "1"]);
    assert!(classes.contains("  7 "), "{classes}");
    let other = scratch("other.safetensors");
    let mut bytes = std::fs::read(root.join("models/digits.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&other, bytes).unwrap();
    let message = stderr(1, &["bench", "digits", "--precision", "int8", "--weights", &other]);
    assert!(message.contains("were calibrated with the weights"), "{message}");
    let bench = ["bench", "digits", "--precision", "int8", "--seconds", "0.01", "--despite-calibration"];
    stdout(&[&bench[..], &["--weights", &other]].concat());
    let text = stdout(&[&["verify", "digits"][..], &digits].concat());
    assert!(text.contains(" against float64, 10 image(s)"), "{text}");
}

/// A network of one's own goes from a spec to int8 without a compiler.
#[test]
fn a_network_of_ones_own() {
    let spec = scratch("own.yaml");
    let text = "name: own\ninput: 12x10x3\nclasses: 5\nnames: {like: torchvision, layout: hwio, kernel: \"{layer}.kernel\"}\n\
                stem:\n  - conv: {filters: 9, kernel: 3x5, stride: 2, padding: same}\nblock: basic\nstages:\n  \
                - {filters: [16, 16], blocks: 1}\nhead: [average_pool: global, flatten, dense]\n";
    std::fs::write(&spec, text).unwrap();
    let input: Vec<f32> = (0..3 * 12 * 10 * 3).map(|place| (place % 11) as f32 / 5.0 - 1.0).collect();
    let input = write_npy("own.npy", &[3, 12, 10, 3], &input);
    let (table, output) = (scratch("own.calibration.yaml"), scratch("own-scores.npy"));
    let text = stdout(&["calibrate", &spec, "--weights", "formula", "--inputs", &input, "--output", &table]);
    assert!(text.contains(&format!("verify {spec} --precision int8 --calibration {table}")), "{text}");
    let int8 = ["--weights", "formula", "--precision", "int8", "--calibration", &table];
    let text = stdout(&[&["verify", &spec, "--inputs", &input][..], &int8].concat());
    assert!(text.contains("in int8 on ") && text.contains(" against float64, 3 image(s)"), "{text}");
    let text = stdout(&["verify", &spec, "--inputs", &input, "--weights", "formula"]);
    assert!(text.contains("in f32 on ") && text.contains(" against float64, 3 image(s)"), "{text}");
    stdout(&[&["run", &spec, "--input", &input, "--output", &output][..], &int8].concat());
    let bytes = std::fs::read(&output).unwrap();
    assert_eq!(npyz::NpyFile::new(&bytes[..]).unwrap().shape(), [3, 1, 1, 5]);
    let packed = scratch("own.packed");
    stdout(&["pack", &spec, "--weights", "init:7", "--output", &packed, "--precision", "bf16"]);
    stdout(&["bench", &spec, "--weights", &packed, "--precision", "bf16", "--seconds", "0.01"]);
    let message = stderr(1, &["bench", &spec, "--weights", &packed, "--seconds", "0.01"]);
    assert!(message.contains("packed for another precision"), "{message}");
    let message = stderr(1, &["bench", &spec, "--precision", "int8"]);
    assert!(message.contains("needs a calibration table") && message.contains("--calibration"), "{message}");
    let message = stderr(1, &["bench", &spec, "--precision", "int8", "--calibration", &spec]);
    assert!(message.contains("is no calibration table"), "{message}");
    let other = ["bench", &spec, "--size", "14x10x3", "--precision", "int8", "--calibration", &table];
    let message = stderr(1, &other);
    assert!(message.contains("the calibration table was made for the network"), "{message}");
    let after =
        ["inspect", &spec, "--size", "14x10x3", "--precision", "int8", "--calibration", &table, "--after"];
    let message = stderr(1, &[&after[..], &["assign-precision"]].concat());
    assert!(message.contains("the calibration table was made for the network"), "{message}");
}

#[test]
fn labels_must_fit_the_classes() {
    let spec = scratch("labels.yaml");
    std::fs::write(&spec, "name: pets\ninput: 8x8x3\nhead: [flatten, dense]\nlabels: [no, cat, dog]\n")
        .unwrap();
    let message = stderr(1, &["inspect", &spec, "--classes", "5"]);
    assert!(
        message.contains("there are 3 labels for 5 classes") && message.contains("labels.yaml:4"),
        "{message}"
    );
    let table = stdout(&["inspect", &spec, "--classes", "3", "--stage", "spec"]);
    assert!(table.contains("3: no, cat, dog"), "{table}");
    // Those of a spec that ships are for its own weights.
    let table = stdout(&["inspect", "digits", "--classes", "5", "--stage", "spec"]);
    assert!(table.contains("labels         none"), "{table}");
}

/// Sizes that nobody has: refused before anything of that size is allocated.
#[test]
fn absurd_sizes_are_refused() {
    for (option, value) in [
        ("--size", "28x28x10000000000000"),
        ("--size", "28x28x18446744073709551615"),
        ("--size", "16x0x3"),
        ("--classes", "1000000000"),
        ("--batch", "1000000000000"),
    ] {
        let message = stderr(1, &["inspect", "digits", option, value]);
        assert!(message.contains("must be from 1 to 65536, not "), "{message}");
    }
    let message = stderr(1, &["inspect", "digits", "--size", "65536x65536x65536", "--batch", "65536"]);
    assert!(message.contains("`input` is too large"), "{message}");
    let spec = scratch("layers.yaml");
    let layers = "  - softmax\n".repeat(2_001);
    std::fs::write(&spec, format!("name: long\ninput: 8x8x3\nhead:\n{layers}")).unwrap();
    let message = stderr(1, &["inspect", &spec]);
    assert!(message.contains("a list has at most 2000 layers, here are 2001"), "{message}");
}

#[test]
fn an_empty_variable_is_none() {
    let bench = ["bench", "digits", "--seconds", "0.01", "--json"];
    let isa = |value: &str| {
        let output = command(&bench).env("RESNET_ISA", value).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["isa"].clone()
    };
    assert_eq!(isa(""), serde_json::from_str::<Value>(&stdout(&bench)).unwrap()["isa"]);
    assert_eq!(isa("scalar"), "scalar");
}

#[test]
fn inputs_that_say_nothing() {
    let folder = scratch("empty");
    std::fs::create_dir_all(&folder).unwrap();
    let digits = ["digits", "--weights", "models/digits.safetensors"];
    let message = stderr(1, &[&["verify"][..], &digits, &["--images", &folder]].concat());
    assert!(message.contains("there are no images in") && message.contains(&folder), "{message}");

    let mut pixels = vec![0.0f32; 28 * 28];
    let black = write_npy("black.npy", &[1, 28, 28, 1], &pixels);
    let table = scratch("black.yaml");
    let calibrate = [&["calibrate"][..], &digits, &["--output", &table, "--inputs"]].concat();
    let output = resnet(&[&calibrate[..], &[&black]].concat());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && message.contains("one value everywhere"), "{message}");
    assert!(message.contains("are always 0") && message.contains("input"), "{message}");
    let verify = ["--precision", "int8", "--calibration", &table, "--inputs", &black];
    for text in
        [String::from_utf8(output.stdout).unwrap(), stdout(&[&["verify"][..], &digits, &verify].concat())]
    {
        assert!(!text.contains("NaN"), "{text}");
    }
    pixels[3] = f32::NAN;
    let broken = write_npy("nan.npy", &[1, 28, 28, 1], &pixels);
    let message = stderr(1, &[&calibrate[..], &[&broken]].concat());
    assert!(message.contains("image 0 of the inputs has values that are infinite or NaN"), "{message}");
}

#[test]
fn values_that_are_not_finite_have_no_scale() {
    let spec = scratch("growing.yaml");
    let conv = "  - conv: {filters: 4, kernel: 1, batch_norm: false, bias: false}\n";
    std::fs::write(&spec, format!("name: growing\ninput: 2x2x4\nstem:\n{}", conv.repeat(2))).unwrap();
    let input = write_npy("growing.npy", &[1, 2, 2, 4], &[3e38f32; 16]);
    let table = scratch("growing.calibration.yaml");
    let calibrate = ["calibrate", &spec, "--weights", "init:1", "--inputs", &input, "--output", &table];
    let message = stderr(1, &calibrate);
    assert!(message.contains("is not finite in f32"), "{message}");
    let verify = ["verify", &spec, "--weights", "init:1", "--inputs", &input, "--precision", "bf16"];
    let output = resnet(&verify);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("NaN") && text.contains("BEYOND ITS BOUND"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

/// Linux keeps a process from more memory than a shell allows.
#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_an_error() {
    for limit in ["80000", "110000"] {
        for weights in ["init", "formula"] {
            let script =
                format!("ulimit -v {limit}; exec \"$0\" bench torchvision/resnet50 --weights {weights}");
            let output =
                std::process::Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_resnet")]).output();
            let output = output.unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(message.contains("cannot allocate"), "{message}");
        }
    }
}

/// Pools only: an empty file has all of its weights.
#[test]
fn a_network_without_weights() {
    let (spec, weights) = (scratch("pools.yaml"), scratch("nothing.safetensors"));
    std::fs::write(&spec, "name: pools\ninput: 6x6x3\nstem:\n  - max_pool: {window: 2}\n").unwrap();
    std::fs::write(&weights, [&2u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    stdout(&["bench", &spec, "--weights", &weights, "--seconds", "0.01"]);
    let message = stderr(1, &["bench", &spec, "--weights", "models/digits.safetensors"]);
    assert!(
        message.contains("extra, 47 tensors: bn1.bias") && !message.contains("naming scheme"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_called_another_network_is_warned_of() {
    let weights = scratch("resnetaa50.safetensors");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::copy(root.join("models/digits.safetensors"), &weights).unwrap();
    let output = resnet(&["bench", "digits", "--weights", &weights, "--seconds", "0.01"]);
    assert!(output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.matches("warning: ").count(), 1, "{message}");
    assert!(message.contains("its name says resnetaa50"), "{message}");
}

#[test]
fn what_has_no_effect_is_said() {
    let spec = scratch("strides.yaml");
    let text = "name: s\ninput: 8x8x3\nblock: basic\nstages:\n  - {filters: 4, blocks: 1, stride: 2, stride_on: first}\n";
    std::fs::write(&spec, text).unwrap();
    let output = resnet(&["inspect", &spec]);
    assert!(output.status.success() && !output.stdout.is_empty());
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.contains("warning: `stride_on` has no effect here") && warning.contains("strides.yaml:5"),
        "{warning}"
    );
}

#[test]
fn inspect_shows_every_stage() {
    let table = stdout(&["inspect", "digits", "--stage", "spec"]);
    assert!(table.lines().any(|line| line.starts_with("  conv1 ") && line.contains(" conv 3x3")), "{table}");
    let table: Value =
        serde_json::from_str(&stdout(&["inspect", "digits", "--stage", "spec", "--format", "json"])).unwrap();
    let table = &table["spec"];
    let parameters =
        table["layers"].as_array().unwrap().iter().map(|layer| layer["parameters"].as_u64().unwrap());
    assert_eq!(table["parameters"].as_u64(), Some(parameters.sum()), "{table}");
    assert!(stdout(&["inspect", "digits"]).contains("= batch_norm %conv1"));
    assert!(
        stdout(&["inspect", "specs/digits.yaml", "--after", "fold-batch-norm"])
            .contains("conv1.weight, fold bn1")
    );
    assert!(stdout(&["inspect", "digits", "--stage", "plan"]).contains("arena "));
    // What was chosen is among what was compared, and what costs least.
    for precision in ["f32", "bf16"] {
        let algorithms = stdout(&["inspect", "digits", "--stage", "algorithms", "--precision", precision]);
        let lines: Vec<&str> = algorithms.lines().skip(1).filter(|line| !line.starts_with(' ')).collect();
        assert!(lines.len() >= 3, "{algorithms}");
        for line in lines {
            let is_way = |part: &&str| !part.ends_with(':') && !part.starts_with("no ");
            let ways: Vec<&str> = line.split("  ").skip(2).filter(is_way).collect();
            let cost = |way: &str| way.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
            let chosen: Vec<&&str> = ways.iter().filter(|way| way.ends_with(" *")).collect();
            assert!(chosen.len() == 1 && ways.iter().all(|way| cost(chosen[0]) <= cost(way)), "{line}");
        }
    }
    let resnext = stdout(&["inspect", "torchvision/resnext50_32x4d", "--stage", "algorithms"]);
    for (layer, refused) in [
        ("layer1.0.relu2", "no winograd4, winograd4fused, winograd4rows (groups)"),
        ("layer4.2", "no strassen (weights would take 6.3 MB more, the limit is 1.6)"),
    ] {
        let line = resnext.lines().find(|line| line.starts_with(&format!("{layer}  ")));
        assert!(line.is_some_and(|line| line.ends_with(refused)), "{line:?}");
    }
    for (arguments, line) in [
        (["timm/ecaresnet26t", "on"], "strassen:108 0.99 * (shares the weights of layer2.0.gate)"),
        (["torchvision/resnet18", "off"], "direct 118.01 * (as the spec says)  winograd4rows:56 68.19"),
    ] {
        let [name, winograd] = arguments;
        let text = stdout(&["inspect", name, "--stage", "algorithms", "--winograd", winograd]);
        assert!(text.lines().any(|found| found.ends_with(line)), "{text}");
    }
    let choices = stdout(&["inspect", "digits", "--format", "json", "--stage", "algorithms"]);
    let choices: Value = serde_json::from_str(&choices).unwrap();
    assert!(choices["choices"][0]["ways"].as_array().is_some_and(|ways| ways.len() > 1), "{choices}");
    let int8 = stdout(&["inspect", "digits", "--precision", "int8", "--after", "assign-precision"]);
    assert!(int8.contains(" : u8(") && int8.contains(" : i8("), "{int8}");
    let code = stdout(&["inspect", "digits", "--stage", "code"]);
    assert!(code.contains("pub struct Network") && !code.contains("unsafe"));
    let graph: Value = serde_json::from_str(&stdout(&["inspect", "digits", "--format", "json"])).unwrap();
    assert!(graph.to_string().contains("layer1.0.conv1"));
    let message = stderr(1, &["inspect", "no/such.yaml"]);
    assert!(message.contains("no/such.yaml"), "{message}");
    let broken = scratch("broken.yaml");
    std::fs::write(&broken, "name: broken\ninput: 8x8\n").unwrap();
    let message = stderr(1, &["inspect", &broken]);
    assert!(message.contains("broken.yaml:2:8") && message.contains("input: 8x8"), "{message}");
}

#[test]
fn inspect_makes_a_page() {
    let file = scratch("report.html");
    stdout(&["inspect", "digits", "--format", "html", "--output", &file]);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("9 batch norms folded"));
    let message = stderr(1, &["inspect", "digits", "--format", "html", "--stage", "plan"]);
    assert!(message.contains("--stage and --after go with text"), "{message}");
    let graph = scratch("page.ir");
    stdout(&["inspect", "digits", "--full", "--output", &graph]);
    let message = stderr(1, &["inspect", &graph, "--format", "html"]);
    assert!(message.contains("needs the graph's spec"), "{message}");
}

#[test]
fn a_graph_that_was_printed_whole_is_read_back() {
    let file = scratch("graph.ir");
    stdout(&["inspect", "torchvision/resnet50", "--after", "fuse-residual", "--full", "--output", &file]);
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(stdout(&["inspect", &file, "--full"]), whole);
    assert_eq!(
        stdout(&["inspect", &file]),
        stdout(&["inspect", "torchvision/resnet50", "--after", "fuse-residual"])
    );
    let message = stderr(1, &["inspect", &file, "--diff"]);
    assert!(message.contains("a graph is shown as it is"), "{message}");
    let message = stderr(1, &["inspect", &file, "--batch", "2"]);
    assert!(message.contains("leave the options away"), "{message}");
    std::fs::write(&file, "network broken\n  %a = relu %b\n").unwrap();
    let message = stderr(1, &["inspect", &file]);
    assert!(
        message.contains("graph.ir") && message.contains("line 2") && message.contains("%b"),
        "{message}"
    );
}

#[test]
fn inspect_draws_the_graph() {
    let file = scratch("digits.svg");
    stdout(&["inspect", "digits", "--format", "svg", "--output", &file]);
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.starts_with("<svg ") && whole.contains("data-layer=\"layer3.0.relu1\""), "{whole}");
    let blocks = stdout(&["inspect", "digits", "--format", "svg", "--compact"]);
    assert!(blocks.starts_with("<svg ") && !blocks.contains("data-layer"), "{blocks}");
    let message = stderr(1, &["inspect", "digits", "--format", "svg", "--stage", "plan"]);
    assert!(message.contains("a diagram shows the graph after all passes"), "{message}");
    let message = stderr(1, &["inspect", "digits", "--compact"]);
    assert!(message.contains("--compact goes with --format svg"), "{message}");
}

#[test]
fn inspect_tells_what_passes_change() {
    let all = stdout(&["inspect", "digits", "--diff"]);
    assert_eq!(all.lines().filter(|line| !line.starts_with(' ')).count(), resnet_dsl::pass::PIPELINE.len());
    let one = stdout(&["inspect", "digits", "--diff", "--after", "fold-batch-norm"]);
    assert!(one.starts_with("fold-batch-norm: 9 batch norms folded\n"), "{one}");
    assert!(all.contains(&one));
}

#[test]
fn pages_hold_what_was_measured_and_verified() {
    let page = scratch("bench.html");
    stdout(&["bench", "digits", "--seconds", "0.01", "--layers", "--html", &page]);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("Measured time") && text.contains("of this machine"));
    let message = stderr(2, &["bench", "digits", "--html", &page]);
    assert!(message.contains("--layers"), "{message}");
    let page = scratch("verify.html");
    stdout(&["verify", "digits", "--weights", "formula", "--inputs", "formula:1", "--html", &page]);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("Accuracy") && text.contains("layers within their bounds"));
}
