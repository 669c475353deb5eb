//! Who may import whom in this crate, read from the `crate::` paths of its sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and what it may import. What is imported comes before, so there is no circle.
const FLOORS: [(&str, &[&str]); 20] = [
    ("error", &[]),
    ("batches", &["error"]),
    ("files", &[]),
    ("image", &["error"]),
    ("preprocessing", &["error", "image"]),
    ("maps", &[]),
    ("elements", &[]),
    ("reference", &[]),
    ("tensor", &["error", "elements"]),
    ("arena", &["error", "maps", "elements", "tensor"]),
    ("threads", &["error", "arena"]),
    ("simd", &["elements"]),
    ("kernels", &["elements", "threads", "simd"]),
    ("isa", &["error", "simd", "kernels"]),
    ("weights", &["error", "files", "maps", "arena", "threads", "kernels", "isa"]),
    ("network", &["elements", "tensor", "arena", "threads", "weights"]),
    ("layer", &["elements", "tensor", "threads", "kernels", "weights", "network"]),
    ("session", &["error", "batches", "tensor", "arena", "threads", "network"]),
    ("classifier", &["error", "image", "preprocessing", "tensor", "network", "session"]),
    ("program", &["error", "batches", "elements", "arena", "threads", "weights", "network", "layer"]),
];

#[test]
fn modules_import_what_is_below() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = fs::read_to_string(sources.join("lib.rs")).unwrap();
    let modules: BTreeSet<&str> = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(modules, FLOORS.iter().map(|(module, _)| *module).collect(), "the modules of lib.rs");
    let mut wrong = Vec::new();
    for (floor, (module, allowed)) in FLOORS.iter().enumerate() {
        let is_below = |name: &&str| FLOORS[..floor].iter().any(|(below, _)| below == name);
        assert!(allowed.iter().all(is_below), "`{module}` may import what is not below it");
        for file in files(&sources, module) {
            let text = fs::read_to_string(&file).unwrap();
            for name in text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(imports) {
                if name != *module && !allowed.contains(&name) {
                    wrong.push(format!("{}: crate::{name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that are not allowed:\n{}", wrong.join("\n"));
}

/// What a line names behind `crate::`.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(rest))
}

/// The sources of a module: its file, and those of its folder.
fn files(sources: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![sources.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let file = sources.join(format!("{module}.rs"));
    files.extend(file.exists().then_some(file));
    assert!(!files.is_empty(), "`{module}` has no sources");
    files
}
