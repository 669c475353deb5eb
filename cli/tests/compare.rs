//! `resnet bench --compare` from outside.

mod common;

use common::{resnet, scratch, stderr, stdout};
use serde_json::{Value, json};

/// A file of measurements: model, instruction set, and its rounds.
fn file(name: &str, measurements: &[(&str, &str, [f64; 5])]) -> String {
    let object = |(model, isa, rounds): &(&str, &str, [f64; 5])| {
        json!({
            "model": model, "precision": "f32", "isa": isa, "threads": 1, "batch": 1, "rounds_ms": rounds,
        })
    };
    let lines: Vec<String> = measurements.iter().map(|of| object(of).to_string()).collect();
    let path = scratch(name);
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

const ROUNDS: [f64; 5] = [10.0, 10.2, 9.9, 10.1, 10.3];

fn times(factor: f64) -> [f64; 5] {
    ROUNDS.map(|round| factor * round)
}

#[test]
fn a_regression_ends_with_1() {
    let old = file("old.json", &[("a", "avx2", ROUNDS), ("b", "avx2", ROUNDS), ("c", "avx2", ROUNDS)]);
    let new =
        file("new.json", &[("b", "avx2", times(1.2)), ("a", "avx2", times(1.001)), ("d", "avx2", ROUNDS)]);
    let compare = ["bench", "--compare", &old, &new];
    let text = stdout(&compare);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("a f32 on avx2").ends_with("no difference that can be told from noise"), "{text}");
    assert!(line("b f32 on avx2").ends_with("slower") && line("b f32").contains(" 1.200 "), "{text}");
    assert!(line("only in").contains("old.json: c f32") && text.contains("new.json: d f32"), "{text}");

    let fail_above = |most| resnet(&[&compare[..], &["--fail-above", most]].concat());
    assert_eq!(fail_above("5%").status.code(), Some(1));
    let message = String::from_utf8(fail_above("5").stderr).unwrap();
    assert!(message.contains("1 of 2 times are longer by more than 5 %"), "{message}");
    // The whole interval has to be above; and what is gone may have become slower.
    let message = String::from_utf8(fail_above("19%").stderr).unwrap();
    assert!(message.contains("c f32 on avx2, 1 thread(s), batch 1 is not in "), "{message}");
    let old = file("without.json", &[("a", "avx2", ROUNDS), ("b", "avx2", ROUNDS)]);
    stdout(&["bench", "--compare", &old, &new, "--fail-above", "19%"]);

    let text = stdout(&[&compare[..], &["--json"]].concat());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["model"], &lines[0]["verdict"]), (&"b".into(), &"slower".into()));
    assert!(lines[0]["interval"][0].as_f64() > Some(1.1), "{text}");
}

#[test]
fn other_networks_are_not_compared() {
    let old = file("network.json", &[("a", "avx2", ROUNDS)]);
    let new = file("other.json", &[("b", "avx2", ROUNDS)]);
    let message = stderr(1, &["bench", "--compare", &old, &new]);
    assert!(message.contains("cannot be compared: one has times of a f32 on avx2, "), "{message}");
    // The same one in two ways may be.
    let new = file("way.json", &[("a", "avx512", times(0.5))]);
    let text = stdout(&["bench", "--compare", &old, &new]);
    assert!(text.contains("(not the same: isa avx2, then avx512)") && text.contains("  faster"), "{text}");
}

#[test]
fn what_bench_prints_is_compared() {
    let path = scratch("measured.json");
    let bench = ["bench", "digits", "--threads", "1", "--seconds", "0.1", "--json"];
    std::fs::write(&path, stdout(&bench)).unwrap();
    let text = stdout(&["bench", "--compare", &path, &path, "--fail-above", "1%"]);
    assert!(text.contains("no difference"), "{text}");
    std::fs::write(&path, "{\"model\": \"a\"}").unwrap();
    let message = stderr(1, &["bench", "--compare", &path, &path]);
    assert!(message.contains("an object has no `rounds_ms`"), "{message}");
    std::fs::write(&path, "no JSON").unwrap();
    assert!(stderr(1, &["bench", "--compare", &path, &path]).contains("`resnet bench --json` prints"));
    for wrong in [
        &["bench", "digits", "--compare", &path, &path][..],
        &["bench", "--compare", &path],
        &["bench", "--batch", "2", "--compare", &path, &path],
        &["bench", "digits", "--fail-above", "5%"],
        &["bench", "--compare", &path, &path, "--fail-above", "-5%"],
    ] {
        stderr(2, wrong);
    }
}
