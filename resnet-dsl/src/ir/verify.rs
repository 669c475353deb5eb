//! The verifier: what holds of every graph, after every pass.
//!
//! 1. There is an output at least, whose names are unique and can be written, and exactly one input.
//! 2. The graph has no cycle.
//! 3. Names are unique and can be written in the text form; so can tensor names.
//! 4. A value has as many operands as its operator takes, in places 0, 1, ... without gaps.
//! 5. Either no value has a type, or all have: the one that the operator's shape rule gives, its attributes in numbers.
//!
//! Halos are the plan's business: [`check`](resnet_plan::check()) looks whether every read was written.

use std::collections::HashSet;

use resnet_plan::text::is_name;

use crate::ir::graph::{Graph, Value};
use crate::ops::Op;

/// What does not hold, one line each; empty: all does.
pub fn verify(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    let values = graph.topological();
    if graph.outputs().is_empty() {
        faults.push("the graph has no output".to_owned());
    }
    let mut outputs = HashSet::new();
    for output in graph.outputs() {
        let name = graph.output_name(output);
        if !is_name(name) {
            faults.push(format!("the output {name} cannot be written"));
        }
        if !outputs.insert(name) {
            faults.push(format!("the output {name} is there twice"));
        }
    }
    let inputs = values.iter().filter(|value| matches!(graph.node(**value).op, Op::Input(_))).count();
    if inputs != 1 {
        faults.push(format!("the graph has {inputs} inputs"));
    }
    if values.len() != graph.len() {
        faults.push("the graph has a cycle".to_owned());
        return faults;
    }
    let mut names = HashSet::new();
    for value in &values {
        let node = graph.node(*value);
        if !is_name(&node.name) {
            faults.push(format!("%{} cannot be written", node.name));
        }
        if !names.insert(&node.name) {
            faults.push(format!("%{} is defined twice", node.name));
        }
        let positions = graph.operand_positions(*value);
        if positions.iter().enumerate().any(|(place, position)| place != *position) {
            faults.push(format!("%{} has operands in places {positions:?}", node.name));
        }
        if !node.op.arity().contains(&positions.len()) {
            let name = node.op.name();
            faults.push(format!("%{}: `{name}` does not take {} operands", node.name, positions.len()));
        }
    }
    if faults.is_empty() && values.iter().any(|value| graph.node(*value).ty.is_some()) {
        faults.extend(values.iter().filter_map(|value| check_type(graph, *value).err()));
    }
    faults
}

fn check_type(graph: &Graph, value: Value) -> Result<(), String> {
    let node = graph.node(value);
    let Some(ty) = node.ty else { return Err(format!("%{} has no type", node.name)) };
    let operands: Option<Vec<_>> =
        graph.operands(value).iter().map(|operand| Some(graph.node(*operand).ty?.dims)).collect();
    let Some(operands) = operands else { return Ok(()) }; // the operand's own line says it
    let scale = ty.element.scale();
    if !(scale.is_finite() && scale > 0.0) {
        return Err(format!("%{} has the scale {scale}, not a number above zero", node.name));
    }
    let mut op = node.op.clone();
    match op.infer(&operands) {
        Err(error) => Err(format!("%{}: {error}", node.name)),
        Ok(dims) if dims != ty.dims => {
            Err(format!("%{} is {ty}, its operator gives {}", node.name, crate::ir::Type::f32(dims)))
        }
        Ok(_) if op != node.op => Err(format!("%{} has attributes that are not in numbers", node.name)),
        Ok(_) => Ok(()),
    }
}
