//! Operators of constants, computed while a file is read: shapes, reshaped and standardized weights.
//!
//! An element is read as f64 when it is needed, so that nothing but the result takes memory.

use crate::checkpoint::{Bytes, Element, Tensor};
use crate::error::Error;
use crate::onnx::elements::{
    Places, collect, expanded, get, ints, of_floats, of_ints, picked, reordered, to_ints,
};
use crate::onnx::proto::{Node, is_standard};
use crate::onnx::sizes::{
    all_within, broadcast, permutation, ranges, shape_part, squeezed, target, unsqueezed, within,
};
use crate::onnx::tensor;
use crate::onnx::{malformed, unsupported};
use crate::strided::strides;

/// The most elements that a constant may be given which is larger than all that it is made of.
const LARGEST: usize = 1 << 22;

/// The constant that a node gives, all of whose inputs are constants; `None`: the operator is not known here. An input that is left
/// out is `None`.
pub(super) fn fold(node: &Node, opset: i64, inputs: &[Option<Tensor>]) -> Result<Option<Tensor>, Error> {
    if !is_standard(&node.domain) {
        return Ok(None);
    }
    let input = |index: usize| -> Result<&Tensor, Error> {
        let input = inputs.get(index).and_then(Option::as_ref);
        input.ok_or_else(|| malformed(format!("has no input {index}")))
    };
    let optional = |index: usize| inputs.get(index).and_then(Option::as_ref);
    let axes = || -> Option<Vec<i64>> {
        let attribute = node.ints("axes").map(<[i64]>::to_vec);
        attribute.or_else(|| optional(1).map(to_ints))
    };
    let result = match node.op.as_str() {
        "Identity" | "Dropout" => input(0)?.clone(),
        "Cast" => {
            let kind = node.int("to").unwrap_or_default();
            let element = tensor::element(kind)
                .map_err(|kind| unsupported(format!("makes {kind}, which have no counterpart")))?;
            let x = input(0)?;
            if x.element == element { x.clone() } else { map(x, element, |x| x)? }
        }
        "Shape" => {
            let dims: Vec<i64> = input(0)?.dims.iter().map(|size| size.cast_signed() as i64).collect();
            ints(shape_part(node, &dims))
        }
        "Size" => of_ints(vec![], &[Tensor::len(&input(0)?.dims).unwrap_or_default().cast_signed() as i64]),
        "Constant" => {
            let names = ["value", "value_float", "value_int", "value_floats", "value_ints"];
            node.tensor(&names).ok_or_else(|| unsupported("has no value of numbers"))?
        }
        "ConstantOfShape" => {
            let value = node.tensor(&["value"]).unwrap_or(of_floats(vec![], &[0.0]));
            expand(&value, &sizes(&to_ints(input(0)?))?)?
        }
        "Expand" => {
            let (x, to) = (input(0)?, sizes(&to_ints(input(1)?))?);
            expand(x, &broadcast(&[&x.dims, &to])?)?
        }
        "Reshape" => {
            let x = input(0)?;
            reshaped(x, target(&x.dims, &to_ints(input(1)?), node.int("allowzero") == Some(1))?)?
        }
        "Flatten" => {
            let x = input(0)?;
            let axis = within(node.int("axis").unwrap_or(1), x.dims.len() + 1)?;
            let product = |dims: &[usize]| Tensor::len(dims).unwrap_or_default();
            reshaped(x, vec![product(&x.dims[..axis]), product(&x.dims[axis..])])?
        }
        "Squeeze" => {
            let x = input(0)?;
            reshaped(x, squeezed(&x.dims, axes().as_deref())?)?
        }
        "Unsqueeze" => {
            let x = input(0)?;
            reshaped(x, unsqueezed(&x.dims, &axes().ok_or_else(|| malformed("has no axes"))?)?)?
        }
        "Transpose" => transpose(input(0)?, node.ints("perm"))?,
        "Concat" => {
            let parts: Vec<&Tensor> = (0..inputs.len()).map(input).collect::<Result<_, _>>()?;
            concat(&parts, node.int("axis").unwrap_or_default())?
        }
        "Gather" => gather(input(0)?, input(1)?, node.int("axis").unwrap_or_default())?,
        "Slice" => {
            let list = |name: &str, index: usize| {
                node.ints(name).map(<[i64]>::to_vec).or_else(|| optional(index).map(to_ints))
            };
            slice(
                input(0)?,
                &list("starts", 1).unwrap_or_default(),
                &list("ends", 2).unwrap_or_default(),
                list("axes", 3).as_deref(),
                list("steps", 4).as_deref(),
            )?
        }
        "Range" => {
            let [first, end, step] = [0, 1, 2].map(|index| input(index).map(|x| get(x, 0)));
            let (first, end, step) = (first?, end?, step?);
            let count = ((end - first) / step).ceil();
            if !(0.0..=LARGEST as f64).contains(&count) {
                return Err(unsupported(format!("gives {count} numbers")));
            }
            let numbers = (0..count as usize).map(|index| first + step * index as f64);
            collect(vec![count as usize], input(0)?.element, numbers)
        }
        "Add" => binary(input(0)?, input(1)?, |a, b| a + b)?,
        "Sub" => binary(input(0)?, input(1)?, |a, b| a - b)?,
        "Mul" => binary(input(0)?, input(1)?, |a, b| a * b)?,
        "Div" if is_whole(input(0)?.element) => binary(input(0)?, input(1)?, |a, b| (a / b).trunc())?,
        "Div" => binary(input(0)?, input(1)?, |a, b| a / b)?,
        "Pow" => binary(input(0)?, input(1)?, f64::powf)?,
        "Max" if inputs.len() == 2 => binary(input(0)?, input(1)?, f64::max)?,
        "Min" if inputs.len() == 2 => binary(input(0)?, input(1)?, f64::min)?,
        "Equal" => compared(input(0)?, input(1)?, |a, b| a == b)?,
        "Greater" => compared(input(0)?, input(1)?, |a, b| a > b)?,
        "Less" => compared(input(0)?, input(1)?, |a, b| a < b)?,
        "Not" => map(input(0)?, Element::U8, |x| f64::from(x == 0.0))?,
        "Where" => {
            let (condition, a, b) = (input(0)?, input(1)?, input(2)?);
            let dims = broadcast(&[&condition.dims, &a.dims, &b.dims])?;
            let places = [condition, a, b].map(|x| Places::new(&x.dims, &dims));
            let number = |index: usize| {
                let [condition_at, a_at, b_at] = [0, 1, 2].map(|operand: usize| places[operand].at(index));
                if get(condition, condition_at) == 0.0 { get(b, b_at) } else { get(a, a_at) }
            };
            let len = bounded(&dims, &[condition, a, b])?;
            collect(dims, a.element, (0..len).map(number))
        }
        "Neg" => map(input(0)?, input(0)?.element, |x| -x)?,
        "Abs" => map(input(0)?, input(0)?.element, f64::abs)?,
        "Sqrt" => map(input(0)?, input(0)?.element, f64::sqrt)?,
        "Exp" => map(input(0)?, input(0)?.element, f64::exp)?,
        "Log" => map(input(0)?, input(0)?.element, f64::ln)?,
        "Reciprocal" => map(input(0)?, input(0)?.element, f64::recip)?,
        "Floor" => map(input(0)?, input(0)?.element, f64::floor)?,
        "Ceil" => map(input(0)?, input(0)?.element, f64::ceil)?,
        "ReduceMean" | "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin" | "ReduceL2" => {
            let keep = node.int("keepdims") != Some(0);
            let nothing = node.int("noop_with_empty_axes") == Some(1);
            let x = input(0)?;
            match axes().filter(|axes| !axes.is_empty()) {
                None if nothing => x.clone(),
                axes => reduce(x, axes.as_deref(), keep, &node.op)?,
            }
        }
        "BatchNormalization" => {
            batch_norm(node, opset, input(0)?, [input(1)?, input(2)?, input(3)?, input(4)?])?
        }
        _ => return Ok(None),
    };
    Ok(Some(result))
}

fn is_whole(element: Element) -> bool {
    matches!(element, Element::I64 | Element::I32 | Element::I8 | Element::U8)
}

fn sizes(list: &[i64]) -> Result<Vec<usize>, Error> {
    let sizes: Option<Vec<usize>> = list.iter().map(|size| usize::try_from(*size).ok()).collect();
    sizes.ok_or_else(|| malformed(format!("makes a tensor of the sizes {list:?}")))
}

/// The elements of a result: as many as its operands have, or not too many.
fn bounded(dims: &[usize], operands: &[&Tensor]) -> Result<usize, Error> {
    let largest = operands.iter().map(|operand| operand.bytes.len()).max().unwrap_or(0);
    let len = Tensor::len(dims).filter(|len| *len <= largest.max(LARGEST));
    len.ok_or_else(|| unsupported(format!("makes a constant of the sizes {dims:?}, which is too large")))
}

/// The same elements with other sizes.
pub(super) fn reshaped(x: &Tensor, dims: Vec<usize>) -> Result<Tensor, Error> {
    if Tensor::len(&dims) == Tensor::len(&x.dims) {
        Ok(Tensor { dims, ..x.clone() })
    } else {
        Err(malformed(format!("makes {dims:?} of {:?}", x.dims)))
    }
}

fn map(x: &Tensor, element: Element, f: impl Fn(f64) -> f64) -> Result<Tensor, Error> {
    let len = Tensor::len(&x.dims).unwrap_or(0);
    Ok(collect(x.dims.clone(), element, (0..len).map(|index| f(get(x, index)))))
}

fn binary(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Result<Tensor, Error> {
    binary_as(a, b, a.element, f)
}

fn compared(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> bool) -> Result<Tensor, Error> {
    binary_as(a, b, Element::U8, |a, b| f64::from(f(a, b)))
}

fn binary_as(a: &Tensor, b: &Tensor, element: Element, f: impl Fn(f64, f64) -> f64) -> Result<Tensor, Error> {
    let dims = broadcast(&[&a.dims, &b.dims])?;
    let len = bounded(&dims, &[a, b])?;
    let (a_at, b_at) = (Places::new(&a.dims, &dims), Places::new(&b.dims, &dims));
    let numbers = (0..len).map(|index| f(get(a, a_at.at(index)), get(b, b_at.at(index))));
    Ok(collect(dims, element, numbers))
}

fn expand(x: &Tensor, dims: &[usize]) -> Result<Tensor, Error> {
    bounded(dims, &[x])?;
    Ok(expanded(x, dims.to_vec()))
}

/// A tensor with its axes in another order.
pub(super) fn transpose(x: &Tensor, perm: Option<&[i64]>) -> Result<Tensor, Error> {
    let perm = permutation(x.dims.len(), perm)?;
    let pick = |list: &[usize]| perm.iter().filter_map(|axis| list.get(*axis).copied()).collect::<Vec<_>>();
    Ok(reordered(x, pick(&x.dims), &pick(&strides(&x.dims))))
}

fn concat(parts: &[&Tensor], axis: i64) -> Result<Tensor, Error> {
    let first = parts.first().ok_or_else(|| malformed("has no inputs"))?;
    let axis = within(axis, first.dims.len())?;
    let fits = |part: &&&Tensor| {
        part.element == first.element
            && part.dims.len() == first.dims.len()
            && part.dims.iter().zip(&first.dims).enumerate().all(|(place, (a, b))| place == axis || a == b)
    };
    if parts.iter().filter(fits).count() != parts.len() {
        return Err(malformed("takes tensors of sizes that do not fit"));
    }
    let mut dims = first.dims.clone();
    let total = parts.iter().filter_map(|part| part.dims.get(axis)).sum();
    if let Some(size) = dims.get_mut(axis) {
        *size = total;
    }
    let bytes_all: usize = parts.iter().map(|part| part.bytes.len()).sum();
    if bytes_all > LARGEST * 8 {
        return Err(unsupported("makes a constant that is too large"));
    }
    let outer = Tensor::len(first.dims.get(..axis).unwrap_or_default()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(bytes_all);
    for row in 0..outer {
        for part in parts {
            let len = part.bytes.len() / outer;
            bytes.extend_from_slice(part.bytes.get(row * len..(row + 1) * len).unwrap_or_default());
        }
    }
    Ok(Tensor { name: String::new(), dims, element: first.element, bytes: Bytes::new(bytes) })
}

fn gather(x: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, Error> {
    let axis = within(axis, x.dims.len())?;
    let (before, rest) = x.dims.split_at(axis);
    let (Some(size), after) = (rest.first().copied(), rest.get(1..).unwrap_or_default()) else {
        return Err(malformed("gathers from a single number"));
    };
    let rows = all_within(&to_ints(indices), size)?;
    let dims = [before, &indices.dims, after].concat();
    let len = bounded(&dims, &[x, indices])?;
    let inner = Tensor::len(after).unwrap_or(0).max(1);
    let count = rows.len().max(1);
    let place = |index: usize| {
        let (row, within_row) = (index / inner, index % inner);
        let (outer, row) = (row / count, rows.get(row % count).copied().unwrap_or(0));
        (outer * size + row) * inner + within_row
    };
    Ok(picked(x, dims, (0..len).map(place)))
}

fn slice(
    x: &Tensor,
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Tensor, Error> {
    let mut dims: Vec<usize> = x.dims.clone();
    let mut numbers: Vec<[i64; 2]> = dims.iter().map(|_| [0, 1]).collect();
    for range in ranges(&x.dims, starts, ends, axes, steps)? {
        if let (Some(size), Some(number)) = (dims.get_mut(range.axis), numbers.get_mut(range.axis)) {
            *size = range.count;
            *number = [range.first, range.step];
        }
    }
    // Steps may be negative: indices are computed as they are.
    let from = strides(&x.dims);
    let len = bounded(&dims, &[x])?;
    let place = |mut index: usize| {
        let mut place = 0;
        for ((size, [first, step]), distance) in dims.iter().zip(&numbers).zip(&from).rev() {
            let at = *first + (index % size.max(&1)) as i64 * step;
            place += usize::try_from(at).unwrap_or(0) * distance;
            index /= size.max(&1);
        }
        place
    };
    Ok(picked(x, dims.clone(), (0..len).map(place)))
}

fn reduce(x: &Tensor, axes: Option<&[i64]>, keep: bool, op: &str) -> Result<Tensor, Error> {
    let rank = x.dims.len();
    let reduced = match axes {
        Some(axes) => all_within(axes, rank)?,
        None => (0..rank).collect(),
    };
    let is_reduced = |axis: usize| reduced.contains(&axis);
    let from = strides(&x.dims);
    let side = |wanted: bool| {
        let axes = (0..rank).filter(move |axis| is_reduced(*axis) == wanted);
        axes.filter_map(|axis| Some((*x.dims.get(axis)?, *from.get(axis)?))).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let ((outer, outer_steps), (inner, inner_steps)) = (side(false), side(true));
    let (rows, count) = (Tensor::len(&outer).unwrap_or(0), Tensor::len(&inner).unwrap_or(0));
    let (row_at, place_at) = (Places::strided(&outer, &outer_steps), Places::strided(&inner, &inner_steps));
    let value = |row: usize| {
        let first = row_at.at(row);
        let elements = (0..count).map(|index| get(x, first + place_at.at(index)));
        match op {
            "ReduceMean" => elements.sum::<f64>() / count as f64,
            "ReduceSum" => elements.sum(),
            "ReduceProd" => elements.product(),
            "ReduceMax" => elements.fold(f64::NEG_INFINITY, f64::max),
            "ReduceMin" => elements.fold(f64::INFINITY, f64::min),
            _ => elements.map(|x| x * x).sum::<f64>().sqrt(),
        }
    };
    let dims = match keep {
        true => {
            x.dims.iter().enumerate().map(|(axis, size)| if is_reduced(axis) { 1 } else { *size }).collect()
        }
        false => outer.clone(),
    };
    Ok(collect(dims, x.element, (0..rows).map(value)))
}

/// The norm of the second axis, by what is given, or in training by what there is.
fn batch_norm(
    node: &Node,
    opset: i64,
    x: &Tensor,
    [gamma, beta, mean, variance]: [&Tensor; 4],
) -> Result<Tensor, Error> {
    let [_, channels, ..] = x.dims[..] else { return Err(malformed("has no channels")) };
    let epsilon = node.float("epsilon").unwrap_or(1e-5);
    if [gamma, beta, mean, variance].iter().any(|tensor| tensor.dims != [channels]) {
        return Err(malformed(format!("has tensors that are not of {channels} channels")));
    }
    let statistics: Vec<[f64; 2]> = match is_training(node, opset) {
        true => moments(x),
        false => (0..channels).map(|channel| [get(mean, channel), get(variance, channel)]).collect(),
    };
    let inner = Tensor::len(x.dims.get(2..).unwrap_or_default()).unwrap_or(0).max(1);
    let len = Tensor::len(&x.dims).unwrap_or(0);
    let number = |index: usize| {
        let channel = index / inner % channels.max(1);
        let [mean, variance] = statistics.get(channel).copied().unwrap_or_default();
        (get(x, index) - mean) / (variance + epsilon).sqrt() * get(gamma, channel) + get(beta, channel)
    };
    Ok(collect(x.dims.clone(), x.element, (0..len).map(number)))
}

/// Whether a batch norm takes mean and variance of what it normalizes; before opset 14 one that gives them does.
pub(super) fn is_training(node: &Node, opset: i64) -> bool {
    let gives_statistics = node.outputs.iter().skip(1).any(|name| !name.is_empty());
    node.int("training_mode") == Some(1) || opset < 14 && gives_statistics
}

/// Mean and biased variance of each slice along the second axis, of a tensor whose first axis is of size 1; else nothing.
pub(super) fn moments(x: &Tensor) -> Vec<[f64; 2]> {
    let [1, channels, ..] = x.dims[..] else { return Vec::new() };
    let inner = Tensor::len(x.dims.get(2..).unwrap_or_default()).unwrap_or(0);
    let of_channel = |channel: usize| {
        let elements = (0..inner).map(|index| get(x, channel * inner + index));
        let mean = elements.clone().sum::<f64>() / inner as f64;
        [mean, elements.map(|x| (x - mean).powi(2)).sum::<f64>() / inner as f64]
    };
    (0..channels).map(of_channel).collect()
}
