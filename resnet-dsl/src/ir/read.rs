//! Reads the text form that [`print`](crate::ir::print) describes.

use std::collections::HashMap;

use resnet_plan::text::is_name;

use crate::diag::Span;
use crate::ir::graph::{Graph, Node, Output, Value};
use crate::ops::Op;
use crate::ops::{Attributes, Sides, Text};
use crate::quoted::unquoted;

/// Why a text is not a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

/// The graph of a text. Empty lines and comments are passed over: `//` at the start of a line or behind a space, with a space
/// or nothing behind it, and what follows. (Names have slashes, too.)
///
/// # Errors
/// The first line that is not of the text form, uses a value before it is defined or defines one twice.
pub fn read(text: &str) -> Result<Graph, ReadError> {
    let mut graph = Graph::new("");
    let mut values: HashMap<String, Value> = HashMap::new();
    let mut block = String::new();
    for (index, line) in text.lines().enumerate() {
        let (whole, line) = (line.trim(), without_comment(line).trim());
        let result = if line.is_empty() {
            Ok(())
        } else if let Some(name) = whole.strip_prefix("network ") {
            network(name.trim()).map(|name| graph.name = name)
        } else if let Some(name) = line.strip_suffix(':').filter(|name| is_name(name)) {
            block = name.to_owned();
            Ok(())
        } else if let Some(name) = line.strip_prefix("return ") {
            outputs(name, &values).map(|outputs| graph.set_outputs(outputs))
        } else {
            node(line, &block, &values).and_then(|(node, operands)| {
                let name = node.name.clone();
                match values.insert(name.clone(), graph.add(node, &operands)) {
                    None => Ok(()),
                    Some(_) => Err(format!("%{name} is defined twice")),
                }
            })
        };
        result.map_err(|message| ReadError { line: index + 1, message })?;
    }
    Ok(graph)
}

fn without_comment(line: &str) -> &str {
    let comment = |place: &usize| {
        let (before, behind) = (&line[..*place], &line[place + 2..]);
        (before.is_empty() || before.ends_with(char::is_whitespace))
            && (behind.is_empty() || behind.starts_with(char::is_whitespace))
    };
    let place = line.match_indices("//").map(|(place, _)| place).find(comment);
    &line[..place.unwrap_or(line.len())]
}

/// `name`, or `"any text"`
fn network(name: &str) -> Result<String, String> {
    if !name.starts_with('"') {
        return Ok(without_comment(name).trim().to_owned());
    }
    match unquoted(name) {
        Some((name, rest)) if without_comment(rest).trim().is_empty() => Ok(name),
        _ => Err(format!("{name} is not a name in quotes")),
    }
}

/// `%name = operator %operands {attributes} : type halo=sides`
fn node(line: &str, block: &str, values: &HashMap<String, Value>) -> Result<(Node, Vec<Value>), String> {
    let (name, rest) = line.split_once(" = ").ok_or("this is no `%name = operator` line")?;
    let name = name.strip_prefix('%').filter(|name| is_name(name)).ok_or("a value is written %name")?;
    let (rest, halo) = match rest.rsplit_once(" halo=") {
        Some((rest, halo)) => (rest, halo.parse::<Text<Sides>>()?.0),
        None => (rest, Sides::default()),
    };
    let (rest, ty) = match rest.rsplit_once(" : ") {
        Some((rest, ty)) => (rest, Some(ty.parse()?)),
        None => (rest, None),
    };
    let (rest, attributes) = match rest.find('{') {
        Some(place) => (&rest[..place], rest[place..].trim().parse()?),
        None => (rest, Attributes::default()),
    };
    let (operator, operands) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let operands = operands
        .split(',')
        .map(str::trim)
        .filter(|operand| !operand.is_empty())
        .map(|operand| find(values, operand))
        .collect::<Result<_, _>>()?;
    let node = Node {
        name: name.to_owned(),
        op: Op::read(operator, attributes)?,
        ty,
        halo,
        block: block.to_owned(),
        span: Span::default(),
        used: None,
    };
    Ok((node, operands))
}

/// `%fc`, or `layer2=%layer2.1, %fc`
fn outputs(text: &str, values: &HashMap<String, Value>) -> Result<Vec<Output>, String> {
    let output = |text: &str| match text.trim().split_once('=') {
        Some((name, value)) if is_name(name.trim()) => {
            Ok(Output { name: Some(name.trim().to_owned()), value: find(values, value)? })
        }
        Some((name, _)) => Err(format!("`{name}` cannot be the name of an output")),
        None => Ok(Output { name: None, value: find(values, text)? }),
    };
    text.split(',').map(output).collect()
}

fn find(values: &HashMap<String, Value>, name: &str) -> Result<Value, String> {
    let name = name.trim();
    let value = name.strip_prefix('%').and_then(|name| values.get(name));
    value.copied().ok_or_else(|| format!("{name} is not defined before this line"))
}
