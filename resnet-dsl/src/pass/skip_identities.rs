//! Removes pools of one pixel with stride 1 in stem and head. (In blocks, lowering leaves them out.)

use crate::diag::Diagnostics;
use crate::ir::Op;
use crate::ir::graph::{Graph, Value};
use crate::ops::{AveragePool, Padding, Pool, Sides};

pub(super) fn run(graph: &mut Graph) -> Result<(), Diagnostics> {
    for value in graph.topological() {
        let (Op::MaxPool(pool) | Op::AveragePool(AveragePool { pool: Some(pool), .. })) =
            graph.node(value).op
        else {
            continue;
        };
        let source = graph.operands(value)[0];
        // A dense layer directly behind a flatten takes a kernel in the order of the image, which this keeps from it.
        let is_flat = graph.node(source).op == Op::Flatten;
        if is_identity(&pool) && !is_flat && !graph.is_output(value) {
            redirect(graph, value, source);
            graph.remove(value);
        }
    }
    Ok(())
}

fn is_identity(pool: &Pool) -> bool {
    pool.window == [1, 1] && pool.stride == [1, 1] && pool.padding == Padding::Sides(Sides::default())
}

/// Lets all that read a value read another.
fn redirect(graph: &mut Graph, from: Value, to: Value) {
    let mut users = graph.users(from);
    users.dedup();
    for user in users {
        let operands = graph.operands(user).into_iter();
        let operands: Vec<Value> =
            operands.map(|operand| if operand == from { to } else { operand }).collect();
        graph.set_operands(user, &operands);
    }
}
