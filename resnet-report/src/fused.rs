//! What an operator does on the way, which had an operator of its own in the spec.

use resnet_dsl::ir::brief::base;
use resnet_dsl::ir::{Graph, Op, Value};
use resnet_dsl::ops::{Conv2d, Dense};

use crate::report::Fused;

/// In the order in which it is done.
pub(crate) fn fused(graph: &Graph, value: Value) -> Vec<Fused> {
    let op = &graph.node(value).op;
    let mut all = Vec::new();
    let mut add = |operator: &str, name: String, before| {
        all.push(Fused { operator: operator.to_owned(), name, before });
    };
    if let Op::Conv2d(Conv2d { weights, .. }) | Op::Dense(Dense { weights, .. }) = op {
        if let Some(norm) = &weights.input_norm {
            add("batch_norm", base(norm), true);
        }
        if let Some(norm) = &weights.batch_norm {
            add("batch_norm", base(norm), false);
        }
    }
    if let Op::Conv2d(conv) = op {
        let [gate, residual] = conv.gate_and_residual(&graph.operands(value));
        for (operator, operand) in [("multiply", gate), ("add", residual)] {
            if let Some(operand) = operand {
                add(operator, graph.node(operand).name.clone(), false);
            }
        }
    }
    if let Some(activation) = op.clone().activation_mut()
        && !activation.is_none()
    {
        let slope = activation.slope.as_ref().map(|slope| slope.name.to_string());
        add(activation.name(), slope.unwrap_or_default(), false);
    }
    all
}
