//! Values become views of buffers, operators become steps.
//!
//! ```text
//! for each value in order:
//!     a sum or product  is written over one of its operands (over a copy, if somebody still needs that)
//!     a padded image  is a larger view of the image's buffer
//!     a flat image    is another shape of the image's buffer (of a copy, if the image has a halo)
//!     a flat image and what is computed along channels  are copied, if they are to have a halo themselves
//!     anything else   gets a buffer: its shape and its halo; a halo is cleared before the buffer is first written
//! ```

use std::collections::HashMap;

use resnet_plan::check::ALIGNMENT;
use resnet_plan::{
    Action, Algorithm, Algorithms, Buffer, Conv, Description, Dims, Element, Ending, LayerWeights,
    ListWeights, Output, Plan, Residual, Section, Split, Step, View,
};

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::{Op, Type};
use crate::ops::{Conv2d, Sides};
use crate::plan::step::{Place, Planning, numbers};

/// Steps and buffers for all images of the graph at once, without places.
///
/// # Errors
/// Operators that have no kernel on their own.
pub(super) fn lower(graph: &Graph, order: &[Value]) -> Result<Plan, Diagnostics> {
    let position = order.iter().enumerate().map(|(place, value)| (*value, place)).collect();
    let mut lowering = Lowering {
        graph,
        position,
        views: HashMap::new(),
        buffers: Vec::new(),
        steps: Vec::new(),
        layers: Vec::new(),
        lists: Vec::new(),
        outputs: HashMap::new(),
    };
    let mut errors = Diagnostics::default();
    let mut macs = 0;
    for value in order {
        let operands = graph.operands(*value);
        let inputs: Vec<Dims> = operands.iter().map(|operand| dims(graph, *operand)).collect();
        macs = graph.node(*value).op.macs(&inputs, dims(graph, *value)).saturating_add(macs);
        // What depends on a mistake has nothing to read.
        let all_there = operands.iter().all(|operand| lowering.views.contains_key(operand));
        if all_there && let Err(error) = lowering.value(*value, &operands) {
            errors.push(error);
        }
        if errors.is_empty() && graph.is_output(*value) {
            let view = lowering.output(*value);
            lowering.outputs.insert(*value, view);
        }
    }
    if !errors.is_empty() || graph.outputs().is_empty() {
        return Err(errors);
    }
    let Lowering { mut buffers, steps, layers, lists, outputs, .. } = lowering;
    let output = |output| Output { name: graph.output_name(output).to_owned(), view: outputs[&output.value] };
    let outputs: Vec<Output> = graph.outputs().iter().map(output).collect();
    for (index, step) in steps.iter().enumerate() {
        for view in step.views() {
            buffers[view.buffer].live[1] = index;
        }
    }
    for output in &outputs {
        buffers[output.view.buffer].live[1] = steps.len();
    }
    let input = order.iter().find(|value| matches!(graph.node(**value).op, Op::Input(_)));
    let input = input.map_or([0; 4], |input| dims(graph, *input));
    let description = Description {
        name: graph.name.clone().into(),
        precision: graph.precision.kind(),
        calibrated: graph.precision.calibrated(),
        layers: layers.into(),
        lists: lists.into(),
        peak_bytes: 0,
        scratch_bytes: 0,
        parameters: 0,
        macs,
        weight_bytes: 0,
        ending: Ending::Features,
        ignored: Default::default(),
        preprocessing: Default::default(),
        labels: Default::default(),
    };
    let sections = vec![Section { steps: 0..steps.len(), passes: 1 }];
    Ok(Plan { description, input, outputs, sections, buffers, steps })
}

/// What a step reads, and its gate.
type Reads = [Option<View>; 2];

struct Lowering<'a> {
    graph: &'a Graph,
    position: HashMap<Value, usize>,
    views: HashMap<Value, View>,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    layers: Vec<LayerWeights>,
    lists: Vec<ListWeights>,
    /// Where the network's outputs lie.
    outputs: HashMap<Value, View>,
}

impl Lowering<'_> {
    fn value(&mut self, value: Value, operands: &[Value]) -> Result<(), Diagnostic> {
        let node = self.graph.node(value);
        let read = operands.first().map(|operand| self.views[operand]);
        match (&node.op, read) {
            (Op::Input(_), _) => self.compute(value, [None, None], Action::Input),
            (Op::ZeroPad(_), Some(read)) => {
                let Sides { top, left, .. } = node.halo;
                let [_, height, width, _] = dims(self.graph, value);
                self.views.insert(value, View { at: [top, left], size: [height, width], ..read });
            }
            (Op::Flatten, Some(_)) => {
                let read = self.dense(operands[0]);
                let [n, height, width, stored] = read.dims;
                if height * width > 1 && stored != dims(self.graph, operands[0])[3] {
                    let message = format!("the channels of `{}` are filled up to whole words", node.name);
                    return Err(Diagnostic::new(message, node.span));
                }
                let dims = [n, 1, 1, height * width * stored];
                self.with_halo(value, View { dims, at: [0, 0], size: [1, 1], ..read });
            }
            (Op::Conv2d(conv), Some(read)) => {
                let [gate, residual] = conv.gate_and_residual(operands);
                let held = residual.map(|residual| self.views[&residual].element);
                let action = self.convolution(node, conv, read, dims(self.graph, operands[0]), held)?;
                let gate = gate.map(|gate| self.dense(gate));
                match residual {
                    Some(residual) => self.in_place(value, residual, [Some(read), gate], action),
                    None => self.compute(value, [Some(read), gate], action),
                }
            }
            (op, read) => {
                let ty = |operand: &Value| {
                    let node = self.graph.node(*operand);
                    Type { element: element(node), dims: dims(self.graph, *operand) }
                };
                let types: Vec<Type> = operands.iter().map(ty).collect();
                let mut planning = Planning { node, operands: &types, lists: &mut self.lists };
                let (action, place) = op.step(&mut planning)?;
                match place {
                    Place::Own => self.compute(value, [read, None], action),
                    Place::Dense => self.along_channels(value, operands[0], action),
                    Place::Over(held) => {
                        let other = operands[usize::from(held == 0)];
                        self.in_place(value, operands[held], [Some(self.views[&other]), None], action);
                    }
                }
            }
        }
        Ok(())
    }

    /// Computes a value into a buffer of its own.
    fn compute(&mut self, value: Value, reads: Reads, action: Action) {
        let node = self.graph.node(value);
        let write = self.allocate(node, dims(self.graph, value), node.halo);
        self.step(node, action, reads, write);
        self.views.insert(value, write);
    }

    /// Computes a value of one and into one that have no halo.
    fn along_channels(&mut self, value: Value, operand: Value, action: Action) {
        let node = self.graph.node(value);
        let read = self.dense(operand);
        let write = self.allocate(node, dims(self.graph, value), Sides::default());
        self.step(node, action, [Some(read), None], write);
        self.with_halo(value, write);
    }

    /// Computes a value over an operand that its buffer holds; over a copy of that, if it is still needed or read by the step itself.
    fn in_place(&mut self, value: Value, held: Value, reads: Reads, action: Action) {
        let node = self.graph.node(value);
        let mut write = self.views[&held];
        let read = reads.iter().flatten().any(|read| read.buffer == write.buffer);
        if read || self.is_needed_behind(write.buffer, self.position[&value]) {
            let copy = self.allocate(self.graph.node(held), dims(self.graph, held), node.halo);
            self.step(node, Action::Copy, [Some(write), None], copy);
            write = copy;
        }
        write.element = element(node);
        self.step(node, action, reads, write);
        self.views.insert(value, write);
    }

    /// Whether a value that lies in a buffer is an output, or read behind a place in the order.
    fn is_needed_behind(&self, buffer: usize, position: usize) -> bool {
        let in_buffer = self.views.iter().filter(|(_, view)| view.buffer == buffer);
        in_buffer
            .map(|(value, _)| *value)
            .any(|value| self.graph.is_output(value) || self.last_use(value) > position)
    }

    /// When a value is read last, by itself or as another view of its buffer.
    fn last_use(&self, value: Value) -> usize {
        let last = |user: &Value| match self.graph.node(*user).op {
            Op::ZeroPad(_) | Op::Flatten => self.last_use(*user),
            _ => self.position.get(user).copied().unwrap_or(0),
        };
        self.graph.users(value).iter().map(last).max().unwrap_or(0)
    }

    /// A value without a halo, copied if need be.
    fn dense(&mut self, value: Value) -> View {
        let view = self.views[&value];
        if view.is_dense() {
            return view;
        }
        let node = self.graph.node(value);
        let copy = self.allocate(node, dims(self.graph, value), Sides::default());
        self.step(node, Action::Copy, [Some(view), None], copy);
        copy
    }

    /// A value without a halo in f32, copied if need be.
    fn output(&mut self, value: Value) -> View {
        let view = self.views[&value];
        if view.is_dense() && view.element == Element::F32 {
            return view;
        }
        let node = self.graph.node(value);
        let copy = self.allocate_as(Element::F32, node, dims(self.graph, value), Sides::default());
        self.step(node, Action::Copy, [Some(view), None], copy);
        copy
    }

    /// Lets a value lie in a view without a halo; in a copy of it, if the value is to have one.
    fn with_halo(&mut self, value: Value, view: View) {
        let node = self.graph.node(value);
        if node.halo == Sides::default() {
            self.views.insert(value, view);
        } else {
            self.compute(value, [Some(view), None], Action::Copy);
        }
    }

    fn allocate(&mut self, node: &Node, dims: Dims, halo: Sides) -> View {
        self.allocate_as(element(node), node, dims, halo)
    }

    fn allocate_as(&mut self, element: Element, node: &Node, [n, h, w, c]: Dims, halo: Sides) -> View {
        let c = c.next_multiple_of(element.per_word());
        let Sides { top, bottom, left, right } = halo;
        let view = View {
            buffer: self.buffers.len(),
            element,
            dims: [n, top + h + bottom, left + w + right, c],
            at: [top, left],
            size: [h, w],
        };
        let first = self.steps.len();
        self.buffers.push(Buffer {
            name: node.name.clone(),
            bytes: view.bytes().next_multiple_of(ALIGNMENT),
            offset: 0,
            live: [first, first],
            whole: false,
        });
        if !view.is_dense() {
            self.step(node, Action::Clear, [None, None], view);
        }
        view
    }

    fn step(&mut self, node: &Node, action: Action, [read, gate]: Reads, write: View) {
        let (name, block) = (node.name.clone(), node.block.clone());
        self.steps.push(Step { name, block, action, read, gate, write });
    }

    fn convolution(
        &mut self,
        node: &Node,
        conv: &Conv2d,
        read: View,
        input: Dims,
        residual: Option<Element>,
    ) -> Result<Action, Diagnostic> {
        let Sides { top, left, .. } = numbers(node, conv.padding)?;
        let algorithms = conv.algorithms.unwrap_or(Algorithms::all(Algorithm::Direct));
        let (Some(first_row), Some(first_column)) =
            (read.at[0].checked_sub(top), read.at[1].checked_sub(left))
        else {
            let message = format!("the input of `{}` has no halo for its padding", node.name);
            return Err(Diagnostic::new(message, node.span));
        };
        let blocks = conv.channels(input[3], read.element.precision()).blocks;
        let layer = LayerWeights {
            name: node.name.clone().into(),
            shape: [conv.kernel[0], conv.kernel[1], input[3], conv.filters],
            groups: conv.groups,
            blocks,
            algorithm: algorithms.packing(read.element.precision()),
            elements: [read.element, element(node)],
            input_norm: conv.weights.input_norm.clone(),
            kernel: conv.weights.tensor.clone(),
            standardized: conv.standardized,
            bias: conv.bias.as_ref().and_then(|bias| bias.tensor.clone()),
            batch_norm: conv.weights.batch_norm.clone(),
            slope: conv.activation.slope.clone(),
        };
        // One with a gate shares its weights with what the gate's mean is made by.
        let shared = self.layers.iter().position(|other| conv.gated && other.is_same(&layer));
        let index = shared.unwrap_or(self.layers.len());
        if index == self.layers.len() {
            self.layers.push(layer);
        }
        let conv = Conv {
            kernel: conv.kernel,
            stride: conv.stride,
            dilation: conv.dilation,
            blocks,
            from: [first_row, first_column],
            residual: Residual::of(residual, element(node)),
            activation: conv.activation.function,
            algorithms,
            split: conv.split.unwrap_or(Split::Pixels),
        };
        Ok(Action::Conv { layer: index, conv })
    }
}

fn element(node: &Node) -> Element {
    node.ty.map_or(Element::F32, |Type { element, .. }| element)
}

fn dims(graph: &Graph, value: Value) -> Dims {
    graph.node(value).ty.map_or([0; 4], |ty| ty.dims)
}
