//! The programs of the README and of the page of the generated type, in a crate of a user's.

mod common;

use std::fs;

use common::crates::{cargo, copy, user_crate};
use common::path;

/// The blocks of Rust of a page.
fn blocks(page: &str) -> Vec<String> {
    let page = fs::read_to_string(path(page)).unwrap();
    page.split("```rust").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

/// The README's programs, each one of them, and the page's examples, each in a function.
#[test]
fn they_run_as_printed() {
    let mut programs = blocks("README.md");
    assert_eq!(programs.len(), 3);
    programs.push(examples());
    let folder = user_crate(&path("tests/pages"), "pages");
    fs::create_dir(folder.join("src")).unwrap();
    for shared in ["specs", "models", "examples/images"] {
        fs::create_dir_all(folder.join(shared)).unwrap();
        copy(&path(shared), &folder.join(shared));
    }
    // As the README says.
    for file in ["models/digits.safetensors", "examples/images/7-handwritten.png"] {
        let file = path(file);
        fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    for (index, program) in programs.iter().enumerate() {
        fs::write(folder.join("src/main.rs"), program).unwrap();
        let output = cargo("run", &folder).output().unwrap();
        assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(index > 0 || printed.starts_with("7 95.8 %\n"), "{printed}");
    }
}

fn examples() -> String {
    let mut blocks = blocks("docs/generated-type.md").into_iter();
    let mut program = blocks.next().unwrap();
    let mut calls = String::new();
    for (index, block) in blocks.enumerate() {
        let (run, block) = block.strip_prefix(",no_run").map_or((true, &*block), |block| (false, block));
        program += "#[allow(unused_variables, unused_mut)]\n";
        program +=
            &format!("fn example_{index}() -> Result<(), Box<dyn std::error::Error>> {{{block}Ok(())}}\n");
        calls += &if run { format!("example_{index}()?;") } else { format!("let _ = example_{index};") };
    }
    program + &format!("fn main() -> Result<(), Box<dyn std::error::Error>> {{ {calls} Ok(()) }}")
}
