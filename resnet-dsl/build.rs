//! Finds what ships: specs, calibration tables, definitions of blocks, naming schemes and lists of labels, so that adding one touches
//! nothing but its file; and the page of the generated type.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    // A package holds them; in the repository it is a link, which is a text file where Git makes no links.
    let root = |name: &str| here.join(if here.join(name).is_dir() { "" } else { ".." }).join(name);
    let page = root("docs").join("generated-type.md").canonicalize()?;
    let root = root("specs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let (labels, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| has_ending(file, "txt"));
    let (tables, specs): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| {
        file.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|e| e == "calibration"))
    });
    let (blocks, specs): (Vec<_>, Vec<_>) =
        specs.into_iter().partition(|file| file.starts_with(root.join("blocks")));
    let (names, specs): (Vec<_>, Vec<_>) =
        specs.into_iter().partition(|file| file.starts_with(root.join("names")));
    let mut code = format!(
        "/// The page of the generated type.\npub(crate) const PAGE: &str = include_str!({page:?});\n"
    );
    let lists = [
        ("SPECS", specs),
        ("CALIBRATIONS", tables),
        ("BLOCKS", blocks),
        ("NAMES", names),
        ("LABELS", labels),
    ];
    for (list, files) in lists {
        writeln!(code, "/// Names and texts, sorted.\nconst {list}: &[(&str, &str)] = &[")?;
        for file in files {
            let name = file.strip_prefix(&root)?.with_extension("").to_string_lossy().replace('\\', "/");
            let name = match list {
                "BLOCKS" | "NAMES" | "LABELS" => name.split_once('/').map_or(&*name, |(_, name)| name),
                _ => name.trim_end_matches(".calibration"),
            };
            writeln!(code, "    ({name:?}, include_str!({:?})),", file.canonicalize()?)?;
        }
        code += "];\n";
    }
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("shipped.rs"), code)?;
    Ok(())
}

fn has_ending(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found| found == ending)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if has_ending(&path, "yaml") || has_ending(&path, "txt") {
            files.push(path);
        }
    }
    Ok(())
}
