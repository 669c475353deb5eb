//! The sum of two values, for residual adds that no convolution can take in.

use std::ops::Range;

use crate::isa::{Isa, Simd};
use crate::kernels::{Pixels, Shared, share};
use crate::threads::Threads;

/// A sum in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddGeometry {
    /// Images.
    pub batch: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Where the pixels lie that are added.
    pub x: Pixels,
    /// Where the pixels lie that they are added to.
    pub y: Pixels,
}

/// The rows, counted through all images, that one thread does.
pub(crate) struct AddTask {
    geometry: AddGeometry,
    relu: bool,
    x: *const f32,
    y: *mut f32,
    rows: Range<usize>,
}

/// `y = relu?(y + x)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, or the machine lacks `isa`.
pub fn add(isa: Isa, threads: &Threads, geometry: &AddGeometry, relu: bool, x: &[f32], y: &mut [f32]) {
    let AddGeometry { batch, size, channels, .. } = *geometry;
    if batch == 0 || size.contains(&0) || channels == 0 {
        return;
    }
    assert!(isa.is_available(), "this machine has no {isa}");
    assert!(geometry.x.end(batch, size, channels) <= x.len(), "pixels lie outside the input");
    assert!(geometry.y.end(batch, size, channels) <= y.len(), "pixels lie outside the output");
    let shared = Shared(y.as_mut_ptr());
    let count = threads.count();
    threads.run(|index, _| {
        let rows = share(batch * size[0], index, count);
        let task = AddTask { geometry: *geometry, relu, x: x.as_ptr(), y: shared.pointer(), rows };
        // SAFETY: the machine has the instruction set; the assertions hold for every pixel; the rows of two threads do
        // not meet, and `y` is borrowed exclusively.
        unsafe { (isa.kernels().add)(&task) }
    });
}

/// # Safety
/// The pixels of the task's rows lie in `x` and in `y`, the latter where nobody else reads or writes. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, task: &AddTask) {
    let AddGeometry { size: [height, width], channels, x, y, .. } = task.geometry;
    for line in task.rows.clone() {
        let (image, row) = (line / height, line % height);
        for column in 0..width {
            for channel in (0..channels).step_by(S::LANES) {
                let rest = (channels - channel).min(S::LANES);
                // SAFETY: the pixel lies in both, and has `rest` channels from `channel` on.
                unsafe {
                    let x = task.x.add(x.at(image, row, column) + channel);
                    let y = task.y.add(y.at(image, row, column) + channel);
                    let mut sum = simd.add(simd.load_partial(x, rest), simd.load_partial(y, rest));
                    if task.relu {
                        sum = simd.at_least(simd.splat(0.0), sum);
                    }
                    simd.store_partial(y, sum, rest);
                }
            }
        }
    }
}
