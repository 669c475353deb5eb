//! The sum of two values, for residual adds that no convolution can take in.

use std::ops::Range;

use resnet_plan::{Activation, AddGeometry, Residual};

use crate::elements::{Elements, ElementsMut, bf16};
use crate::kernels::activate::activated;
use crate::kernels::{Kernels, Target, must_fit, share};
use crate::simd::{Integers, Stored};
use crate::threads::Threads;

/// The rows, counted through all images, that one thread does.
pub(crate) struct AddTask<'a> {
    geometry: AddGeometry,
    activation: Activation,
    x: Elements<'a>,
    y: Target,
    rows: Range<usize>,
}

/// `y = activation(y + x)`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, if pixels of the output overlap, or if there is no sum of these elements: there are
/// of f32 and f32, bf16 and bf16, int8 and int8.
pub fn add(
    kernels: &Kernels,
    threads: &Threads,
    geometry: &AddGeometry,
    activation: Activation,
    x: Elements<'_>,
    y: ElementsMut<'_>,
) {
    if geometry.is_empty() {
        return;
    }
    must_fit(geometry.fits(x.len(), y.len()));
    let y = Target::of(y);
    let count = threads.count();
    threads.run(|index, _| {
        let rows = share(geometry.batch * geometry.size[0], index, count);
        let task = AddTask { geometry: *geometry, activation, x, y, rows };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel; the rows of two threads do
        // not meet, and `y` is borrowed exclusively.
        unsafe { (kernels.add)(&task) }
    });
}

/// # Safety
/// The pixels of the task's rows lie in `x` and in `y`, the latter where nobody else reads or writes. The machine has
/// the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Integers>(simd: S, task: &AddTask<'_>) {
    use Residual::{None, Quantized, Same};
    // SAFETY: the caller's contract; int8 of both kinds have one size.
    unsafe {
        match (task.x, task.y, task.geometry.residual) {
            (Elements::F32(x), Target::F32(y), Same | None) => {
                rows::<_, _, _, f32>(simd, task, x.as_ptr(), y, true, 1.0)
            }
            (Elements::Bf16(x), Target::Bf16(y), Same | None) => {
                rows::<_, _, _, bf16>(simd, task, x.as_ptr(), y, true, 1.0)
            }
            (Elements::U8(x), Target::U8(y), Quantized { signed, scale }) => {
                rows::<_, _, _, i8>(simd, task, x.as_ptr(), y, !signed, scale)
            }
            (Elements::U8(x), Target::I8(y), Quantized { signed, scale }) => {
                rows::<_, _, _, u8>(simd, task, x.as_ptr(), y, signed, scale)
            }
            (Elements::I8(x), Target::U8(y), Quantized { signed, scale }) => {
                rows::<_, _, _, i8>(simd, task, x.as_ptr(), y, !signed, scale)
            }
            (Elements::I8(x), Target::I8(y), Quantized { signed, scale }) => {
                rows::<_, _, _, u8>(simd, task, x.as_ptr(), y, signed, scale)
            }
            _ => panic!("there is no sum of these elements"),
        }
    }
}

/// # Safety
/// As [`run`], for these pointers. What `y` holds before is elements of its own type, if it is the `same`, or of the `Other`, which has
/// the same size.
#[inline(always)]
unsafe fn rows<S: Integers, X: Stored<S>, Y: Stored<S>, Other: Stored<S>>(
    simd: S,
    task: &AddTask<'_>,
    x: *const X,
    y: *mut Y,
    same: bool,
    scale: f32,
) {
    const { assert!(size_of::<Other>() == size_of::<Y>()) };
    let AddGeometry { size: [height, width], channels, .. } = task.geometry;
    let (from, to) = (task.geometry.x, task.geometry.y);
    let (x_scale, y_scale) = (simd.splat(task.geometry.scale), simd.splat(scale));
    let slope = simd.splat(match task.activation {
        Activation::LeakyRelu(slope) => slope,
        _ => 0.0,
    });
    for line in task.rows.clone() {
        let (image, row) = (line / height, line % height);
        for column in 0..width {
            for channel in (0..channels).step_by(S::LANES) {
                let rest = (channels - channel).min(S::LANES);
                let place = to.at(image, row, column) + channel;
                // SAFETY: the pixel lies in both, and has `rest` channels from `channel` on.
                unsafe {
                    let x = X::load(simd, x.add(from.at(image, row, column) + channel), rest);
                    let y = y.add(place);
                    let old = if same { Y::load(simd, y, rest) } else { Other::load(simd, y.cast(), rest) };
                    let mut sum = simd.add(simd.mul(x, x_scale), simd.mul(old, y_scale));
                    if task.activation != Activation::None {
                        sum = activated(simd, task.activation, 1.0, slope, sum);
                    }
                    Y::store(simd, y, sum, rest);
                }
            }
        }
    }
}
