//! Runs the files of `tests/filetests/`: each holds an input and, behind a line `=== expected`, what comes of it.
//!
//! | folder | input | expected |
//! |---|---|---|
//! | `spec` | YAML | the graph before all passes and the warnings, or all errors |
//! | `summary` | YAML | the table of layers |
//! | `read` | graph | the graph as it is printed, or why it is none |
//! | `pass` | graph; its first line is `// pass NAME` | the graph after that pass, or all diagnostics |
//! | `trace` | YAML | what each pass changes, and the graph behind them as people read it |
//! | `plan` | YAML | the plan after all passes |
//! | `code` | YAML | the generated Rust |
//!
//! `BLESS=1 cargo test` writes the expectations anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use quote::format_ident;
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::brief::Brief;
use resnet_dsl::ir::read::read;
use resnet_dsl::ir::verify::verify;
use resnet_dsl::spec::Overrides;
use resnet_dsl::summary::Summary;
use resnet_dsl::{Spec, codegen, pass, shipped};
use resnet_plan::Precision;

const MARK: &str = "=== expected\n";

fn run(folder: &str, test: impl Fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut failed = String::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let (input, expected) = text.split_once(MARK).unwrap_or((&text, ""));
        let found = test(input).trim_end().to_owned() + "\n";
        if std::env::var_os("BLESS").is_some() {
            let input = input.trim_end();
            std::fs::write(file, format!("{input}\n{MARK}{found}")).unwrap();
        } else if found != expected {
            let file = file.display();
            write!(failed, "\n{file}\n--- expected\n{expected}--- found\n{found}").unwrap();
        }
    }
    assert!(failed.is_empty(), "{failed}\nBLESS=1 writes the expectations anew");
}

fn with_spec<T>(text: &str, f: impl Fn(&Spec<'_>) -> Result<T, Diagnostics>) -> Result<T, String> {
    let overrides = Overrides::default();
    let spec = Spec { name: "spec.yaml", text, overrides: &overrides };
    f(&spec).map_err(|errors| errors.render("spec.yaml", text))
}

/// The files that specs may name.
fn file(name: &str) -> Result<String, String> {
    match name {
        "pets.txt" => Ok("cat\ndog\n".to_owned()),
        "marked.txt" => Ok("\u{FEFF}cat\r\ndog\r\n".to_owned()),
        "wide.calibration.yaml" => {
            let table = include_str!("small.calibration.yaml");
            Ok(table.replace("scales:\n", "scales:\n  large: 3.0e38\n  huge: 1.0e39\n  small: 1.0e-45\n"))
        }
        "small.calibration.yaml" => Ok(include_str!("small.calibration.yaml").to_owned()),
        _ => Err("No such file or directory".to_owned()),
    }
}

/// What a graph is printed as, which must be read as the same graph.
fn printed(graph: &resnet_dsl::ir::Graph) -> String {
    let text = graph.to_string();
    assert_eq!(read(&text).unwrap().to_string(), text, "the text form does not come back");
    text
}

fn either(result: Result<String, String>) -> String {
    result.unwrap_or_else(|error| error)
}

#[test]
fn specs() {
    run("spec", |text| {
        either(with_spec(text, |spec| {
            let parsed = spec.parse(&mut file)?;
            Ok(printed(&parsed.graph) + &parsed.warnings.render("spec.yaml", text))
        }))
    });
}

#[test]
fn summaries() {
    run("summary", |text| {
        either(with_spec(text, |spec| Ok(Summary::new(&spec.parse(&mut file)?)?.to_string())))
    });
}

#[test]
fn graphs_are_read_and_verified() {
    run("read", |text| match read(text) {
        Err(error) => error.to_string(),
        Ok(graph) => match verify(&graph)[..] {
            [] => printed(&graph),
            ref faults => faults.join("\n"),
        },
    });
}

#[test]
fn passes() {
    run("pass", |text| {
        let name = text.lines().next().and_then(|line| line.strip_prefix("// pass ")).expect("// pass NAME");
        let pass = pass::PIPELINE.iter().find(|pass| pass.name == name).expect("a pass of this name");
        let mut graph = read(text).unwrap();
        assert_eq!(verify(&graph), [""; 0]);
        match (pass.run)(&mut graph) {
            Err(errors) => errors.iter().map(|error| format!("{}\n", error.message)).collect(),
            Ok(()) => {
                assert_eq!(verify(&graph), [""; 0]);
                printed(&graph)
            }
        }
    });
}

#[test]
fn traces() {
    run("trace", |text| {
        either(with_spec(text, |spec| {
            let mut graph = spec.parse(&mut file)?.graph;
            let passes: String = pass::trace(&mut graph)?.iter().map(ToString::to_string).collect();
            Ok(format!("{passes}\n{}", Brief(&graph)))
        }))
    });
}

/// Of every spec that ships, after every pass, in every precision that it has scales for.
#[test]
fn every_graph_is_read_back() {
    for name in shipped::names() {
        let text = shipped::get(name).unwrap();
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let overrides = Overrides { precision: Some(precision), ..Overrides::default() };
            let spec = Spec { name, text, overrides: &overrides };
            let Ok(mut parsed) = spec.parse(&mut file) else {
                assert!(precision == Precision::Int8 && shipped::calibration(name).is_none(), "{name}");
                continue;
            };
            printed(&parsed.graph);
            pass::run_until(&mut parsed.graph, None, |_, graph| drop(printed(graph))).unwrap();
        }
    }
}

#[test]
fn plans() {
    run("plan", |text| {
        either(with_spec(text, |spec| spec.compile(&mut file).map(|compiled| compiled.plan.to_string())))
    });
}

#[test]
fn code() {
    run("code", |text| {
        let compiled = with_spec(text, |spec| spec.compile(&mut file)).unwrap();
        let item = codegen::Item::new(format_ident!("Network"));
        let tokens = codegen::generate(&compiled.plan, &item);
        prettyplease::unparse(&syn::parse2(tokens).unwrap())
    });
}

/// Every shipped network, after every pass: the text form comes back, and its plan passes the checker.
#[test]
fn shipped_networks_round_trip() {
    for name in resnet_dsl::shipped::names() {
        let text = resnet_dsl::shipped::get(name).unwrap();
        let overrides = Overrides::default();
        let spec = Spec { name, text, overrides: &overrides };
        let mut graph = spec.parse(&mut file).unwrap().graph;
        printed(&graph);
        pass::run_until(&mut graph, None, |_, graph| {
            printed(graph);
        })
        .unwrap();
        let plan = resnet_dsl::plan::plan(1, |_| Ok(graph.clone())).unwrap();
        assert_eq!(resnet_plan::check(&plan), [""; 0], "{name}");
        // (docs/models.md has the memory of all.)
        if name.starts_with("torchvision/resnet") && !name.contains("next") || !name.contains('/') {
            assert!(plan.description.peak_bytes <= 5_600_000, "{name}: {}", plan.description.peak_bytes);
        }
    }
}
