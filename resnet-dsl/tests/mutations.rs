//! Specs of which something was changed at random: each is understood, and its graph comes back from its text, or its mistakes can be
//! shown. `SPEC_CASES` sets how many there are.

use std::path::Path;

use resnet_dsl::Spec;
use resnet_dsl::ir::read::read;
use resnet_dsl::spec::Overrides;
use resnet_dsl::summary::Summary;

/// What is put in the place of something else.
const WORDS: [&str; 58] = [
    "0",
    "1",
    "-1",
    "3",
    "65536",
    "65537",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "1e400",
    "1.0e-400",
    ".nan",
    ".inf",
    "null",
    "true",
    "off",
    "f",
    "f1",
    "f2",
    "f64",
    "f65",
    "f99999999999999999999",
    "s1",
    "s3",
    "stride",
    "kernel",
    "padding",
    "shortcut",
    "before_add",
    "classes",
    "f1 / 0",
    "f1 / 3",
    "(f1",
    "f1 *",
    "0 - 9223372036854775807 * 9223372036854775807",
    "(0 - 9223372036854775807 - 1) / (0 - 1)",
    "3x3",
    "3x",
    "x",
    "same",
    "half",
    "valid",
    "global",
    "[]",
    "{}",
    "[1, 2]",
    "[flatten]",
    "{layers: []}",
    "{stage}",
    "\"{stage}.{block}.{conv}{letter}\"",
    "input",
    "layer1",
    "relu",
    "gate",
    "residual",
    "- relu",
    "basic",
    "bottleneck",
]; // fmt: skip

#[test]
fn changed_specs_are_understood_or_refused() {
    let cases: usize = std::env::var("SPEC_CASES").map_or(1_000, |cases| cases.parse().unwrap());
    let specs = specs();
    let mut random = Random(0x5EED);
    let mut understood = 0;
    for _ in 0..cases {
        let mut text = specs[random.below(specs.len())].clone();
        for _ in 0..1 + random.below(4) {
            let other = &specs[random.below(specs.len())];
            text = changed(&text, other, &mut random);
        }
        understood += usize::from(is_understood(&text));
    }
    assert!(understood * 20 > cases, "{understood} of {cases}");
}

#[test]
fn what_grows_is_refused() {
    let head = "name: deep\ninput: 8x8x3\n";
    let many = |text: &str, count: usize| text.repeat(count);
    let huge = [
        many("[", 100_000),
        format!("{head}stem: {}", many("[", 100_000)),
        format!("{head}stem: {}", many("[gate: ", 10_000)),
        format!("{head}stem: {}", many("{gate: ", 10_000)),
        format!("{head}stem:\n{}", many("  - relu\n", 60_000)),
        format!("{head}stem: [conv: {{kernel: 1, filters: {}}}]", many("(", 100_000)),
        format!("{head}stem: [conv: {{kernel: 1, filters: 1{}}}]", many(" + 1", 100_000)),
        format!("{head}stem: [conv: {{kernel: 1, filters: {}}}]", many("9", 100_000)),
        format!("{head}define: {{x: {{layers: [conv: {{kernel: 1, filters: f{}}}]}}}}", many("9", 1_000)),
        format!(
            "{head}a: &a [{}]\nb: &b [*a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b]\nstem: *b",
            many("relu, ", 1_000)
        ),
        format!(
            "{head}define: {{x: {{parameters: {{p:}}, layers: [{}]}}}}\nstages: [{{block: {{x: {{p: [{}]}}}}, blocks: 2000}}]",
            many("max_pool: p, ", 1_900),
            many("1, ", 50_000),
        ),
        format!(
            "{head}define: {{x: {{parameters: {{p:}}, layers: [{}]}}}}\nstages: [{{block: {{x: {{p: [{}]}}}}, blocks: 2000}}]",
            many("gate: p, ", 1_900),
            many("gate: p, ", 1_900),
        ),
        format!("{head}stem: [max_pool: 1]\nstages: [{{blocks: 2000, filters: 65536, stride: 65536}}]"),
    ];
    for text in huge {
        assert!(!is_understood(&text), "{}", &text[..text.len().min(200)]);
    }
}

/// Whether a spec has no mistakes. Those it has are shown.
fn is_understood(text: &str) -> bool {
    let overrides = Overrides::default();
    let spec = Spec { name: "spec.yaml", text, overrides: &overrides };
    match spec.parse(&mut |_| Err("no files".to_owned())) {
        Ok(parsed) => {
            let printed = parsed.graph.to_string();
            assert_eq!(read(&printed).unwrap().to_string(), printed, "{text}");
            Summary::new(&parsed).unwrap().to_string();
            parsed.warnings.render("spec.yaml", text);
            true
        }
        Err(errors) => {
            assert!(!errors.render("spec.yaml", text).is_empty());
            false
        }
    }
}

/// All specs of the tests and all that ship.
fn specs() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/spec");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut specs: Vec<String> = files
        .map(|file| std::fs::read_to_string(file).unwrap())
        .map(|text| text.split("=== expected").next().unwrap().to_owned())
        .collect();
    specs.sort();
    specs.extend(resnet_dsl::shipped::names().filter_map(resnet_dsl::shipped::get).map(str::to_owned));
    specs
}

/// The text with something left out, twice, replaced, or from another text.
fn changed(text: &str, other: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let tokens = |text: &'_ str| -> Vec<(usize, usize)> {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
        let bytes = text.as_bytes();
        let starts = (0..bytes.len()).filter(|&at| inside(bytes[at]) && (at == 0 || !inside(bytes[at - 1])));
        starts.map(|at| (at, at + bytes[at..].iter().take_while(|byte| inside(**byte)).count())).collect()
    };
    let replace = |random: &mut Random, by: &str| {
        let places = tokens(text);
        match places.is_empty() {
            true => text.to_owned(),
            false => {
                let (start, end) = places[random.below(places.len())];
                format!("{}{by}{}", &text[..start], &text[end..])
            }
        }
    };
    let line = random.below(lines.len().max(1)).min(lines.len());
    match random.below(8) {
        0 if !lines.is_empty() => drop(lines.remove(line)),
        1 if !lines.is_empty() => lines.insert(line, lines[line]),
        2 => {
            let others: Vec<&str> = other.lines().collect();
            lines.insert(line, others.get(random.below(others.len().max(1))).copied().unwrap_or_default());
        }
        3 => {
            let places = tokens(other);
            let word =
                places.get(random.below(places.len().max(1))).map_or("", |(start, end)| &other[*start..*end]);
            return replace(random, word);
        }
        4 => {
            let letters: Vec<char> = text.chars().collect();
            let at = random.below(letters.len().max(1));
            let odd = ['{', '}', '[', ']', ':', ',', '-', '"', '\n', 'é', '\0', '&', '*'];
            return letters
                .iter()
                .enumerate()
                .map(|(index, letter)| if index == at { odd[random.below(odd.len())] } else { *letter })
                .collect();
        }
        _ => {
            let word = WORDS[random.below(WORDS.len())];
            return replace(random, word);
        }
    }
    lines.join("\n") + "\n"
}

/// Numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % end.max(1) as u64) as usize
    }
}
