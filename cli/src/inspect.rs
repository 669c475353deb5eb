//! `resnet inspect`: what the compiler makes of a spec, stage by stage.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use quote::{format_ident, quote};
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::Graph;
use resnet_dsl::spec::metadata::{Metadata, Preprocessing};
use resnet_dsl::spec::{Overrides, Parsed};
use resnet_dsl::summary::Summary;
use resnet_dsl::{Spec, codegen, pass, plan, shipped};
use serde_json::{Value, json};

use crate::networks;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A spec file, or the name of a spec that is built in
    spec: String,
    /// What to show
    #[arg(long, value_enum, default_value = "ir")]
    stage: Stage,
    /// Show the graph after this pass [default: before all passes]
    #[arg(long, value_name = "PASS", value_parser = pass_names())]
    after: Option<String>,
    /// What the layers compute in, instead of what the spec says: f32, bf16, or int8 with the table that ships
    #[arg(long, value_name = "P")]
    precision: Option<String>,
    /// Text for people, JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The layers that the spec stands for, and what they cost
    Spec,
    /// The graph
    Ir,
    /// Buffers and steps
    Plan,
    /// The generated Rust
    Code,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.after.is_some() && arguments.stage != Stage::Ir {
        bail!("--after goes with --stage ir");
    }
    let (text, folder) = read(&arguments.spec)?;
    let precision = arguments.precision.as_deref();
    let precision = precision.map(|name| networks::precision(&arguments.spec, name)).transpose()?;
    let overrides = Overrides { precision, ..Overrides::default() };
    let spec = Spec { name: &arguments.spec, text: &text, overrides: &overrides };
    let shown = show(arguments, &spec, folder.as_deref()).map_err(|errors| {
        anyhow!("{} cannot be compiled\n\n{}", spec.name, errors.render(spec.name, spec.text))
    })?;
    let mut out = std::io::stdout().lock();
    match (arguments.format, shown) {
        (Format::Text, (text, _)) => writeln!(out, "{}", text.trim_end())?,
        (Format::Json, (_, json)) => writeln!(out, "{json:#}")?,
    }
    Ok(())
}

/// The stage as text and as JSON.
fn show(
    arguments: &Arguments,
    spec: &Spec<'_>,
    folder: Option<&Path>,
) -> Result<(String, Value), Diagnostics> {
    let mut labels = |file: &str| {
        let path = folder.ok_or("a built-in spec has no files beside it")?.join(file);
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    };
    Ok(match arguments.stage {
        Stage::Spec => {
            let parsed = spec.parse(&mut labels)?;
            let summary = Summary::new(&parsed)?;
            (summary.to_string(), summary_json(&summary))
        }
        Stage::Ir => {
            let mut graph = spec.parse(&mut labels)?.graph;
            if let Some(last) = &arguments.after {
                pass::run_until(&mut graph, Some(last), |_, _| {})?;
            }
            (graph.to_string(), graph_json(&graph))
        }
        Stage::Plan => {
            let plan = spec.compile(&mut labels)?.plan;
            (plan.to_string(), plan_json(&plan))
        }
        Stage::Code => {
            let compiled = spec.compile(&mut labels)?;
            let item = codegen::Item {
                attributes: quote!(),
                visibility: quote!(pub),
                name: format_ident!("Network"),
                files: &[],
            };
            let tokens = codegen::generate(&compiled.plan, &compiled.metadata, &item);
            let code = match syn::parse2(tokens.clone()) {
                Ok(file) => prettyplease::unparse(&file),
                Err(_) => tokens.to_string(),
            };
            (code.clone(), json!({ "code": code }))
        }
    })
}

fn summary_json(summary: &Summary<'_>) -> Value {
    let Parsed { graph, input, metadata: Metadata { preprocessing, labels, .. }, .. } = summary.parsed;
    let layers: Vec<Value> = summary
        .layers
        .iter()
        .map(|layer| {
            json!({
                "name": layer.name,
                "block": layer.block,
                "kind": layer.kind,
                "shape": layer.output,
                "parameters": layer.parameters,
                "macs": layer.macs,
            })
        })
        .collect();
    let Preprocessing { resize, crop, channels, scale, mean, std } = preprocessing;
    json!({
        "network": graph.name,
        "input": input,
        "precision": graph.precision.name(),
        "layers": layers,
        "parameters": summary.parameters(),
        "macs": summary.macs(),
        "preprocessing": {
            "resize": resize, "crop": crop, "channels": channels.name(), "scale": scale, "mean": mean, "std": std,
        },
        "labels": labels,
    })
}

fn graph_json(graph: &Graph) -> Value {
    let values: Vec<Value> = graph
        .topological()
        .into_iter()
        .map(|value| {
            let node = graph.node(value);
            let operands: Vec<&str> =
                graph.operands(value).into_iter().map(|operand| graph.node(operand).name.as_str()).collect();
            let attributes = node.op.attributes();
            let attributes: serde_json::Map<String, Value> = attributes
                .iter()
                .map(|(key, value)| (key.to_owned(), value.map_or(Value::Bool(true), Value::from)))
                .collect();
            let halo = node.halo;
            json!({
                "name": node.name,
                "op": node.op.name(),
                "operands": operands,
                "attributes": attributes,
                "shape": node.ty.map(|ty| ty.dims),
                "halo": [halo.top, halo.bottom, halo.left, halo.right],
                "block": node.block,
            })
        })
        .collect();
    let output = graph.output().map(|output| graph.node(output).name.as_str());
    json!({ "network": graph.name, "values": values, "output": output })
}

fn plan_json(plan: &plan::Plan) -> Value {
    let buffers: Vec<Value> = plan
        .buffers
        .iter()
        .map(|b| json!({ "name": b.name, "offset": b.offset, "bytes": b.bytes, "live": b.live, "whole": b.whole }))
        .collect();
    let view = |view: &plan::View| json!({ "buffer": view.buffer, "dims": view.dims, "at": view.at, "size": view.size });
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name,
                "block": step.block,
                "action": step.action.to_string(),
                "reads": step.read.as_ref().map(view),
                "writes": view(&step.write),
            })
        })
        .collect();
    let sections: Vec<Value> = plan
        .sections
        .iter()
        .map(|section| {
            let steps = [section.steps.start, section.steps.end];
            json!({ "steps": steps, "passes": section.passes, "images": plan.images(section) })
        })
        .collect();
    json!({
        "network": plan.name,
        "sections": sections,
        "peak_bytes": plan.peak_bytes,
        "weight_bytes": plan.weight_bytes(),
        "parameters": plan.parameters(),
        "macs": plan.macs,
        "buffers": buffers,
        "steps": steps,
    })
}

/// The text of a spec, and the folder of its file.
fn read(name: &str) -> anyhow::Result<(String, Option<std::path::PathBuf>)> {
    if let Some(text) = shipped::get(name) {
        return Ok((text.to_owned(), None));
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path).with_context(|| {
        let known: Vec<&str> = shipped::names().collect();
        format!("cannot read the spec {name}, and no spec of that name is built in ({})", known.join(", "))
    })?;
    Ok((text, path.parent().map(Path::to_owned)))
}

fn pass_names() -> clap::builder::PossibleValuesParser {
    let names =
        pass::PIPELINE.iter().map(|pass| clap::builder::PossibleValue::new(pass.name).help(pass.summary));
    clap::builder::PossibleValuesParser::new(names)
}
