//! `resnet verify` from outside.

mod common;

use common::{resnet, scratch, stderr, stdout, write_npy};
use serde_json::Value;

const DIGITS: [&str; 5] = ["digits", "--weights", "models/digits.safetensors", "--images", "examples/images"];

fn verify(more: &[&str]) -> Vec<&'static str> {
    let more = more.iter().map(|word| &*word.to_string().leak());
    ["verify"].into_iter().chain(DIGITS).chain(more).collect()
}

/// Whatever the precision, on each instruction set that there is.
#[test]
fn all_layers_are_within_their_bounds() {
    for precision in ["f32", "bf16", "int8"] {
        let text = stdout(&verify(&["--precision", precision, "--isa", "all", "--json"]));
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((report["version"].as_u64(), report["inputs"].as_u64()), (Some(1), Some(10)));
        assert_eq!((&report["model"], &report["precision"]), (&"digits".into(), &precision.into()));
        assert_eq!((&report["reference"], &report["first_beyond"]), (&"float64".into(), &Value::Null));
        let isas = report["isas"].as_array().unwrap();
        assert!(isas.len() > 1 || !cfg!(target_arch = "x86_64"), "{isas:?}");
        assert_eq!(isas[0]["isa"], "scalar");
        for isa in isas {
            assert_eq!(isa["same_class"], 10);
            let layers = isa["layers"].as_array().unwrap();
            assert!(layers.len() > 8 && layers.iter().all(|layer| layer["within"] == true), "{layers:?}");
            let last = layers.last().unwrap();
            assert_eq!((&last["name"], &last["algorithm"]), (&"fc".into(), &"direct".into()));
            for key in ["max_ulp", "max_error", "relative_error", "cosine", "snr_db"] {
                assert!(last[key].as_f64().unwrap() > 0.0, "{key} of {last}");
            }
            assert!(last["bound"]["snr_db"].as_f64() < last["snr_db"].as_f64(), "{last}");
            assert!(last["bound"]["relative_error"].as_f64() > last["relative_error"].as_f64(), "{last}");
        }
    }
}

#[test]
fn outputs_of_another_framework() {
    let [height, width] = [28, 28];
    let input: Vec<f32> = (0..2 * height * width).map(|place| (place % 17) as f32 / 8.0 - 1.0).collect();
    let input = write_npy("against-input.npy", &[2, height as u64, width as u64, 1], &input);
    let outputs = scratch("against.npy");
    let digits = ["digits", "--weights", "models/digits.safetensors"];
    stdout(&[&["run"][..], &digits, &["--input", &input, "--output", &outputs]].concat());
    let against = |file: &str| {
        let verify = [&["verify"][..], &digits, &["--inputs", &input, "--against", file]].concat();
        let output = resnet(&verify);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, message) = against(&outputs);
    assert_eq!((code, &*message), (Some(0), ""));
    let line = text.lines().last().unwrap();
    // Two images at a time may be computed by other algorithms than one.
    assert!(line.ends_with("outputs"), "{text}");

    let bytes = std::fs::read(&outputs).unwrap();
    let mut scores = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec::<f32>().unwrap();
    scores[3] += 0.01;
    let other = write_npy("against-other.npy", &[2, 10], &scores);
    let (code, text, message) = against(&other);
    assert_eq!(code, Some(1));
    assert!(text.ends_with("BEYOND ITS BOUND\n"), "{text}");
    assert!(
        message.contains("the outputs are further from those of") && message.contains(&other),
        "{message}"
    );

    let one = write_npy("against-one.npy", &[1, 10], &scores[..10]);
    let (code, _, message) = against(&one);
    assert_eq!(code, Some(1));
    assert!(message.contains("has shape [1, 10], the network gives [2, 1, 1, 10]"), "{message}");
}

/// The fast way: against f32, as it is executed.
#[test]
fn narrow_precisions_may_be_compared_with_f32() {
    let text = stdout(&verify(&["--precision", "bf16", "--reference", "f32"]));
    assert!(text.contains("digits in bf16 on ") && text.contains(" against f32, 10 image(s)"), "{text}");
    let message = stderr(1, &verify(&["--reference", "f32"]));
    assert!(message.contains("--reference f32 is for bf16 and int8"), "{message}");
}

#[test]
fn inputs_that_are_made_up_are_counted() {
    let made_up = |inputs| ["verify", "cifar/resnet20", "--weights", "formula", "--inputs", inputs];
    let text = stdout(&made_up("formula:2"));
    assert!(text.contains(", 2 image(s)"), "{text}");
    assert!(stderr(2, &made_up("formula:0")).contains("`0` is not a number of inputs, from 1 to 1000"));
}
