//! Finds the weights of the shipped digits.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    // A package holds them; in the repository it is a link, which is a text file where Git makes no links.
    let repository = here.join("../models/digits.safetensors");
    let file = if repository.is_file() { repository } else { here.join("models/digits.safetensors") };
    println!("cargo::rerun-if-changed={}", file.display());
    println!("cargo::rustc-env=RESNET_DIGITS={}", file.canonicalize()?.display());
    Ok(())
}
