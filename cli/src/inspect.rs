//! `resnet inspect`: what the compiler makes of a spec, stage by stage.

use anyhow::bail;
use quote::format_ident;
use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::Graph;
use resnet_dsl::spec::Parsed;
use resnet_dsl::spec::metadata::Metadata;
use resnet_dsl::summary::Summary;
use resnet_dsl::{Spec, codegen, pass};
use resnet_plan::{Plan, Preprocessing, Resize, View};
use serde_json::{Value, json};

use crate::model::Network;
use crate::print::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: Network,
    /// What to show
    #[arg(long, value_enum, default_value = "ir")]
    stage: Stage,
    /// Show the graph after this pass [default: before all passes]
    #[arg(long, value_name = "PASS", value_parser = pass_names())]
    after: Option<String>,
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
    let model = arguments.network.read()?;
    let shown = model.with(|spec, read| show(arguments, spec, read))?;
    match (arguments.format, shown) {
        (Format::Text, (text, _)) => say!("{}", text.trim_end())?,
        (Format::Json, (_, json)) => say!("{json:#}")?,
    }
    Ok(())
}

/// The stage as text and as JSON.
fn show(
    arguments: &Arguments,
    spec: &Spec<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<(String, Value), Diagnostics> {
    Ok(match arguments.stage {
        Stage::Spec => {
            let parsed = spec.parse(read)?;
            let summary = Summary::new(&parsed)?;
            (summary.to_string(), summary_json(&summary))
        }
        Stage::Ir => {
            let mut parsed = spec.parse(read)?;
            if let Some(last) = &arguments.after {
                parsed.check_calibration()?;
                pass::run_until(&mut parsed.graph, Some(last), |_, _| {})?;
            }
            let graph = parsed.graph;
            (graph.to_string(), graph_json(&graph))
        }
        Stage::Plan => {
            let plan = spec.compile(read)?.plan;
            (plan.to_string(), plan_json(&plan))
        }
        Stage::Code => {
            let compiled = spec.compile(read)?;
            let item = codegen::Item::new(format_ident!("Network"));
            let tokens = codegen::generate(&compiled.plan, &item);
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
    let Preprocessing { resize, crop, interpolation, channels, background, scale, mean, std } = preprocessing;
    let resize = resize.map(|resize| match resize {
        Resize::Shorter(side) => json!(side),
        Resize::Cover(size) => json!({ "cover": size }),
        Resize::To(size) => json!(size),
    });
    json!({
        "network": graph.name,
        "input": input,
        "precision": graph.precision.kind().to_string(),
        "layers": layers,
        "parameters": summary.parameters(),
        "macs": summary.macs(),
        "preprocessing": {
            "resize": resize, "crop": crop, "interpolation": interpolation.name(),
            "channels": channels.to_string(), "background": background,
            "scale": scale, "mean": mean, "std": std,
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

fn plan_json(plan: &Plan) -> Value {
    let buffers: Vec<Value> = plan
        .buffers
        .iter()
        .map(|b| json!({ "name": b.name, "offset": b.offset, "bytes": b.bytes, "live": b.live, "whole": b.whole }))
        .collect();
    let view =
        |view: &View| json!({ "buffer": view.buffer, "dims": view.dims, "at": view.at, "size": view.size });
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
        "network": plan.description.name,
        "sections": sections,
        "peak_bytes": plan.description.peak_bytes,
        "weight_bytes": plan.description.weight_bytes,
        "parameters": plan.description.parameters,
        "macs": plan.description.macs,
        "buffers": buffers,
        "steps": steps,
    })
}

fn pass_names() -> clap::builder::PossibleValuesParser {
    let names =
        pass::PIPELINE.iter().map(|pass| clap::builder::PossibleValue::new(pass.name).help(pass.summary));
    clap::builder::PossibleValuesParser::new(names)
}
