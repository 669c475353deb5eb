//! The elements of constants, and where those of a result come from.

use crate::checkpoint::{Bytes, Element, Tensor};
use crate::onnx::sizes::aligned;
use crate::strided::{row_major, strides};

/// An element. There is one for each index below the product of the sizes.
#[inline]
pub(super) fn get(tensor: &Tensor, index: usize) -> f64 {
    let size = tensor.element.bytes();
    let bytes = tensor.bytes.get(index.saturating_mul(size)..);
    bytes.and_then(|bytes| bytes.get(..size)).map_or(0.0, |bytes| tensor.element.read(bytes))
}

/// All elements as whole numbers, as far as an i64 reaches.
pub(super) fn to_ints(tensor: &Tensor) -> Vec<i64> {
    let len = tensor.bytes.len() / tensor.element.bytes();
    match tensor.element {
        Element::I64 => tensor.bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        _ => (0..len).map(|index| get(tensor, index) as i64).collect(),
    }
}

/// A list of whole numbers.
pub(super) fn ints(list: &[i64]) -> Tensor {
    of_ints(vec![list.len()], list)
}

/// Whole numbers.
pub(super) fn of_ints(dims: Vec<usize>, list: &[i64]) -> Tensor {
    let bytes = list.iter().flat_map(|int| int.to_le_bytes()).collect();
    Tensor { name: String::new(), dims, element: Element::I64, bytes: Bytes::new(bytes) }
}

/// Numbers of 32 bits.
pub(super) fn of_floats(dims: Vec<usize>, list: &[f64]) -> Tensor {
    collect(dims, Element::F32, list.iter().copied())
}

/// So many elements, written as these.
pub(super) fn collect(dims: Vec<usize>, element: Element, numbers: impl Iterator<Item = f64>) -> Tensor {
    Tensor::new("", dims, element, numbers)
}

/// Where the elements of a result come from: its sizes from the last axis on, and the distance along each in the operand. Axes that
/// are one run of elements are one.
pub(super) struct Places {
    axes: Vec<[usize; 2]>,
}

impl Places {
    /// Of an operand that is broadcast.
    pub(super) fn new(operand: &[usize], result: &[usize]) -> Self {
        Places::strided(result, &broadcast(operand, result))
    }

    /// Of an operand whose elements lie at these distances along the axes of the result.
    pub(super) fn strided(result: &[usize], distances: &[usize]) -> Self {
        let mut axes: Vec<[usize; 2]> = Vec::with_capacity(result.len());
        for (size, distance) in result.iter().zip(distances).rev().filter(|(size, _)| **size != 1) {
            match axes.last_mut() {
                Some([inner, step]) if inner.checked_mul(*step) == Some(*distance) => {
                    *inner = inner.saturating_mul(*size)
                }
                _ => axes.push([*size, *distance]),
            }
        }
        Places { axes }
    }

    /// The place of an element of the result.
    pub(super) fn at(&self, mut index: usize) -> usize {
        let Some(([_, last], axes)) = self.axes.split_last() else { return 0 };
        let mut place = 0;
        for [size, distance] in axes {
            place += index % size.max(&1) * distance;
            index /= size.max(&1);
        }
        place + index * last
    }
}

/// How far apart in an operand the elements of a result are along its axes: 0 where it is broadcast.
fn broadcast(operand: &[usize], result: &[usize]) -> Vec<usize> {
    let steps = strides(operand);
    let rank = result.len();
    let distance = |axis: usize| match aligned(operand, axis, rank) {
        1 => 0,
        _ => aligned(&steps, axis, rank),
    };
    (0..rank).map(distance).collect()
}

/// The elements of `x` that are so far apart along these axes.
pub(super) fn reordered(x: &Tensor, dims: Vec<usize>, strides: &[usize]) -> Tensor {
    let bytes = Bytes::new(row_major(&x.bytes, &dims, strides, x.element.bytes()));
    Tensor { name: x.name.clone(), dims, element: x.element, bytes }
}

/// The elements of `x`, repeated along the axes that it does not have or has once.
pub(super) fn expanded(x: &Tensor, dims: Vec<usize>) -> Tensor {
    let strides = broadcast(&x.dims, &dims);
    reordered(x, dims, &strides)
}

/// The elements of `x` at these places, byte by byte.
pub(super) fn picked(x: &Tensor, dims: Vec<usize>, places: impl Iterator<Item = usize>) -> Tensor {
    let size = x.element.bytes();
    let mut bytes = Vec::with_capacity(places.size_hint().0.saturating_mul(size));
    for place in places {
        let element = place.checked_mul(size).and_then(|at| x.bytes.get(at..at.checked_add(size)?));
        bytes.extend_from_slice(element.unwrap_or(&[0; 8][..size]));
    }
    Tensor { name: x.name.clone(), dims, element: x.element, bytes: Bytes::new(bytes) }
}
