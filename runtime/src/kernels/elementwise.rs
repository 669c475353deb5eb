//! Steps that compute each element of one element, or of two in the same place.
//!
//! ```text
//! for each pixel of y, for each vector of channels:
//!     x times its scale;  plus or times what y holds, times its scale;  or times the channel's scale, plus its shift
//!     the activation;  times y's scale, rounded to what y holds
//! ```
//! Each operation is rounded by itself, without `Simd::mul_add`, so that int8 have the same bits on all instruction sets.

use std::ops::Range;

use resnet_plan::list::WIDTH;
use resnet_plan::{Activation, Elementwise, Operator, Residual};

use crate::elements::{Elements, ElementsMut};
use crate::kernels::activate::activated;
use crate::kernels::{Kernels, Target, must_fit, share_out};
use crate::simd::{FEW_LANES, Integers, Stored};
use crate::threads::Threads;

/// The rows, counted through all images, that one thread does.
pub(crate) struct ElementwiseTask<'a> {
    geometry: Elementwise,
    /// Rows of weights, one behind the other, each filled up to whole vectors.
    list: &'a [f32],
    x: Elements<'a>,
    y: Target,
    held: Target,
    rows: Range<usize>,
}

/// `y = activation(x operator ..)`, shared out over threads. `list` has the rows of weights that it needs.
///
/// # Panics
/// If the geometry reaches outside the slices, pixels of the output overlap, or weights are missing; or if there is no kernel for these
/// elements: there are for f32, for bf16 and for int8 of both kinds, and from f32 to all if nothing is held.
pub fn elementwise(
    kernels: &Kernels,
    threads: &Threads,
    geometry: &Elementwise,
    list: &[f32],
    x: Elements<'_>,
    y: ElementsMut<'_>,
) {
    if geometry.is_empty() {
        return;
    }
    must_fit(geometry.fits(x.len(), y.len()));
    let width = geometry.channels.checked_next_multiple_of(WIDTH);
    let needed = width.and_then(|width| width.checked_mul(geometry.rows()));
    assert!(needed.is_some_and(|needed| list.len() >= needed), "there are too few weights");
    let y = Target::of(y);
    let held = match (x, y, geometry.held) {
        (Elements::F32(_), _, Residual::None)
        | (Elements::F32(_), Target::F32(_), Residual::Same)
        | (Elements::Bf16(_), Target::Bf16(_), Residual::None | Residual::Same)
        | (Elements::U8(_) | Elements::I8(_), Target::U8(_) | Target::I8(_), Residual::None) => y,
        (
            Elements::U8(_) | Elements::I8(_),
            Target::U8(pointer),
            Residual::Quantized { signed: true, .. },
        ) => Target::I8(pointer.cast()),
        (
            Elements::U8(_) | Elements::I8(_),
            Target::I8(pointer),
            Residual::Quantized { signed: false, .. },
        ) => Target::U8(pointer.cast()),
        (Elements::U8(_) | Elements::I8(_), Target::U8(_) | Target::I8(_), Residual::Quantized { .. }) => y,
        _ => panic!("there is no kernel for these elements"),
    };
    share_out(threads, geometry.batch * geometry.size[0], 1, &|rows| {
        let task = ElementwiseTask { geometry: *geometry, list, x, y, held, rows };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel; the rows of two calls do
        // not meet, and `y` is borrowed exclusively.
        unsafe { (kernels.elementwise)(&task) }
    });
}

/// # Safety
/// The pixels of the task's rows lie in `x` and in `y`, the latter where nobody else reads or writes; `held` is `y`; there are rows of
/// weights, if they are needed. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Integers>(simd: S, task: &ElementwiseTask<'_>) {
    let Elementwise { activation, channels, .. } = task.geometry;
    // The scalar kernels do without code for each type of elements: it would be a third of theirs.
    let is_plain = S::LANES > FEW_LANES && matches!(activation, Activation::None | Activation::Relu);
    let whole = if is_plain { channels - channels % S::LANES } else { 0 };
    // SAFETY: the caller's contract.
    unsafe {
        if is_plain {
            plain(simd, task, whole);
        }
        others(simd, task, whole);
    }
}

/// The channels before `end`, whole vectors, by code for their elements, if nothing but a ReLU is applied to them.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn plain<S: Integers>(simd: S, task: &ElementwiseTask<'_>, end: usize) {
    macro_rules! of {
        ($x:expr, $held:expr, $y:expr) => {
            // SAFETY: the caller's contract.
            unsafe { vectors(simd, task, [end, task.geometry.channels], $x.as_ptr(), $held.cast_const(), $y) }
        };
    }
    macro_rules! of_bytes {
        ($x:expr) => {
            match (task.held, task.y) {
                (Target::U8(held), Target::U8(y)) => of!($x, held, y),
                (Target::U8(held), Target::I8(y)) => of!($x, held, y),
                (Target::I8(held), Target::U8(y)) => of!($x, held, y),
                (Target::I8(held), Target::I8(y)) => of!($x, held, y),
                _ => unreachable!("there is no kernel for these elements"),
            }
        };
    }
    match (task.x, task.y) {
        (Elements::F32(x), Target::F32(y)) => of!(x, y, y),
        (Elements::F32(x), Target::Bf16(y)) => of!(x, y, y),
        (Elements::F32(x), Target::U8(y)) => of!(x, y, y),
        (Elements::F32(x), Target::I8(y)) => of!(x, y, y),
        (Elements::Bf16(x), Target::Bf16(y)) => of!(x, y, y),
        (Elements::U8(x), _) => of_bytes!(x),
        (Elements::I8(x), _) => of_bytes!(x),
        (Elements::Bf16(_), _) => unreachable!("there is no kernel for these elements"),
    }
}

/// As [`plain`], of elements `X` to `Y`, which hold `H`.
///
/// # Safety
/// As [`run`], for these pointers.
#[inline(always)]
unsafe fn vectors<S: Integers, X: Stored<S>, H: Stored<S>, Y: Stored<S>>(
    simd: S,
    task: &ElementwiseTask<'_>,
    [end, channels]: [usize; 2],
    from: *const X,
    held: *const H,
    to: *mut Y,
) {
    let Elementwise { operator, activation, ref x, ref y, .. } = task.geometry;
    let [height, width] = task.geometry.size;
    let [x_scale, held_scale, y_scale] = factors(simd, &task.geometry);
    let floor = simd.splat(if activation == Activation::Relu { 0.0 } else { f32::NEG_INFINITY });
    let scales = task.list.as_ptr();
    let shifts = scales.wrapping_add(channels.next_multiple_of(WIDTH));
    // A loop for each operator: none of them has a branch inside.
    macro_rules! each {
        (|$value:ident, $place:ident, $channel:ident| $result:expr) => {
            for line in task.rows.clone() {
                let (image, row) = (line / height, line % height);
                for column in 0..width {
                    let (first, to_first) = (x.at(image, row, column), y.at(image, row, column));
                    for $channel in (0..end).step_by(S::LANES) {
                        let $place = to_first + $channel;
                        // SAFETY: the pixel lies in both, and has so many channels; rows of weights have them, too.
                        unsafe {
                            let $value =
                                simd.mul(X::load(simd, from.add(first + $channel), S::LANES), x_scale);
                            let result = simd.mul(simd.at_least(floor, $result), y_scale);
                            Y::store(simd, to.add(to_first + $channel), result, S::LANES);
                        }
                    }
                }
            }
        };
    }
    macro_rules! held {
        ($place:expr) => {
            simd.mul(H::load(simd, held.add($place), S::LANES), held_scale)
        };
    }
    match operator {
        Operator::Identity => each!(|value, _place, _channel| value),
        Operator::Add => each!(|value, place, _channel| simd.add(value, held!(place))),
        Operator::Multiply => each!(|value, place, _channel| simd.mul(value, held!(place))),
        Operator::Affine => each!(|value, _place, channel| {
            simd.add(simd.mul(value, simd.load(scales.add(channel))), simd.load(shifts.add(channel)))
        }),
    }
}

/// What elements of `x`, what the output holds and results are multiplied with.
#[inline(always)]
fn factors<S: Integers>(simd: S, geometry: &Elementwise) -> [S::Vector; 3] {
    let held = match geometry.held {
        Residual::Quantized { scale, .. } => scale,
        _ => 1.0,
    };
    [simd.splat(geometry.scales.x), simd.splat(held), simd.splat(geometry.scales.y)]
}

/// The channels from the `first` on.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn others<S: Integers>(simd: S, task: &ElementwiseTask<'_>, first: usize) {
    let Elementwise { operator, activation, channels, scales, ref x, ref y, .. } = task.geometry;
    let [height, width] = task.geometry.size;
    let [x_scale, held_scale, y_scale] = factors(simd, &task.geometry);
    let row = channels.next_multiple_of(WIDTH);
    let slopes = task.list.as_ptr().wrapping_add(if operator == Operator::Affine { 2 * row } else { 0 });
    for line in task.rows.clone() {
        let (image, row_of_image) = (line / height, line % height);
        for column in 0..width {
            let (from, to) = (x.at(image, row_of_image, column), y.at(image, row_of_image, column));
            for channel in (first..channels).step_by(S::LANES) {
                let rest = (channels - channel).min(S::LANES);
                // SAFETY: the pixel lies in both, and has `rest` channels from `channel` on; rows of weights have whole vectors.
                unsafe {
                    let value = simd.mul(read(simd, task.x, from + channel, rest), x_scale);
                    let value = match operator {
                        Operator::Identity => value,
                        Operator::Add | Operator::Multiply => {
                            let held = simd.mul(load(simd, task.held, to + channel, rest), held_scale);
                            match operator {
                                Operator::Add => simd.add(value, held),
                                _ => simd.mul(value, held),
                            }
                        }
                        Operator::Affine => {
                            let scale = simd.load(task.list.as_ptr().add(channel));
                            let shift = simd.load(task.list.as_ptr().add(row + channel));
                            simd.add(simd.mul(value, scale), shift)
                        }
                    };
                    let slope = match activation {
                        Activation::Prelu => simd.load(slopes.add(channel)),
                        Activation::LeakyRelu(slope) => simd.splat(slope),
                        _ => simd.splat(0.0),
                    };
                    let value = activated(simd, activation, scales.unit, slope, value);
                    store(simd, task.y, to + channel, simd.mul(value, y_scale), rest);
                }
            }
        }
    }
}

/// The first `count` elements from a place on, and zeros.
///
/// # Safety
/// They lie in the slice; `count <= LANES`.
#[inline(always)]
pub(crate) unsafe fn read<S: Integers>(simd: S, from: Elements<'_>, place: usize, count: usize) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe {
        match from {
            Elements::F32(slice) => f32::load(simd, slice.as_ptr().add(place), count),
            Elements::Bf16(slice) => Stored::load(simd, slice.as_ptr().add(place), count),
            Elements::U8(slice) => u8::load(simd, slice.as_ptr().add(place), count),
            Elements::I8(slice) => i8::load(simd, slice.as_ptr().add(place), count),
        }
    }
}

/// As [`read`].
///
/// # Safety
/// As [`read`], behind the pointer.
#[inline(always)]
unsafe fn load<S: Integers>(simd: S, from: Target, place: usize, count: usize) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe {
        match from {
            Target::F32(pointer) => f32::load(simd, pointer.add(place), count),
            Target::Bf16(pointer) => Stored::load(simd, pointer.add(place), count),
            Target::U8(pointer) => u8::load(simd, pointer.add(place), count),
            Target::I8(pointer) => i8::load(simd, pointer.add(place), count),
        }
    }
}

/// Writes the first `count` elements to a place, rounded.
///
/// # Safety
/// There is room for them behind the pointer; `count <= LANES`.
#[inline(always)]
pub(crate) unsafe fn store<S: Integers>(simd: S, to: Target, place: usize, value: S::Vector, count: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        match to {
            Target::F32(pointer) => Stored::store(simd, pointer.add(place), value, count),
            Target::Bf16(pointer) => Stored::store(simd, pointer.add(place), value, count),
            Target::U8(pointer) => Stored::store(simd, pointer.add(place), value, count),
            Target::I8(pointer) => Stored::store(simd, pointer.add(place), value, count),
        }
    }
}
