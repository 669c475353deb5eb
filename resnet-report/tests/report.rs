//! The report of every spec that ships: it follows the schema, comes back from JSON, and adds up.

use std::collections::HashSet;

use resnet_dsl::plan::predict::Machine;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, shipped};
use resnet_plan::Precision;
use resnet_report::{Graph, Report, VERSION};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../docs/inspect.schema.json");

fn report(name: &str, overrides: &Overrides) -> Report {
    let text = shipped::get(name).unwrap();
    let spec = Spec { name, text, overrides };
    Report::new(&spec, &mut |file| Err(format!("{file} is not there")), &Machine::reference()).unwrap()
}

fn fits(validator: &jsonschema::Validator, value: &Value, name: &str) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{} {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
}

#[test]
fn every_report_follows_the_schema_and_adds_up() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(schema["properties"]["version"]["const"], VERSION);
    let validator = jsonschema::validator_for(&schema).unwrap();
    for name in shipped::names() {
        let report = report(name, &Overrides::default());
        let value = json!(report);
        fits(&validator, &value, name);
        for part in ["spec", "passes", "layers", "plan", "choices", "memory", "costs", "code"] {
            assert!(value.get(part).is_some(), "{name}: {part}");
        }
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report, "{name}");
        adds_up(name, &report);
    }
}

fn adds_up(name: &str, report: &Report) {
    let Report { spec, passes, layers, plan, choices, memory, costs, .. } = report;
    let sum = |of: fn(&resnet_report::Layer) -> u64| layers.iter().map(of).sum::<u64>();
    assert_eq!(sum(|layer| layer.parameters), costs.parameters, "{name}");
    assert_eq!(spec.parameters, costs.parameters, "{name}");
    assert_eq!(sum(|layer| layer.macs), costs.macs, "{name}");
    assert_eq!(sum(|layer| layer.weight_bytes as u64), costs.weight_bytes.f32 as u64, "{name}");
    let steps: HashSet<usize> = layers.iter().flat_map(|layer| layer.steps.clone()).collect();
    assert_eq!(steps.len(), plan.steps.len(), "{name}: each step is a layer's");
    let predicted: f64 = plan.steps.iter().map(|step| step.predicted_us).sum();
    assert!((predicted / 1e3 - costs.predicted_ms).abs() < 1e-3, "{name}: {predicted} us");
    for choice in choices {
        assert_eq!(choice.ways.iter().filter(|way| way.chosen).count(), 1, "{name}: {}", choice.layer);
    }
    let mut seen = HashSet::new();
    for layer in layers {
        assert!(
            layer.operands.iter().all(|operand| seen.contains(operand.as_str())),
            "{name}: {}",
            layer.name
        );
        seen.insert(layer.name.as_str());
    }
    assert!(spec.outputs.iter().all(|output| seen.contains(output.layer.as_str())), "{name}");
    assert_eq!(passes.last().map(|pass| pass.values), Some(layers.len()), "{name}");
    let end = memory.buffers.iter().map(|buffer| buffer.offset + buffer.bytes).max();
    assert_eq!(end, Some(memory.peak_bytes), "{name}");
}

#[test]
fn other_precisions_and_batches_follow_the_schema() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for precision in [Precision::Bf16, Precision::Int8] {
        let overrides = Overrides { precision: Some(precision), batch: Some(40), ..Overrides::default() };
        let report = report("digits", &overrides);
        fits(&validator, &json!(report), &precision.to_string());
        let sections: usize =
            report.plan.sections.iter().map(|section| section.passes * section.images).sum();
        assert_eq!(sections, 40 * report.plan.sections.len());
        let bytes: usize = report.layers.iter().map(|layer| layer.weight_bytes).sum();
        let weights = report.costs.weight_bytes;
        assert_eq!(bytes, if precision == Precision::Bf16 { weights.bf16 } else { weights.int8 });
    }
}

#[test]
fn a_graph_follows_the_schema() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let text = shipped::get("timm/seresnet50").unwrap();
    let spec = Spec { name: "seresnet50", text, overrides: &Overrides::default() };
    let graph = spec.parse(&mut |_| Ok(String::new())).unwrap().graph;
    fits(&validator, &json!({ "version": VERSION, "graph": Graph::new(&graph) }), "graph");
}

#[test]
fn stages_are_those_of_the_spec_whatever_blocks_are_called() {
    for (name, first) in [("keras/resnet50", "conv2"), ("timm/resnetv2_50", "stages.0"), ("digits", "layer1")]
    {
        let report = report(name, &Overrides::default());
        let mut stages: Vec<&str> = report.layers.iter().map(|layer| layer.stage.as_str()).collect();
        stages.dedup();
        let expected = 2 + if name == "digits" { 3 } else { 4 };
        assert_eq!((stages.len(), &stages[..2]), (expected, &["stem", first][..]), "{name}");
    }
}
