//! The messages of an ONNX file (onnx.proto of IR version 3 to 11), as far as they are needed.

use crate::checkpoint::Bytes;
use crate::error::Error;
use crate::onnx::elements::{collect, of_ints};
use crate::onnx::tensor::{self, ExternalData};
use crate::onnx::wire::{Budget, Fields, Wire};
use crate::{Element, Tensor};

/// A file.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What wrote it.
    pub(super) producer: String,
    /// Version of that.
    pub(super) producer_version: String,
    /// Version of the standard operators.
    pub(super) opset: Option<i64>,
    /// The network.
    pub(super) graph: Option<Graph>,
}

/// About what an operator takes in a graph of the language, where lists have room to grow.
const OPERATOR: usize = 2048;

/// About what a value takes that an operator reads, while it is computed.
const INPUT: usize = 256;

/// A network.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Its name.
    pub(super) name: String,
    /// Operators.
    pub(super) nodes: Vec<Node>,
    /// Tensors.
    pub(super) initializers: Vec<Tensor>,
    /// Inputs; before IR version 4 all initializers are among them.
    pub(super) inputs: Vec<ValueInfo>,
    /// Outputs.
    pub(super) outputs: Vec<ValueInfo>,
}

/// A value's name and sizes.
#[derive(Debug, Default)]
pub(super) struct ValueInfo {
    /// Its name.
    pub(super) name: String,
    /// Its sizes; `None`: unknown, or a name.
    pub(super) dims: Vec<Option<usize>>,
}

/// An operator.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Its place in the file.
    pub(super) index: usize,
    /// Its name, may be empty.
    pub(super) name: String,
    /// Which.
    pub(super) op: String,
    /// Whose; empty: ONNX's own.
    pub(super) domain: String,
    /// Names of the values that it reads; an empty one is left out.
    pub(super) inputs: Vec<String>,
    /// Names of the values that it gives.
    pub(super) outputs: Vec<String>,
    attributes: Vec<Attribute>,
}

/// A named constant of an operator.
#[derive(Debug, Default)]
struct Attribute {
    name: String,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<String>,
    tensor: Option<Tensor>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    has_graph: bool,
}

impl Model {
    /// The message that is the whole file.
    pub(super) fn read(file: &Bytes, external: &mut ExternalData<'_>) -> Result<Self, Error> {
        let budget = &mut Budget::new();
        let mut model = Model::default();
        let mut graph = None;
        for field in Fields::new(file.clone(), "model") {
            match field? {
                (2, value) => model.producer = value.text(budget)?,
                (3, value) => model.producer_version = value.text(budget)?,
                (7, value) => graph = Some(value.bytes()),
                (8, value) => {
                    let (domain, version) = opset(value.bytes(), budget)?;
                    if is_standard(&domain) {
                        model.opset = Some(version);
                    }
                }
                _ => {}
            }
        }
        model.graph = graph.map(|graph| Graph::read(graph, external, budget)).transpose()?;
        Ok(model)
    }
}

/// Whether this is the domain of ONNX's own operators.
pub(super) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn opset(bytes: Bytes, budget: &mut Budget) -> Result<(String, i64), Error> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in Fields::new(bytes, "version of operators") {
        match field? {
            (1, value) => domain = value.text(budget)?,
            (2, value) => version = value.int(),
            _ => {}
        }
    }
    Ok((domain, version))
}

impl Graph {
    fn read(bytes: Bytes, external: &mut ExternalData<'_>, budget: &mut Budget) -> Result<Self, Error> {
        let mut graph = Graph::default();
        for field in Fields::new(bytes, "graph") {
            match field? {
                (1, value) => {
                    let index = graph.nodes.len();
                    budget.spend(OPERATOR)?;
                    budgeted(&mut graph.nodes, Node::read(value.bytes(), index, external, budget)?, budget)?;
                }
                (2, value) => graph.name = value.text(budget)?,
                (5, value) => {
                    let tensor = tensor::read(value.bytes(), external, budget)?;
                    budgeted(&mut graph.initializers, tensor, budget)?;
                }
                (11, value) => budgeted(&mut graph.inputs, ValueInfo::read(value.bytes(), budget)?, budget)?,
                (12, value) => budgeted(&mut graph.outputs, ValueInfo::read(value.bytes(), budget)?, budget)?,
                (15, _) => {
                    return Err(Error::Unsupported(
                        "the ONNX file has sparse initializers, which have no counterpart".to_owned(),
                    ));
                }
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl ValueInfo {
    fn read(bytes: Bytes, budget: &mut Budget) -> Result<Self, Error> {
        let mut info = ValueInfo::default();
        for field in Fields::new(bytes, "description of a value") {
            match field? {
                (1, value) => info.name = value.text(budget)?,
                (2, value) => {
                    let shape = nested(nested(Some(value.bytes()), 1)?, 2)?;
                    for dim in shape.into_iter().flat_map(|shape| Fields::new(shape, "shape of a value")) {
                        let (1, dim) = dim? else { continue };
                        let size =
                            Fields::new(dim.bytes(), "size of a value").find_map(|field| match field {
                                Ok((1, size)) => usize::try_from(size.int()).ok().filter(|size| *size > 0),
                                _ => None,
                            });
                        budgeted(&mut info.dims, size, budget)?;
                    }
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

/// The message in a field of a message.
fn nested(message: Option<Bytes>, number: u64) -> Result<Option<Bytes>, Error> {
    let mut found = None;
    for field in message.into_iter().flat_map(|message| Fields::new(message, "type of a value")) {
        if let (field, Wire::Bytes(bytes)) = field?
            && field == number
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

impl Node {
    fn read(
        bytes: Bytes,
        index: usize,
        external: &mut ExternalData<'_>,
        budget: &mut Budget,
    ) -> Result<Self, Error> {
        let mut node = Node { index, ..Node::default() };
        for field in Fields::new(bytes, "node") {
            match field? {
                (1, value) => {
                    let name = value.text(budget)?;
                    budget.spend(INPUT)?;
                    budgeted(&mut node.inputs, name, budget)?;
                }
                (2, value) => {
                    let name = value.text(budget)?;
                    budgeted(&mut node.outputs, name, budget)?;
                }
                (3, value) => node.name = value.text(budget)?,
                (4, value) => node.op = value.text(budget)?,
                (5, value) => {
                    let attribute = Attribute::read(value.bytes(), external, budget)?;
                    budgeted(&mut node.attributes, attribute, budget)?;
                }
                (7, value) => node.domain = value.text(budget)?,
                _ => {}
            }
        }
        Ok(node)
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// A whole number.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }

    /// Whole numbers.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        Some(&self.attribute(name)?.ints)
    }

    /// A number: the decimal one with the fewest digits that this f32 stands for, so that 1e-5 is the f64 of that name.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.attribute(name)?.float.map(shortest)
    }

    /// Text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name)?.text.as_deref()
    }

    /// Whether there is such an attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Whether an attribute is a graph, as those of loops and conditions.
    pub(super) fn has_graph(&self) -> bool {
        self.attributes.iter().any(|attribute| attribute.has_graph)
    }

    /// A tensor, or numbers as one, under the first of these names that there is.
    pub(super) fn tensor(&self, names: &[&str]) -> Option<Tensor> {
        let attribute = names.iter().find_map(|name| self.attribute(name))?;
        if let Some(tensor) = &attribute.tensor {
            return Some(tensor.clone());
        }
        let floats =
            |dims, floats: &[f32]| collect(dims, Element::F32, floats.iter().copied().map(f64::from));
        match attribute {
            Attribute { int: Some(int), .. } => Some(of_ints(vec![], &[*int])),
            Attribute { float: Some(float), .. } => Some(floats(vec![], &[*float])),
            Attribute { floats: list, .. } if !list.is_empty() => Some(floats(vec![list.len()], list)),
            Attribute { ints: list, text: None, .. } => Some(of_ints(vec![list.len()], list)),
            _ => None,
        }
    }
}

/// The f64 that is written with the fewest digits that tell the f32 from others.
pub(super) fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

impl Attribute {
    fn read(bytes: Bytes, external: &mut ExternalData<'_>, budget: &mut Budget) -> Result<Self, Error> {
        let mut attribute = Attribute::default();
        for field in Fields::new(bytes, "attribute") {
            match field? {
                (1, value) => attribute.name = value.text(budget)?,
                (2, value) => attribute.float = Some(value.float()),
                (3, value) => attribute.int = Some(value.int()),
                (4, value) => attribute.text = Some(value.text(budget)?),
                (5, value) => attribute.tensor = Some(tensor::read(value.bytes(), external, budget)?),
                (6 | 11, _) => attribute.has_graph = true,
                (7, Wire::Bytes(packed)) => {
                    for float in packed.as_chunks().0 {
                        budgeted(&mut attribute.floats, f32::from_le_bytes(*float), budget)?;
                    }
                }
                (7, value) => budgeted(&mut attribute.floats, value.float(), budget)?,
                (8, value) => value.ints(|int| budgeted(&mut attribute.ints, int, budget))?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

fn budgeted<T>(list: &mut Vec<T>, item: T, budget: &mut Budget) -> Result<(), Error> {
    budget.spend(2 * size_of::<T>())?; // a list that grows has twice the room
    list.push(item);
    Ok(())
}
