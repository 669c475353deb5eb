//! The unoptimized graph, evaluated in f64, gives the norms that PyTorch and Keras give; and no pass changes a value.
//!
//! The norms are of float64 networks (`tests/data/reference/README.md`).

mod formula;

use std::collections::HashMap;
use std::path::Path;

use formula::formula;
use resnet_dsl::evaluate::{Array, evaluate};
use resnet_dsl::ir::Graph;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, pass, shipped};
use resnet_runtime::weights::fill::uniform;
use serde_json::Value;

/// How far apart the same sums may be in f64, their terms in another order. (What is found is below 3e-14.)
const TOLERANCE: f64 = 1e-12;
/// The same for norms by Keras, whose batch norms compute something in f32: a convolution before all batch norms has the
/// same norm to 1e-14, all other layers to 3e-8.
const KERAS: f64 = 1e-7;

fn unoptimized(model: &str) -> Graph {
    let text = shipped::get(model).unwrap();
    let overrides = Overrides::default();
    let spec = Spec { name: model, text, overrides: &overrides };
    spec.parse(&mut |_| Err("no files".to_owned())).unwrap().graph
}

/// The reference's input: torchvision's is drawn channels first.
fn input(model: &str, graph: &Graph) -> Vec<f64> {
    let first = graph.topological()[0];
    let mut op = graph.node(first).op.clone();
    let [_, height, width, channels] = op.infer(&[]).unwrap();
    let pixels = height * width;
    let drawn: Vec<f64> =
        uniform("input").take(pixels * channels).map(|u| f64::from((2.0 * u - 1.0) * 2.0)).collect();
    if !model.starts_with("torchvision/") {
        return drawn;
    }
    (0..drawn.len()).map(|index| drawn[index % channels * pixels + index / channels]).collect()
}

/// The value that is a layer's output in the reference.
fn value_of(layer: &str, values: &HashMap<String, Array>) -> String {
    // PyTorch: a sequence of layers gives what its last one gives.
    let last = (0..).map(|n| format!("{layer}.{n}")).take_while(|name| values.contains_key(name)).last();
    let candidates = [
        Some(format!("{layer}_softmax")), // Keras: a dense layer's activation is part of it
        Some(layer.to_owned()),
        last,
    ];
    candidates.into_iter().flatten().find(|name| values.contains_key(name)).unwrap_or_default()
}

fn check(model: &str, reference: &str, tolerance: f64) {
    let graph = unoptimized(model);
    let input = input(model, &graph);
    let unoptimized = evaluate(&graph, &mut formula, &input).unwrap();
    compare_norms(reference, &unoptimized, tolerance);
    let apart = |graph: &Graph| {
        let optimized = evaluate(graph, &mut formula, &input).unwrap();
        first_apart(graph, &unoptimized, &optimized)
    };
    let mut optimized = graph.clone();
    pass::run_until(&mut optimized, None, |_, _| {}).unwrap();
    let Some((name, error)) = apart(&optimized) else { return };
    // Which pass was it?
    pass::run_until(&mut graph.clone(), None, |pass, graph| {
        if let Some((name, error)) = apart(graph) {
            panic!("{model}: after {}, %{name} is the first to part: relative error {error:.1e}", pass.name);
        }
    })
    .unwrap();
    panic!("{model}: %{name} parts: relative error {error:.1e}");
}

fn compare_norms(reference: &str, values: &HashMap<String, Array>, tolerance: f64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/reference").join(reference);
    let norms: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (layer, expected) in norms.as_object().unwrap() {
        let name = value_of(layer, values);
        let value = values.get(&name).unwrap_or_else(|| panic!("{reference}: no value for {layer}"));
        let count: u64 =
            expected["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product();
        assert_eq!(value.data.len() as u64, count, "{reference}: {layer}");
        let norm = value.data.iter().map(|x| x * x).sum::<f64>().sqrt();
        let expected = expected["l2"].as_f64().unwrap();
        let error = (norm - expected).abs() / expected;
        assert!(
            error <= tolerance,
            "{reference}: the norm of {layer} is {norm}, not {expected}: {error:.1e}"
        );
    }
}

/// The first value of `optimized` that is not what it was, and by how much relative to the largest number.
fn first_apart(
    graph: &Graph,
    unoptimized: &HashMap<String, Array>,
    optimized: &HashMap<String, Array>,
) -> Option<(String, f64)> {
    graph.topological().into_iter().find_map(|value| {
        let name = &graph.node(value).name;
        let (a, b) = (&unoptimized[name], &optimized[name]);
        assert_eq!(a.data.len(), b.data.len(), "%{name}");
        let largest = a.data.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let apart = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let error = apart / largest;
        (error > TOLERANCE).then(|| (name.clone(), error))
    })
}

#[test]
fn torchvision_resnet18() {
    check("torchvision/resnet18", "resnet18.json", TOLERANCE);
}

#[test]
fn torchvision_resnet50() {
    check("torchvision/resnet50", "resnet50.json", TOLERANCE);
}

#[test]
fn the_documents_resnet50() {
    check("resnet50", "seed64.json", KERAS);
}
