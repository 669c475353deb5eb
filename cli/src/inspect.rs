//! `resnet inspect`: what the compiler makes of a spec, stage by stage.

use std::path::PathBuf;

use anyhow::{Context, bail};
use resnet::runtime::files;
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::Graph;
use resnet_dsl::ir::brief::Brief;
use resnet_dsl::pass::{self, Done};
use resnet_dsl::plan::choices::{Choice, choices};
use resnet_dsl::plan::predict::Machine;
use resnet_dsl::spec::ReadFile;
use resnet_dsl::summary::Summary;
use resnet_dsl::{Compiled, Spec};
use resnet_plan::Precision;
use resnet_report::{Detail, Report, html, svg};
use serde_json::{Map, Value, json};

use crate::model::Network;
use crate::print::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    /// What to show [default: the graph; as JSON, all]
    #[arg(long, value_enum)]
    stage: Option<Stage>,
    /// Show the graph after this pass, or with --diff what this pass changed [default: before all passes; all of them]
    #[arg(long, value_name = "PASS", value_parser = pass_names())]
    after: Option<String>,
    /// Show the graph whole, as it is read back from a file that ends in .ir
    #[arg(long, conflicts_with = "diff")]
    full: bool,
    /// Show what each pass changed
    #[arg(long)]
    diff: bool,
    /// Text or a page for people, JSON for programs, the graph as a diagram [default: what --output ends in, else text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Draw blocks, not layers
    #[arg(long)]
    compact: bool,
    /// Write this file, not standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The layers that the spec stands for, and what they cost
    Spec,
    /// The graph
    Ir,
    /// What each way to compute a convolution costs, by the model that chose
    Algorithms,
    /// Buffers and steps
    Plan,
    /// The generated Rust
    Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Html,
    Svg,
}

impl Arguments {
    fn format(&self) -> Format {
        let ending = self.output.as_ref().and_then(|path| path.extension()?.to_str());
        self.format.unwrap_or(match ending {
            Some("json") => Format::Json,
            Some("svg") => Format::Svg,
            Some("html") => Format::Html,
            _ => Format::Text,
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { stage, after, full, diff, compact, output, .. } = arguments;
    let format = arguments.format();
    let graph_alone = after.is_some() || *full || *diff;
    if graph_alone && stage.is_some_and(|stage| stage != Stage::Ir) {
        bail!("--after, --full and --diff go with --stage ir");
    }
    if format != Format::Text && (*full || *diff) {
        bail!("--full and --diff go with text: JSON is whole, and holds what each pass changed");
    }
    if matches!(format, Format::Svg | Format::Html) && (after.is_some() || stage.is_some()) {
        bail!(
            "a diagram shows the graph after all passes, a page shows everything: \
             --stage and --after go with text and JSON"
        );
    }
    if *compact && format != Format::Svg {
        bail!("--compact goes with --format svg");
    }
    let text = match arguments.network.graph()? {
        Some(_) if after.is_some() || *diff || stage.is_some_and(|stage| stage != Stage::Ir) => {
            bail!("a graph is shown as it is: --after, --diff and other stages need its spec")
        }
        Some(_) if matches!(format, Format::Svg | Format::Html) => {
            bail!("a diagram or a page needs the graph's spec")
        }
        Some(graph) => of_graph(arguments, &graph),
        None => arguments.network.read()?.with(|spec, read| of_spec(arguments, spec, read))?,
    };
    match output {
        Some(path) => files::replace(path, |to| to.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display())),
        None => Ok(say!("{}", text.trim_end())?),
    }
}

fn of_spec(arguments: &Arguments, spec: &Spec<'_>, read: ReadFile<'_>) -> Result<String, Diagnostics> {
    match (arguments.format(), arguments.stage, &arguments.after) {
        (Format::Text | Format::Json, None | Some(Stage::Ir), Some(_))
        | (Format::Text, None | Some(Stage::Ir), None)
        | (Format::Json, Some(Stage::Ir), None) => {
            let mut parsed = spec.parse(read)?;
            if arguments.diff {
                parsed.check_calibration()?;
                parsed.graph.set_batch(parsed.input[0]);
                return differences(&mut parsed.graph, arguments.after.as_deref());
            }
            if let Some(last) = &arguments.after {
                parsed.check_calibration()?;
                pass::run_until(&mut parsed.graph, Some(last), |_, _| {})?;
            }
            Ok(of_graph(arguments, &parsed.graph))
        }
        (Format::Text, Some(Stage::Spec), _) => Ok(Summary::new(&spec.parse(read)?)?.to_string()),
        (Format::Text, Some(Stage::Algorithms), _) => Ok(algorithms(&spec.compile(read)?)),
        (Format::Text, Some(Stage::Plan), _) => Ok(spec.compile(read)?.plan.to_string()),
        (Format::Text, Some(Stage::Code), _) => Ok(Report::new(spec, read, &Machine::reference())?.code),
        (Format::Html, ..) => Ok(html(&Report::new(spec, read, &Machine::reference())?)),
        (Format::Svg, ..) => {
            let detail = if arguments.compact { Detail::Compact } else { Detail::Full };
            Ok(svg(&Report::new(spec, read, &Machine::reference())?, detail))
        }
        (Format::Json, stage, _) => {
            let report = json!(Report::new(spec, read, &Machine::reference())?);
            Ok(format!("{:#}", part(report, stage)))
        }
    }
}

fn of_graph(arguments: &Arguments, graph: &Graph) -> String {
    if arguments.format() == Format::Json {
        let graph = resnet_report::Graph::new(graph);
        return format!("{:#}", json!({ "version": resnet_report::VERSION, "graph": graph }));
    }
    if arguments.full { graph.to_string() } else { Brief(graph).to_string() }
}

/// A line for each convolution and class of instruction sets, behind lines that say what it means.
fn algorithms(compiled: &Compiled) -> String {
    let description = &compiled.plan.description;
    let (name, precision) = (&description.name, description.precision);
    let mut head = vec![
        format!("algorithms of {name}, {precision}, batch {}", compiled.plan.input[0]),
        "  costs: millions of multiply-adds of f32 that take as long, by the model that chose".to_owned(),
        "  *: the one taken; no: algorithms that are refused, and why".to_owned(),
    ];
    let dots = match precision {
        Precision::F32 => None,
        Precision::Bf16 => Some("avx512bf16"),
        Precision::Int8 => Some("avxvnni and avx512vnni"),
    };
    if let Some(dots) = dots {
        head.push(format!(
            "  dots: on {dots}; widened: on all others but amx, which computes direct sums only"
        ));
    }
    head.extend(choices(compiled).iter().map(Choice::to_string));
    head.join("\n")
}

/// What a stage is in the report; all of it without a stage.
fn part(report: Value, stage: Option<Stage>) -> Value {
    let keys: &[&str] = match stage {
        None | Some(Stage::Ir) => return report,
        Some(Stage::Spec) => &["version", "spec"],
        Some(Stage::Algorithms) => &["version", "choices"],
        Some(Stage::Plan) => &["version", "layers", "plan", "memory", "costs"],
        Some(Stage::Code) => &["version", "code"],
    };
    let Value::Object(mut report) = report else { return report };
    let parts = keys.iter().filter_map(|key| Some(((*key).to_owned(), report.remove(*key)?)));
    Value::Object(parts.collect::<Map<_, _>>())
}

/// What each pass changed, or one of them.
fn differences(graph: &mut Graph, only: Option<&str>) -> Result<String, Diagnostics> {
    let all = pass::trace(graph)?;
    Ok(all
        .iter()
        .filter(|done| only.is_none_or(|only| only == done.pass.name))
        .map(Done::to_string)
        .collect())
}

fn pass_names() -> clap::builder::PossibleValuesParser {
    let names =
        pass::PIPELINE.iter().map(|pass| clap::builder::PossibleValue::new(pass.name).help(pass.summary));
    clap::builder::PossibleValuesParser::new(names)
}
