//! Copies: all pixels of a value, every n-th one between channels of zeros, or each several times.
//!
//! ```text
//! for each pixel of y:  zeros, the channels of its pixel of x, zeros
//! ```
//! Where that is the whole of both rows, a row is one copy.

use resnet_plan::{Area, CopyGeometry};

use crate::elements::{Element, ElementsMut, each};
use crate::kernels::{Shared, must_fit, share_out};
use crate::threads::Threads;

/// `y = x`, shared out over threads.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of `y` overlap.
pub fn copy<T: Element>(threads: &Threads, geometry: &CopyGeometry, x: &[T], y: &mut [T]) {
    let CopyGeometry { batch, size, channels, front, back, times, x: from, y: to } = *geometry;
    let [height, width] = size;
    if geometry.is_empty() {
        return;
    }
    must_fit(geometry.fits(x.len(), y.len()));
    let whole_rows = front + back == 0 && times == [1, 1] && from.pixel == channels && to.pixel == channels;
    let (steps, length) = if whole_rows { (1, width * channels) } else { (width, channels) };
    let shared = Shared(y.as_mut_ptr());
    share_out(threads, batch * height, 1, &|rows| {
        for row in rows {
            let (image, row) = (row / height, row % height);
            for column in 0..steps {
                let x = &x[from.at(image, row / times[0], column / times[1])..][..length];
                let y = shared.pointer().wrapping_add(to.at(image, row, column));
                // SAFETY: the assertion holds for every pixel; the rows of two calls do not meet, and `y` is borrowed
                // exclusively.
                let y = unsafe { std::slice::from_raw_parts_mut(y, front + length + back) };
                y[..front].fill(T::default());
                y[front..front + length].copy_from_slice(x);
                y[front + length..].fill(T::default());
            }
        }
    });
}

/// Writes zeros everywhere around a value, in each image.
///
/// # Panics
/// If the value reaches outside its tensor, or the tensor is not the slice.
pub fn clear_halo(area: &Area, y: ElementsMut<'_>) {
    must_fit(area.check());
    assert!(area.len() == y.len(), "the tensor has another length");
    let Area { dims, at, size } = *area;
    each!(ElementsMut, y, y => clear(dims, at, size, y));
}

fn clear<T: Copy + Default>(
    dims: [usize; 4],
    [top, left]: [usize; 2],
    [rows, columns]: [usize; 2],
    y: &mut [T],
) {
    let zero = T::default();
    let [_, height, width, channels] = dims;
    let pitch = width * channels;
    for image in y.chunks_exact_mut(height * pitch) {
        let (above, rest) = image.split_at_mut(top * pitch);
        let (middle, below) = rest.split_at_mut(rows * pitch);
        above.fill(zero);
        below.fill(zero);
        for row in middle.chunks_exact_mut(pitch) {
            row[..left * channels].fill(zero);
            row[(left + columns) * channels..].fill(zero);
        }
    }
}
