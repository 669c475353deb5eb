//! ONNX models whose tensors lie elsewhere, whose graphs are circles, that say they are larger than they are.

use crate::{imported, rejected, survived};

/// A message of protocol buffers.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u64, value: i64) -> Self {
        self.0.extend(varint(field << 3));
        self.0.extend(varint(value as u64));
        self
    }

    fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.0.extend(varint((field << 3) | 2));
        self.0.extend(varint(value.as_ref().len() as u64));
        self.0.extend(value.as_ref());
        self
    }

    fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, value.0)
    }

    fn all(self, field: u64, values: impl IntoIterator<Item = Message>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, value))
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn new() -> Message {
    Message::default()
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<Message>) -> Message {
    let node = inputs.iter().fold(new(), |node, input| node.bytes(1, input));
    node.bytes(2, output).bytes(3, format!("node_{output}")).bytes(4, operator).all(5, attributes)
}

fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(new().bytes(1, name), |attribute, value| attribute.number(8, *value)).number(20, 7)
}

fn value(name: &str, dims: &[i64]) -> Message {
    let shape = new().all(1, dims.iter().map(|dim| new().number(1, *dim)));
    new().bytes(1, name).message(2, new().message(1, new().number(1, 1).message(2, shape)))
}

fn tensor(name: &str, dims: &[i64]) -> Message {
    dims.iter().fold(new(), |tensor, dim| tensor.number(1, *dim)).number(2, 1).bytes(8, name)
}

fn kernel() -> Message {
    tensor("kernel", &[3, 3, 1, 1]).bytes(9, [0; 36])
}

fn model(nodes: Vec<Message>, initializers: Vec<Message>) -> Message {
    let graph = new().all(1, nodes).bytes(2, "g").all(5, initializers);
    let graph = graph.message(11, value("x", &[1, 3, 4, 4])).message(12, value("y", &[1, 3, 4, 4]));
    new().number(1, 8).bytes(2, "pytorch").message(7, graph).message(8, new().bytes(1, "").number(2, 17))
}

fn convolution() -> Vec<Message> {
    vec![
        node("Conv", &["x", "kernel"], "c", vec![ints("kernel_shape", &[1, 1])]),
        node("Relu", &["c"], "y", vec![]),
    ]
}

#[test]
fn external_tensors_are_not_elsewhere() {
    let external = |location: &str, offset: &str, length: &str| {
        let entry = |key: &str, value: &str| new().bytes(1, key).bytes(2, value);
        let entries = [entry("location", location), entry("offset", offset), entry("length", length)];
        let tensor = tensor("kernel", &[3, 3, 1, 1]).all(13, entries).number(14, 1);
        model(convolution(), vec![tensor]).0
    };
    // Some of these exist, and have enough bytes.
    let outside = std::env::current_exe().unwrap().display().to_string();
    for location in [
        "../../x",
        "../x",
        &*outside,
        "/etc/passwd",
        "/dev/zero",
        "a/../../x",
        "./../x",
        "a/b/../../../x",
        "..\\x",
        "C:\\x",
        "\\\\host\\share\\x",
        "file:///etc/passwd",
        "",
        ".",
        "..",
        "x\0y",
        "/proc/self/environ",
        "~/x",
    ] {
        rejected("external.onnx", &external(location, "0", "36"), "kernel");
    }
    rejected("external.onnx", &external("nowhere.bin", "0", "36"), "nowhere.bin");
    for (offset, length) in [
        ("0", "1152921504606846976"),
        ("1152921504606846976", "36"),
        ("18446744073709551615", "36"),
        ("-1", "36"),
        ("0", "-1"),
        ("a", "b"),
        ("0", "35"),
        ("0", "37"),
        ("18446744073709551616", "36"),
    ] {
        rejected("external.onnx", &external("small.pth", offset, length), "kernel");
    }
}

#[test]
fn graphs_are_not_circles() {
    let kernels = || vec![kernel()];
    imported("plain.onnx", &model(convolution(), kernels()).0);
    let circle = vec![
        node("Add", &["x", "b"], "a", vec![]),
        node("Relu", &["a"], "b", vec![]),
        node("Relu", &["b"], "y", vec![]),
    ];
    rejected("circle.onnx", &model(circle, vec![]).0, "");
    rejected("itself.onnx", &model(vec![node("Relu", &["y"], "y", vec![])], vec![]).0, "");
    let backwards = convolution().into_iter().rev().collect();
    drop(survived("backwards.onnx", &model(backwards, kernels()).0));
    let twice = vec![node("Relu", &["x"], "y", vec![]), node("Sigmoid", &["x"], "y", vec![])];
    rejected("twice.onnx", &model(twice, vec![]).0, "");
    rejected("no output.onnx", &model(vec![node("Relu", &["x"], "z", vec![])], vec![]).0, "");
    rejected("no input.onnx", &model(vec![node("Conv", &["x", "nothing"], "y", vec![])], vec![]).0, "");
    rejected("no inputs.onnx", &model(vec![node("Conv", &[], "y", vec![])], vec![]).0, "");
    rejected("empty.onnx", &[], "");
    rejected("no graph.onnx", &new().number(1, 8).0, "");
}

#[test]
fn nesting_and_repetition_are_bounded() {
    // An operator in a graph in an attribute of an operator..
    for depth in [10, 200, 2_000] {
        let mut graph = new().message(1, node("Relu", &["x"], "y", vec![])).bytes(2, "g");
        for _ in 0..depth {
            let attribute = new().bytes(1, "body").message(6, graph).number(20, 5);
            graph = new().message(1, node("Loop", &["x"], "y", vec![attribute])).bytes(2, "g");
        }
        rejected("nested.onnx", &new().number(1, 8).message(7, graph).message(8, new().number(2, 17)).0, "");
    }
    // Groups, which ONNX has none of.
    rejected("groups.onnx", &[0x0b].repeat(1_000_000), "");
    rejected("groups that end.onnx", &[[0x0b].repeat(100_000), [0x0c].repeat(100_000)].concat(), "");

    // Each costs a few bytes of the file.
    let nodes =
        |count: usize| vec![Message(vec![0x0a, 0x00]); count].into_iter().map(|_| new()).collect::<Vec<_>>();
    rejected("empty nodes.onnx", &model(nodes(500_000), vec![]).0, "");
    rejected("empty tensors.onnx", &model(convolution(), nodes(500_000)).0, "");
    for name in ["", "x", "kernel"] {
        for times in [50_000, 500_000] {
            let named = node("Relu", &vec![name; times], "y", vec![]);
            drop(survived("many inputs.onnx", &model(vec![named], vec![kernel()]).0));
        }
    }
    let attribute = ints("pads", &[0; 500_000]);
    rejected(
        "many numbers.onnx",
        &model(vec![node("Conv", &["x", "kernel"], "y", vec![attribute])], vec![kernel()]).0,
        "",
    );
    let many = tensor("kernel", &vec![1; 500_000]);
    rejected("many sizes.onnx", &model(convolution(), vec![many]).0, "");

    // Doubled 64 times: 2^64 values, if constants are computed.
    for operator in ["Concat", "Add", "Mul"] {
        let names: Vec<String> =
            (0..65).map(|i| if i == 0 { "kernel".into() } else { format!("k{i}") }).collect();
        let axis = || vec![new().bytes(1, "axis").number(3, 0).number(20, 2)];
        let attributes = || if operator == "Concat" { axis() } else { vec![] };
        let mut nodes: Vec<_> =
            (0..64).map(|i| node(operator, &[&names[i], &names[i]], &names[i + 1], attributes())).collect();
        nodes.push(node("Conv", &["x", "k64"], "y", vec![ints("kernel_shape", &[1, 1])]));
        drop(survived("doubled.onnx", &model(nodes, vec![kernel()]).0));
    }
}

#[test]
fn sizes_of_constants_are_checked() {
    let large = 1i64 << 60;
    for dims in [
        &[large][..],
        &[large, large],
        &[i64::MAX],
        &[-1],
        &[3, 3, 1, -1],
        &[i64::MIN],
        &[3, 3, 1, 2],
        &[3, 3],
        &[0],
        &[],
        &[1 << 32, 1 << 32, 1, 1],
    ] {
        rejected(
            "sizes.onnx",
            &model(convolution(), vec![tensor("kernel", dims).bytes(9, [0; 36])]).0,
            "kernel",
        );
        rejected("no bytes.onnx", &model(convolution(), vec![tensor("kernel", dims)]).0, "kernel");
    }
    for element in [0, 2, 8, 14, 17, 99, -1] {
        let tensor =
            new().number(1, 3).number(1, 3).number(1, 1).number(1, 1).number(2, element).bytes(8, "kernel");
        rejected("elements.onnx", &model(convolution(), vec![tensor.bytes(9, [0; 36])]).0, "kernel");
    }
    // Constants that ask for memory: 2^40 zeros, a tile, an expansion.
    let shape = |dims: &[i64]| {
        let bytes: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        new().number(1, dims.len() as i64).number(2, 7).bytes(8, "shape").bytes(9, bytes)
    };
    for dims in [
        &[1 << 20, 1 << 20, 1, 1][..],
        &[1 << 14, 1 << 14, 1, 1],
        &[large, 1, 1, 1],
        &[-5, 1, 1, 1],
        &[i64::MAX; 4],
    ] {
        for (operator, inputs) in [
            ("ConstantOfShape", &["shape"][..]),
            ("Expand", &["kernel", "shape"]),
            ("Tile", &["kernel", "shape"]),
            ("Reshape", &["kernel", "shape"]),
        ] {
            let nodes = vec![
                node(operator, inputs, "large", vec![]),
                node("Conv", &["x", "large"], "y", vec![ints("kernel_shape", &[1, 1])]),
            ];
            rejected("large.onnx", &model(nodes, vec![kernel(), shape(dims)]).0, "");
        }
    }
    let scalar = |name: &str, value: i64| new().number(2, 7).bytes(8, name).bytes(9, value.to_le_bytes());
    for (start, limit, delta) in
        [(0, 1 << 40, 1), (0, i64::MAX, 1), (i64::MIN, i64::MAX, 1), (0, 1, 0), (0, -1, i64::MIN)]
    {
        let nodes = vec![
            node("Range", &["start", "limit", "delta"], "r", vec![]),
            node("Conv", &["x", "r"], "y", vec![]),
        ];
        let scalars = vec![scalar("start", start), scalar("limit", limit), scalar("delta", delta)];
        rejected("range.onnx", &model(nodes, scalars).0, "");
    }
}

#[test]
fn attributes_are_checked() {
    let conv = |attributes: Vec<Message>| {
        model(vec![node("Conv", &["x", "kernel"], "y", attributes)], vec![kernel()]).0
    };
    let number = |name: &str, value: i64| new().bytes(1, name).number(3, value).number(20, 2);
    for large in [i64::MAX, i64::MIN, 1 << 60, 1 << 32, -1] {
        for name in ["strides", "dilations", "pads", "kernel_shape"] {
            rejected("attribute.onnx", &conv(vec![ints(name, &[large, large])]), "");
            rejected("attribute.onnx", &conv(vec![ints(name, &[large; 4])]), "");
        }
        rejected("group.onnx", &conv(vec![number("group", large)]), "");
    }
    rejected("group.onnx", &conv(vec![number("group", 0)]), "");
    rejected("strides.onnx", &conv(vec![ints("strides", &[0, 0])]), "");
    for operator in ["MaxPool", "AveragePool"] {
        for large in [i64::MAX, i64::MIN, 1 << 60, 1 << 32, 0, -1] {
            let pool = vec![ints("kernel_shape", &[large, large])];
            rejected("pool.onnx", &model(vec![node(operator, &["x"], "y", pool)], vec![]).0, "");
        }
    }
    for (operator, attribute) in
        [("Flatten", "axis"), ("Softmax", "axis"), ("Concat", "axis"), ("Gather", "axis")]
    {
        for axis in [i64::MAX, i64::MIN, 5, -6] {
            let node = node(operator, &["x", "x"], "y", vec![number(attribute, axis)]);
            rejected("axis.onnx", &model(vec![node], vec![]).0, "");
        }
    }
    for perm in [&[0, 1, 2][..], &[0, 0, 0, 0], &[0, 1, 2, 4], &[0, 1, 2, i64::MAX], &[-1, 1, 2, 3]] {
        rejected(
            "perm.onnx",
            &model(vec![node("Transpose", &["x"], "y", vec![ints("perm", perm)])], vec![]).0,
            "",
        );
    }
    for dims in
        [&[1, 3, i64::MAX, i64::MAX][..], &[1, 3, 1 << 32, 1 << 32], &[0, 0, 0, 0], &[-1; 4], &[1; 100], &[]]
    {
        let graph = new()
            .all(1, convolution())
            .message(5, kernel())
            .message(11, value("x", dims))
            .message(12, value("y", &[]));
        let file = new().number(1, 8).message(7, graph).message(8, new().number(2, 17)).0;
        drop(survived("input.onnx", &file));
    }
}
