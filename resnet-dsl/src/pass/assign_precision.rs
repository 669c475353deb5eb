//! Chooses what every value holds.
//!
//! ```text
//! f32:   nothing changes
//! bf16:  every value is bf16
//! int8:  every value is steps of a scale of the calibration table, unsigned where it cannot be negative; what only takes values
//!        from its operand (a maximum, a part, another shape) has its operand's type
//! then:  the output, and what a softmax reads, is f32: its convolution writes that, or a `convert` is put behind it
//! ```
//! The network's input is converted where it is copied.

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::{Element, Op, Type};
use crate::ops::Sides;
use crate::spec::metadata::Precision;

/// The most products of a sum that always fits an i32.
const MOST_PRODUCTS: usize = i32::MAX as usize / (255 * 127);

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let precision = graph.precision.clone();
    if precision == Precision::F32 {
        return Ok(());
    }
    let mut errors = Diagnostics::default();
    for value in graph.topological() {
        let node = graph.node(value);
        let Some(ty) = node.ty else { continue };
        let operand = graph.operands(value).first().and_then(|operand| graph.node(*operand).ty);
        let element = match (&precision, &node.op, operand) {
            (Precision::F32, ..) => Element::F32,
            (Precision::Bf16, ..) => Element::Bf16,
            (_, Op::Softmax, _) => Element::F32,
            (_, Op::MaxPool(_) | Op::Subsample(_) | Op::ZeroPad(_) | Op::Flatten, Some(x)) => x.element,
            (Precision::Int8(table), ..) => match table.scales.get(&node.name) {
                Some(scale) if positive(graph, value) => Element::U8(*scale),
                Some(scale) => Element::I8(*scale),
                None => {
                    let message = format!("the calibration table has no scale of `{}`", node.name);
                    errors.push(
                        Diagnostic::new(message, node.span).help("make the table again: resnet calibrate"),
                    );
                    continue;
                }
            },
        };
        if let (Op::Conv2d(conv), Some(x), Precision::Int8(_)) = (&node.op, operand, &precision) {
            let products = conv.kernel[0] * conv.kernel[1] * x.dims[3];
            if products > MOST_PRODUCTS {
                let message = format!("a sum of `{}` has {products} products, too many for int8", node.name);
                let help = format!("there may be {MOST_PRODUCTS}, so that no sum outgrows 32 bits");
                errors.push(Diagnostic::new(message, node.span).help(help));
            }
        }
        graph.node_mut(value).ty = Some(Type { element, ..ty });
    }
    if errors.is_empty() {
        let Some(output) = graph.output() else { return Ok(()) };
        let softmax = graph.node(output).op == Op::Softmax;
        let scores = if softmax { graph.operands(output)[0] } else { output };
        let scores = single(graph, scores);
        if softmax {
            graph.set_operands(output, &[scores]);
            set_f32(graph, output);
        } else {
            graph.set_output(scores);
        }
        return Ok(());
    }
    Err(errors)
}

/// Whether a value cannot be negative.
pub fn positive(graph: &Graph, value: Value) -> bool {
    let of_operand = || graph.operands(value).first().is_some_and(|operand| positive(graph, *operand));
    match &graph.node(value).op {
        Op::Conv2d(conv) => conv.relu,
        Op::Add { relu } => *relu,
        Op::Relu | Op::Softmax => true,
        Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::Subsample(_)
        | Op::ZeroPad(_)
        | Op::Flatten
        | Op::Convert => of_operand(),
        Op::Input(_) | Op::BatchNorm(_) | Op::Dense(_) => false,
    }
}

/// The value in f32: itself, if it is a convolution's that can write that, else a conversion of it.
fn single(graph: &mut Graph, value: Value) -> Value {
    let alone = graph.users(value).len() <= 1 && graph.operands(value).len() == 1;
    if alone && matches!(graph.node(value).op, Op::Conv2d(_)) {
        set_f32(graph, value);
        return value;
    }
    let Node { name, ty, block, span, .. } = graph.node(value).clone();
    let node = Node {
        name: format!("{name}.f32"),
        op: Op::Convert,
        ty: ty.map(|ty| Type::f32(ty.dims)),
        halo: Sides::default(),
        block,
        span,
    };
    graph.add(node, &[value])
}

fn set_f32(graph: &mut Graph, value: Value) {
    let node = graph.node_mut(value);
    node.ty = node.ty.map(|ty| Type::f32(ty.dims));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::ir::read::read;

    fn messages(graph: &str, scales: &[(&str, f32)]) -> String {
        let mut graph = read(graph).unwrap();
        graph.precision = Precision::Int8(Calibration {
            network: "net".to_owned(),
            spec: 0,
            weights: 0,
            method: "mse".to_owned(),
            images: 1,
            scales: scales.iter().map(|(name, scale)| ((*name).to_owned(), *scale)).collect(),
        });
        run(&mut graph).map_or_else(|errors| errors.messages("net", "").join("\n"), |()| graph.to_string())
    }

    #[test]
    fn a_missing_scale_is_named() {
        let graph =
            "network net\n%x = input {dims=1x1x1x8} : f32[1,1,1,8]\n%y = relu %x : f32[1,1,1,8]\nreturn %y";
        let messages = messages(graph, &[("x", 0.5)]);
        assert!(messages.contains("the calibration table has no scale of `y`"), "{messages}");
    }

    #[test]
    fn sums_that_could_overflow_are_refused() {
        let conv = |side: usize| {
            format!(
                "network net\n%x = input {{dims=1x{side}x{side}x2048}} : f32[1,{side},{side},2048]\n\
                 %y = conv2d %x {{k={side} s=1 p=0 filters=8 w=@w:oihw}} : f32[1,1,1,8]\nreturn %y"
            )
        };
        let scales = [("x", 0.5), ("y", 0.5)];
        let found = messages(&conv(6), &scales);
        assert!(found.contains("73728 products, too many for int8"), "{found}");
        let found = messages(&conv(5), &scales);
        assert!(found.contains("i8(0.5)[1,5,5,2048]") && found.contains("f32[1,1,1,8]"), "{found}");
    }
}
