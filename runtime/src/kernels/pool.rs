//! Pooling.
//!
//! ```text
//! for each output pixel:
//!     cut the window to the image
//!     for each vector of channels:
//!         max:      fold the window's pixels with max, NaN first
//!         average:  sum the window's pixels, divide by how many count
//! ```

use std::ops::Range;

use crate::isa::{Isa, Simd};
use crate::kernels::{Pixels, Shared, share};
use crate::threads::Threads;

/// A pooling layer in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Which way.
    pub kind: PoolKind,
    /// Images.
    pub batch: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output height and width.
    pub output: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Window height and width.
    pub window: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Padding: top, bottom, left, right.
    pub padding: [usize; 4],
    /// Where the input's pixels lie.
    pub x: Pixels,
    /// Where the output's pixels lie.
    pub y: Pixels,
}

/// The ways of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The maximum of the pixels of the image in the window.
    Max,
    /// Their mean.
    Average,
    /// The mean of them and of the padding in the window, which counts as zeros (PyTorch's `count_include_pad`).
    AverageWithPadding,
}

/// The output rows, counted through all images, that one thread does.
pub(crate) struct PoolTask {
    geometry: PoolGeometry,
    x: *const f32,
    y: *mut f32,
    rows: Range<usize>,
}

/// `y = pool(x)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, a window holds nothing of the image, or the machine lacks `isa`.
pub fn pool(isa: Isa, threads: &Threads, geometry: &PoolGeometry, x: &[f32], y: &mut [f32]) {
    let PoolGeometry { batch, input, output, channels, window, stride, padding, .. } = *geometry;
    if batch == 0 || output.contains(&0) || channels == 0 {
        return;
    }
    assert!(isa.is_available(), "this machine has no {isa}");
    assert!(
        !input.contains(&0) && geometry.x.end(batch, input, channels) <= x.len(),
        "the image is no input"
    );
    assert!(geometry.y.end(batch, output, channels) <= y.len(), "pixels lie outside the output");
    for axis in 0..2 {
        let before = padding[2 * axis];
        let last = (output[axis] - 1) * stride[axis];
        assert!(before < window[axis] && last < input[axis] + before, "a window holds nothing of the image");
    }
    let kernels = isa.kernels();
    let kernel = if geometry.kind == PoolKind::Max { kernels.max_pool } else { kernels.average_pool };
    let shared = Shared(y.as_mut_ptr());
    let count = threads.count();
    threads.run(|index, _| {
        let rows = share(batch * output[0], index, count);
        let task = PoolTask { geometry: *geometry, x: x.as_ptr(), y: shared.pointer(), rows };
        // SAFETY: the machine has the instruction set; the assertions hold for every pixel of the geometry, input and
        // output; the rows of two threads do not meet, and `y` is borrowed exclusively.
        unsafe { kernel(&task) }
    });
}

/// # Safety
/// All input pixels of the geometry lie in `x`; the task's output rows in `y`, where nobody else reads or writes; every
/// window holds a pixel of the image. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn max<S: Simd>(simd: S, task: &PoolTask) {
    // SAFETY: the caller's contract.
    unsafe { run(simd, task, |a, b| simd.max(a, b), |sum, _| sum) }
}

/// # Safety
/// As [`max`].
#[inline(always)]
pub(crate) unsafe fn average<S: Simd>(simd: S, task: &PoolTask) {
    // SAFETY: the caller's contract.
    unsafe {
        run(simd, task, |a, b| simd.add(a, b), |sum, count| simd.mul(sum, simd.splat(1.0 / count as f32)));
    }
}

/// # Safety
/// As [`max`].
#[inline(always)]
unsafe fn run<S: Simd>(
    simd: S,
    task: &PoolTask,
    fold: impl Fn(S::Vector, S::Vector) -> S::Vector,
    finish: impl Fn(S::Vector, usize) -> S::Vector,
) {
    let PoolGeometry { kind, output, channels, ref x, ref y, .. } = task.geometry;
    for line in task.rows.clone() {
        let (image, row) = (line / output[0], line % output[0]);
        let (rows, padded_rows) = cut(&task.geometry, 0, row);
        for column in 0..output[1] {
            let (columns, padded_columns) = cut(&task.geometry, 1, column);
            let count = match kind {
                PoolKind::AverageWithPadding => padded_rows * padded_columns,
                _ => rows.len() * columns.len(),
            };
            let mut channel = 0;
            while channel < channels {
                let rest = channels - channel;
                // SAFETY: the window is cut to the image, whose pixels lie in `x`; the output pixel lies in `y`; whole
                // vectors are only used where as many channels are left.
                unsafe {
                    let load = |row: usize, column: usize| {
                        let from = task.x.add(x.at(image, row, column) + channel);
                        if rest >= S::LANES { simd.load(from) } else { simd.load_partial(from, rest) }
                    };
                    let mut sum = load(rows.start, columns.start);
                    for column in columns.start + 1..columns.end {
                        sum = fold(sum, load(rows.start, column));
                    }
                    for row in rows.start + 1..rows.end {
                        for column in columns.clone() {
                            sum = fold(sum, load(row, column));
                        }
                    }
                    let to = task.y.add(y.at(image, row, column) + channel);
                    let result = finish(sum, count);
                    if rest >= S::LANES {
                        simd.store(to, result);
                    } else {
                        simd.store_partial(to, result, rest);
                    }
                }
                channel += S::LANES;
            }
        }
    }
}

/// The rows (axis 0) or columns (1) of the image in the window of an output row or column, and how many there are with
/// the padding.
#[inline(always)]
fn cut(geometry: &PoolGeometry, axis: usize, position: usize) -> (Range<usize>, usize) {
    let (before, behind) = (geometry.padding[2 * axis], geometry.padding[2 * axis + 1]);
    let start = position * geometry.stride[axis];
    let end = (start + geometry.window[axis]).min(before + geometry.input[axis] + behind);
    (start.saturating_sub(before)..(end - before).min(geometry.input[axis]), end - start)
}
