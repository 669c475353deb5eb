//! Pooling.
//!
//! ```text
//! for each output pixel:
//!     cut the window to the image
//!     for each vector of channels:
//!         max:      fold the window's pixels with max, NaN first
//!         blur:     sum its rows, and the rows, with binomial weights; beyond the edge lie the image's own pixels
//!         average:  for each block of at most 7x7 pixels: sum its rows, and the rows
//!                   sum the blocks in double precision, if there are several; divide by how many count
//! ```
//! A mean of values of one sign is within 15 roundings of f32 (9e-7 of it) of the exact one, however large its window is: 6 of a
//! row, 6 of rows, 3 of the sum, the factor and their product.

use std::ops::Range;

use resnet_plan::pool::LARGEST_BLUR;
use resnet_plan::{Pixels, PoolGeometry, PoolKind};

use crate::elements::{Elements, ElementsMut};
use crate::kernels::elementwise::{read, store};
use crate::kernels::{Kernels, Target, must_fit, share_out};
use crate::simd::{FEW_LANES, Integers, Simd, Stored};
use crate::threads::Threads;

/// The output rows, counted through all images, that one thread does.
pub(crate) struct PoolTask<'a> {
    geometry: PoolGeometry,
    x: Elements<'a>,
    y: Target,
    rows: Range<usize>,
}

/// `y = pool(x)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of the output overlap, a window holds nothing of the image; if the types of
/// the elements differ.
pub fn pool(
    kernels: &Kernels,
    threads: &Threads,
    geometry: &PoolGeometry,
    x: Elements<'_>,
    y: ElementsMut<'_>,
) {
    if geometry.is_empty() {
        return;
    }
    must_fit(geometry.fits(x.len(), y.len()));
    let kernel = match geometry.kind {
        PoolKind::Max => kernels.max_pool,
        PoolKind::Average | PoolKind::AverageWithPadding => kernels.average_pool,
        PoolKind::Blur => kernels.blur,
    };
    let y = Target::of(y);
    share_out(threads, geometry.batch * geometry.output[0], 1, &|rows| {
        let task = PoolTask { geometry: *geometry, x, y, rows };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel of the geometry, input and
        // output; the rows of two calls do not meet, and `y` is borrowed exclusively.
        unsafe { kernel(&task) }
    });
}

/// # Safety
/// All input pixels of the geometry lie in `x`; the task's output rows in `y`, where nobody else reads or writes; every
/// window holds a pixel of the image. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn max<S: Simd>(simd: S, task: &PoolTask<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.x, task.y) {
            (Elements::U8(x), Target::U8(y)) => max_of_bytes(task, x.as_ptr(), y),
            (Elements::I8(x), Target::I8(y)) => max_of_bytes(task, x.as_ptr(), y),
            (Elements::F32(x), Target::F32(y)) => run::<S, Max, _>(simd, task, x.as_ptr(), y),
            (Elements::Bf16(x), Target::Bf16(y)) => run::<S, Max, _>(simd, task, x.as_ptr(), y),
            _ => panic!("there is no pooling from one type to another"),
        }
    }
}

/// # Safety
/// As [`max`].
#[inline(always)]
pub(crate) unsafe fn average<S: Simd>(simd: S, task: &PoolTask<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.x, task.y) {
            (Elements::F32(x), Target::F32(y)) => run::<S, Mean, _>(simd, task, x.as_ptr(), y),
            (Elements::Bf16(x), Target::Bf16(y)) => run::<S, Mean, _>(simd, task, x.as_ptr(), y),
            (Elements::U8(x), Target::U8(y)) => run::<S, Mean, _>(simd, task, x.as_ptr(), y),
            (Elements::I8(x), Target::I8(y)) => run::<S, Mean, _>(simd, task, x.as_ptr(), y),
            _ => panic!("there is no pooling from one type to another"),
        }
    }
}

/// # Safety
/// As [`max`], for elements of one type.
#[inline(always)]
pub(crate) unsafe fn blur<S: Integers>(simd: S, task: &PoolTask<'_>) {
    let PoolGeometry { scale, output, channels, window, ref x, ref y, .. } = task.geometry;
    let weights = window.map(binomial);
    for line in task.rows.clone() {
        let (image, row) = (line / output[0], line % output[0]);
        for column in 0..output[1] {
            for channel in (0..channels).step_by(S::LANES) {
                let rest = (channels - channel).min(S::LANES);
                let mut sum = simd.splat(0.0);
                for (i, weight) in weights[0].iter().enumerate().take(window[0]) {
                    let y = mirrored(&task.geometry, 0, row, i);
                    let mut of_row = simd.splat(0.0);
                    for (j, weight) in weights[1].iter().enumerate().take(window[1]) {
                        let place = x.at(image, y, mirrored(&task.geometry, 1, column, j)) + channel;
                        // SAFETY: a mirrored place lies in the image, whose pixels lie in `x` and have `rest` channels from `channel` on.
                        let value = unsafe { read(simd, task.x, place, rest) };
                        of_row = simd.add(of_row, simd.mul(value, simd.splat(*weight)));
                    }
                    sum = simd.add(sum, simd.mul(of_row, simd.splat(*weight)));
                }
                let sum = simd.mul(sum, simd.splat(scale));
                // SAFETY: the output pixel lies in `y`, and has as many channels.
                unsafe { store(simd, task.y, y.at(image, row, column) + channel, sum, rest) };
            }
        }
    }
}

/// The row (axis 0) or column (1) of the image at a place of an output's window. Beyond an edge lies what is as far on this side of
/// it.
#[inline(always)]
fn mirrored(geometry: &PoolGeometry, axis: usize, position: usize, offset: usize) -> usize {
    let inside = (position * geometry.stride[axis] + offset).abs_diff(geometry.padding[2 * axis]);
    let twice = 2 * (geometry.input[axis] - 1);
    inside.min(twice - inside.min(twice))
}

/// Binomial coefficients of a window, over their sum; exact.
#[inline(always)]
fn binomial(window: usize) -> [f32; LARGEST_BLUR] {
    let mut weights = [0.0; LARGEST_BLUR];
    weights[0] = 1.0;
    for end in 1..window.min(LARGEST_BLUR) {
        for place in (1..=end).rev() {
            weights[place] = 0.5 * (weights[place] + weights[place - 1]);
        }
        weights[0] *= 0.5;
    }
    weights
}

/// A way of making one number of many.
trait Fold {
    /// The most rows and columns that are folded in f32, if it is not all.
    const BLOCK: Option<usize>;
    fn fold<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    fn finish<S: Simd>(simd: S, sum: S::Vector, count: usize, scale: f32) -> S::Vector;
}

struct Max;
struct Mean;

impl Fold for Max {
    const BLOCK: Option<usize> = None;

    #[inline(always)]
    fn fold<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.max(a, b)
    }

    #[inline(always)]
    fn finish<S: Simd>(_: S, largest: S::Vector, _: usize, _: f32) -> S::Vector {
        largest
    }
}

impl Fold for Mean {
    const BLOCK: Option<usize> = Some(7);

    #[inline(always)]
    fn fold<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    #[inline(always)]
    fn finish<S: Simd>(simd: S, sum: S::Vector, count: usize, scale: f32) -> S::Vector {
        simd.mul(sum, simd.splat((f64::from(scale) / count as f64) as f32))
    }
}

/// # Safety
/// As [`max`], for these pointers.
#[inline(always)]
unsafe fn run<S: Simd, F: Fold, T: Stored<S>>(simd: S, task: &PoolTask<'_>, from: *const T, to: *mut T) {
    let PoolGeometry { kind, scale, output, channels, ref x, ref y, .. } = task.geometry;
    for line in task.rows.clone() {
        let (image, row) = (line / output[0], line % output[0]);
        let (rows, padded_rows) = cut(&task.geometry, 0, row);
        for column in 0..output[1] {
            let (columns, padded_columns) = cut(&task.geometry, 1, column);
            let count = match kind {
                PoolKind::AverageWithPadding => padded_rows.saturating_mul(padded_columns),
                _ => rows.len().saturating_mul(columns.len()),
            };
            let window = [rows.clone(), columns.clone()];
            let place = y.at(image, row, column);
            let large = F::BLOCK.is_some_and(|side| rows.len() > side || columns.len() > side);
            // Vectors that are folded together share what a window's loops cost, and have no branch for their length.
            let together = TOGETHER * S::LANES;
            let whole = if S::LANES > FEW_LANES { channels - channels % together } else { 0 };
            // SAFETY: the window is cut to the image, whose pixels lie in `x`; the output pixel lies in `y`; each has so many channels from
            // `channel` on.
            unsafe {
                let from = from.add(x.at(image, 0, 0));
                for channel in (0..whole).step_by(together) {
                    let mut results = fold_window::<S, F, T, TOGETHER>(
                        simd,
                        from.add(channel),
                        x,
                        &window,
                        S::LANES,
                        large,
                    );
                    for result in &mut results {
                        *result = F::finish(simd, *result, count, scale);
                    }
                    let to = to.add(place + channel);
                    const { assert!(TOGETHER.is_multiple_of(S::PACKED)) };
                    for first in (0..TOGETHER).step_by(S::PACKED) {
                        let packed = std::array::from_fn(|index| results[first + index.min(S::PACKED - 1)]);
                        T::store_packed(simd, to.add(first * S::LANES), packed);
                    }
                }
                for channel in (whole..channels).step_by(S::LANES) {
                    let rest = (channels - channel).min(S::LANES);
                    let [result] =
                        fold_window::<S, F, T, 1>(simd, from.add(channel), x, &window, rest, large);
                    let result = F::finish(simd, result, count, scale);
                    T::store(simd, to.add(place + channel), result, rest);
                }
            }
        }
    }
}

/// Vectors of channels that are folded together.
const TOGETHER: usize = 4;

/// Folds a window, a large one block by block: `V` vectors, each of so many channels.
///
/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn fold_window<S: Simd, F: Fold, T: Stored<S>, const V: usize>(
    simd: S,
    from: *const T,
    x: &Pixels,
    window: &[Range<usize>; 2],
    channels: usize,
    large: bool,
) -> [S::Vector; V] {
    // SAFETY: the caller's contract.
    unsafe {
        match F::BLOCK {
            Some(side) if large => blocks::<S, F, T, V>(simd, from, x, window, channels, side),
            _ => block::<S, F, T, V>(simd, from, x, window, channels),
        }
    }
}

/// The pixels of a block, row by row: `V` vectors, each of so many channels.
///
/// # Safety
/// `from` is an image's first pixel, at some channel; rows and columns lie in the image; each pixel has `(V - 1) * S::LANES + channels`
/// channels from there on.
#[inline(always)]
unsafe fn block<S: Simd, F: Fold, T: Stored<S>, const V: usize>(
    simd: S,
    from: *const T,
    x: &Pixels,
    [rows, columns]: &[Range<usize>; 2],
    channels: usize,
) -> [S::Vector; V] {
    // SAFETY: the caller's contract.
    unsafe {
        let pixel = |row: usize, column: usize| from.add(row * x.row + column * x.pixel);
        let mut sums = [simd.splat(0.0); V];
        for row in rows.clone() {
            let mut line = [simd.splat(0.0); V];
            let first = pixel(row, columns.start);
            for (index, line) in line.iter_mut().enumerate() {
                *line = T::load(simd, first.add(index * S::LANES), channels);
            }
            for column in columns.start + 1..columns.end {
                let pixel = pixel(row, column);
                for (index, line) in line.iter_mut().enumerate() {
                    *line = F::fold(simd, *line, T::load(simd, pixel.add(index * S::LANES), channels));
                }
            }
            for (sum, line) in sums.iter_mut().zip(line) {
                *sum = if row == rows.start { line } else { F::fold(simd, *sum, line) };
            }
        }
        sums
    }
}

/// The sum of a window, block by block of at most `side` rows and columns; blocks are added up in double precision.
///
/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn blocks<S: Simd, F: Fold, T: Stored<S>, const V: usize>(
    simd: S,
    from: *const T,
    x: &Pixels,
    window: &[Range<usize>; 2],
    channels: usize,
    side: usize,
) -> [S::Vector; V] {
    const LANES: usize = 16;
    const { assert!(S::LANES <= LANES) };
    let [rows, columns] = window;
    let (mut totals, mut lanes) = ([[0.0f64; LANES]; V], [0.0f32; LANES]);
    for top in rows.clone().step_by(side) {
        for left in columns.clone().step_by(side) {
            let part = [top..rows.end.min(top + side), left..columns.end.min(left + side)];
            // SAFETY: the caller's contract, for a part of the window.
            let of_part = unsafe { block::<S, F, T, V>(simd, from, x, &part, channels) };
            for (totals, of_part) in totals.iter_mut().zip(of_part) {
                // SAFETY: a vector has at most so many lanes.
                unsafe { simd.store(lanes.as_mut_ptr(), of_part) };
                for (total, lane) in totals.iter_mut().zip(lanes) {
                    *total += f64::from(lane);
                }
            }
        }
    }
    let mut results = [simd.splat(0.0); V];
    for (result, totals) in results.iter_mut().zip(totals) {
        for (lane, total) in lanes.iter_mut().zip(totals) {
            *lane = total as f32;
        }
        // SAFETY: a vector has at most so many lanes.
        *result = unsafe { simd.load(lanes.as_ptr()) };
    }
    results
}

/// Bytes that are compared together, as an array that is compiled to vectors.
const BYTES: usize = 64;

/// # Safety
/// As [`max`], for these pointers.
#[inline(always)]
unsafe fn max_of_bytes<T: Copy + Ord>(task: &PoolTask<'_>, from: *const T, to: *mut T) {
    let PoolGeometry { output, channels, ref x, ref y, .. } = task.geometry;
    let whole = channels - channels % BYTES;
    for line in task.rows.clone() {
        let (image, row) = (line / output[0], line % output[0]);
        let (rows, _) = cut(&task.geometry, 0, row);
        for column in 0..output[1] {
            let (columns, _) = cut(&task.geometry, 1, column);
            // SAFETY: the window is cut to the image, whose pixels lie in `x`; the output pixel lies in `y`; each has the channels.
            unsafe {
                let from = from.add(x.at(image, rows.start, columns.start));
                let to = to.add(y.at(image, row, column));
                let size = [rows.len(), columns.len()];
                for channel in (0..whole).step_by(BYTES) {
                    most::<T, BYTES>(from.add(channel), x, size, to.add(channel));
                }
                for channel in whole..channels {
                    most::<T, 1>(from.add(channel), x, size, to.add(channel));
                }
            }
        }
    }
}

/// The greatest of a window's elements in each of `C` channels.
///
/// # Safety
/// A window of this size begins at `from`, whose pixels have as many channels; they fit at `to`.
#[inline(always)]
unsafe fn most<T: Copy + Ord, const C: usize>(
    from: *const T,
    x: &Pixels,
    [rows, columns]: [usize; 2],
    to: *mut T,
) {
    // SAFETY: the caller's contract; an array is as aligned as its elements.
    unsafe {
        let mut most: [T; C] = *from.cast();
        for row in 0..rows {
            for column in 0..columns {
                let numbers: &[T; C] = &*from.add(row * x.row + column * x.pixel).cast();
                for (most, number) in most.iter_mut().zip(numbers) {
                    *most = (*most).max(*number);
                }
            }
        }
        *to.cast() = most;
    }
}

/// The rows (axis 0) or columns (1) of the image in the window of an output row or column, and how many there are with
/// the padding.
#[inline(always)]
fn cut(geometry: &PoolGeometry, axis: usize, position: usize) -> (Range<usize>, usize) {
    let (before, behind) = (geometry.padding[2 * axis], geometry.padding[2 * axis + 1]);
    let start = position * geometry.stride[axis];
    let end = start.saturating_add(geometry.window[axis]).min(before + geometry.input[axis] + behind);
    (start.saturating_sub(before)..(end - before).min(geometry.input[axis]), end - start)
}
