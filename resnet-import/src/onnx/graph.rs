//! From the nodes of a file to the operators of a graph.
//!
//! ```text
//! for each node, after those whose values it reads:
//!     all inputs are constants: compute it
//!     else: what its operator becomes (ops)
//! remove what no output needs; check
//! ```

use std::collections::HashMap;

use resnet_dsl::diag::Span;
use resnet_dsl::ir::{self, Graph, Node as IrNode, Op, Output};
use resnet_dsl::ops::{Dims, Sides};
use resnet_plan::Text;

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::names::{Names, legal};
use crate::onnx::constant;
use crate::onnx::elements;
use crate::onnx::input;
use crate::onnx::ops;
use crate::onnx::order::{at, sorted};
use crate::onnx::proto::{self, Node};
use crate::onnx::sizes;
use crate::onnx::value::{Axis, Image, NCHW, Value};
use crate::onnx::{malformed, unsupported};
use crate::passes;

/// The network of a file of so many bytes, and its tensors.
pub(super) fn build(file: proto::Graph, opset: i64, bytes: usize) -> Result<(Graph, Vec<Tensor>), Error> {
    let order = sorted(&file)?;
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let read = order.iter().flat_map(|node| &node.inputs);
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
        work: bytes.saturating_add(16 << 20).saturating_mul(16),
        uses: &uses,
        node_names: Names::default(),
        tensor_names: Names::default(),
        known: HashMap::new(),
        affine: HashMap::new(),
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
    let (name, dims, axes) = input::input(&file, |name| builder.values.contains_key(name))?;
    let image = builder.add_named("input", Op::Input(dims), &[], axes.to_vec());
    let image = image.map_err(|error| Error::Malformed(format!("the input `{name}` {error}")))?;
    builder.values.insert(name.to_owned(), Value::Image(image));
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
    passes::run(&mut builder.graph, &["eliminate-dead"])?;
    builder.resolve_affine()?;
    passes::check(&builder.graph)?;
    Ok((builder.graph, builder.tensors))
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
    /// How many more may be read and written for constants: no small file takes long.
    work: usize,
    uses: &'a HashMap<&'a str, usize>,
    node_names: Names,
    tensor_names: Names,
    /// Places among `tensors` of those that have these sizes.
    known: HashMap<Vec<usize>, Vec<usize>>,
    /// Batch norms whose tensors are still to be named: their factors and summands.
    pub(super) affine: HashMap<ir::Value, [Vec<f64>; 2]>,
    tensors: Vec<Tensor>,
}

impl Builder<'_> {
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
        let standardized = || ops::standardized(node, self.opset, constants.as_deref()?);
        let value = match standardized() {
            Some(standardized) => Some(standardized),
            None => match &constants {
                Some(constants) => {
                    let sizes = constants.iter().flatten().map(|tensor| tensor.bytes.len());
                    self.compute(sizes.clone().sum())?;
                    // Room for the result, as large as what it is made of, before there is one.
                    let largest = sizes.max().unwrap_or(0);
                    self.spend(largest)?;
                    let constant = constant::fold(node, self.opset, constants)?;
                    self.room += largest;
                    constant.map(Value::Constant)
                }
                None => None,
            },
        };
        let value = match value {
            Some(value) => value,
            None if node.op == "Split" && proto::is_standard(&node.domain) => {
                let values = ops::split(self, node)?;
                for (name, value) in node.outputs.iter().zip(values).filter(|(name, _)| !name.is_empty()) {
                    if self.values.insert(name.clone(), value).is_some() {
                        return Err(malformed(format!("gives `{name}`, which is an input or initializer")));
                    }
                }
                return Ok(());
            }
            None => ops::convert(self, node)?,
        };
        let Some(output) = node.outputs.first().filter(|name| !name.is_empty()) else {
            return Err(malformed("gives no value"));
        };
        if let Value::Constant(tensor) = &value {
            if tensor.dims.len() > sizes::LARGEST_RANK || tensor.dims.iter().any(|dim| *dim > sizes::LARGEST)
            {
                return Err(malformed(format!("makes a tensor of the sizes {:?}", tensor.dims)));
            }
            let bytes = tensor.bytes.len();
            self.compute(bytes)?;
            self.spend(bytes)?;
            self.computed.insert(output.clone(), bytes);
        }
        if let Value::Image(image) = &value
            && image.axes.len() > sizes::LARGEST_RANK
        {
            return Err(unsupported(format!("gives a value of {} axes", image.axes.len())));
        }
        if self.values.insert(output.clone(), value).is_some() {
            return Err(malformed(format!("gives `{output}`, which is an input or initializer")));
        }
        Ok(())
    }

    /// Takes memory for numbers that are not in the file.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let room = self.room.checked_sub(bytes);
        self.room = room.ok_or_else(|| unsupported("needs constants that are larger than the file"))?;
        Ok(())
    }

    fn compute(&mut self, bytes: usize) -> Result<(), Error> {
        let work = self.work.checked_sub(bytes);
        self.work = work.ok_or_else(|| unsupported("computes more with constants than a network does"))?;
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

    /// Whole numbers that are an attribute in old opsets, a constant input in newer ones, if they are there.
    pub(super) fn ints(&self, node: &Node, name: &str, index: usize) -> Result<Option<Vec<i64>>, Error> {
        match node.ints(name) {
            Some(list) => Ok(Some(list.to_vec())),
            None => Ok(self.constant(node, index)?.map(|list| elements::to_ints(&list))),
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
            Value::Part(_) => {
                return Err(unsupported(
                    "reads some channels of an image, which only a norm may, and what puts them together",
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

    /// Adds an operator of one value that lies as that does.
    pub(super) fn unary(&mut self, at: &Node, op: Op, image: &Image) -> Result<Value, Error> {
        Ok(Value::Image(self.add(at, op, &[image], image.axes.clone())?))
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

    /// Adds an operator under this name.
    pub(super) fn add_named(
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
        if dims.contains(&0) || Tensor::len(&dims).is_none_or(|len| len > sizes::LARGEST) {
            return Err(unsupported(format!("gives an empty or too large image of {dims:?}")));
        }
        let operands: Vec<ir::Value> = operands.iter().map(|operand| operand.value).collect();
        let name = self.node_names.give(&legal(name));
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
        let same = |known: &&Tensor| {
            known.element == tensor.element && tensor.bytes.offset_in(&known.bytes) == Some(0)
        };
        let known = self.known.entry(dims.to_vec()).or_default();
        if let Some(found) = known.iter().filter_map(|place| self.tensors.get(*place)).find(same) {
            return Ok(Text::Owned(found.name.clone()));
        }
        known.push(self.tensors.len());
        let name = self.tensor_names.give(&legal(if tensor.name.is_empty() { name } else { &tensor.name }));
        self.tensors.push(Tensor { name: name.clone(), dims: dims.to_vec(), ..tensor.clone() });
        Ok(Text::Owned(name))
    }

    /// Numbers as a tensor of the network.
    pub(super) fn numbers(&mut self, numbers: &[f64], name: &str) -> Result<Text, Error> {
        let tensor = elements::of_floats(vec![numbers.len()], numbers);
        self.tensor(&tensor, &[numbers.len()], name)
    }

    /// The sizes of a value.
    pub(super) fn dims(&self, value: ir::Value) -> Dims {
        self.dims.get(&value).copied().unwrap_or_default()
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
            let place = |of: Axis| image.axes.iter().position(|axis| *axis == of);
            if let (Some(height), Some(width)) = (place(Axis::Height), place(Axis::Width))
                && height > width
            {
                return Err(cannot(
                    "is an image whose rows are columns: export the model without this transpose",
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
                .map(|(name, value)| Output { name: Some(names.give(&legal(name))), value: *value })
                .collect(),
        };
        self.graph.set_outputs(outputs);
        Ok(())
    }
}

fn node(name: String, op: Op) -> IrNode {
    let (span, block) = (Span::default(), "stem".to_owned());
    IrNode { name, op, ty: None, halo: Sides::default(), block, span, used: None }
}
