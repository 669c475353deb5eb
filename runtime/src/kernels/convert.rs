//! Copies from one type of elements to another: into a network that computes in bf16 or int8, and out of it.
//!
//! ```text
//! for each row of y:  a row of x times scale, rounded; behind the channels of each pixel, zeros if it has more
//! ```

use std::ops::Range;

use resnet_plan::CopyGeometry;

use crate::elements::{Elements, ElementsMut};
use crate::kernels::{Kernels, Target, copy, must_fit, share_out};
use crate::simd::{Simd, Stored};
use crate::threads::Threads;

/// Elements that lie next to each other, to be converted.
pub(crate) struct ConvertTask<'a> {
    x: Elements<'a>,
    /// The first of them.
    first: usize,
    count: usize,
    scale: f32,
    y: Target,
}

/// `y = x * scale`, rounded to what `y` holds, shared out over threads. Where both hold the same type it is a [`copy`], and
/// `scale` is not looked at.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of `y` overlap; if types differ and neither is f32.
pub fn convert(
    kernels: &Kernels,
    threads: &Threads,
    geometry: &CopyGeometry,
    scale: f32,
    x: Elements<'_>,
    y: ElementsMut<'_>,
) {
    match (x, y) {
        (Elements::F32(x), ElementsMut::F32(y)) => copy(threads, geometry, x, y),
        (Elements::Bf16(x), ElementsMut::Bf16(y)) => copy(threads, geometry, x, y),
        (Elements::U8(x), ElementsMut::U8(y)) => copy(threads, geometry, x, y),
        (Elements::I8(x), ElementsMut::I8(y)) => copy(threads, geometry, x, y),
        (x, y) => {
            if geometry.is_empty() || geometry.channels == 0 {
                return;
            }
            must_fit(geometry.fits(x.len(), y.len()));
            assert!(geometry.times == [1, 1], "elements of another type are copied once");
            let y = Target::of(y);
            share_out(threads, geometry.batch * geometry.size[0], 1, &|part| {
                let convert = |first, count, y| {
                    let task = ConvertTask { x, first, count, scale, y };
                    // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel; a line has room
                    // for so many elements.
                    unsafe { (kernels.convert)(&task) }
                };
                // SAFETY: the assertions hold for every pixel; the rows of two calls do not meet, and `y` is borrowed exclusively.
                unsafe {
                    match y {
                        Target::F32(y) => rows(geometry, part, convert, Target::F32, y),
                        Target::Bf16(y) => rows(geometry, part, convert, Target::Bf16, y),
                        Target::U8(y) => rows(geometry, part, convert, Target::U8, y),
                        Target::I8(y) => rows(geometry, part, convert, Target::I8, y),
                    }
                }
            });
        }
    }
}

/// # Safety
/// So many elements lie in `x` from the first on; there is room for them at `y`. The machine has the instructions of `S`.
///
/// # Panics
/// If types differ and neither is f32.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd>(simd: S, task: &ConvertTask<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.x, task.y) {
            (Elements::F32(x), Target::Bf16(y)) => line(simd, task, x.as_ptr(), y),
            (Elements::F32(x), Target::U8(y)) => line(simd, task, x.as_ptr(), y),
            (Elements::F32(x), Target::I8(y)) => line(simd, task, x.as_ptr(), y),
            (Elements::Bf16(x), Target::F32(y)) => line(simd, task, x.as_ptr(), y),
            (Elements::U8(x), Target::F32(y)) => line(simd, task, x.as_ptr(), y),
            (Elements::I8(x), Target::F32(y)) => line(simd, task, x.as_ptr(), y),
            _ => panic!("there is no conversion between these types"),
        }
    }
}

/// # Safety
/// As [`run`], for these pointers.
#[inline(always)]
unsafe fn line<S: Simd, X: Stored<S>, Y: Stored<S>>(simd: S, task: &ConvertTask<'_>, x: *const X, y: *mut Y) {
    let scale = simd.splat(task.scale);
    for place in (0..task.count).step_by(S::LANES) {
        let count = S::LANES.min(task.count - place);
        // SAFETY: the caller's contract.
        unsafe {
            let number = X::load(simd, x.add(task.first + place), count);
            Y::store(simd, y.add(place), simd.mul(number, scale), count);
        }
    }
}

/// Elements that are converted at a time, before they are spread out to the pixels of the output.
const LINE: usize = 96;
/// The most channels of the pixels that are written at once: images have three, and zeros behind them.
const QUAD: usize = 4;

/// `convert` writes so many elements, from a first one on, to a line, which is a `target`.
///
/// # Safety
/// The pixels of the rows, counted through all images, lie in `y` where nobody else reads or writes.
unsafe fn rows<Y: Copy + Default>(
    geometry: &CopyGeometry,
    part: Range<usize>,
    convert: impl Fn(usize, usize, Target),
    target: fn(*mut Y) -> Target,
    y: *mut Y,
) {
    let CopyGeometry { size: [height, width], channels, front, back, x: from, y: to, .. } = *geometry;
    // A run of elements that lie next to each other in the input: as many whole pixels as fit, or a part of one.
    let together = if from.pixel == channels { (LINE / channels).max(1) } else { 1 };
    let quads = front == 0 && channels < QUAD && channels + back == QUAD;
    // Pixels are read as whole quads, which is one instruction: the last one reaches beyond the run.
    let mut line = [Y::default(); LINE + QUAD];
    for number in part {
        let (image, row) = (number / height, number % height);
        for column in (0..width).step_by(together) {
            let pixels = together.min(width - column);
            let total = pixels * channels;
            for first in (0..total).step_by(LINE) {
                let part = LINE.min(total - first);
                convert(from.at(image, row, column) + first, part, target(line.as_mut_ptr()));
                // SAFETY: the pixels lie in the output; the line has the part, and room for a quad behind it.
                unsafe {
                    if quads {
                        let y = y.add(to.at(image, row, column));
                        match channels {
                            1 => spread::<_, 1>(&line, pixels, y, to.pixel),
                            2 => spread::<_, 2>(&line, pixels, y, to.pixel),
                            _ => spread::<_, 3>(&line, pixels, y, to.pixel),
                        }
                        continue;
                    }
                    // Several pixels are one part, so a part of a pixel begins at its first column.
                    let length = channels.min(part);
                    for pixel in 0..pixels {
                        let y = y.add(to.at(image, row, column + pixel) + front + first);
                        std::ptr::copy_nonoverlapping(line.as_ptr().add(pixel * channels), y, length);
                    }
                }
            }
            if quads {
                continue;
            }
            for pixel in column..column + pixels {
                // SAFETY: the pixel lies in the output, with the channels before and behind.
                unsafe {
                    let y = y.add(to.at(image, row, pixel));
                    for channel in (0..front).chain(front + channels..front + channels + back) {
                        *y.add(channel) = Y::default();
                    }
                }
            }
        }
    }
}

/// Writes pixels of `C` channels as ones of a quad, with zeros behind.
///
/// # Safety
/// `line` holds so many pixels, and a whole quad from the last one's first element on; `to` must be valid for writes of as many quads,
/// `step` elements apart.
#[inline(always)]
unsafe fn spread<T: Copy + Default, const C: usize>(line: &[T], pixels: usize, to: *mut T, step: usize) {
    let from = line.as_ptr();
    for pixel in 0..pixels {
        // SAFETY: the caller's contract; an array is as aligned as its elements.
        unsafe {
            let mut quad: [T; QUAD] = *from.add(pixel * C).cast();
            quad[C..].fill(T::default());
            *to.add(pixel * step).cast() = quad;
        }
    }
}
