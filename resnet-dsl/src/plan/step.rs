//! What an operator asks of the planner: what its step does, and where that writes.

use resnet_plan::{Element, ListKind, ListWeights};

use crate::diag::Diagnostic;
use crate::ir::{Node, Type};
use crate::ops::{Activation, Padding, Sides};

/// Where a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A buffer of its own.
    Own,
    /// The same, from and to values without a halo.
    Dense,
    /// Over the operand of this index. It reads the other of the two.
    Over(usize),
}

/// What is known of an operator when its step is made.
pub(crate) struct Planning<'a> {
    /// Its node.
    pub(crate) node: &'a Node,
    /// What it reads.
    pub(crate) operands: &'a [Type],
    /// The lists of weights of all steps so far.
    pub(crate) lists: &'a mut Vec<ListWeights>,
}

impl Planning<'_> {
    /// Index of a new list of weights.
    pub(crate) fn list(&mut self, kind: ListKind, activation: &Activation) -> usize {
        let channels = self.node.ty.map_or(0, |ty| ty.dims[3]);
        let (name, slope) = (self.node.name.clone().into(), activation.slope.clone());
        self.lists.push(ListWeights { name, channels, kind, slope });
        self.lists.len() - 1
    }

    /// Index of a new list of the slopes of an activation, if it has any.
    pub(crate) fn slopes(&mut self, activation: &Activation) -> Option<usize> {
        activation.slope.as_ref().map(|_| self.list(ListKind::Slopes, activation))
    }

    /// What an operand holds.
    pub(crate) fn element(&self, operand: usize) -> Element {
        self.operands.get(operand).map_or(Element::F32, |ty| ty.element)
    }

    /// Channels of an operand.
    pub(crate) fn channels(&self, operand: usize) -> usize {
        self.operands.get(operand).map_or(0, |ty| ty.dims[3])
    }

    /// The error of an operator that has no step of its own.
    pub(crate) fn without_kernel(&self) -> Diagnostic {
        let Node { name, op, span, .. } = self.node;
        Diagnostic::new(format!("`{}` cannot stand on its own, as `{name}` does", op.name()), *span)
            .help("run all passes before: `lower-dense` makes dense layers convolutions, `infer-shapes` gives global pools their window")
    }
}

/// The padding of a node in numbers.
///
/// # Errors
/// If it is not, as before shapes are inferred.
pub(crate) fn numbers(node: &Node, padding: Padding) -> Result<Sides, Diagnostic> {
    match padding {
        Padding::Sides(sides) => Ok(sides),
        _ => Err(Diagnostic::new(format!("the padding of `{}` is not in numbers", node.name), node.span)),
    }
}
