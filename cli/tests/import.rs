//! `resnet import` from outside. The files are made of the weights that ship, and of those that others published.
#![cfg(feature = "import")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{resnet, scratch, stdout};
use serde_json::{Value, json};

/// Names and sizes of tensors, and their elements in f32.
type Tensors = BTreeMap<String, (Vec<u64>, Vec<u8>)>;

const DIGITS: &str = "models/digits.safetensors";

#[test]
fn weights_of_a_spec_that_ships() {
    let prefix = fresh("digits");
    let text = stdout(&["import", DIGITS, "--output", &prefix]);
    for part in [
        "  read      models/digits.safetensors: ",
        "(safetensors file)\n  network   digits with 10 classes, input 28x28x1\n",
        &format!(
            "  wrote     {prefix}.yaml (2 lines), {prefix}.safetensors (0.3 MB)\n  checked   the weights load"
        ),
        &format!(
            "  next      resnet classify photo.jpg --model {prefix}.yaml --weights {prefix}.safetensors\n"
        ),
        &format!("or, in Rust:  resnet::resnet! {{ pub struct ImportDigits; include \"{prefix}.yaml\" }}\n"),
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(fs::read_to_string(format!("{prefix}.yaml")).unwrap(), "name: import-digits\nlike: digits\n");
    assert_eq!(read(&format!("{prefix}.safetensors")), read_shipped());
    let output = resnet(&["import", DIGITS, "--output", &prefix]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("is there already: add --force to replace it"), "{message}");
    let image = "examples/images/7-handwritten.png";
    let output = format!("{prefix}.yaml");
    stdout(&["import", DIGITS, "--output", &output, "--force", "--dtype", "f16", "--no-check"]);
    let (spec, weights) = (format!("{prefix}.yaml"), format!("{prefix}.safetensors"));
    let guess = stdout(&["classify", image, "--model", &spec, "--weights", &weights, "--top", "1"]);
    assert!(guess.starts_with(&format!("{image}  7 ")), "{guess}");
}

#[test]
fn what_is_imported_is_not_replaced() {
    let prefix = fresh("itself");
    let file = format!("{prefix}.safetensors");
    fs::copy(DIGITS, &file).unwrap();
    let output = resnet(&["import", &file, "--output", &prefix, "--force", "--dtype", "bf16"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("is the file that is imported: use --output PREFIX"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), fs::read(DIGITS).unwrap());
}

#[test]
fn a_spec_is_copied_with_the_files_that_it_names_at_hand() {
    let prefix = fresh("labels");
    let folder = format!("{prefix}-like");
    fs::create_dir_all(&folder).unwrap();
    let text = include_str!("../../specs/digits.yaml");
    let labels: String = (0..10).map(|digit| format!("digit {digit}\n")).collect();
    fs::write(format!("{folder}/names.txt"), labels).unwrap();
    let own: Vec<&str> = text.lines().filter(|line| !line.starts_with("labels:")).collect();
    fs::write(format!("{folder}/own.yaml"), format!("{}\nlabels: names.txt\n", own.join("\n"))).unwrap();
    let like = format!("{folder}/own.yaml");
    let output = resnet(&["import", DIGITS, "--like", &like, "--output", &prefix]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("names.txt") && message.contains("use an --output in the folder"), "{message}");
    assert!(!Path::new(&format!("{prefix}.yaml")).exists());
    let inside = format!("{folder}/copy");
    stdout(&["import", DIGITS, "--like", &like, "--output", &inside, "--force"]);
}

#[test]
fn both_files_are_written_or_none() {
    for (name, taken, other) in [("spec", "yaml", "safetensors"), ("weights", "safetensors", "yaml")] {
        let prefix = scratch(&format!("import-none-{name}"));
        let [taken, other] = [taken, other].map(|ending| format!("{prefix}.{ending}"));
        fs::create_dir_all(&taken).unwrap();
        fs::write(&other, "old").unwrap();
        let output = resnet(&["import", DIGITS, "--output", &prefix, "--force"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&format!("cannot write {taken}")), "{message}");
        assert_eq!(fs::read_to_string(&other).unwrap(), "old", "{other}");
    }
}

/// Under a prefix, with a head of other classes that is called otherwise, counters, and a layer beside the network.
#[test]
fn weights_of_a_training() {
    let mut tensors: Tensors = Tensors::new();
    for (name, tensor) in read_shipped() {
        let name = name.replace("fc.", "classifier.1.");
        tensors.insert(format!("module.backbone.{name}"), tensor);
    }
    for (name, dims) in [("classifier.1.weight", vec![3, 64]), ("classifier.1.bias", vec![3])] {
        let bytes = vec![0; dims.iter().product::<u64>() as usize * 4];
        tensors.insert(format!("module.backbone.{name}"), (dims, bytes));
    }
    tensors.insert("module.projector.weight".to_owned(), (vec![8, 32], vec![0; 1024]));
    let prefix = fresh("training");
    let text = stdout(&["import", &written("training", &tensors), "--output", &prefix]);
    assert!(text.contains("network   digits with 3 classes"), "{text}");
    assert!(text.contains("note      left out 1 tensor (module.projector.weight)"), "{text}");
    let spec = fs::read_to_string(format!("{prefix}.yaml")).unwrap();
    assert_eq!(spec, "name: import-training\nlike: digits\nclasses: 3\n");
}

/// The spec compiles, and says what is left to say.
#[test]
fn images_of_other_channels_have_another_preprocessing() {
    let mut tensors = read_shipped();
    tensors.insert("conv1.weight".to_owned(), (vec![16, 3, 3, 3], vec![0; 16 * 27 * 4]));
    let prefix = fresh("channels");
    let text = stdout(&["import", &written("channels", &tensors), "--output", &prefix]);
    assert!(text.contains("network   digits with 10 classes, input 28x28x3\n"), "{text}");
    assert!(text.contains("note      images have other channels here"), "{text}");
    let spec = fs::read_to_string(format!("{prefix}.yaml")).unwrap();
    let expected =
        "name: import-channels\nlike: digits\ninput: 28x28x3\npreprocessing: {} # pixels from 0 to 1; ";
    assert!(spec.starts_with(expected), "{spec}");
}

#[test]
fn a_backbone_ends_before_the_head() {
    let mut tensors = read_shipped();
    tensors.retain(|name, _| !name.starts_with("fc."));
    let prefix = fresh("backbone");
    let text = stdout(&["import", &written("backbone", &tensors), "--output", &prefix]);
    assert!(text.contains("network   digits up to avgpool"), "{text}");
    assert!(text.contains("next      resnet run "), "{text}");
}

/// A network that ends otherwise than the spec is none that ends before the head.
#[test]
fn what_stands_in_place_of_the_head_is_not_left_out() {
    let zeros = |dims: &[u64]| (dims.to_vec(), vec![0; dims.iter().product::<u64>() as usize * 4]);
    let refused = |name: &str, has_head: bool, added: &[(&str, &[u64])], parts: &[&str]| {
        let mut tensors = read_shipped();
        tensors.retain(|name, _| has_head || !name.starts_with("fc."));
        tensors.extend(added.iter().map(|(name, dims)| ((*name).to_owned(), zeros(dims))));
        let output = resnet(&["import", &written(name, &tensors), "--output", &fresh(name)]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        for part in parts {
            assert!(message.contains(part), "{name}: {part}\n{message}");
        }
    };
    let quantized: &[(&str, &[u64])] = &[("fc.scale", &[]), ("fc.zero_point", &[])];
    refused("quantized", false, quantized, &["the layer `fc` is quantized", "the model of floats"]);
    let packed: &[(&str, &[u64])] = &[("fc.packed", &[640])];
    refused("packed", false, packed, &["missing   fc (weight, bias)", "extra     fc (packed)"]);
    let two: &[(&str, &[u64])] =
        &[("fc.0.weight", &[32, 64]), ("fc.0.bias", &[32]), ("fc.3.weight", &[5, 32])];
    let advice = "without a head, that is `outputs: [avgpool]`";
    refused("two", false, two, &["the nearest is digits", "extra     fc.3 (weight)", advice]);
    let apart: &[(&str, &[u64])] =
        &[("one.weight", &[32, 64]), ("one.bias", &[32]), ("two.weight", &[5, 32])];
    refused("apart", false, apart, &["extra     two (weight)", advice]);
    let twins: &[(&str, &[u64])] = &[("age.weight", &[9, 64]), ("name.weight", &[5, 64])];
    refused("twins", false, twins, &["extra     age (weight)", "extra     name (weight)", advice]);
    refused("behind", true, &[("1.weight", &[5, 10])], &["extra     1 (weight)", advice]);
}

/// What to do is said of the spec that the caller has.
#[test]
fn a_spec_of_the_caller_is_named() {
    let own = scratch("import-own.yaml");
    let text = "name: own\nlike: digits\nclasses: 10\n";
    let head = "head:\n  - average_pool: global\n  - flatten\n  - dense: {name: hidden, units: 32}\n  - dense: {name: last}\n";
    let mut headless = read_shipped();
    headless.retain(|name, _| !name.starts_with("fc."));
    let headless = written("own-headless", &headless);
    let other = written("own-other", &Tensors::from([("x".to_owned(), (vec![1], vec![0; 4]))]));
    for (spec, file, part, other) in [
        (format!("{text}{head}"), &headless, format!("change {own} (docs/spec-language.md)"), "outputs"),
        (format!("{text}{head}"), &headless, "missing   hidden (weight, bias)".to_owned(), "outputs"),
        (text.to_owned(), &headless, format!("differs from {own}: write `outputs: [avgpool]`"), "missing"),
        (text.to_owned(), &other, format!("does not hold the weights of {own}: neither"), "1 tensor"),
    ] {
        fs::write(&own, spec).unwrap();
        let output = resnet(&["import", file, "--like", &own, "--output", &fresh("own-output")]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&part) && !message.contains(other), "{part}\n{message}");
    }
    // As the message says.
    fs::write(&own, format!("{text}outputs: [avgpool]\n")).unwrap();
    let text = stdout(&["import", &headless, "--like", &own, "--output", &fresh("own-output")]);
    assert!(text.contains(&format!("network   {own}, input 28x28x1\n")), "{text}");
}

#[test]
fn what_does_not_fit_is_told_by_layer() {
    let mut tensors = read_shipped();
    let two = tensors.remove("layer2.0.conv2.weight").unwrap();
    tensors.insert("layer2.0.conv9.weight".to_owned(), two);
    tensors.get_mut("conv1.weight").unwrap().0 = vec![16, 9];
    let output = resnet(&["import", &written("unfit", &tensors), "--output", &fresh("unfit")]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in [
        "no spec that ships fits; the nearest is digits",
        "missing   layer2.0.conv2 (weight)",
        "extra     layer2.0.conv9 (weight)",
        "misshapen conv1.weight is [16, 9], not [16, 1, 3, 3]",
        "add --like SPEC",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    assert!(message.lines().count() <= 20);
    assert!(!Path::new(&format!("{}.yaml", scratch("import-unfit"))).exists());
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let tensors = read_shipped();
    for (name, element, dtype, part) in [
        ("nan", f32::NAN, "f32", "`conv1.weight` is not finite: 1 of its 144 elements are NaN"),
        (
            "infinite",
            f32::NEG_INFINITY,
            "f32",
            "`conv1.weight` is not finite: 1 of its 144 elements are -inf",
        ),
        ("large", 7e4, "f16", "`conv1.weight` has 7.0e4, too large for F16: use --dtype f32"),
    ] {
        let mut tensors = tensors.clone();
        tensors.get_mut("conv1.weight").unwrap().1[..4].copy_from_slice(&element.to_le_bytes());
        let file = written(name, &tensors);
        let output = resnet(&["import", &file, "--output", &fresh(name), "--dtype", dtype]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains(&format!("nothing was imported of {file}: the tensor {part}")),
            "{part}\n{message}"
        );
        assert!(!message.contains(".resnet-"), "{message}");
    }
}

#[test]
fn whole_numbers_are_no_weights() {
    let path = scratch("import-whole-file.safetensors");
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dims, bytes)) in read_shipped() {
        let (element, len) =
            if name == "conv1.weight" { ("I8", bytes.len() / 4) } else { ("F32", bytes.len()) };
        let offsets = [data.len(), data.len() + len];
        header.insert(name, json!({"dtype": element, "shape": dims, "data_offsets": offsets}));
        data.extend(&bytes[..len]);
    }
    let header = Value::Object(header).to_string();
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()).unwrap();
    let output = resnet(&["import", &path, "--output", &fresh("whole"), "--like", "digits"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("conv1.weight holds whole numbers, which are no weights"), "{message}");
}

/// Layers in the order of the network, under names that are nobody's.
#[test]
fn layers_are_known_by_their_order() {
    let order = [
        "conv1",
        "bn1",
        "layer1.0.conv1",
        "layer1.0.bn1",
        "layer1.0.conv2",
        "layer1.0.bn2",
        "layer2.0.conv1",
        "layer2.0.bn1",
        "layer2.0.conv2",
        "layer2.0.bn2",
        "layer2.0.downsample.0",
        "layer2.0.downsample.1",
        "layer3.0.conv1",
        "layer3.0.bn1",
        "layer3.0.conv2",
        "layer3.0.bn2",
        "layer3.0.downsample.0",
        "layer3.0.downsample.1",
        "fc",
    ];
    let tensors = read_shipped();
    let renamed = tensors.iter().filter_map(|(name, tensor)| {
        let (layer, part) = name.rsplit_once('.')?;
        let place = order.iter().position(|known| *known == layer)?;
        Some((format!("net.step{place}.{part}"), tensor.clone()))
    });
    let prefix = fresh("order");
    let text = stdout(&["import", &written("order", &renamed.collect()), "--output", &prefix]);
    assert!(text.contains("network   digits with 10 classes"), "{text}");
    assert!(text.contains("note      tensors were taken by the order"), "{text}");
    let mut expected = tensors;
    expected.retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(read(&format!("{prefix}.safetensors")), expected);
}

/// Checkpoints as they were published: scores of ten images are those of the frameworks.
#[test]
fn published_checkpoints() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/real");
    let Ok(expected) = fs::read_to_string(shared.join("import/expected.json")) else {
        eprintln!("skipped: published checkpoints, which are not in ../shared/real/import");
        return;
    };
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let images: Vec<String> =
        expected["images"].as_array().unwrap().iter().map(|name| text(&shared, name)).collect();
    for file in ["advrob_resnet20.pth", "mlperf_tiny_resnet8.h5"] {
        let (prefix, output) = (fresh(file), scratch(&format!("import-{file}.npy")));
        stdout(&["import", &shared.join("import").join(file).display().to_string(), "--output", &prefix]);
        let (spec, weights) = (format!("{prefix}.yaml"), format!("{prefix}.safetensors"));
        let mut arguments = vec!["run", &spec, "--weights", &weights, "--output", &output, "--input"];
        arguments.extend(images.iter().map(String::as_str));
        stdout(&arguments);
        let found = npyz::NpyFile::new(fs::File::open(&output).unwrap()).unwrap().into_vec::<f32>().unwrap();
        let values = expected[file]["values"].as_array().unwrap().iter();
        let wanted: Vec<f64> =
            values.flat_map(|image| image.as_array().unwrap()).map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(found.len(), wanted.len());
        let largest = wanted.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (found, wanted) in found.iter().zip(wanted) {
            let error = (f64::from(*found) - wanted).abs();
            assert!(error <= 1e-5 * largest, "{file}: {error:.1e} of {largest}");
        }
    }
}

fn text(shared: &Path, name: &Value) -> String {
    shared.join("cifar10").join(name.as_str().unwrap()).display().to_string()
}

/// A prefix of files that are not there.
fn fresh(name: &str) -> String {
    let prefix = scratch(&format!("import-{name}"));
    for ending in ["yaml", "safetensors"] {
        let _ = fs::remove_file(format!("{prefix}.{ending}"));
    }
    prefix
}

fn read_shipped() -> Tensors {
    read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(DIGITS).display().to_string())
}

/// The tensors of a safetensors file of f32.
fn read(path: &str) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let (len, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let header: serde_json::Map<String, Value> = serde_json::from_slice(header).unwrap();
    let tensor = |(name, info): (String, Value)| {
        let number = |value: &Value| value.as_u64().unwrap();
        let dims: Vec<u64> = info.get("shape")?.as_array().unwrap().iter().map(number).collect();
        let [start, end] = [0, 1].map(|index| number(&info["data_offsets"][index]) as usize);
        (info["dtype"] == "F32").then(|| (name, (dims, data[start..end].to_vec())))
    };
    header.into_iter().filter_map(tensor).collect()
}

/// A safetensors file of f32.
fn written(name: &str, tensors: &Tensors) -> String {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dims, bytes)) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": "F32", "shape": dims, "data_offsets": offsets}));
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string();
    let path = scratch(&format!("import-{name}-file.safetensors"));
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()).unwrap();
    path
}
