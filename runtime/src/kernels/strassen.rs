//! Strassen's algorithm, in Winograd's form, for 1x1 windows: seven products of halves instead of eight (Strassen 1969,
//! "Gaussian Elimination is not Optimal"; the form with fifteen sums is Winograd's).
//!
//! Two pixels `p`, `q` and the halves of their input and output channels make matrices of two by two blocks:
//!
//! ```text
//! | p0 p1 |   | w00 w01 |        s1 = q0 + q1      s2 = s1 - p0      s3 = p0 - q0      s4 = p1 - s2
//! |       | . |         |        t1 = w01 - w00    t2 = w11 - t1     t3 = w11 - w01    t4 = w10 - t2
//! | q0 q1 |   | w10 w11 |
//!
//! for each block of pairs of pixels:
//!     V[i][pair][c] = s[i]                                           the other factors lie in the input
//!     for each panel of one half of the output channels:             products by the micro-kernel
//!         m = p0 w00                      y(p)0 = m + p1 w10
//!         u = m + s2 t2
//!         v = u + s1 t1                   y(p)1 = v + s4 w11
//!         w = u + s3 t3                   y(q)0 = w + q1 t4
//!                                         y(q)1 = v + w - u          without a product
//! ```
//! All `y` with `+ bias + y?`, and cut off by a ReLU if there is one: products write them, so that all but the last are written
//! while others are computed.

use resnet_plan::algorithm::{LARGEST_PAIRS, PANEL, PRODUCTS, SKEW, SUMS};
use resnet_plan::{Algorithm, Convolution, Residual};

use crate::kernels::conv::{ConvTask, NO_BIAS, locate};
use crate::kernels::product::{Begun, Fetch, LINE, Product};
use crate::kernels::{Kernels, blocks};
use crate::simd::Simd;

/// What the seven products multiply with, one after the other, of the blocks `w00`, `w01`, `w10`, `w11`.
#[inline(always)]
pub fn factors([w00, w01, w10, w11]: [f64; 4]) -> [f64; PRODUCTS] {
    let t1 = w01 - w00;
    let t2 = w11 - t1;
    [w00, w10, t2, t1, w11, w11 - w01, w10 - t2]
}

/// # Panics
/// If the convolution is not one that Strassen's algorithm computes, or the scratch memory is too small.
pub(super) fn check(convolution: &Convolution, scratch: usize) {
    let Convolution { geometry, algorithm, .. } = convolution;
    let channels = [geometry.run, geometry.channels];
    let computes = geometry.rows == 1 && algorithm.computes([1, 1], [1, 1], channels);
    assert!(computes, "Strassen's algorithm does not compute this convolution");
    let needed = algorithm.scratch_len([1, 1], [1, 1], channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
}

/// Inputs of pairs of pixels, to be added up.
pub(crate) struct SumsTask<'a> {
    x: *const f32,
    /// Where the pixels begin, the two of a pair one after the other.
    x_offsets: &'a [usize],
    /// Channels of a half.
    half: usize,
    /// Where the sums go, and how far apart planes are.
    v: *mut f32,
    plane: usize,
}

/// Sums of products of pairs of pixels, which make the second halves of the second pixels.
pub(crate) struct LastTask<'a> {
    /// `u`, `v` and `w`.
    m: *const f32,
    plane: usize,
    bias: *const f32,
    y: *mut f32,
    /// Where the pixels begin.
    y_offsets: &'a [usize],
    /// Channels of the panel, whole vectors.
    channels: usize,
    accumulate: bool,
    relu: bool,
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all pairs and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels, whose instruction set the
/// machine has. [`check`] holds for the task, and for `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask, scratch: &mut [f32]) {
    let ConvTask { convolution: Convolution { geometry, algorithm, residual, relu, .. }, .. } = *task;
    let Algorithm::Strassen { block } = algorithm else { return };
    let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
    let (inputs, outputs) = (geometry.run / 2, geometry.channels / 2);
    let v_plane = block * inputs + SKEW;
    let m_plane = block * PANEL + SKEW;
    let (v, m) = scratch.split_at_mut(SUMS * v_plane);
    let planes = m.as_mut_ptr();
    let mut v_offsets = [0; LARGEST_PAIRS];
    let mut m_offsets = [0; LARGEST_PAIRS];
    for slot in 0..block {
        v_offsets[slot] = slot * inputs;
        m_offsets[slot] = slot * PANEL;
    }
    let (mut x, mut y) = ([0; 2 * LARGEST_PAIRS], [0; 2 * LARGEST_PAIRS]);
    let [mut x_first, mut x_second, mut y_first, mut y_second] = [[0; LARGEST_PAIRS]; 4];
    for pairs in blocks(task.units.clone(), block, kernels.tile) {
        let (start, count) = (pairs.start, pairs.len());
        let located = (2 * count).min(pixels - 2 * start);
        locate(&geometry, 2 * start, &mut x[..located], &mut y[..located]);
        // A pixel without a second one is its own, and then has nowhere to go.
        x[2 * count - 1] = x[located - 1];
        for slot in 0..count {
            [x_first[slot], x_second[slot]] = [x[2 * slot], x[2 * slot + 1]];
            [y_first[slot], y_second[slot]] = [y[2 * slot], y[2 * slot + 1]];
        }
        let (x_first, x_second) = (&x_first[..count], &x_second[..count]);
        let (y_first, y_second) = (&y_first[..count], &y_second[..located - count]);
        let sums = SumsTask {
            x: task.x,
            x_offsets: &x[..2 * count],
            half: inputs,
            v: v.as_mut_ptr(),
            plane: v_plane,
        };
        // SAFETY: the caller's contract; each plane has `inputs` numbers for each slot.
        unsafe { (kernels.strassen_sums)(&sums) };
        let sum = |index: usize| (v[index * v_plane..].as_ptr(), &v_offsets[..count]);
        let upper = task.x.wrapping_add(inputs);
        for panel in task.panel_range.clone() {
            let channel = panel * kernels.panel;
            let width = (outputs - channel).min(kernels.panel);
            let plane = |index: usize| (planes.wrapping_add(index * m_plane), &m_offsets[..count]);
            let [u, v, w] = std::array::from_fn(plane);
            let half = |half: usize, offsets| (task.y.wrapping_add(half * outputs + channel), offsets);
            // Inputs, sums that have begun, and where the products go: among other sums, or to a half of the output.
            let products: [(_, Option<_>, _, Option<usize>); PRODUCTS] = [
                ((task.x, x_first), None, u, None),
                ((upper, x_first), Some(u), half(0, y_first), Some(0)),
                (sum(1), Some(u), u, None),
                (sum(0), Some(u), v, None),
                (sum(3), Some(v), half(1, y_first), Some(1)),
                (sum(2), Some(u), w, None),
                ((upper, x_second), Some(w), half(0, y_second), Some(0)),
            ];
            for (index, ((x, x_offsets), other, (y, y_offsets), half)) in products.into_iter().enumerate() {
                let weights = (channel * PRODUCTS + index * width) * inputs;
                let held = Begun { sums: y, offsets: y_offsets };
                let other = other.map_or(held, |(sums, offsets)| Begun { sums, offsets });
                let is_output = half.is_some();
                let begun = &[other, held]
                    [..usize::from(index > 0) + usize::from(is_output && residual == Residual::Same)];
                // SAFETY: the caller's contract, for the pixels of the pairs; slots lie in V and M; earlier panels are all full;
                // the bias is as long as the widest panel.
                unsafe {
                    (kernels.product)(&Product {
                        x,
                        x_offsets: &x_offsets[..y_offsets.len()],
                        rows: 1,
                        run: inputs,
                        pitch: 0,
                        weights: task.panels.add(weights),
                        prefetch: task.panels.wrapping_add(weights + width * inputs),
                        prefetch_apart: inputs * LINE,
                        fetch: Fetch::One,
                        bias: half.map_or(NO_BIAS.as_ptr(), |half| task.bias.add(half * outputs + channel)),
                        y,
                        y_offsets,
                        channels: width,
                        begun,
                        relu: is_output && relu,
                    });
                }
            }
            let channel = outputs + channel;
            let last = LastTask {
                m: planes,
                plane: m_plane,
                bias: task.bias.wrapping_add(channel),
                y: task.y.wrapping_add(channel),
                y_offsets: y_second,
                channels: width,
                accumulate: residual == Residual::Same,
                relu,
            };
            // SAFETY: the caller's contract, for the second pixels and the panel's channels of the second half.
            unsafe { (kernels.strassen_last)(&last) };
        }
    }
}

/// `s1` to `s4` of all pairs.
///
/// # Safety
/// Each pixel holds two halves, which are whole vectors; each plane has room for a half for each pair. The machine has the
/// instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn sums<S: Simd>(simd: S, task: &SumsTask<'_>) {
    for (slot, pair) in task.x_offsets.chunks_exact(2).enumerate() {
        // SAFETY: the caller's contract.
        unsafe {
            let (p, q) = (task.x.add(pair[0]), task.x.add(pair[1]));
            let v = task.v.add(slot * task.half);
            for channel in (0..task.half).step_by(S::LANES) {
                let (p0, p1) = (simd.load(p.add(channel)), simd.load(p.add(task.half + channel)));
                let (q0, q1) = (simd.load(q.add(channel)), simd.load(q.add(task.half + channel)));
                let s1 = simd.add(q0, q1);
                let s2 = simd.sub(s1, p0);
                let to = v.add(channel);
                simd.store(to, s1);
                simd.store(to.add(task.plane), s2);
                simd.store(to.add(2 * task.plane), simd.sub(p0, q0));
                simd.store(to.add(3 * task.plane), simd.sub(p1, s2));
            }
        }
    }
}

/// The second halves of the second pixels: `v + w - u`.
///
/// # Safety
/// Each plane and the bias hold the panel's channels; pixels lie in the output, where nobody else reads or writes. The machine
/// has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn last<S: Simd>(simd: S, task: &LastTask<'_>) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    for (slot, offset) in task.y_offsets.iter().enumerate() {
        for channel in (0..task.channels).step_by(S::LANES) {
            // SAFETY: the caller's contract.
            unsafe {
                let m = task.m.add(slot * PANEL + channel);
                let [u, v, w] = std::array::from_fn(|i| simd.load(m.add(i * task.plane)));
                let mut sum = simd.add(simd.sub(simd.add(v, w), u), simd.load(task.bias.add(channel)));
                let to = task.y.add(offset + channel);
                if task.accumulate {
                    sum = simd.add(sum, simd.load(to));
                }
                simd.store(to, simd.at_least(floor, sum));
            }
        }
    }
}
