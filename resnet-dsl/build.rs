//! Finds the shipped specs and calibration tables, so that adding one touches nothing but its YAML file.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    // A package holds them; in the repository it is a link, which is a text file where Git makes no links.
    let root = here.join(if here.join("specs").is_dir() { "specs" } else { "../specs" });
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let (tables, specs): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| {
        file.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|e| e == "calibration"))
    });
    let mut code = String::new();
    for (list, files) in [("SPECS", specs), ("CALIBRATIONS", tables)] {
        writeln!(code, "/// Names and texts, sorted.\nconst {list}: &[(&str, &str)] = &[")?;
        for file in files {
            let name = file.strip_prefix(&root)?.with_extension("").to_string_lossy().replace('\\', "/");
            let name = name.trim_end_matches(".calibration");
            writeln!(code, "    ({name:?}, include_str!({:?})),", file.canonicalize()?)?;
        }
        code += "];\n";
    }
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("shipped.rs"), code)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
