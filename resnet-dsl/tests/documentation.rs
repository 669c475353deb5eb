//! Every example of `docs/spec-language.md` compiles. One without a name, an input or layers gets some.

use std::path::Path;

use resnet_dsl::Spec;
use resnet_dsl::spec::Overrides;

#[test]
fn every_example_compiles() {
    let page =
        |name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name));
    let text = page("spec-language.md").unwrap() + &page("weights.md").unwrap();
    let examples: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 8, "{} examples", examples.len());
    for example in examples {
        let has = |key: &str| example.lines().any(|line| line.starts_with(key));
        let mut spec = example.to_owned();
        if !has("name:") {
            spec += "name: example\n";
        }
        if !has("input:") {
            spec += "input: 64x64x3\n";
        }
        if !["stem:", "stages:", "head:"].into_iter().any(has) {
            spec += "head: [flatten, dense]\n";
        }
        let overrides = Overrides::default();
        let compiled = Spec { name: "example", text: &spec, overrides: &overrides }
            .compile(&mut |_| Err("no files".to_owned()));
        if let Err(errors) = compiled {
            panic!("{}", errors.render("example", &spec));
        }
    }
}
