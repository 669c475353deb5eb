//! ONNX: small networks of many operators against the outputs of ONNX Runtime (`data/make_onnx.py` writes both), and hostile files.

mod wire;

use std::collections::HashMap;
use std::path::Path;

use resnet_dsl::evaluate::{Array, evaluate};
use resnet_dsl::ir::Op;
use resnet_import::{Bytes, Contents, Error, Model, Specs, import, parse};
use wire::{Message, external, initializer, model, node, node_with};

/// No file lies beside the model.
fn nothing(name: &str) -> Result<Bytes, Error> {
    Err(Error::Malformed(format!("asked for {name}")))
}

fn read(bytes: Vec<u8>) -> Result<Model, Error> {
    read_with(bytes, &mut nothing)
}

fn read_with(bytes: Vec<u8>, beside: &mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Result<Model, Error> {
    match parse(&Bytes::new(bytes), beside)? {
        Contents::Network(model) => Ok(model),
        Contents::Tensors(_) => panic!("no graph"),
    }
}

fn refused(bytes: Vec<u8>) -> String {
    read(bytes).map(|model| model.graph.to_string()).expect_err("it is read").to_string()
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// All outputs of a committed network for the input of `make_onnx.py`, and those that are expected, in the order of the file.
fn outputs(name: &str, channels_last: bool) -> (Model, Vec<f64>, Vec<f64>) {
    let model = read(data(&format!("{name}.onnx"))).unwrap();
    let dims = model.graph.topological().iter().find_map(|value| match model.graph.node(*value).op {
        Op::Input(dims) => Some(dims),
        _ => None,
    });
    let dims = dims.unwrap();
    let x: Vec<f64> =
        (0..dims.iter().product()).map(|place| f64::from((place * 37 % 101) as f32 / 50.0 - 1.0)).collect();
    let x = if channels_last { x } else { transposed(&x, [dims[0], dims[3], dims[1] * dims[2]]) };
    let values = values(&model, &x);
    let mut found = Vec::new();
    for output in model.graph.outputs() {
        let array = &values[&model.graph.node(output.value).name];
        let [batch, height, width, channels] = array.dims;
        found.extend(transposed(&array.data, [batch, height * width, channels]));
    }
    let npy = data(&format!("{name}.npy"));
    let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let expected = npy[header..].as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
    (model, found, expected.collect())
}

fn values(model: &Model, x: &[f64]) -> HashMap<String, Array> {
    let mut load = |wanted: &resnet_plan::WeightTensor<'_>| {
        let tensor = model.tensors.iter().find(|tensor| tensor.name == wanted.name);
        tensor.map(|tensor| tensor.to_f64()).ok_or_else(|| "missing".to_owned())
    };
    evaluate(&model.graph, &mut load, x).unwrap()
}

/// `[a, b, c]` as `[a, c, b]`.
fn transposed(x: &[f64], [a, b, c]: [usize; 3]) -> Vec<f64> {
    (0..a * b * c).map(|to| x[(to / b / c * b + to % b) * c + to / b % c]).collect()
}

fn compare(name: &str, channels_last: bool) -> Model {
    let (model, found, expected) = outputs(name, channels_last);
    assert_eq!(found.len(), expected.len());
    resnet_dsl::pass::run_until(&mut model.graph.clone(), None, |_, _| {}).unwrap();
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-5 * largest,
            "{index}: {found}, not {expected}\n{}",
            model.graph
        );
    }
    model
}

fn count(model: &Model, operator: &str) -> usize {
    let values = model.graph.topological();
    values.iter().filter(|value| model.graph.node(**value).op.name() == operator).count()
}

#[test]
fn activations_are_recognized() {
    let model = compare("activations", false);
    let found = ["relu6", "leaky_relu", "prelu", "silu", "hard_swish", "hard_sigmoid", "sigmoid"]
        .map(|name| count(&model, name));
    assert_eq!(found, [1, 1, 1, 1, 3, 1, 1], "{}", model.graph);
    assert_eq!(count(&model, "multiply"), 0, "{}", model.graph);
}

#[test]
fn gates_and_norms_are_recognized() {
    for name in ["gates", "gates_dynamo"] {
        let model = compare(name, false);
        let found = ["multiply", "channel_conv", "group_norm", "upsample", "l2_normalize"]
            .map(|name| count(&model, name));
        assert_eq!(found, [2, 1, 2, 1, 1], "{}", model.graph);
        // The newer exporter computes these weights itself.
        let standardized = model.graph.to_string().contains("standardized=1e-6");
        assert_eq!(standardized, name == "gates", "{}", model.graph);
    }
}

#[test]
fn windows_are_as_in_the_file() {
    let model = compare("windows", false);
    let found = ["blur", "subsample", "max_pool", "zero_pad", "flatten"].map(|name| count(&model, name));
    assert_eq!(found, [1, 1, 1, 1, 1], "{}", model.graph);
}

#[test]
fn channels_are_split_and_put_together() {
    let model = compare("halves", false);
    let text = model.graph.to_string();
    assert!(text.contains("batch_norm %/conv/Conv {") && text.contains(",1e-5,2..6)}"), "{text}");
    assert!(text.contains("channels=0..2"), "{text}");
}

#[test]
fn layouts_are_followed() {
    let model = compare("channels_last", true);
    // The convolution takes its bias and the norm that follows together; the kernel of the dense layer is as in the file.
    let found = ["batch_norm", "conv2d", "flatten", "dense"].map(|name| count(&model, name));
    assert_eq!(found, [2, 1, 1, 1], "{}", model.graph);
}

#[test]
fn old_files_are_read() {
    let model = compare("old", false);
    let names: Vec<_> = model.graph.outputs().iter().map(|output| model.graph.output_name(output)).collect();
    assert_eq!(names, ["normed", "large", "probabilities"]);
    assert_eq!(model.format, "ONNX model (opset 9)");
}

/// What no output needs may be of any kind; what one needs may not, and nothing is left out.
#[test]
fn only_what_outputs_need_is_read() {
    let relu = node("Relu", "relu", &["image"], "y");
    let [dead, behind] = ["dead", "z"]
        .map(|output| [node("DynamicQuantizeLinear", "quantize", &["y"], output), relu.clone()].concat());
    let graph = read(model(dead, &[1, 3, 2, 2], "y")).unwrap().graph;
    assert_eq!(graph.len(), 2, "{graph}");
    let error = refused(model(behind, &[1, 3, 2, 2], "z"));
    assert!(
        error.starts_with("`DynamicQuantizeLinear` (node 0, `quantize`) belongs to a quantized model"),
        "{error}"
    );
}

#[test]
fn exporters_are_told() {
    let graph = node("Relu", "relu", &["image"], "y");
    for (version, told) in [("1.17.0 None", "tf2onnx 1.17.0"), ("None", "tf2onnx"), ("2.0", "tf2onnx 2.0")] {
        let producer = Message::new().text(2, "tf2onnx").text(3, version).done();
        let read = read([model(graph.clone(), &[1, 3, 2, 2], "y"), producer].concat()).unwrap();
        assert!(read.format.ends_with(&format!(", exported by {told})")), "{}", read.format);
    }
}

#[test]
fn outputs_of_a_list_are_called_as_in_the_file() {
    let contents = Contents::Network(read(data("old.onnx")).unwrap());
    let imported = import(&contents, Specs::Any(&[]), "old", Path::new("old.onnx")).unwrap();
    assert!(imported.spec.ends_with("\noutputs: [normed, large, probabilities]\n"), "{}", imported.spec);
    assert!(!imported.spec.contains("classes"), "{}", imported.spec);
}

#[test]
fn names_are_those_of_the_file() {
    let conv = node("Conv", "/layer1/conv", &["image", "onnx::w"], "y");
    let graph = [conv, initializer("onnx::w", &[1, 3, 1, 1], &[0.0; 3])].concat();
    let read = read(model(graph, &[1, 3, 2, 2], "y")).unwrap();
    assert!(
        read.graph
            .to_string()
            .contains("%/layer1/conv = conv2d %input {k=1x1 s=1 p=0 filters=1 w=@onnx__w:oihw}")
    );
    assert_eq!(read.tensors[0].name, "onnx__w");
}

#[test]
fn arithmetic_that_others_read_too_is_done_once() {
    // y = a + relu(-a) with a = 2 x + 3, which is read under two names, one of them once.
    let nodes = [
        node("Conv", "conv", &["image", "two"], "conv"),
        node("Add", "bias", &["conv", "three"], "a"),
        node("Identity", "same", &["a"], "b"),
        node("Neg", "neg", &["b"], "minus"),
        node("Relu", "relu", &["minus"], "c"),
        node("Add", "sum", &["a", "c"], "y"),
        initializer("two", &[1, 1, 1, 1], &[2.0]),
        initializer("three", &[1, 1, 1], &[3.0]),
    ];
    let model = read(model(nodes.concat(), &[1, 1, 1, 2], "y")).unwrap();
    let values = values(&model, &[1.0, -3.0]);
    assert_eq!(values[&model.graph.node(model.graph.output().unwrap()).name].data, [5.0, 0.0]);
}

#[test]
fn truncated_files_are_errors() {
    for name in ["activations.onnx", "old.onnx"] {
        let whole = data(name);
        for len in 0..whole.len() {
            // What is left may be a model whose last fields are missing, but then its output is.
            if let Ok(model) = read(whole[..len].to_vec()) {
                assert!(model.graph.len() > 1, "{name} cut at {len}");
            }
        }
    }
}

#[test]
fn changed_bytes_are_no_panics() {
    for name in ["activations.onnx", "gates.onnx", "windows.onnx", "channels_last.onnx", "old.onnx"] {
        let whole = data(name);
        for place in (0..whole.len()).step_by(7) {
            for change in [0x01, 0x80, 0xFF] {
                let mut changed = whole.clone();
                changed[place] ^= change;
                let _ = read(changed);
            }
        }
    }
}

#[test]
fn errors_name_operator_node_and_what_to_do() {
    let error = |nodes: &[Vec<u8>]| refused(model(nodes.concat(), &[1, 3, 4, 4], "y"));
    let resize = |mode: &str| {
        let mode = Message::new().text(1, "mode").text(4, mode).done();
        Message::new()
            .field(1, &node_with("Resize", "/up/Resize", &["image", "", "scales"], "y", &[mode]))
            .done()
    };
    assert_eq!(
        error(&[resize("cubic"), initializer("scales", &[4], &[1.0, 1.0, 2.0, 2.0])]),
        "`Resize` (node 0, `/up/Resize`) in mode `cubic` has no counterpart; the language has `upsample` (nearest)"
    );
    for (nodes, message) in [
        (vec![node("Erf", "", &["image"], "y")], "`Erf` (node 0, `y`) has no counterpart in the language"),
        (vec![node("Relu", "a", &["b"], "y")], "`Relu` (node 0, `a`) reads `b`, which is not there"),
        (
            vec![node("Relu", "a", &["y"], "x"), node("Relu", "b", &["x"], "y")],
            "`Relu` (node 0, `a`) waits for its own result: the graph has a cycle",
        ),
        (
            vec![node("Relu", "a", &["image"], "y"), node("Relu", "b", &["image"], "y")],
            "`Relu` (node 1, `b`) gives `y`, which another node gives too",
        ),
        (vec![node("Relu", "a", &["image"], "x")], "the output `y` is given by no node"),
        (vec![node("Conv", "c", &["image"], "y")], "`Conv` (node 0, `c`) has no input 1"),
        (
            vec![node("Conv", "c", &["image", "w"], "y"), initializer("w", &[2, 5, 1, 1], &[0.0; 10])],
            "`Conv` (node 0, `c`) has a kernel of 5 channels in 1 groups for an image of 3",
        ),
        (
            vec![node("Conv", "c", &["image", "w"], "y"), initializer("w", &[1 << 60, 3, 1, 1], &[0.0; 3])],
            "the tensor `w` has the sizes [1152921504606846976, 3, 1, 1], which no file can hold",
        ),
        (
            vec![node("Conv", "c", &["image", "w"], "y"), initializer("w", &[2, 3, 1, 1], &[0.0; 3])],
            "the tensor `w` has 12 bytes, its sizes [2, 3, 1, 1] need 24",
        ),
        (
            vec![node("ConstantOfShape", "c", &["s"], "y"), initializer("s", &[1], &[1e18])],
            "`ConstantOfShape` (node 0, `c`) makes a constant of the sizes [999999984306749440], which is too large",
        ),
        (
            // Each channel of one with each of the other: a table, no sum of images.
            vec![
                node("GlobalAveragePool", "p", &["image"], "p"),
                node("Flatten", "f", &["p"], "f"),
                node("Add", "a", &["p", "f"], "y"),
            ],
            "`Add` (node 2, `a`) of values of [1, 3, 1, 1] and [1, 3] has no counterpart: both sides of a sum have one shape",
        ),
        (
            vec![node("QuantizeLinear", "q", &["image"], "y")],
            "`QuantizeLinear` (node 0, `q`) belongs to a quantized model",
        ),
    ] {
        let found = error(&nodes);
        assert!(found.starts_with(message), "{found}\nnot {message}");
    }
}

#[test]
fn outputs_keep_rows_and_columns_apart() {
    let transpose = |perm: &[i64]| {
        let ints = perm.iter().fold(Message::new().text(1, "perm"), |ints, axis| ints.int(8, *axis));
        let node = node_with("Transpose", "t", &["image"], "y", &[ints.done()]);
        model(Message::new().field(1, &node).done(), &[1, 3, 4, 5], "y")
    };
    assert!(read(transpose(&[0, 2, 3, 1])).is_ok());
    for perm in [[0, 1, 3, 2], [3, 2, 1, 0]] {
        let message = refused(transpose(&perm));
        assert!(message.contains("the output `y` is an image whose rows are columns"), "{message}");
    }
}

#[test]
fn open_sizes_are_those_of_imagenet() {
    let relu = || node("Relu", "a", &["image"], "y");
    let open = read(model(relu(), &[0, 3, 0, 0], "y")).unwrap();
    assert!(open.graph.to_string().contains("dims=1x224x224x3"));
    assert!(matches!(&open.notes[..], [note] if note.contains("224x224x3")), "{:?}", open.notes);
    // What the file says stays.
    let half_open = read(model(relu(), &[0, 4, 0, 6], "y")).unwrap();
    assert!(half_open.graph.to_string().contains("dims=1x224x6x4"));
}

#[test]
fn tensors_lie_in_the_model_s_own_folder_only() {
    for location in ["../../x", "/etc/passwd", "a/b", "..", "", "a\\b", "c:x", "a\0"] {
        let error = read(external(location, "0", "12")).unwrap_err().to_string();
        assert!(error.contains("only files in the model's own folder are read"), "{location}: {error}");
    }
    let mut asked = Vec::new();
    let mut beside = |name: &str| {
        asked.push(name.to_owned());
        Ok(Bytes::new(vec![0; 16]))
    };
    assert_eq!(read_with(external("w.data", "4", "12"), &mut beside).unwrap().tensors[0].dims, [1, 3, 1, 1]);
    for (offset, length) in
        [("5", "12"), ("18446744073709551615", "12"), ("0", "8"), ("-1", "12"), ("0", "1e3")]
    {
        let error = read_with(external("w.data", offset, length), &mut beside).unwrap_err().to_string();
        assert!(error.starts_with("the tensor `w` "), "{error}");
    }
    assert!(asked.iter().all(|name| name == "w.data"));
}

#[test]
fn small_files_take_little_memory() {
    // A million empty nodes, each of two bytes.
    let nodes = [0x0A, 0x00].repeat(1 << 20);
    assert!(refused(model(nodes, &[1, 3, 2, 2], "y")).contains("more than 32 MB beside its tensors"));
    // A constant that doubles again and again.
    let double = |index: usize| {
        let input = if index == 0 { "c".to_owned() } else { format!("c{}", index - 1) };
        let axis = Message::new().text(1, "axis").int(3, 0).done();
        Message::new()
            .field(1, &node_with("Concat", "", &[&input, &input], &format!("c{index}"), &[axis]))
            .done()
    };
    let nodes: Vec<u8> = (0..60).flat_map(double).collect();
    let error = refused(model([nodes, initializer("c", &[256], &[0.0; 256])].concat(), &[1, 3, 2, 2], "c59"));
    assert!(error.starts_with("`Concat`"), "{error}");
}
