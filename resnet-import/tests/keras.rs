//! Files of Keras, against what Keras computes with them, and hostile ones. tests/data/make_keras.py makes them.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use resnet_dsl::evaluate::evaluate;
use resnet_import::{Bytes, Checkpoint, Contents, Element, Error, Model, parse};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

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

fn read(bytes: Vec<u8>) -> Result<Contents, Error> {
    parse(&Bytes::new(bytes), &mut |name| panic!("asked for {name}"))
}

fn model(bytes: Vec<u8>) -> Result<Model, Error> {
    match read(bytes)? {
        Contents::Network(model) => Ok(model),
        Contents::Tensors(_) => panic!("no graph"),
    }
}

fn checkpoint(bytes: Vec<u8>) -> Result<Checkpoint, Error> {
    match read(bytes)? {
        Contents::Tensors(checkpoint) => Ok(checkpoint),
        Contents::Network(_) => panic!("a graph"),
    }
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

/// A `.keras` file with another configuration.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Result<Model, Error> {
    let mut archive = ZipArchive::new(Cursor::new(unpacked(name))).unwrap();
    let mut entry = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let mut config: Value = serde_json::from_slice(&entry("config.json")).unwrap();
    change(&mut config);
    let entries = ["metadata.json", "model.weights.h5"].map(|name| (name, entry(name))).into_iter();
    model(zipped(entries.chain([("config.json", config.to_string().into_bytes())])))
}

fn zipped<'a>(entries: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(name, options).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A layer of a configuration.
fn layer<'a>(config: &'a mut Value, name: &str) -> &'a mut Value {
    let layers = config["config"]["layers"].as_array_mut().unwrap();
    layers.iter_mut().find(|layer| layer["config"]["name"] == name).unwrap()
}

/// What is wrong with `narrow.keras` and this change.
fn problem(change: impl FnOnce(&mut Value)) -> String {
    changed("narrow.keras", change).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn models_compute_what_keras_does() {
    for name in ["narrow", "mixed"] {
        let expected: Value = serde_json::from_slice(&data(&format!("{name}.json"))).unwrap();
        for file in [format!("{name}.h5"), format!("{name}.keras")] {
            let model = model(unpacked(&file)).unwrap();
            assert_near(&run(&model, &numbers(&expected["input"])), &numbers(&expected["output"]), &file);
        }
    }
}

#[test]
fn ten_images_of_a_published_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real");
    let Ok(bytes) = std::fs::read(folder.join("import/mlperf_tiny_resnet8.h5")) else {
        eprintln!("SKIPPED: there is no {}", folder.display());
        return;
    };
    let model = model(bytes).unwrap();
    assert_eq!(model.format, "Keras model (saved by Keras 2.4.0)");
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("import/expected.json")).unwrap()).unwrap();
    let images = expected["images"].as_array().unwrap();
    let scores = expected["mlperf_tiny_resnet8.h5"]["values"].as_array().unwrap();
    assert_eq!((images.len(), scores.len()), (10, 10));
    for (image, scores) in images.iter().zip(scores) {
        let image = image.as_str().unwrap();
        let pixels = image::open(folder.join("cifar10").join(image)).unwrap().to_rgb8();
        let input: Vec<f64> = pixels.as_raw().iter().map(|byte| f64::from(*byte)).collect();
        assert_near(&run(&model, &input), &numbers(scores), image);
    }
}

#[test]
fn weights_are_those_of_the_model() {
    let model = model(unpacked("narrow.h5")).unwrap();
    let mut without_config = unpacked("narrow.h5");
    let place = without_config.windows(12).position(|bytes| bytes == b"model_config").unwrap();
    without_config[place] = b'x';
    for (file, without) in [(without_config, 0), (unpacked("narrow.weights.h5"), 4)] {
        let weights = checkpoint(file).unwrap();
        let is_there = |wanted: &&resnet_import::Tensor| {
            let found = weights.tensors.iter().find(|tensor| tensor.name == wanted.name);
            found.is_some_and(|found| *found.bytes == *wanted.bytes)
        };
        // What the configuration says, is in f64. Of three numbered weights of a norm, nobody knows whether the first is gamma or beta.
        let of_file = |tensor: &&resnet_import::Tensor| tensor.element == Element::F32;
        let missing: Vec<_> =
            model.tensors.iter().filter(of_file).filter(|tensor| !is_there(tensor)).collect();
        assert!(missing.len() <= without, "{missing:?}");
    }
}

#[test]
fn layers_are_in_order() {
    let weights = checkpoint(unpacked("narrow.weights.h5")).unwrap();
    let kernels: Vec<&str> =
        weights.tensors.iter().filter_map(|tensor| tensor.name.strip_suffix("/kernel")).collect();
    let of = |kind: &str| kernels.iter().filter(|name| name.contains(kind)).copied().collect::<Vec<_>>();
    assert_eq!(of("conv1"), ["block1_conv1", "block2_conv1"]);
    assert_eq!(of("gate"), ["block1_gate", "block2_gate"]);
    assert_eq!(kernels.first(), Some(&"stem"));
    assert_eq!(kernels.last(), Some(&"scores"));
}

#[test]
fn datasets_of_all_kinds() {
    let weights = checkpoint(unpacked("kinds.h5")).unwrap();
    assert_eq!(weights.tensors.len(), 5);
    for tensor in &weights.tensors {
        assert_eq!(tensor.dims, [2, 3], "{tensor:?}");
        assert_eq!(tensor.to_f64(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{tensor:?}");
    }
}

/// What a weight is goes by its number: one that cannot be read is not left out.
#[test]
fn numbered_weights_of_other_types_are_errors() {
    let whole = unpacked("narrow.weights.h5");
    let [single, natural] = [[0x11, 0x20, 0x1f, 0, 4, 0, 0, 0], [0x10, 0, 0, 0, 4, 0, 0, 0]];
    let places: Vec<usize> = (0..whole.len() - 8).filter(|at| whole[*at..].starts_with(&single)).collect();
    assert!(places.len() > 10, "{places:?}");
    for at in places {
        let mut file = whole.clone();
        file[at..at + 8].copy_from_slice(&natural);
        let error = checkpoint(file).unwrap_err();
        assert!(error.to_string().contains("/vars/"), "{error}");
    }
    // But the state of random numbers, which is of such a type, is none.
    let mut file = unpacked("mixed.weights.h5");
    let [from, to] = [b"group_normalization", b"group_nor_generator"];
    for at in 0..file.len() - from.len() {
        if file[at..].starts_with(from) {
            file[at..at + to.len()].copy_from_slice(to);
        }
    }
    let all = |file: Vec<u8>| checkpoint(file).map(|found| found.tensors.len());
    let count = all(file.clone()).unwrap();
    let places = (0..file.len() - 8).filter(|at| file[*at..].starts_with(&single));
    let left: Vec<usize> = places
        .filter_map(|at| {
            let mut file = file.clone();
            file[at..at + 8].copy_from_slice(&natural);
            all(file).ok()
        })
        .collect();
    assert_eq!(left, [count - 1]);
}

#[test]
fn weights_without_a_graph() {
    assert!(matches!(read(unpacked("narrow.weights.h5")), Ok(Contents::Tensors(_))));
}

#[test]
fn keras_2_has_another_hard_sigmoid() {
    let mut file = unpacked("narrow.h5");
    let version = b"3.15.1";
    let places: Vec<usize> =
        (0..file.len() - 6).filter(|place| file[*place..].starts_with(version)).collect();
    assert!(!places.is_empty());
    for place in places {
        file[place..place + 6].copy_from_slice(b"2.15.1");
    }
    let graph = model(file).unwrap().graph.to_string();
    assert!(graph.contains("%block1_gate_hard_sigmoid_scale = batch_norm %block1_gate "), "{graph}");
}

#[test]
fn an_input_of_any_size_is_that_of_imagenet() {
    let any = |config: &mut Value| {
        let layers = config["config"]["layers"].as_array_mut().unwrap();
        layers[0]["config"]["batch_shape"] = json!([null, null, null, 3]);
    };
    let model = changed("mixed.keras", any).unwrap();
    assert_eq!(model.format, "Keras model (saved by Keras 3.15.1)");
    assert!(matches!(&model.notes[..], [note] if note.contains("224x224x3")), "{:?}", model.notes);
    assert!(model.graph.to_string().contains("%input = input {dims=1x224x224x3}"));
    // A dense layer behind `flatten` knows the size.
    let message = changed("narrow.keras", any).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("`scores`") && message.contains("[18, 5]"), "{message}");
}

/// Functions of `keras.ops` in a model.
#[test]
fn operations_are_like_layers() {
    let operation = |config: &mut Value| {
        let relu = layer(config, "block1_relu");
        relu["module"] = json!("keras.src.ops.nn");
        relu["class_name"] = json!("Relu6");
        relu["config"] = json!({"name": "block1_relu"});
    };
    let graph = |model: Model| model.graph.to_string();
    let expected = graph(model(unpacked("narrow.keras")).unwrap());
    assert_eq!(graph(changed("narrow.keras", operation).unwrap()), expected);
}

#[test]
fn errors_name_layer_and_way_out() {
    let class = |name: &'static str, class: &'static str| {
        problem(move |config| layer(config, name)["class_name"] = json!(class))
    };
    assert_eq!(
        class("block2_conv1", "Conv2DTranspose"),
        "`Conv2DTranspose` (layer `block2_conv1`) has no counterpart; the language has `upsample` (nearest) and `conv`"
    );
    assert!(class("stem", "Lambda").contains("never run"));
    assert!(class("stem", "MyLayer").contains("`MyLayer` (layer `stem`)"));
    let set = |name: &'static str, key: &'static str, value: Value| {
        problem(move |config| layer(config, name)["config"][key] = value)
    };
    let message = set("stem", "data_format", json!("channels_first"));
    assert!(message.contains("(layer `stem`)") && message.contains("channels_last"), "{message}");
    assert!(set("stem", "activation", json!("gelu")).contains("`gelu`"));
    assert!(set("stem", "filters", json!(5)).contains("[3, 3, 3, 4]"));
    assert!(set("stem", "filters", json!(1u64 << 60)).contains("stem"));
    assert!(set("stem", "kernel_size", json!([3, "x"])).contains("`kernel_size`"));
    assert!(set("stem", "strides", json!([0, 0])).contains("at least 1"));
    assert!(set("block1_bn1", "axis", json!(1)).contains("axis"));
    assert!(set("stem", "groups", json!(0)).contains("groups"));
    assert!(set("image", "batch_shape", json!([null, 1u64 << 60, 1u64 << 60, 3])).contains("2^28"));
    let message = problem(|config| {
        config["class_name"] = json!("MyModel");
        config["registered_name"] = json!("MyModel");
    });
    assert!(message.contains("`MyModel`") && message.contains("--like"), "{message}");
}

/// Layers, activations and models of other classes that are called like those of Keras.
#[test]
fn classes_of_its_own_are_refused() {
    let origin = |name: &'static str, module: Value, registered: Value| {
        changed("narrow.keras", move |config| {
            let layer = layer(config, name);
            layer["module"] = module;
            layer["registered_name"] = registered;
        })
    };
    for module in ["__main__", "builtins", "keras_cv.layers", "keras.layers"].map(Value::from) {
        let message = origin("block1_relu", module, json!("mine>ReLU")).map(|_| ()).unwrap_err().to_string();
        assert!(message.starts_with("`mine>ReLU` (layer `block1_relu`) is a class of its own"), "{message}");
    }
    for registered in [json!("ReLU"), json!(null)] {
        let message =
            origin("block1_relu", json!("__main__"), registered).map(|_| ()).unwrap_err().to_string();
        assert!(message.starts_with("`ReLU` (layer `block1_relu`) is a class of its own"), "{message}");
    }
    assert!(origin("block1_relu", json!(null), json!("mine>ReLU")).is_err());
    assert!(origin("body", json!("__main__"), json!("Sequential")).is_err());
    let modules =
        ["keras", "keras.src.layers.activations.relu", "tensorflow.keras.layers", "tf_keras.layers"];
    for module in modules.map(Value::from).into_iter().chain([json!(null)]) {
        for registered in [json!("ReLU"), json!(null)] {
            origin("block1_relu", module.clone(), registered).unwrap();
        }
    }
    let message = problem(|config| {
        layer(config, "stem")["config"]["activation"] = json!({
            "class_name": "ReLU", "config": {}, "module": "__main__", "registered_name": "mine>ReLU",
        });
    });
    assert!(message.starts_with("`mine>ReLU` (layer `stem`) is a class of its own"), "{message}");
    let message = problem(|config| config["registered_name"] = json!("mine>Functional"));
    assert!(message.contains("`mine>Functional`") && message.contains("--like"), "{message}");
}

#[test]
fn graphs_that_are_no_networks() {
    let source = |from: &'static str, to: &'static str| {
        problem(move |config| {
            let call = &mut layer(config, to)["inbound_nodes"][0]["args"][0];
            let tensor = if call.is_array() { &mut call[0] } else { call };
            tensor["config"]["keras_history"][0] = json!(from);
        })
    };
    assert!(source("block1_add", "block1_conv1").contains("reads its own output"));
    assert!(source("block1_conv1", "block1_conv1").contains("`block1_conv1` reads its own output"));
    assert!(source("nowhere", "block1_conv1").contains("no layer `nowhere`"));
    let twice = problem(|config| layer(config, "block1_conv1")["name"] = json!("block1_bn1"));
    assert!(twice.contains("one name"), "{twice}");
    let call = problem(|config| {
        layer(config, "block1_bn1")["inbound_nodes"][0]["args"][0]["config"]["keras_history"][1] = json!(7);
    });
    assert!(call.contains("block1_bn1"), "{call}");
}

/// Models within models: too many levels, and levels that call the next twice.
#[test]
fn nested_models_are_bounded() {
    let deep = |levels: usize| {
        let mut inner = json!({"class_name": "Activation", "config": {"name": "end", "activation": "relu"}});
        for level in 0..levels {
            inner = json!({"class_name": "Sequential", "config": {"name": format!("m{level}"), "layers": [inner]}});
        }
        problem(move |config| {
            let sequence = json!([layer(config, "image").clone(), inner]);
            *config = json!({"class_name": "Sequential", "config": {"name": "all", "layers": sequence}});
        })
    };
    assert!(deep(20).contains("models within models"));
    assert!(deep(200).contains("no JSON"));
    let mut inner = json!({"class_name": "Activation", "config": {"name": "end", "activation": "relu"}});
    for level in 0..15 {
        let other = json!({"class_name": "Activation", "config": {"name": "a", "activation": "relu"}});
        let reference = |layer: &str, call: usize| json!([[layer, call, 0, {}]]);
        let mut twice = inner;
        let name = twice["config"]["name"].as_str().unwrap().to_owned();
        twice["name"] = json!(name);
        let calls = |calls: usize| {
            let before = |call: usize| if call == 0 { reference("a", 0) } else { reference(&name, call - 1) };
            (0..calls).map(before).collect::<Vec<_>>()
        };
        twice["inbound_nodes"] = json!(calls(4));
        let mut first = other;
        first["inbound_nodes"] = json!([reference("in", 0)]);
        let input = json!({"class_name": "InputLayer", "config": {"name": "in"}, "inbound_nodes": []});
        inner = json!({"class_name": "Functional", "config": {
            "name": format!("m{level}"),
            "layers": [input, first, twice],
            "input_layers": [["in", 0, 0]],
            "output_layers": [[name, 3, 0]],
        }});
    }
    inner["inbound_nodes"] = json!([]);
    let message = problem(move |config| {
        let sequence = json!([layer(config, "image").clone(), inner]);
        *config = json!({"class_name": "Sequential", "config": {"name": "all", "layers": sequence}});
    });
    assert!(message.contains("called too often"), "{message}");
}

#[test]
fn other_files_are_refused() {
    for name in ["link.h5", "external.h5"] {
        let error = checkpoint(unpacked(name)).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(error.to_string().contains("no other file is opened"), "{error}");
    }
    assert!(checkpoint(unpacked("soft.h5")).unwrap_err().to_string().contains("lacks its weight"));
}

#[test]
fn bombs_are_refused() {
    for (name, reason) in [("bomb.h5", "memory"), ("large.h5", "memory"), ("names.h5", "memory")] {
        let error = checkpoint(unpacked(name)).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let spaces = vec![b' '; 80 << 20];
    let archive = zipped([
        ("config.json", spaces),
        ("metadata.json", b"{}".to_vec()),
        ("model.weights.h5", Vec::new()),
    ]);
    assert!(matches!(model(archive), Err(Error::Refused(_))));
    let nested = changed("narrow.keras", |config| config["many"] = Value::Array(vec![json!({}); 1 << 18]));
    assert!(matches!(nested, Err(Error::Refused(_))), "{nested:?}");
}

/// A file that ends early is an error, or what it lacks is not needed.
#[test]
fn files_that_end_early() {
    for (name, step) in [("narrow.h5", 97), ("mixed.weights.h5", 997), ("narrow.keras", 997)] {
        let whole = unpacked(name);
        let expected = read(whole.clone()).unwrap().tensors().len();
        for length in (0..whole.len()).step_by(step) {
            match read(whole[..length].to_vec()) {
                Ok(found) => assert_eq!(found.tensors().len(), expected, "{name}: {length} bytes"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// Any byte may be any other.
#[test]
fn damaged_files() {
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for name in ["narrow.h5", "kinds.h5", "mixed.keras", "mixed.weights.h5"] {
        let whole = unpacked(name);
        // What is not zero is what structures are made of.
        let places: Vec<usize> = (0..whole.len()).filter(|place| whole[*place] != 0).collect();
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(4) {
                let place = (places[random(places.len())] + random(3)).min(whole.len() - 1);
                bytes[place] = random(256) as u8;
            }
            let _ = read(bytes);
        }
    }
}
