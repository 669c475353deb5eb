//! From the nodes of a file to the operators of a graph.
//!
//! ```text
//! for each node, after those whose values it reads:
//!     all inputs are constants: compute it
//!     else: what its operator becomes (ops)
//! remove what no output needs; check
//! ```

use std::collections::{HashMap, HashSet};

use resnet_dsl::diag::Span;
use resnet_dsl::ir::param::Param;
use resnet_dsl::ir::{self, Graph, Node as IrNode, Op, Output};
use resnet_dsl::ops::{Activation, Conv2d, Dense, Dims, Sides};
use resnet_dsl::pass;
use resnet_plan::text::is_name;
use resnet_plan::{BatchNorm, Text};

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::constant;
use crate::onnx::ops;
use crate::onnx::proto::{self, Node};
use crate::onnx::value::{Affine, Axis, Image, NCHW, NHWC, Value};
use crate::onnx::{malformed, unsupported};

/// The largest size of an axis, and the most axes, that anything is computed with.
const LARGEST: [usize; 2] = [1 << 28, 8];

/// The network of a file of so many bytes, and its tensors.
pub(super) fn build(
    file: proto::Graph,
    opset: i64,
    input: Option<[usize; 3]>,
    bytes: usize,
) -> Result<(Graph, Vec<Tensor>), Error> {
    let order = sorted(&file)?;
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let read = file.nodes.iter().flat_map(|node| &node.inputs);
    for name in read.chain(file.outputs.iter().map(|output| &output.name)) {
        *uses.entry(name).or_default() += 1;
    }
    let mut builder = Builder {
        graph: Graph::new(if file.name.is_empty() { "model" } else { &file.name }),
        opset,
        dims: HashMap::new(),
        values: HashMap::new(),
        computed: HashMap::new(),
        room: bytes.saturating_add(32 << 20),
        uses: &uses,
        node_names: Names::default(),
        tensor_names: Names::default(),
        known: HashMap::new(),
        tensors: Vec::new(),
    };
    for tensor in &file.initializers {
        if builder.values.insert(tensor.name.clone(), Value::Constant(tensor.clone())).is_some() {
            return Err(Error::Malformed(format!(
                "the ONNX file has the initializer `{}` twice",
                tensor.name
            )));
        }
    }
    builder.input(&file, input)?;
    let mut left = uses.clone();
    for node in &order {
        builder.node(node).map_err(|error| at(node, error))?;
        for name in &node.inputs {
            let left = left.entry(name).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                builder.forget(name);
            }
        }
    }
    builder.outputs(&file.outputs)?;
    builder.finish()
}

/// The nodes, each after those whose values it reads.
fn sorted(file: &proto::Graph) -> Result<Vec<&Node>, Error> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in file.nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, index).is_some() {
                return Err(at(node, malformed(format!("gives `{name}`, which another node gives too"))));
            }
        }
    }
    let operands = |node: &Node| -> usize {
        node.inputs.iter().filter(|name| makers.contains_key(name.as_str())).count()
    };
    let mut waiting: Vec<usize> = file.nodes.iter().map(operands).collect();
    let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in file.nodes.iter().enumerate() {
        for maker in node.inputs.iter().filter_map(|name| makers.get(name.as_str())) {
            readers.entry(*maker).or_default().push(index);
        }
    }
    // The first of the nodes that are ready comes first, as it does in the file.
    let ready = waiting.iter().enumerate().filter(|(_, waiting)| **waiting == 0);
    let mut ready: std::collections::BTreeSet<usize> = ready.map(|(index, _)| index).collect();
    let mut order = Vec::with_capacity(file.nodes.len());
    while let Some(index) = ready.pop_first() {
        order.extend(file.nodes.get(index));
        for reader in readers.get(&index).into_iter().flatten() {
            if let Some(waiting) = waiting.get_mut(*reader) {
                *waiting -= 1;
                if *waiting == 0 {
                    ready.insert(*reader);
                }
            }
        }
    }
    match file.nodes.iter().zip(&waiting).find(|(_, waiting)| **waiting > 0) {
        Some((node, _)) => Err(at(node, malformed("waits for its own result: the graph has a cycle"))),
        None => Ok(order),
    }
}

/// The error with its node in front: "`Resize` (node 84, `/up/Resize`) ..".
fn at(node: &Node, error: Error) -> Error {
    let name = [&node.name].into_iter().chain(&node.outputs).find(|name| !name.is_empty());
    let place = match name {
        Some(name) => format!("`{}` (node {}, `{name}`)", node.op, node.index),
        None => format!("`{}` (node {})", node.op, node.index),
    };
    match error {
        Error::Malformed(message) => Error::Malformed(format!("{place} {message}")),
        Error::Unsupported(message) => Error::Unsupported(format!("{place} {message}")),
        other => other,
    }
}

/// Names that are given once each, and can be written in the text form of graphs.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn give(&mut self, wanted: &str) -> String {
        let mut name: String =
            wanted.chars().map(|c| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '_' }).collect();
        if name.is_empty() {
            name.push('_');
        }
        let plain = name.clone();
        let mut number = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{plain}_{number}");
        }
        name
    }
}

/// The graph so far.
pub(super) struct Builder<'a> {
    pub(super) graph: Graph,
    pub(super) opset: i64,
    dims: HashMap<ir::Value, Dims>,
    values: HashMap<String, Value>,
    /// Bytes of constants that were computed.
    computed: HashMap<String, usize>,
    /// How many more there may be at once.
    room: usize,
    uses: &'a HashMap<&'a str, usize>,
    node_names: Names,
    tensor_names: Names,
    /// Names of tensors by where they lie, and their sizes.
    known: HashMap<(usize, Vec<usize>), String>,
    tensors: Vec<Tensor>,
}

impl Builder<'_> {
    /// The only input that is not an initializer.
    fn input(&mut self, file: &proto::Graph, given: Option<[usize; 3]>) -> Result<(), Error> {
        let mut inputs = file.inputs.iter().filter(|input| !self.values.contains_key(&input.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            let names: Vec<&str> = file.inputs.iter().map(|input| input.name.as_str()).take(8).collect();
            return Err(Error::Unsupported(format!(
                "a network here has one input, a batch of images; the ONNX graph has {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )));
        };
        let name = &input.name;
        let axes = if starts_channels_last(file, name) { NHWC } else { NCHW };
        let [batch, ref sizes @ ..] = input.dims[..] else {
            return Err(Error::Unsupported(format!(
                "the input `{name}` has no sizes; export the model with an example input"
            )));
        };
        let [_, _, _] = sizes[..] else {
            return Err(Error::Unsupported(format!(
                "the input `{name}` has {} axes; a batch of images has 4",
                input.dims.len()
            )));
        };
        let mut dims: Dims = [batch.unwrap_or(1), 0, 0, 0];
        let given = given.map(|[height, width, channels]| [0, height, width, channels]);
        for (axis, size) in axes.iter().zip(&input.dims).skip(1) {
            let place = NHWC.iter().position(|other| other == axis).unwrap_or_default();
            let wanted = given.and_then(|given| given.get(place).copied());
            let size = match (size, wanted) {
                (Some(size), Some(wanted)) if *size != wanted => {
                    return Err(Error::Unsupported(format!(
                        "the input `{name}` is fixed to {:?} in the file, and {wanted} was asked for: export the model with that size",
                        input.dims.iter().map(|size| size.unwrap_or(0)).collect::<Vec<_>>()
                    )));
                }
                (Some(size), _) => *size,
                (None, Some(wanted)) => wanted,
                (None, None) => {
                    return Err(Error::Unsupported(format!(
                        "height, width or channels of the input `{name}` are left open in the file: say its size, or export the model with fixed ones"
                    )));
                }
            };
            if let Some(dim) = dims.get_mut(place) {
                *dim = size;
            }
        }
        if dims.iter().any(|size| *size == 0 || *size > LARGEST[0]) {
            return Err(Error::Malformed(format!("the input `{name}` has the sizes {:?}", input.dims)));
        }
        let name = self.node_names.give("input");
        let value = self.graph.add(node(name, Op::Input(dims)), &[]);
        self.dims.insert(value, dims);
        self.values.insert(input.name.clone(), Value::Image(Image::new(value, dims, axes.to_vec())));
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), Error> {
        let inputs = self.inputs(node)?;
        let constants: Option<Vec<Option<Tensor>>> = inputs
            .iter()
            .map(|input| match input {
                None => Some(None),
                Some(Value::Constant(tensor)) => Some(Some(tensor.clone())),
                Some(_) => None,
            })
            .collect();
        let standardized = || ops::standardized(node, constants.as_deref()?);
        let value = match standardized() {
            Some(standardized) => Some(standardized),
            None => match &constants {
                Some(constants) => constant::fold(node, self.opset, constants)?.map(Value::Constant),
                None => None,
            },
        };
        let value = match value {
            Some(value) => value,
            None => ops::convert(self, node)?,
        };
        let Some(output) = node.outputs.first().filter(|name| !name.is_empty()) else {
            return Err(malformed("gives no value"));
        };
        if let Value::Constant(tensor) = &value {
            let [size, rank] = LARGEST;
            if tensor.dims.len() > rank || tensor.dims.iter().any(|dim| *dim > size) {
                return Err(malformed(format!("makes a tensor of the sizes {:?}", tensor.dims)));
            }
            let bytes = tensor.bytes.len();
            self.room = self
                .room
                .checked_sub(bytes)
                .ok_or_else(|| unsupported("needs constants that are larger than the file"))?;
            self.computed.insert(output.clone(), bytes);
        }
        if self.values.insert(output.clone(), value).is_some() {
            return Err(malformed(format!("gives `{output}`, which is an input or initializer")));
        }
        Ok(())
    }

    /// Nothing reads this value any more.
    fn forget(&mut self, name: &str) {
        self.room += self.computed.remove(name).unwrap_or(0);
        self.values.remove(name);
    }

    fn inputs(&self, node: &Node) -> Result<Vec<Option<Value>>, Error> {
        let value = |name: &String| match self.values.get(name) {
            _ if name.is_empty() => Ok(None),
            Some(value) => Ok(Some(value.clone())),
            None => Err(malformed(format!("reads `{name}`, which is not there"))),
        };
        node.inputs.iter().map(value).collect()
    }

    /// An input; `None`: it is left out.
    pub(super) fn value(&self, node: &Node, index: usize) -> Option<&Value> {
        self.values.get(node.inputs.get(index)?)
    }

    /// An input that must be there.
    pub(super) fn required(&self, node: &Node, index: usize) -> Result<&Value, Error> {
        self.value(node, index).ok_or_else(|| malformed(format!("has no input {index}")))
    }

    /// An input that is known, if it is there.
    pub(super) fn constant(&self, node: &Node, index: usize) -> Result<Option<Tensor>, Error> {
        match self.value(node, index) {
            None => Ok(None),
            Some(Value::Constant(tensor)) => Ok(Some(tensor.clone())),
            Some(_) => Err(unsupported(format!("computes its input {index}, which must be a constant"))),
        }
    }

    /// An input of the network's values, with all done to it that was left to be done.
    pub(super) fn image(&mut self, node: &Node, index: usize) -> Result<Image, Error> {
        let image = match self.required(node, index)? {
            Value::Image(image) => image.clone(),
            Value::Constant(_) | Value::Standardized(..) => {
                return Err(unsupported(format!(
                    "has a constant as input {index}, where a value of the network is expected"
                )));
            }
            Value::Grouped(..) => {
                return Err(unsupported(
                    "reads an image whose channels are reshaped into groups, which only a norm may",
                ));
            }
            Value::Norm(..) => {
                return Err(unsupported("reads the norms of pixels, which only the division by them may"));
            }
            Value::Mirrored(..) => {
                return Err(unsupported(
                    "reads an image that is padded by reflection, which only a blur (a convolution with binomial weights) may",
                ));
            }
        };
        let image = self.settle(image)?;
        if let Some(name) = node.inputs.get(index) {
            self.values.insert(name.clone(), Value::Image(image.clone()));
        }
        if image.expanded {
            return Err(unsupported(
                "reads a value that is repeated for each pixel, which only a product may",
            ));
        }
        Ok(image)
    }

    /// An input of the network's values with the axes batch, channel, height, width.
    pub(super) fn nchw(&mut self, node: &Node, index: usize) -> Result<Image, Error> {
        let image = self.image(node, index)?;
        if image.is(&NCHW) {
            return Ok(Image { axes: NCHW.to_vec(), ..image });
        }
        Err(unsupported(format!(
            "takes images as batch, channel, height, width; this value lies as {:?}",
            image.axes
        )))
    }

    /// How often an input is read.
    pub(super) fn read_once(&self, node: &Node, index: usize) -> bool {
        node.inputs.get(index).and_then(|name| self.uses.get(name.as_str())) == Some(&1)
    }

    /// Adds an operator, under the node's name.
    pub(super) fn add(
        &mut self,
        at: &Node,
        op: Op,
        operands: &[&Image],
        axes: Vec<Axis>,
    ) -> Result<Image, Error> {
        let name = [&at.name].into_iter().chain(&at.outputs).find(|name| !name.is_empty());
        let name = name.cloned().unwrap_or_else(|| at.op.clone());
        self.add_named(&name, op, operands, axes)
    }

    fn add_named(
        &mut self,
        name: &str,
        mut op: Op,
        operands: &[&Image],
        axes: Vec<Axis>,
    ) -> Result<Image, Error> {
        let sizes: Vec<Dims> = operands.iter().map(|operand| operand.dims).collect();
        let before = op.clone();
        let dims = op.infer(&sizes).map_err(|error| {
            let help = error.help.map(|help| format!(" ({help})")).unwrap_or_default();
            unsupported(format!("does not fit: {}{help}", error.message))
        })?;
        if dims.contains(&0) || Tensor::len(&dims).is_none_or(|len| len > LARGEST[0]) {
            return Err(unsupported(format!("gives an empty or too large image of {dims:?}")));
        }
        let operands: Vec<ir::Value> = operands.iter().map(|operand| operand.value).collect();
        let name = self.node_names.give(name);
        let value = self.graph.add(node(name, before), &operands);
        self.dims.insert(value, dims);
        Ok(Image::new(value, dims, axes))
    }

    /// A tensor of the network, with these sizes; if it has no name, under this one.
    pub(super) fn tensor(&mut self, tensor: &Tensor, dims: &[usize], name: &str) -> Result<Text, Error> {
        if Tensor::len(dims) != Tensor::len(&tensor.dims) {
            return Err(malformed(format!(
                "has the tensor `{}` of the sizes {:?}, not {dims:?}",
                tensor.name, tensor.dims
            )));
        }
        let key = (tensor.bytes.as_ptr().addr(), dims.to_vec());
        if let Some(name) = self.known.get(&key) {
            return Ok(Text::Owned(name.clone()));
        }
        let name = self.tensor_names.give(if tensor.name.is_empty() { name } else { &tensor.name });
        self.known.insert(key, name.clone());
        self.tensors.push(Tensor { name: name.clone(), dims: dims.to_vec(), ..tensor.clone() });
        Ok(Text::Owned(name))
    }

    /// Numbers as a tensor of the network.
    pub(super) fn numbers(&mut self, numbers: &[f64], name: &str) -> Result<Text, Error> {
        let tensor = constant::of_floats(vec![numbers.len()], numbers);
        self.tensor(&tensor, &[numbers.len()], name)
    }

    /// The name of an operator, which its tensors begin with.
    pub(super) fn name(&self, image: &Image) -> String {
        self.graph.node(image.value).name.clone()
    }

    /// The sizes of a value.
    pub(super) fn dims(&self, value: ir::Value) -> Dims {
        self.dims.get(&value).copied().unwrap_or_default()
    }

    /// Does what was left to be done to a value: a bias, the affine part of a norm, or a batch norm of its own.
    fn settle(&mut self, image: Image) -> Result<Image, Error> {
        let Image { affine: Some(affine), .. } = &image else { return Ok(image) };
        let Affine { scale, offset, name, sole } = affine.clone();
        let plain = Image { affine: None, ..image };
        let near = |x: f64, to: f64| (x - to).abs() <= f64::from(f32::EPSILON);
        let unscaled = scale.iter().all(|scale| near(*scale, 1.0));
        if unscaled && offset.iter().all(|offset| *offset == 0.0) {
            return Ok(plain);
        }
        let own = self.name(&plain);
        let mut op = self.graph.node(plain.value).op.clone();
        let changed = match &mut op {
            Op::Conv2d(Conv2d { bias: bias @ None, .. }) | Op::Dense(Dense { bias: bias @ None, .. })
                if sole && unscaled =>
            {
                *bias = Some(Param::load(Some(self.numbers(&offset, &format!("{own}.bias"))?)));
                true
            }
            Op::GroupNorm(norm) if sole && norm.affine.is_none() => {
                let weight = self.numbers(&scale, &format!("{own}.weight"))?;
                norm.affine = Some([weight, self.numbers(&offset, &format!("{own}.bias"))?]);
                true
            }
            _ => false,
        };
        if changed {
            self.graph.node_mut(plain.value).op = op;
            return Ok(plain);
        }
        let norm = BatchNorm {
            gamma: self.numbers(&scale, &format!("{name}.weight"))?,
            beta: self.numbers(&offset, &format!("{name}.bias"))?,
            mean: self.numbers(&vec![0.0; scale.len()], &format!("{name}.running_mean"))?,
            variance: self.numbers(&vec![1.0; scale.len()], &format!("{name}.running_var"))?,
            epsilon: 0.0,
            channels: None,
        };
        let op = Op::BatchNorm { norm, activation: Activation::NONE };
        let settled = self.add_named(&name, op, &[&plain], plain.axes.clone())?;
        Ok(Image { value: settled.value, ..plain })
    }

    fn outputs(&mut self, outputs: &[proto::ValueInfo]) -> Result<(), Error> {
        let mut found = Vec::with_capacity(outputs.len());
        for proto::ValueInfo { name, .. } in outputs {
            let cannot = |what: &str| Error::Unsupported(format!("the output `{name}` {what}"));
            let image = match self.values.get(name) {
                Some(Value::Image(image)) if image.expanded => {
                    return Err(cannot("is repeated for each pixel"));
                }
                Some(Value::Image(image)) => image.clone(),
                Some(Value::Constant(_)) => return Err(cannot("does not depend on the input")),
                Some(_) => {
                    return Err(cannot("is an image that is reshaped in a way that has no counterpart"));
                }
                None => return Err(Error::Malformed(format!("the output `{name}` is given by no node"))),
            };
            if image.flat.is_some() {
                return Err(cannot(
                    "is an image flattened channel by channel: export the model without this flatten",
                ));
            }
            let image = self.settle(image)?;
            self.values.insert(name.clone(), Value::Image(image.clone()));
            found.push((name, image.value));
        }
        let mut names = Names::default();
        let outputs = match found[..] {
            [] => return Err(Error::Malformed("the ONNX graph has no outputs".to_owned())),
            [(_, value)] => vec![Output { name: None, value }],
            _ => found
                .iter()
                .map(|(name, value)| Output { name: Some(names.give(name)), value: *value })
                .collect(),
        };
        self.graph.set_outputs(outputs);
        Ok(())
    }

    /// The graph without what no output needs, and the tensors that it names.
    fn finish(mut self) -> Result<(Graph, Vec<Tensor>), Error> {
        for value in self.graph.topological().into_iter().rev() {
            let is_input = matches!(self.graph.node(value).op, Op::Input(_));
            if self.graph.users(value).is_empty() && !self.graph.is_output(value) && !is_input {
                self.graph.remove(value);
            }
        }
        let faults = ir::verify::verify(&self.graph);
        if !faults.is_empty() {
            return Err(Error::Unsupported(format!(
                "the graph does not fit the language: {}",
                faults.join("; ")
            )));
        }
        // The passes begin with a graph without types.
        if let Err(errors) = pass::infer_shapes(&mut self.graph.clone()) {
            let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            return Err(Error::Unsupported(format!(
                "the graph does not fit the language: {}",
                messages.join("; ")
            )));
        }
        Ok((self.graph, self.tensors))
    }
}

fn node(name: String, op: Op) -> IrNode {
    let (span, block) = (Span::default(), "stem".to_owned());
    IrNode { name, op, ty: None, halo: Sides::default(), block, span, used: None }
}

/// Whether images come with their channels last: the first thing that is more than arithmetic puts them first.
fn starts_channels_last(file: &proto::Graph, input: &str) -> bool {
    let mut name = input;
    for _ in 0..16 {
        let Some(reader) = file.nodes.iter().find(|node| node.inputs.iter().any(|input| input == name))
        else {
            return false;
        };
        match (reader.op.as_str(), reader.outputs.first()) {
            ("Transpose", _) => return reader.ints("perm") == Some(&[0, 3, 1, 2]),
            ("Cast" | "Identity" | "Add" | "Sub" | "Mul" | "Div" | "Pad", Some(output)) => name = output,
            _ => return false,
        }
    }
    false
}
