//! Models of Keras whose configurations ask for much.

use serde_json::{Value, json};

use crate::archive::{Entry, zip};
use crate::{rejected, survived};

/// A model of these layers, one behind the other.
fn keras(layers: Value) -> Vec<u8> {
    let config = json!({"class_name": "Sequential", "config": {"name": "all", "layers": layers}}).to_string();
    zip(&[
        Entry::deflated("config.json", config.as_bytes()),
        Entry::stored("metadata.json", br#"{"keras_version": "2.15.0"}"#),
        Entry::stored("model.weights.h5", include_bytes!("../seeds/small.weights.h5")),
    ])
}

fn layer(class: &str, name: &str, mut config: Value) -> Value {
    config["name"] = json!(name);
    json!({"class_name": class, "config": config})
}

fn input(dims: [u64; 3]) -> Value {
    layer("InputLayer", "in", json!({"batch_shape": [null, dims[0], dims[1], dims[2]]}))
}

/// Tensors that the configuration makes are as many elements as an input has channels.
#[test]
fn sizes_are_bounded() {
    let makers = [
        layer("Rescaling", "r", json!({"scale": 0.5})),
        layer("Activation", "a", json!({"activation": "hard_sigmoid"})),
        layer("Normalization", "n", json!({"mean": 0.5, "variance": 1.0})),
    ];
    for maker in makers {
        for channels in [1 << 40, 1 << 61, u64::MAX] {
            rejected("channels.keras", &keras(json!([input([1, 1, channels]), maker])), "2^28");
            rejected("rows.keras", &keras(json!([input([channels, 1, 3]), maker])), "2^28");
        }
        for channels in [1 << 23, 1 << 28] {
            rejected("memory.keras", &keras(json!([input([1, 1, channels]), maker])), "memory");
        }
        rejected("elements.keras", &keras(json!([input([1 << 20, 1 << 20, 3]), maker])), "2^28");
        let wide = layer("UpSampling2D", "u", json!({"size": [1 << 28, 1 << 28]}));
        let flat = layer("Flatten", "f", json!({}));
        rejected("wide.keras", &keras(json!([input([1, 1, 3]), wide, flat, maker])), "2^28");
        drop(survived("large.keras", &keras(json!([input([1, 1, 1 << 19]), maker]))));
    }
}

/// What is inflated and what is parsed are taken from one budget.
#[test]
fn budgets_do_not_add_up() {
    let mut weights = include_bytes!("../seeds/small.weights.h5").to_vec();
    weights.resize(40 << 20, 0);
    let wide = format!("[{}0]", "0,".repeat(500_000));
    let file = zip(&[
        Entry::deflated("config.json", wide.as_bytes()),
        Entry::stored("metadata.json", b"{}"),
        Entry::deflated("model.weights.h5", &weights),
    ]);
    rejected("two.keras", &file, "memory");
}

/// Models in one another, each of which calls the next eight times; what is innermost makes no operators.
#[test]
fn calls_are_bounded() {
    let reference = |layer: &str, call: usize| json!([[layer, call, 0, {}]]);
    for innermost in [json!([]), json!(vec![0; 1 << 16])] {
        let mut inner = layer("Dropout", "m", json!({ "rate": 0.5, "junk": innermost }));
        for _ in 0..14 {
            let before = |call: usize| if call == 0 { reference("in", 0) } else { reference("m", call - 1) };
            inner["name"] = json!("m");
            inner["inbound_nodes"] = json!((0..8).map(before).collect::<Vec<_>>());
            let start = json!({"class_name": "InputLayer", "config": {"name": "in"}, "inbound_nodes": []});
            let ends = json!({"layers": [start, inner], "input_layers": [["in", 0, 0]], "output_layers": [["m", 7, 0]]});
            inner = layer("Functional", "m", ends);
        }
        rejected("calls.keras", &keras(json!([input([8, 8, 3]), inner])), "called too often");
    }
}

/// A layer within models has the names of all in its own.
#[test]
fn names_are_bounded() {
    let many = |name: &str| {
        let layers: Vec<_> =
            (0..20_000).map(|number| layer("Dropout", &number.to_string(), json!({}))).collect();
        (0..3).fold(Value::Array(layers), |layers, _| {
            json!([layer("Sequential", name, json!({ "layers": layers }))])
        })
    };
    let of = |name: &str| {
        let mut layers = many(name);
        layers.as_array_mut().unwrap().insert(0, input([8, 8, 3]));
        keras(layers)
    };
    rejected("long.keras", &of(&"a".repeat(1 << 16)), "name");
    rejected("names.keras", &of(&"a".repeat(1 << 10)), "memory");
}
