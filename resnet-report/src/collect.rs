//! Asks the compiler: what each pass changes, what comes out, what it costs.

use std::collections::HashMap;

use resnet_dsl::diag::Diagnostics;
use resnet_dsl::ir::brief;
use resnet_dsl::ir::{self, Op, Value, diff};
use resnet_dsl::ops::{Dims, Sides};
use resnet_dsl::plan::choices;
use resnet_dsl::plan::predict::{Machine, Prediction, predict};
use resnet_dsl::spec::{Parsed, ReadFile};
use resnet_dsl::summary::{self, Summary};
use resnet_dsl::{Compiled, codegen, pass};
use resnet_plan::{Algorithm, Element, LayerWeights};

use crate::fused::fused;
use crate::report::{
    self, Buffer, Change, ChangeKind, Choice, Costs, Graph, GraphValue, Layer, Memory, Output, Pass, Plan,
    Preprocessing, Refused, Report, Resize, Section, Spec, SpecLayer, Step, VERSION, View, Way, WeightBytes,
};

impl Report {
    /// What the compiler makes of a spec, with times for a machine. `read` gives the text of a file that the spec names.
    ///
    /// # Errors
    /// All mistakes of the spec.
    pub fn new(
        source: &resnet_dsl::Spec<'_>,
        read: ReadFile<'_>,
        machine: &Machine,
    ) -> Result<Report, Diagnostics> {
        let parsed = source.parse(read)?;
        let compiled = source.compile(read)?;
        let predictions = predict(&compiled, machine);
        Ok(Report {
            version: VERSION,
            spec: spec(source.name, &parsed, &compiled)?,
            passes: passes(&parsed)?,
            layers: layers(&compiled, &parsed.stages, &predictions),
            plan: plan(&compiled.plan, &predictions),
            choices: choices::choices(&compiled).into_iter().map(choice).collect(),
            memory: memory(&compiled.plan),
            costs: costs(&compiled.plan, machine, &predictions),
            code: code(&compiled.plan),
            measured: None,
            verified: None,
        })
    }
}

impl Graph {
    /// A graph as data.
    pub fn new(graph: &ir::Graph) -> Graph {
        let value = |value: Value| {
            let node = graph.node(value);
            let attributes = node.op.attributes();
            let attributes = attributes.iter().map(|(key, value)| (key, value.unwrap_or_default()));
            GraphValue {
                name: node.name.clone(),
                block: node.block.clone(),
                op: node.op.name().to_owned(),
                operands: operands(graph, value),
                attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
                shape: node.ty.map(|ty| ty.dims),
                halo: halo(node.halo),
            }
        };
        Graph {
            network: graph.name.clone(),
            values: graph.topological().into_iter().map(value).collect(),
            outputs: outputs(graph),
        }
    }
}

fn spec(source: &str, parsed: &Parsed, Compiled { graph, plan }: &Compiled) -> Result<Spec, Diagnostics> {
    let summary = Summary::new(parsed)?;
    let layers = summary.layers.iter().map(|layer| SpecLayer {
        name: layer.name.to_owned(),
        block: layer.block.to_owned(),
        kind: layer.kind.clone(),
        shape: layer.output,
        parameters: layer.parameters,
        macs: layer.macs,
    });
    Ok(Spec {
        name: parsed.graph.name.clone(),
        source: source.to_owned(),
        input: plan.input,
        outputs: outputs(graph),
        precision: plan.description.precision.to_string(),
        parameters: summary.parameters(),
        macs: summary.macs(),
        layers: layers.collect(),
        preprocessing: preprocessing(&plan.description.preprocessing),
        labels: plan.description.labels.iter().map(ToString::to_string).collect(),
    })
}

fn outputs(graph: &ir::Graph) -> Vec<Output> {
    let output = |output: &ir::Output| Output {
        name: graph.output_name(output).to_owned(),
        layer: graph.node(output.value).name.clone(),
        shape: shape(graph, output.value),
    };
    graph.outputs().iter().map(output).collect()
}

/// The names of a value's operands.
fn operands(graph: &ir::Graph, value: Value) -> Vec<String> {
    graph.operands(value).into_iter().map(|operand| graph.node(operand).name.clone()).collect()
}

fn shape(graph: &ir::Graph, value: Value) -> Dims {
    graph.node(value).ty.map_or([0; 4], |ty| ty.dims)
}

fn halo(Sides { top, bottom, left, right }: Sides) -> [usize; 4] {
    [top, bottom, left, right]
}

fn preprocessing(of: &resnet_plan::Preprocessing) -> Preprocessing {
    Preprocessing {
        resize: of.resize.map(|resize| match resize {
            resnet_plan::Resize::Shorter(side) => Resize::Shorter(side),
            resnet_plan::Resize::To(size) => Resize::To(size),
            resnet_plan::Resize::Cover(cover) => Resize::Cover { cover },
        }),
        crop: of.crop,
        interpolation: of.interpolation.name().to_owned(),
        channels: of.channels.to_string(),
        background: of.background,
        scale: of.scale,
        mean: of.mean.to_vec(),
        std: of.std.to_vec(),
    }
}

/// The spec's graph, then what each pass makes of it.
fn passes(parsed: &Parsed) -> Result<Vec<Pass>, Diagnostics> {
    let mut graph = parsed.graph.clone();
    graph.set_batch(parsed.input[0]);
    let rows = brief::rows(&graph);
    let first = Pass {
        name: "parse".to_owned(),
        summary: "read the spec".to_owned(),
        outcome: format!("{} values", rows.len()),
        values: rows.len(),
        changes: diff::changes(&[], &rows).into_iter().map(change).collect(),
    };
    let others = pass::trace(&mut graph)?.into_iter().map(|done| Pass {
        name: done.pass.name.to_owned(),
        summary: done.pass.summary.to_owned(),
        outcome: done.outcome(),
        values: done.values,
        changes: done.changes.into_iter().map(change).collect(),
    });
    Ok(std::iter::once(first).chain(others).collect())
}

fn change(diff::Change { block, name, kind }: diff::Change) -> Change {
    let (kind, before, after) = match kind {
        diff::ChangeKind::Removed(line) => (ChangeKind::Removed, vec![line], vec![]),
        diff::ChangeKind::Added(line) => (ChangeKind::Added, vec![], vec![line]),
        diff::ChangeKind::Replaced(old, new) => (ChangeKind::Replaced, vec![old], vec![new]),
        diff::ChangeKind::Adjusted(_, removed, added) => (ChangeKind::Adjusted, removed, added),
    };
    Change { block, name, kind, before, after }
}

fn layers(
    Compiled { graph, plan }: &Compiled,
    stages: &HashMap<String, String>,
    predictions: &[Prediction],
) -> Vec<Layer> {
    let mut steps: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        steps.entry(&step.name).or_default().push(index);
    }
    let mut weights: HashMap<&str, (usize, usize)> = HashMap::new();
    let of_layers = plan.description.layers.iter().map(|of| (&of.name, of.parameters(), of.bytes()));
    let of_lists = plan.description.lists.iter().map(|of| (&of.name, of.parameters(), of.bytes()));
    for (name, parameters, bytes) in of_layers.chain(of_lists) {
        let sums = weights.entry(name).or_default();
        *sums = (sums.0 + parameters, sums.1 + bytes);
    }
    let layer = |value: Value| {
        let node = graph.node(value);
        let name = node.name.as_str();
        let inputs: Vec<Dims> =
            graph.operands(value).into_iter().map(|operand| shape(graph, operand)).collect();
        let steps = steps.get(name).cloned().unwrap_or_default();
        let (parameters, weight_bytes) = weights.get(name).copied().unwrap_or_default();
        let macs = node.op.macs(&inputs, shape(graph, value));
        let activation_bytes = steps.iter().map(|step| predictions[*step].bytes).sum::<usize>();
        let algorithm = match &node.op {
            Op::Conv2d(conv) => conv.algorithms.map(|algorithms| algorithms.to_string()),
            _ => None,
        };
        Layer {
            name: name.to_owned(),
            block: node.block.clone(),
            stage: stages.get(&node.block).unwrap_or(&node.block).clone(),
            operator: node.op.name().to_owned(),
            kind: kind(&node.op),
            operands: operands(graph, value),
            fused: fused(graph, value),
            shape: shape(graph, value),
            element: node.ty.map_or(Element::F32, |ty| ty.element).to_string(),
            halo: halo(node.halo),
            parameters: parameters as u64,
            macs,
            weight_bytes,
            activation_bytes,
            intensity: round(2.0 * macs as f64 / (weight_bytes + activation_bytes).max(1) as f64),
            algorithm,
            predicted_us: round(steps.iter().map(|step| 1e6 * predictions[*step].seconds).sum()),
            steps,
        }
    };
    graph.topological().into_iter().map(layer).collect()
}

/// In words. How a convolution is computed is told apart from that.
fn kind(op: &Op) -> String {
    let mut op = op.clone();
    if let Op::Conv2d(conv) = &mut op {
        conv.algorithms = None;
    }
    summary::kind(&op)
}

fn plan(plan: &resnet_plan::Plan, predictions: &[Prediction]) -> Plan {
    let view = |view: &resnet_plan::View| View {
        buffer: view.buffer,
        dims: view.dims,
        at: view.at,
        size: view.size,
    };
    let steps = plan.steps.iter().zip(predictions).map(|(step, prediction)| Step {
        name: step.name.clone(),
        block: step.block.clone(),
        action: step.action.to_string(),
        reads: step.read.as_ref().map(view),
        gate: step.gate.as_ref().map(view),
        writes: view(&step.write),
        predicted_us: round(1e6 * prediction.seconds),
    });
    let sections = plan.sections.iter().map(|section| Section {
        steps: [section.steps.start, section.steps.end],
        passes: section.passes,
        images: plan.images(section),
    });
    Plan { steps: steps.collect(), sections: sections.collect() }
}

fn memory(plan: &resnet_plan::Plan) -> Memory {
    let buffers = plan.buffers.iter().map(|buffer| Buffer {
        name: buffer.name.clone(),
        offset: buffer.offset,
        bytes: buffer.bytes,
        live: buffer.live,
        whole: buffer.whole,
    });
    Memory {
        peak_bytes: plan.description.peak_bytes,
        scratch_bytes: plan.description.scratch_bytes,
        buffers: buffers.collect(),
    }
}

fn choice(of: choices::Choice) -> Choice {
    let way = |(algorithm, cost): &(Algorithm, usize)| Way {
        algorithm: algorithm.to_string(),
        cost: *cost,
        chosen: *algorithm == of.chosen,
    };
    let refused = of
        .refused
        .iter()
        .map(|(algorithm, why)| Refused { algorithm: algorithm.name(), why: why.to_string() });
    Choice {
        ways: of.ways.iter().map(way).collect(),
        because: of.because.as_ref().map(ToString::to_string),
        refused: refused.collect(),
        class: of.class_name().map(str::to_owned),
        layer: of.name,
    }
}

fn costs(plan: &resnet_plan::Plan, machine: &Machine, predictions: &[Prediction]) -> Costs {
    let description = &plan.description;
    let lists: usize = description.lists.iter().map(|list| list.bytes()).sum();
    let bytes = |element: Element| {
        let narrowed = |of: &LayerWeights| LayerWeights { elements: [element; 2], ..of.clone() }.bytes();
        lists + description.layers.iter().map(narrowed).sum::<usize>()
    };
    Costs {
        parameters: description.parameters as u64,
        macs: description.macs,
        weight_bytes: WeightBytes {
            f32: bytes(Element::F32),
            bf16: bytes(Element::Bf16),
            int8: bytes(Element::I8(1.0)),
        },
        peak_bytes: description.peak_bytes,
        machine: report::Machine {
            name: machine.name.clone(),
            gflops: round(2e-9 * machine.multiply_adds_of(description.precision)),
            bandwidth: round(1e-9 * machine.bandwidth()),
        },
        predicted_ms: 1e-3 * round(1e6 * predictions.iter().map(|of| of.seconds).sum::<f64>()),
    }
}

fn code(plan: &resnet_plan::Plan) -> String {
    let tokens = codegen::generate(plan, &codegen::Item::new(quote::format_ident!("Network")));
    match syn::parse2(tokens.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        Err(_) => tokens.to_string(),
    }
}

/// Three decimals: more are noise.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
