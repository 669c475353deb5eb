//! Computes all values of a graph by the definitions of its operators, in f64: what passes, kernels and imported networks
//! are compared with.
//!
//! ```text
//! check the graph, infer all shapes
//! for each value, operands first:
//!     load the tensors of its operator, fold batch norms into them
//!     compute it by plain loops; add a residual, apply a fused activation
//! ```
//! [`weights`] and [`operators`] are these two steps on their own.

pub mod operators;
pub mod statistics;
pub mod weights;

use std::collections::HashMap;

use resnet_plan::{Dims, WeightTensor};

use crate::ir::graph::{Graph, Value};
use crate::ir::verify::verify;
use crate::ir::{Element, Op};
use crate::ops::ShapeError;
use crate::pass;

/// The most elements that all values of a graph may have together: 4 GiB of f64.
const LARGEST: usize = 1 << 29;

/// An array of images: NHWC, the channels of a pixel are contiguous.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Batch, height, width, channels.
    pub dims: Dims,
    /// As many elements as these sizes say.
    pub data: Vec<f64>,
}

/// Gives the elements of a tensor, in the order of the weight file.
pub type Load<'a> = &'a mut dyn FnMut(&WeightTensor<'_>) -> Result<Vec<f64>, String>;

/// Why a graph cannot be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// The verifier refuses the graph, or shapes do not fit: all faults.
    #[error("the graph is not sound: {}", .0.join("; "))]
    Graph(Vec<String>),
    /// A value is not f32.
    #[error(
        "%{name} is {element}: only graphs whose values are all f32 are evaluated, as before `assign-precision`"
    )]
    Element {
        /// The value.
        name: String,
        /// What it holds.
        element: Element,
    },
    /// The values have too many elements together.
    #[error("the values have {elements} elements together, more than 2^29: use a smaller batch or input")]
    TooLarge {
        /// How many.
        elements: usize,
    },
    /// The input has another number of elements.
    #[error("the input has {found} elements, {dims:?} needs {}", dims.iter().product::<usize>())]
    Input {
        /// The graph's.
        dims: Dims,
        /// Elements that were given.
        found: usize,
    },
    /// The loader has no such tensor.
    #[error("cannot load `{tensor}`: {message}")]
    Load {
        /// The tensor.
        tensor: String,
        /// What the loader says.
        message: String,
    },
    /// The loader gave another number of elements.
    #[error("`{tensor}` has {found} elements, {dims:?} needs {}", dims.iter().product::<usize>())]
    Length {
        /// The tensor.
        tensor: String,
        /// The shape that was asked for.
        dims: Vec<usize>,
        /// Elements that were given.
        found: usize,
    },
}

impl From<ShapeError> for EvaluateError {
    fn from(error: ShapeError) -> Self {
        EvaluateError::Graph(vec![error.message])
    }
}

/// All values of a graph, by name. The graph may be as the spec says it or after any pass, as long as all values are f32.
///
/// `input` is NHWC, the whole batch. `load` is asked for each tensor, perhaps more than once.
///
/// # Errors
/// If the graph is not sound, not f32 or too large, if the input has another length, or if the loader fails.
pub fn evaluate(
    graph: &Graph,
    load: Load<'_>,
    input: &[f64],
) -> Result<HashMap<String, Array>, EvaluateError> {
    evaluate_rounded(graph, load, input, &mut |_, _| {})
}

/// As [`evaluate`]; `round` may change each value, which it is given with its name, before it is read: as narrower elements would.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_rounded(
    graph: &Graph,
    load: Load<'_>,
    input: &[f64],
    round: &mut dyn FnMut(&str, &mut [f64]),
) -> Result<HashMap<String, Array>, EvaluateError> {
    let graph = typed(graph)?;
    let mut values: HashMap<String, Array> = HashMap::with_capacity(graph.len());
    for value in graph.topological() {
        let node = graph.node(value);
        let operands = graph.operands(value);
        let operands: Vec<&Array> =
            operands.iter().map(|operand| &values[graph.node(*operand).name.as_str()]).collect();
        let mut result = match operands[..] {
            [_, ..] => compute(&graph, value, &operands, load)?,
            [] => {
                let dims = node.op.clone().infer(&[])?;
                if dims.iter().product::<usize>() != input.len() {
                    return Err(EvaluateError::Input { dims, found: input.len() });
                }
                Array { dims, data: input.to_vec() }
            }
        };
        round(&node.name, &mut result.data);
        values.insert(node.name.clone(), result);
    }
    Ok(values)
}

/// The graph with all types, windows and padding in numbers. All sizes are checked.
fn typed(graph: &Graph) -> Result<Graph, EvaluateError> {
    let faults = verify(graph);
    if !faults.is_empty() {
        return Err(EvaluateError::Graph(faults));
    }
    let values = graph.topological();
    for node in values.iter().map(|value| graph.node(*value)) {
        if let Some(element) = node.ty.map(|ty| ty.element).filter(|element| *element != Element::F32) {
            return Err(EvaluateError::Element { name: node.name.clone(), element });
        }
    }
    let mut graph = graph.clone();
    pass::infer_shapes(&mut graph).map_err(|errors| {
        let note = |(_, note): &(_, String)| note.clone();
        let line = |error: &crate::diag::Diagnostic| {
            format!("{} ({})", error.message, error.labels.first().map(note).unwrap_or_default())
        };
        EvaluateError::Graph(errors.iter().map(line).collect())
    })?;
    let elements = values.iter().filter_map(|value| graph.node(*value).ty).map(|ty| ty.len()).sum();
    if elements > LARGEST { Err(EvaluateError::TooLarge { elements }) } else { Ok(graph) }
}

/// One value, from its operands. Types are inferred, and the operands have those shapes.
///
/// # Errors
/// If shapes do not fit, or the loader fails.
///
/// # Panics
/// If there are no operands, or they have other shapes.
pub fn compute(
    graph: &Graph,
    value: Value,
    operands: &[&Array],
    load: Load<'_>,
) -> Result<Array, EvaluateError> {
    let op = &graph.node(value).op;
    let mut y = op.evaluate(operands, image(graph, value, operands[0].dims), load)?;
    let alone = if let Op::Activation(activation) = op { Some(activation.clone()) } else { None };
    if let Some(activation) = alone.or_else(|| op.clone().activation_mut().cloned()) {
        let slopes = weights::slopes(&activation, y.dims[3], load)?;
        operators::activate(activation.function, &slopes, &mut y);
    }
    Ok(y)
}

/// What the operand of a dense layer is before it is flattened: its kernel may be in the order of that image.
fn image(graph: &Graph, dense: Value, flat: Dims) -> Dims {
    let source = |value| graph.operands(value).first().copied();
    let mut operand = source(dense);
    while let Some(value) = operand.filter(|value| graph.node(*value).op == Op::Flatten) {
        operand = source(value);
    }
    operand.and_then(|value| graph.node(value).ty).map_or(flat, |ty| ty.dims)
}
