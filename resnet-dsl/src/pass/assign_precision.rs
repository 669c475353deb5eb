//! Chooses what every value holds.
//!
//! ```text
//! f32:   nothing changes
//! bf16:  every value is bf16
//! int8:  every value is steps of a scale of the calibration table, unsigned where it cannot be negative; what only takes values
//!        from its operand (a maximum, a part, another shape) has its operand's type
//! then:  a sum that no activation cuts off (the stream of pre-activation networks, in which errors would add up) is f32, and what is
//!        pooled of it; so is what has kernels for f32 only (norms of the image itself, statistics, exponentials), and a flatten of
//!        pixels that are not whole words of four bytes; outputs are f32
//! between:
//!        an f32 value reads f32; but the first operand of a convolution is never f32
//!        a batch norm or an activation that stands alone reads either
//!        any other value reads no f32, but a `convert` of it
//! f32:   the convolution writes that, or a `convert` is put behind the value
//! ```
//! The network's input is converted where it is copied.

use std::collections::{HashMap, HashSet};

use crate::diag::{Diagnostic, Diagnostics};
use crate::ir::graph::{Graph, Node, Value};
use crate::ir::{Element, Op, Type};
use crate::ops::Sides;
use crate::spec::metadata::Precision;

/// The most products of a sum that always fits an i32.
const MOST_PRODUCTS: usize = i32::MAX as usize / (255 * 127);

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    let precision = graph.precision.clone();
    let table = match &precision {
        Precision::F32 => return Ok(()),
        Precision::Bf16 => None,
        Precision::Int8(table) => Some(table),
    };
    let unsigned = never_negative(graph);
    let mut errors = Diagnostics::default();
    let mut narrow: HashMap<Value, Type> = HashMap::new();
    let mut wide: HashSet<Value> = HashSet::new();
    for value in graph.topological() {
        let node = graph.node(value);
        let Some(ty) = node.ty else { continue };
        let operand = graph.operands(value).first().copied();
        let element = match (table, &node.op, operand) {
            (None, ..) => Element::Bf16,
            (_, op, Some(x)) if takes_elements(op) => narrow.get(&x).map_or(Element::F32, |x| x.element),
            (Some(table), Op::Softmax, _) => {
                Element::U8(table.scales.get(&node.name).copied().unwrap_or(1.0 / 255.0))
            }
            (Some(table), ..) => match table.scales.get(&node.name) {
                Some(scale) if unsigned.contains(&value) => Element::U8(*scale),
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
        if let (Op::Conv2d(conv), Some(_), Some(x)) = (&node.op, table, operand) {
            let channels = graph.node(x).ty.map_or(0, |ty| ty.dims[3]);
            let products = conv.kernel[0] * conv.kernel[1] * channels / conv.groups;
            if products > MOST_PRODUCTS {
                let message = format!("a sum of `{}` has {products} products, too many for int8", node.name);
                let help = format!("there may be {MOST_PRODUCTS}, so that no sum outgrows 32 bits");
                errors.push(Diagnostic::new(message, node.span).help(help));
            }
        }
        narrow.insert(value, Type { element, ..ty });
        let is_wide = is_stream(graph, value)
            || node.op.is_only_f32()
            || operand.is_some_and(|x| wide.contains(&x) && keeps_wide(graph, x, &node.op))
            || is_mixed(&node.op, operand.and_then(|x| narrow.get(&x)));
        if is_wide {
            wide.insert(value);
        }
        graph.node_mut(value).ty = Some(if is_wide { Type::f32(ty.dims) } else { Type { element, ..ty } });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let kind = precision.kind();
    for user in graph.topological() {
        let operands = graph.operands(user);
        let mut new = Vec::with_capacity(operands.len());
        for (index, &value) in operands.iter().enumerate() {
            new.push(match takes(graph.node(user), index) {
                Some(true) => single(graph, value),
                Some(false) if wide.contains(&value) => in_type(graph, value, narrow[&value], kind),
                _ => value,
            });
        }
        if new != operands {
            graph.set_operands(user, &new);
        }
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

/// Whether a value is a sum that nothing cuts off: errors of all that are added up would stay in it.
fn is_stream(graph: &Graph, value: Value) -> bool {
    match &graph.node(value).op {
        Op::Add { activation } => activation.is_none(),
        Op::Conv2d(conv) => {
            conv.activation.is_none() && conv.gate_and_residual(&graph.operands(value))[1].is_some()
        }
        _ => false,
    }
}

/// Whether each element of a result is one of the operand's.
fn takes_elements(op: &Op) -> bool {
    matches!(op, Op::MaxPool(_) | Op::Subsample(_) | Op::Upsample(_) | Op::ZeroPad(_) | Op::Flatten)
}

/// Whether what is computed of an f32 value by this is f32 as well.
fn keeps_wide(graph: &Graph, x: Value, op: &Op) -> bool {
    !graph.node(x).op.is_only_f32() && (takes_elements(op) || matches!(op, Op::AveragePool(_) | Op::Blur(_)))
}

/// Whether a node takes f32 (`true`), or what is not f32 (`false`), as an operand; `None`: both. Those that read one element and write
/// another have channels of whole words.
fn takes(node: &Node, operand: usize) -> Option<bool> {
    let Type { element, dims: [.., channels] } = node.ty?;
    match &node.op {
        Op::Conv2d(_) if operand == 0 => Some(false),
        Op::BatchNorm { .. } | Op::Activation(_)
            if element != Element::F32 && channels.is_multiple_of(element.per_word()) =>
        {
            None
        }
        _ => Some(element == Element::F32),
    }
}

/// Whether a flat image would have what fills up words behind all of its pixels, and its operand behind each.
fn is_mixed(op: &Op, operand: Option<&Type>) -> bool {
    *op == Op::Flatten
        && operand.is_some_and(|Type { element, dims: [_, height, width, channels] }| {
            height * width > 1 && !channels.is_multiple_of(element.per_word())
        })
}

/// The values that cannot be negative.
pub fn never_negative(graph: &Graph) -> HashSet<Value> {
    let mut values = HashSet::new();
    for value in graph.topological() {
        let operands = graph.operands(value);
        let operands: Vec<bool> = operands.iter().map(|operand| values.contains(operand)).collect();
        if graph.node(value).op.is_positive(&operands) {
            values.insert(value);
        }
    }
    values
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
    let dims = graph.node(value).ty.map_or([0; 4], |ty| ty.dims);
    in_type(graph, value, Type::f32(dims), resnet_plan::Precision::F32)
}

/// A conversion of the value, of which there is one a type, and whose name ends in that of a precision.
fn in_type(graph: &mut Graph, value: Value, ty: Type, precision: resnet_plan::Precision) -> Value {
    let is_it = |user: &Value| graph.node(*user).op == Op::Convert && graph.node(*user).ty == Some(ty);
    if let Some(converted) = graph.users(value).into_iter().find(is_it) {
        return converted;
    }
    let Node { name, block, span, used, .. } = graph.node(value).clone();
    let name = format!("{name}.{precision}");
    let node = Node { name, op: Op::Convert, ty: Some(ty), halo: Sides::default(), block, span, used };
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

    #[test]
    fn sums_that_nothing_cuts_off_are_f32() {
        let graph = "network net\n%x = input {dims=1x4x4x8} : f32[1,4,4,8]\n\
                     %a = conv2d %x {k=1 s=1 p=0 filters=8 w=@a:oihw} : f32[1,4,4,8]\n\
                     %s = conv2d %a, %x {k=1 s=1 p=0 filters=8 w=@s:oihw} : f32[1,4,4,8]\n\
                     %n = relu %s : f32[1,4,4,8]\n\
                     %y = conv2d %n, %s {k=1 s=1 p=0 filters=8 w=@y:oihw} : f32[1,4,4,8]\nreturn %y";
        let found = messages(graph, &["x", "a", "s", "n", "y"].map(|name| (name, 0.5)));
        for line in [
            "%a = conv2d %x {k=1x1 s=1 p=0 filters=8 w=@a:oihw} : i8(0.5)",
            "%x.f32 = convert %x : f32",
            "%s = conv2d %a, %x.f32 {k=1x1 s=1 p=0 filters=8 w=@s:oihw} : f32",
            "%n = relu %s : u8(0.5)",
            "%y = conv2d %n, %s {k=1x1 s=1 p=0 filters=8 w=@y:oihw} : f32",
        ] {
            assert!(found.contains(line), "{line} in {found}");
        }
    }

    #[test]
    fn many_sums_are_looked_at_once() {
        let mut graph = "network net\n%x0 = input {dims=1x1x1x8} : f32[1,1,1,8]\n".to_owned();
        for sum in 1..100 {
            graph += &format!("%x{sum} = multiply %x{0}, %x{0} : f32[1,1,1,8]\n", sum - 1);
        }
        let graph = read(&(graph + "return %x99")).unwrap();
        assert!(never_negative(&graph).is_empty());
    }
}
