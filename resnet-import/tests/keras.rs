//! Files of Keras, against what Keras computes with them. tests/data/make_keras.py makes the small ones.

use std::io::Read;
use std::path::Path;

use resnet_dsl::evaluate::evaluate;
use resnet_import::{Bytes, Error, Model, keras};
use serde_json::Value;

/// One of the files in tests/data.
fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One of these files, decompressed.
fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&*data(&format!("{name}.gz"))).read_to_end(&mut bytes).unwrap();
    bytes
}

fn model(bytes: Vec<u8>) -> Result<Model, Error> {
    Ok(keras::model(&Bytes::new(bytes))?.expect("a graph"))
}

/// The elements of the output.
fn run(model: &Model, input: &[f64]) -> Vec<f64> {
    let mut load = |wanted: &resnet_plan::WeightTensor<'_>| {
        let tensor = model.tensors.iter().find(|tensor| tensor.name == wanted.name);
        tensor.map(|tensor| tensor.to_f64()).ok_or_else(|| "not there".to_owned())
    };
    let mut values = evaluate(&model.graph, &mut load, input).unwrap();
    let output = model.graph.outputs()[0].value;
    values.remove(&model.graph.node(output).name).unwrap().data
}

/// Within 1e-5 of the largest.
fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let error = found.iter().zip(expected).fold(0.0, |error: f64, (x, y)| error.max((x - y).abs()));
    assert!(error <= 1e-5 * largest, "{what}: {error} of {largest}: {found:?}, not {expected:?}");
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn the_narrow_network_computes_what_keras_does() {
    let expected: Value = serde_json::from_slice(&data("narrow.json")).unwrap();
    for file in ["narrow.h5", "narrow.keras"] {
        let model = model(unpacked(file)).unwrap();
        assert_near(&run(&model, &numbers(&expected["input"])), &numbers(&expected["output"]), file);
    }
}
