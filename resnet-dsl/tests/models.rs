//! `docs/models.md` lists the specs that ship. `BLESS=1 cargo test` writes the table anew.

use std::fmt::Write;
use std::path::Path;

use resnet_dsl::spec::Overrides;
use resnet_dsl::summary::Summary;
use resnet_dsl::{Spec, shipped};

/// What stands before the table.
const MARK: &str = "<!-- written by resnet-dsl/tests/models.rs -->\n";

#[test]
fn the_page_lists_what_ships() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, found) = text.split_once(MARK).expect("the mark before the table");
    let table = table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&page, format!("{before}{MARK}{table}")).unwrap();
    } else {
        assert!(found == table, "docs/models.md is not what ships; BLESS=1 writes it anew:\n{table}");
    }
}

fn table() -> String {
    let mut table =
        "| `model` | input | parameters | multiply-adds | activations | |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for name in shipped::names() {
        let text = shipped::get(name).unwrap();
        let overrides = Overrides::default();
        let spec = Spec { name, text, overrides: &overrides };
        let parsed = spec.parse(&mut |_| Err("no files".to_owned()));
        let parsed = parsed.unwrap_or_else(|errors| panic!("{}", errors.render(name, text)));
        let summary = Summary::new(&parsed).unwrap();
        let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
        let activations = plan.description.peak_bytes as f64 / 1e6;
        let [_, height, width, channels] = parsed.input;
        let (parameters, macs) = (summary.parameters() as f64 / 1e6, summary.macs() as f64 / 1e9);
        writeln!(
            table,
            "| `{name}` | {height}x{width}x{channels} | {parameters:.3} M | {macs:.3} G | {activations:.1} MB | {} |",
            about(text)
        )
        .unwrap();
    }
    table
}

/// The comment at the top of a spec.
fn about(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
