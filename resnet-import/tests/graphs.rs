//! Graphs of all specs that ship, under other names: they are recognized, and can be written as flat lists.

use std::collections::HashMap;
use std::path::Path;

use resnet_dsl::ir::graph::{Graph, Value};
use resnet_dsl::ir::param::Param;
use resnet_dsl::ir::read::read;
use resnet_dsl::ir::{Node, Op};
use resnet_dsl::pass::PIPELINE;
use resnet_dsl::{Spec, shipped};
use resnet_import::{Bytes, Contents, Element, Imported, Like, Model, Specs, Tensor, import};
use resnet_plan::Description;

/// The graph of a spec and its description.
fn network(name: &str, text: &str) -> (Graph, Description) {
    let overrides = Default::default();
    let spec = Spec { name, text, overrides: &overrides };
    let graph = spec.parse(&mut |_| Err("no files".to_owned())).unwrap().graph;
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
    (graph, plan.description)
}

/// A file with this graph, whose values and tensors have other names. All tensors are zeros, which they share.
fn file(graph: &Graph, description: &Description) -> Contents {
    let largest = description.tensors().map(|tensor| tensor.len()).max().unwrap();
    let zeros = Bytes::new(vec![0; largest * 4]);
    let mut text = graph.to_string();
    let mut tensors = Vec::new();
    for (index, tensor) in description.tensors().enumerate() {
        for end in [':', ',', '}', ' ', ')'] {
            text = text.replace(&format!("@{}{end}", tensor.name), &format!("@initializer_{index}{end}"));
        }
        let bytes = zeros.part(0..tensor.len() * 4).unwrap();
        let name = format!("initializer_{index}");
        tensors.push(Tensor { name, dims: tensor.dims, element: Element::F32, bytes });
    }
    let values = graph.topological();
    for (index, value) in values.iter().enumerate().skip(1) {
        for end in [" ", ",", "\n"] {
            let name = &graph.node(*value).name;
            text = text.replace(&format!("%{name}{end}"), &format!("%value_{index}{end}"));
        }
    }
    let graph = read(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    Contents::Network(Model {
        format: "test".to_owned(),
        operators: values.len(),
        graph,
        tensors,
        notes: Vec::new(),
    })
}

/// The same without batch norms behind convolutions: their weights are part of the kernels, as exporters make them.
fn folded(contents: &Contents) -> Contents {
    let Contents::Network(model) = contents else { unreachable!() };
    let mut model = model.clone();
    let graph = &mut model.graph;
    for value in graph.topological() {
        let Op::BatchNorm { norm, .. } = graph.node(value).op.clone() else { continue };
        let source = graph.operands(value)[0];
        let mut op = graph.node(source).op.clone();
        if let (Op::Conv2d(conv), Some(_), None) = (&mut op, graph.only_user(source), norm.channels) {
            conv.bias.get_or_insert(Param::load(Some(norm.beta)));
            graph.replace(value, op, source);
        }
    }
    Contents::Network(model)
}

/// The operators of a graph and how they are connected, whatever values and tensors are called.
fn shape(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    let order = graph.topological();
    let place: HashMap<Value, usize> =
        order.iter().enumerate().map(|(place, value)| (*value, place)).collect();
    let one = |value: &Value| {
        let Node { op, .. } = graph.node(*value);
        let operands = graph.operands(*value).iter().map(|operand| place[operand]).collect();
        (op.name().to_owned(), operands)
    };
    order.iter().map(one).collect()
}

#[test]
fn graphs_that_ship_are_recognized() {
    let all: Vec<Like> = Like::shipped().collect();
    for (index, name) in shipped::names().enumerate() {
        let (graph, description) = network(name, shipped::get(name).unwrap());
        let file = file(&graph, &description);
        let contents = if index % 2 == 0 { folded(&file) } else { file };
        let imported = import(&contents, Specs::Any(&all), "test", Path::new("test.onnx"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let same = imported.notes.iter().any(|note| note.contains(name));
        let Imported { network, notes, spec, .. } = &imported;
        assert!(network.starts_with(name) || same, "{name}: {network} {notes:?}");
        assert!(spec.lines().count() <= 6, "{name}: {spec}");
    }
}

#[test]
fn graphs_that_ship_can_be_written_as_lists() {
    for name in shipped::names() {
        let (graph, description) = network(name, shipped::get(name).unwrap());
        let contents = file(&graph, &description);
        let imported = import(&contents, Specs::Any(&[]), "test", Path::new("test.onnx"))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (written, _) = network("test", &imported.spec);
        if !graph.topological().iter().any(|value| matches!(graph.node(*value).op, Op::Subsample(_))) {
            assert_eq!(shape(&graph), shape(&written), "{name}");
        }
    }
}

/// The first layers of a network are no spec's, but lists of layers.
#[test]
fn beginnings_are_not_recognized() {
    let all: Vec<Like> = Like::shipped().collect();
    let (whole, description) = network("torchvision/resnet18", shipped::get("torchvision/resnet18").unwrap());
    let dead = PIPELINE.iter().find(|pass| pass.name == "eliminate-dead").unwrap();
    for (name, found) in [("maxpool", false), ("layer1.1.add", false), ("avgpool", true)] {
        let mut graph = whole.clone();
        let value = graph.topological().into_iter().find(|value| graph.node(*value).name == name);
        graph.set_output(value.unwrap_or_else(|| panic!("{name} of\n{whole}")));
        (dead.run)(&mut graph).unwrap();
        let imported = import(&file(&graph, &description), Specs::Any(&all), "test", Path::new("test.onnx"));
        let network = imported.unwrap_or_else(|error| panic!("{name}: {error}")).network;
        assert_eq!(network.contains(" up to "), found, "{name}: {network}");
    }
}
