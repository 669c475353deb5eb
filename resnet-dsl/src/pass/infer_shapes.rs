//! Shape inference: every value gets its type, operands first.
//!
//! ```text
//! for each value, operands first:
//!     if all operands have types: type = the operator's shape rule, or one diagnostic
//! ```
//! What depends on a mistake stays without a type and is not reported again.

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::{Op, Type};
use crate::ops::Dims;
use crate::ops::LARGEST;

/// The pass.
///
/// # Errors
/// Every operator that does not take its operands.
pub fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut tell = |diagnostic: Diagnostic, node: &Node| match node.used {
        // A mistake in a definition is one, whichever blocks use it.
        Some(_) if errors.mentions(node.span) => {}
        Some(used) => errors.push(diagnostic.also(used, "used here")),
        None => errors.push(diagnostic),
    };
    for value in graph.topological() {
        let operands = graph.operands(value);
        let Some(inputs) =
            operands.iter().map(|operand| Some(graph.node(*operand).ty?.dims)).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let node = graph.node_mut(value);
        match node.op.infer(&inputs) {
            Ok(dims) if dims.contains(&0) => {
                let message = format!("`{}` is empty: {}", node.name, Type::f32(dims));
                tell(Diagnostic::new(message, node.span), node);
            }
            Ok(dims) if too_large(&node.op, &inputs, dims) => {
                let diagnostic = Diagnostic::new(format!("`{}` is too large", node.name), node.span)
                    .label("no value and no kernel may have more than 2^28 elements");
                let image = dims[1..].iter().fold(1usize, |image, size| image.saturating_mul(*size));
                let by_batch = image <= LARGEST && image.saturating_mul(dims[0]) > LARGEST;
                let fewer = || {
                    let images = dims[0];
                    format!(
                        "a run has {images} images: ask for a smaller `batch`, on the command line `--batch`"
                    )
                };
                tell(if by_batch { diagnostic.help(fewer()) } else { diagnostic }, node);
            }
            Ok(dims) => node.ty = Some(Type::f32(dims)),
            Err(error) => {
                let mut diagnostic =
                    Diagnostic::new(error.message, node.span).label(format!("in `{}`", node.name));
                diagnostic.help = error.help;
                tell(origins(graph, diagnostic, &operands, &inputs), graph.node(value));
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Shows where the operands come from, if there are two that may disagree.
fn origins(graph: &Graph, mut diagnostic: Diagnostic, operands: &[Value], inputs: &[Dims]) -> Diagnostic {
    if operands.len() > 1 {
        for (operand, [_, h, w, c]) in operands.iter().zip(inputs) {
            let node = graph.node(*operand);
            diagnostic = diagnostic.also(node.span, format!("`{}` is {h}x{w}x{c}", node.name));
        }
    }
    diagnostic
}

fn too_large(op: &Op, inputs: &[Dims], output: Dims) -> bool {
    let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let fits = |elements: Option<usize>| elements.is_some_and(|elements| elements <= LARGEST);
    let kernel = match (op, inputs) {
        (Op::Conv2d(conv), [x, ..]) => {
            product(&[conv.kernel[0], conv.kernel[1], x[3] / conv.groups, conv.filters])
        }
        (Op::Dense(dense), [x, ..]) => product(&[x[3], dense.units]),
        _ => Some(1),
    };
    !fits(product(&output)) || !fits(kernel)
}
