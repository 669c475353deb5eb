//! The unoptimized graph, run by naive kernels, gives the norms that PyTorch and Keras give; and no pass changes a value.
//!
//! The norms are of float64 networks (`tests/data/reference/README.md`).

mod evaluator;

use std::collections::HashMap;
use std::path::Path;

use evaluator::evaluate;
use resnet_dsl::ir::Graph;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, pass, shipped};
use resnet_runtime::reference::Image;
use resnet_runtime::weights::fill::uniform;
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

fn unoptimized(model: &str) -> Graph {
    let text = shipped::get(model).unwrap();
    let overrides = Overrides::default();
    let spec = Spec { name: model, text, overrides: &overrides };
    spec.parse(&mut |_| Err("no files".to_owned())).unwrap().graph
}

/// The reference's input: torchvision's is drawn channels first.
fn input(model: &str, graph: &Graph) -> Image {
    let first = graph.topological()[0];
    let mut op = graph.node(first).op.clone();
    let [_, height, width, channels] = op.infer(&[]).unwrap();
    let numbers: Vec<f32> =
        uniform("input").take(height * width * channels).map(|u| (2.0 * u - 1.0) * 2.0).collect();
    Image::from_fn([1, height, width, channels], |_, y, x, c| match model.starts_with("torchvision/") {
        true => numbers[(c * height + y) * width + x],
        false => numbers[(y * width + x) * channels + c],
    })
}

/// The value that is a layer's output in the reference.
fn value_of(layer: &str, values: &HashMap<String, Image>) -> String {
    // PyTorch: a sequence of layers gives what its last one gives.
    let last = (0..).map(|n| format!("{layer}.{n}")).take_while(|name| values.contains_key(name)).last();
    let candidates = [
        Some(format!("{layer}_softmax")), // Keras: a dense layer's activation is part of it
        Some(layer.to_owned()),
        last,
    ];
    candidates.into_iter().flatten().find(|name| values.contains_key(name)).unwrap_or_default()
}

fn check(model: &str, reference: &str) {
    let mut graph = unoptimized(model);
    let input = input(model, &graph);
    let unoptimized = evaluate(&graph, &input);
    compare_norms(reference, &unoptimized);
    pass::run_until(&mut graph, None, |pass, graph| {
        let optimized = evaluate(graph, &input);
        if let Some((name, error)) = first_apart(graph, &unoptimized, &optimized) {
            panic!("{model}: after {}, %{name} is the first to part: relative error {error:.1e}", pass.name);
        }
    })
    .unwrap();
}

fn compare_norms(reference: &str, values: &HashMap<String, Image>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/reference").join(reference);
    let norms: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (layer, expected) in norms.as_object().unwrap() {
        let name = value_of(layer, values);
        let value = values.get(&name).unwrap_or_else(|| panic!("{reference}: no value for {layer}"));
        let count: u64 =
            expected["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product();
        assert_eq!(value.data.len() as u64, count, "{reference}: {layer}");
        let norm = value.data.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let expected = expected["l2"].as_f64().unwrap();
        let error = (norm - expected).abs() / expected;
        assert!(
            error <= TOLERANCE,
            "{reference}: the norm of {layer} is {norm}, not {expected}: {error:.1e}"
        );
    }
}

/// The first value of `optimized` that is not what it was, and by how much relative to the largest number.
fn first_apart(
    graph: &Graph,
    unoptimized: &HashMap<String, Image>,
    optimized: &HashMap<String, Image>,
) -> Option<(String, f64)> {
    graph.topological().into_iter().find_map(|value| {
        let name = &graph.node(value).name;
        let (a, b) = (&unoptimized[name], &optimized[name]);
        assert_eq!(a.data.len(), b.data.len(), "%{name}");
        let largest = a.data.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let apart = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let error = f64::from(apart) / f64::from(largest);
        (error > TOLERANCE).then(|| (name.clone(), error))
    })
}

#[test]
fn torchvision_resnet18() {
    check("torchvision/resnet18", "resnet18.json");
}

#[test]
fn torchvision_resnet50() {
    check("torchvision/resnet50", "resnet50.json");
}

#[test]
fn the_documents_resnet50() {
    check("resnet50", "seed64.json");
}
