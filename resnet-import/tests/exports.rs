//! Checkpoints that frameworks wrote become the networks they are, and compute what the frameworks say.
//!
//! `exports/make.py` makes the files, which are too large to be committed, and has written down what is expected: `exports/cases.json`.
//! `RESNET_EXPORTS` names their folder; without it, nothing is tested. `RESNET_EXPORTS_FILES=keras` tests those whose names begin so.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use resnet_import::{Format, Imported, Like, Specs, import, read, write};
use resnet_runtime::weights::fill::uniform;
use resnet_runtime::{Program, Weights};
use serde_json::Value;

/// The largest error, as a share of the largest score.
const TOLERANCE: f64 = 1e-5;

/// A line of `cases.json`.
struct Case {
    file: String,
    spec: String,
    expected: Expected,
}

enum Expected {
    /// The scores, or the first of them, and the norm of all.
    Scores(Vec<f64>, Option<f64>),
    /// What the error has to say.
    Refused(String),
}

#[test]
fn checkpoints_are_recognized_and_compute_what_they_did() {
    let Some(folder) = std::env::var_os("RESNET_EXPORTS").map(PathBuf::from) else {
        say(
            "skipped: RESNET_EXPORTS names no folder of checkpoints, which `resnet-import/tests/exports/make.py` makes",
        );
        return;
    };
    let prefix = std::env::var("RESNET_EXPORTS_FILES").unwrap_or_default();
    let specs: Vec<Like> = Like::shipped().collect();
    let cases = cases();
    let mut faults = Vec::new();
    for case in cases.iter().filter(|case| case.file.starts_with(&prefix)) {
        match case.fault(&folder, &specs) {
            Ok(told) => say(&format!("{}: {told}", case.file)),
            Err(fault) => faults.push(format!("{}: {fault}", case.file)),
        }
    }
    assert!(faults.is_empty(), "{} of {} faults\n{}", faults.len(), cases.len(), faults.join("\n"));
}

impl Case {
    /// What is as expected, and else what is not.
    fn fault(&self, folder: &Path, specs: &[Like]) -> Result<String, String> {
        let path = folder.join(&self.file);
        let imported = read(&path).and_then(|contents| import(&contents, Specs::Any(specs), "model", &path));
        match (&self.expected, imported) {
            (Expected::Refused(words), Err(error)) if error.to_string().contains(words) => {
                Ok(error.to_string())
            }
            (Expected::Refused(words), Err(error)) => Err(format!("{words:?} is not in: {error}")),
            (Expected::Refused(_), Ok(imported)) => Err(format!("was imported as {}", imported.network)),
            (Expected::Scores(..), Err(error)) => Err(error.to_string()),
            (Expected::Scores(scores, norm), Ok(imported)) => {
                let error = self.error(&imported, scores, *norm)?;
                let told = format!("{}, an error of {error:.1e}", imported.network);
                if !imported.spec.lines().any(|line| line.trim() == format!("like: {}", self.spec)) {
                    return Err(format!("{told}: that is not {}\n{}", self.spec, imported.spec));
                }
                if error <= TOLERANCE { Ok(told) } else { Err(told) }
            }
        }
    }

    /// How far the scores are off, as a share of the largest.
    fn error(&self, imported: &Imported, expected: &[f64], norm: Option<f64>) -> Result<f64, String> {
        let found = scores(imported, &origin(&self.spec)["layout"])?;
        if found.len() < expected.len() || (norm.is_none() && found.len() != expected.len()) {
            return Err(format!("{} scores, not {}", found.len(), expected.len()));
        }
        let largest = found.iter().fold(0.0f64, |max, score| max.max(score.abs()));
        let each = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
        let error = each.fold(0.0, f64::max) / largest;
        let length = found.iter().map(|score| score * score).sum::<f64>().sqrt();
        Ok(norm.map_or(error, |norm| error.max((length - norm).abs() / norm)))
    }
}

/// What the imported network computes of the formula's input, from weights that were written and read again.
fn scores(imported: &Imported, layout: &Value) -> Result<Vec<f64>, String> {
    let weights = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exports.safetensors");
    let mut file = io::BufWriter::new(File::create(&weights).map_err(text)?);
    write::weights(&imported.weights, Format::F32, &mut file).and_then(|()| file.flush()).map_err(text)?;
    let plan = imported.compiled.plan.clone();
    let [_, height, width, channels] = plan.input;
    let drawn: Vec<f32> =
        uniform("input").take(height * width * channels).map(|u| (2.0 * u - 1.0) * 2.0).collect();
    let place = |index: usize| index % channels * height * width + index / channels;
    let input =
        if layout == "NCHW" { (0..drawn.len()).map(|index| drawn[place(index)]).collect() } else { drawn };
    let weights = Weights::load(plan.description(), &weights).map_err(text)?;
    let mut program = Program::new(plan, weights, NonZeroUsize::MIN).map_err(text)?;
    program.run(&input).map_err(text)?;
    Ok(program.outputs().flat_map(|(_, output)| output.iter().map(|score| f64::from(*score))).collect())
}

fn cases() -> Vec<Case> {
    let text = include_str!("exports/cases.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    cases.iter().map(case).collect()
}

fn case(line: &Value) -> Case {
    let [file, spec] = ["file", "spec"].map(|key| line[key].as_str().unwrap().to_owned());
    let expected = match (&line["refused"], &line["scores"]) {
        (Value::String(words), _) => Expected::Refused(words.clone()),
        (_, Value::Array(first)) => Expected::Scores(
            first.iter().map(|score| score.as_f64().unwrap()).collect(),
            line["norm"].as_f64(),
        ),
        _ => {
            assert_eq!(origin(&spec)["outputs"][0]["step"], 1, "{spec}: all scores");
            let bytes = std::fs::read(origins().join(format!("{spec}.npy"))).unwrap();
            let scores: Vec<f32> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
            Expected::Scores(scores.into_iter().map(f64::from).collect(), None)
        }
    };
    Case { file, spec, expected }
}

/// What is said of the reference of a network that ships.
fn origin(spec: &str) -> Value {
    serde_json::from_slice(&std::fs::read(origins().join(format!("{spec}.json"))).unwrap()).unwrap()
}

fn origins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/origins")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A line that the test harness does not keep to itself.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
