//! The arithmetic of sizes and axes.

use crate::checkpoint::Tensor;
use crate::error::Error;
use crate::onnx::malformed;
use crate::onnx::proto::Node;

/// The largest size of an axis that anything is computed with.
pub(super) const LARGEST: usize = 1 << 28;
/// The most axes.
pub(super) const LARGEST_RANK: usize = 8;

/// The part of a shape that the attributes of `Shape` ask for.
pub(super) fn shape_part<'a>(node: &Node, dims: &'a [i64]) -> &'a [i64] {
    let rank = dims.len() as i64;
    let at =
        |index: i64| (if index < 0 { index.saturating_add(rank) } else { index }).clamp(0, rank) as usize;
    let (first, end) = (at(node.int("start").unwrap_or(0)), at(node.int("end").unwrap_or(rank)));
    dims.get(first..end).unwrap_or_default()
}

/// An axis of so many, counted from the end if it is negative.
pub(super) fn within(axis: i64, rank: usize) -> Result<usize, Error> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let axis_in = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    axis_in.ok_or_else(|| malformed(format!("has the axis {axis} of a value with {rank}")))
}

/// Axes of so many.
pub(super) fn all_within(axes: &[i64], rank: usize) -> Result<Vec<usize>, Error> {
    axes.iter().map(|axis| within(*axis, rank)).collect()
}

/// The sizes that `Reshape` asks for: 0 copies one, -1 is what is left.
pub(super) fn target(dims: &[usize], sizes: &[i64], zeros_count: bool) -> Result<Vec<usize>, Error> {
    let wrong = || malformed(format!("makes {sizes:?} of {dims:?}"));
    let mut found = Vec::with_capacity(sizes.len());
    for (place, size) in sizes.iter().enumerate() {
        found.push(match size {
            -1 => 1,
            0 if !zeros_count => *dims.get(place).ok_or_else(wrong)?,
            size => usize::try_from(*size).map_err(|_| wrong())?,
        });
    }
    let all = Tensor::len(dims).ok_or_else(wrong)?;
    let known = Tensor::len(&found).ok_or_else(wrong)?;
    if let Some(rest) = sizes.iter().position(|size| *size == -1) {
        let size = all.checked_div(known).ok_or_else(wrong)?;
        if let Some(found) = found.get_mut(rest) {
            *found = size;
        }
    }
    if Tensor::len(&found) == Some(all) { Ok(found) } else { Err(wrong()) }
}

/// Sizes without those of 1: all, or these.
pub(super) fn squeezed(dims: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, Error> {
    let axes = match axes {
        Some(axes) => all_within(axes, dims.len())?,
        None => (0..dims.len()).filter(|axis| dims.get(*axis) == Some(&1)).collect(),
    };
    if axes.iter().any(|axis| dims.get(*axis) != Some(&1)) {
        return Err(malformed(format!("drops the axes {axes:?} of {dims:?}, which are not all of size 1")));
    }
    let kept = dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(kept.map(|(_, size)| *size).collect())
}

/// Sizes with new ones of 1 at these places of the result.
pub(super) fn unsqueezed(dims: &[usize], axes: &[i64]) -> Result<Vec<usize>, Error> {
    let rank = dims.len().saturating_add(axes.len());
    if axes.len() > 8 {
        return Err(malformed(format!("adds {} axes", axes.len())));
    }
    let axes = all_within(axes, rank)?;
    let mut old = dims.iter();
    let sizes = (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { old.next().copied() });
    sizes
        .collect::<Option<Vec<_>>>()
        .filter(|_| old.len() == 0)
        .ok_or_else(|| malformed("names an axis twice"))
}

/// The sizes that values of these sizes have together.
pub(super) fn broadcast(all: &[&[usize]]) -> Result<Vec<usize>, Error> {
    let rank = all.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let size = |axis: usize| {
        let mut sizes = all.iter().map(|dims| aligned(dims, axis, rank)).filter(|size| *size != 1);
        let first = sizes.next().unwrap_or(1);
        sizes.all(|size| size == first).then_some(first)
    };
    let sizes: Option<Vec<usize>> = (0..rank).map(size).collect();
    sizes.ok_or_else(|| {
        let shapes: Vec<String> = all.iter().map(|dims| format!("{dims:?}")).collect();
        malformed(format!("takes {}, which do not fit", shapes.join(" and ")))
    })
}

/// The size along an axis of a value that is aligned at the end with one of more axes.
pub(super) fn aligned(dims: &[usize], axis: usize, rank: usize) -> usize {
    (axis + dims.len()).checked_sub(rank).and_then(|axis| dims.get(axis)).copied().unwrap_or(1)
}

/// Axes in another order; by default from the last to the first.
pub(super) fn permutation(rank: usize, perm: Option<&[i64]>) -> Result<Vec<usize>, Error> {
    let Some(perm) = perm else { return Ok((0..rank).rev().collect()) };
    let found = all_within(perm, rank)?;
    let is_permutation = found.len() == rank && (0..rank).all(|axis| found.contains(&axis));
    if is_permutation {
        Ok(found)
    } else {
        Err(malformed(format!("has the permutation {perm:?} of {rank} axes")))
    }
}

/// What `Slice` takes along an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// The axis.
    pub(super) axis: usize,
    /// The first index.
    pub(super) first: i64,
    /// From one index to the next.
    pub(super) step: i64,
    /// How many.
    pub(super) count: usize,
}

/// What `Slice` takes along each axis that it names.
pub(super) fn ranges(
    dims: &[usize],
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Vec<Range>, Error> {
    let range = |index: usize| {
        let at = |list: &[i64]| {
            list.get(index).copied().ok_or_else(|| malformed("has lists of different lengths"))
        };
        let axis = within(axes.map_or(Ok(index as i64), at)?, dims.len())?;
        let size = dims.get(axis).copied().unwrap_or(0) as i64;
        let (start, end, step) = (at(starts)?, at(ends)?, steps.map_or(Ok(1), at)?);
        let absolute = |index: i64| if index < 0 { index.saturating_add(size) } else { index };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let first = absolute(start).clamp(low.max(0), high.max(0));
        let end = if end < -size && step < 0 { -1 } else { absolute(end).clamp(low, high) };
        if step == 0 {
            return Err(malformed("has a step of 0"));
        }
        let distance = if step > 0 { end - first } else { first - end };
        let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        Ok(Range { axis, first, step, count: usize::try_from(count).unwrap_or(0) })
    };
    (0..starts.len()).map(range).collect()
}
