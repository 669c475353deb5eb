//! Chooses what every value holds.
//!
//! ```text
//! f32:   nothing changes
//! bf16:  every value is bf16
//! int8:  every value is steps of a scale of the calibration table, unsigned where it cannot be negative; what only takes values
//!        from its operand (a maximum, a part, another shape) has its operand's type
//! then:  what has kernels for f32 only (norms of the image itself, statistics, exponentials), and a flatten of pixels that are not
//!        whole words of four bytes, is f32, as is what it reads, and what others read of it is a `convert`
//!        outputs are f32
//! f32:   the convolution writes that, or a `convert` is put behind the value
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
    let kind = precision.kind();
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
            (
                _,
                Op::MaxPool(_) | Op::Subsample(_) | Op::Upsample(_) | Op::ZeroPad(_) | Op::Flatten,
                Some(x),
            ) => x.element,
            (Precision::Int8(table), Op::Softmax, _) => {
                Element::U8(table.scales.get(&node.name).copied().unwrap_or(1.0 / 255.0))
            }
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
            let products = conv.kernel[0] * conv.kernel[1] * x.dims[3] / conv.groups;
            if products > MOST_PRODUCTS {
                let message = format!("a sum of `{}` has {products} products, too many for int8", node.name);
                let help = format!("there may be {MOST_PRODUCTS}, so that no sum outgrows 32 bits");
                errors.push(Diagnostic::new(message, node.span).help(help));
            }
        }
        graph.node_mut(value).ty = Some(Type { element, ..ty });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let values = graph.topological();
    let only_f32: Vec<Value> = values.into_iter().filter(|value| is_only_f32(graph, *value)).collect();
    for &value in &only_f32 {
        let operand = graph.operands(value)[0];
        let operand = single(graph, operand);
        graph.set_operands(value, &[operand]);
        let users: Vec<Value> =
            graph.users(value).into_iter().filter(|user| !only_f32.contains(user)).collect();
        if !users.is_empty() {
            let converted = convert(graph, value, graph.node(value).ty, kind);
            for user in users {
                let operands = graph.operands(user).into_iter();
                let operands: Vec<Value> =
                    operands.map(|operand| if operand == value { converted } else { operand }).collect();
                graph.set_operands(user, &operands);
            }
        }
        set_f32(graph, value);
    }
    let mut outputs = graph.outputs().to_vec();
    for output in &mut outputs {
        let value = single(graph, output.value);
        // An output keeps its name.
        if value != output.value && output.name.is_none() {
            output.name = Some(graph.node(output.value).name.clone());
        }
        output.value = value;
    }
    graph.set_outputs(outputs);
    Ok(())
}

/// Whether a value is computed from f32 to f32 only. Channels are filled up to whole words, which a flat image has behind all of
/// its pixels and others behind each.
fn is_only_f32(graph: &Graph, value: Value) -> bool {
    let operand = || graph.node(graph.operands(value)[0]).ty;
    let op = &graph.node(value).op;
    op.is_only_f32()
        || *op == Op::Flatten
            && operand().is_some_and(|Type { element, dims: [_, height, width, channels] }| {
                height * width > 1 && !channels.is_multiple_of(element.per_word())
            })
}

/// Whether a value cannot be negative.
pub fn positive(graph: &Graph, value: Value) -> bool {
    let operands = graph.operands(value);
    let operands: Vec<bool> = operands.iter().map(|operand| positive(graph, *operand)).collect();
    graph.node(value).op.is_positive(&operands)
}

/// The value in f32: itself, if it is a convolution's that can write that, else a conversion of it, of which there is one.
fn single(graph: &mut Graph, value: Value) -> Value {
    if graph.node(value).ty.is_some_and(|ty| ty.element == Element::F32) {
        return value;
    }
    let uses = graph.users(value).len() + usize::from(graph.is_output(value));
    let alone = uses <= 1 && graph.operands(value).len() == 1;
    if alone && matches!(graph.node(value).op, Op::Conv2d(_)) {
        set_f32(graph, value);
        return value;
    }
    let ty = graph.node(value).ty.map(|ty| Type::f32(ty.dims));
    let is_it = |user: &Value| graph.node(*user).op == Op::Convert && graph.node(*user).ty == ty;
    if let Some(converted) = graph.users(value).into_iter().find(is_it) {
        return converted;
    }
    convert(graph, value, ty, resnet_plan::Precision::F32)
}

/// The value as elements of another type, whose name ends in that of a precision.
fn convert(graph: &mut Graph, value: Value, ty: Option<Type>, precision: resnet_plan::Precision) -> Value {
    let Node { name, block, span, used, .. } = graph.node(value).clone();
    let name = format!("{name}.{precision}");
    let node = Node { name, op: Op::Convert, ty, halo: Sides::default(), block, span, used };
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
