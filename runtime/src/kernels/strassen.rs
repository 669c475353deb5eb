//! Strassen's algorithm, in Winograd's form, for 1x1 windows: seven products of halves instead of eight (Strassen 1969,
//! "Gaussian Elimination is not Optimal"; the form with fifteen sums is Winograd's).
//!
//! Two pixels `p`, `q` and the halves of their input and output channels make matrices of two by two blocks:
//!
//! ```text
//! | p0 p1 |   | w00 w01 |        s1 = q0 + q1         t1 = w01 - w00        m0 = p0 w00      m4 = s1 t1
//! |       | . |         |        s2 = s1 - p0         t2 = w11 - t1         m1 = p1 w10      m5 = s2 t2
//! | q0 q1 |   | w10 w11 |        s3 = p0 - q0         t3 = w11 - w01        m2 = s4 w11      m6 = s3 t3
//!                                s4 = p1 - s2         t4 = t2 - w10         m3 = q1 t4
//!
//! y(p)0 = m0 + m1        u = m0 + m5        y(p)1 = u + m4 + m2        y(q)0 = u + m6 - m3        y(q)1 = u + m6 + m4
//!
//! for each block of pairs of pixels:
//!     V[i][pair][c] = s[i]                                                i: four sums; the other factors lie in the input
//!     for each panel of one half of the output channels:
//!         for each i:      M[i][pair][:] = V[i][pair][:] . U[i]           the micro-kernel; U: w and t
//!         for each pair:   y = relu?(sums of M + bias + y?)
//! ```

use crate::isa::{Kernels, Simd};
use crate::kernels::conv::{
    Algorithm, ConvTask, Convolution, NO_BIAS, SKEW, WIDEST_PANEL, WIDEST_VECTOR, locate,
};
use crate::kernels::product::{Fetch, LINE, Product};
use crate::kernels::{Residual, blocks};

/// Products of halves.
pub const PRODUCTS: usize = 7;
/// Sums of inputs.
const SUMS: usize = 4;

/// The most pairs of a block.
const LARGEST_BLOCK: usize = 96;

/// What the seven products multiply with, of the blocks `w00`, `w01`, `w10`, `w11`.
#[inline(always)]
pub fn factors([w00, w01, w10, w11]: [f64; 4]) -> [f64; PRODUCTS] {
    let t1 = w01 - w00;
    let t2 = w11 - t1;
    [w00, w10, w11, t2 - w10, t1, t2, w11 - w01]
}

/// Elements of scratch memory that a thread needs for blocks of so many pairs and so many input channels: V and M.
pub const fn scratch_len(block: usize, channels: usize) -> usize {
    SUMS * (block * (channels / 2) + SKEW) + PRODUCTS * (block * WIDEST_PANEL + SKEW)
}

/// # Panics
/// If the convolution is not one that Strassen's algorithm computes, or the scratch memory is too small.
pub(super) fn check(convolution: &Convolution, scratch: usize) {
    let Convolution { geometry, algorithm, .. } = convolution;
    let &Algorithm::Strassen { block } = algorithm else { return };
    assert!((1..=LARGEST_BLOCK).contains(&block), "a block has 1 to {LARGEST_BLOCK} pairs of pixels");
    assert!(geometry.rows == 1, "windows are 1x1");
    assert!(geometry.run.is_multiple_of(2 * WIDEST_VECTOR), "halves of the input are whole vectors");
    assert!(geometry.channels.is_multiple_of(2 * WIDEST_VECTOR), "halves of the output are whole vectors");
    assert!(scratch >= scratch_len(block, geometry.run), "a thread has too little scratch memory");
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

/// Products of pairs of pixels, to be added up.
pub(crate) struct PairsTask<'a> {
    m: *const f32,
    plane: usize,
    /// Of the first half's channels, and how far it is to the other half's.
    bias: *const f32,
    y: *mut f32,
    half: usize,
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
    let m_plane = block * WIDEST_PANEL + SKEW;
    let (v, m) = scratch.split_at_mut(SUMS * v_plane);
    let mut v_offsets = [0; LARGEST_BLOCK];
    let mut m_offsets = [0; LARGEST_BLOCK];
    for slot in 0..block {
        v_offsets[slot] = slot * inputs;
        m_offsets[slot] = slot * WIDEST_PANEL;
    }
    let mut x_offsets = [0; 2 * LARGEST_BLOCK];
    let mut y_offsets = [0; 2 * LARGEST_BLOCK];
    let (mut first_offsets, mut second_offsets) = ([0; LARGEST_BLOCK], [0; LARGEST_BLOCK]);
    for pairs in blocks(task.units.clone(), block, kernels.tile) {
        let (start, count) = (pairs.start, pairs.len());
        let located = (2 * count).min(pixels - 2 * start);
        locate(&geometry, 2 * start, &mut x_offsets[..located], &mut y_offsets[..located]);
        // A pixel without a second one is its own.
        x_offsets[2 * count - 1] = x_offsets[located - 1];
        for slot in 0..count {
            (first_offsets[slot], second_offsets[slot]) = (x_offsets[2 * slot], x_offsets[2 * slot + 1]);
        }
        let sums = SumsTask {
            x: task.x,
            x_offsets: &x_offsets[..2 * count],
            half: inputs,
            v: v.as_mut_ptr(),
            plane: v_plane,
        };
        // SAFETY: the caller's contract; each plane has `inputs` numbers for each slot.
        unsafe { (kernels.strassen_sums)(&sums) };
        let sum = |index: usize| v[index * v_plane..].as_ptr();
        let upper = task.x.wrapping_add(inputs);
        let factors: [(*const f32, &[usize]); PRODUCTS] = [
            (task.x, &first_offsets),
            (upper, &first_offsets),
            (sum(3), &v_offsets),
            (upper, &second_offsets),
            (sum(0), &v_offsets),
            (sum(1), &v_offsets),
            (sum(2), &v_offsets),
        ];
        for panel in task.panel_range.clone() {
            let channel = panel * kernels.panel;
            let width = (outputs - channel).min(kernels.panel);
            for (plane, (x, offsets)) in factors.into_iter().enumerate() {
                let weights = (channel * PRODUCTS + plane * width) * inputs;
                // SAFETY: the caller's contract, for the pixels of the pairs; slots lie in V and M; earlier panels are all full;
                // the bias is as long as the widest panel.
                unsafe {
                    (kernels.product)(&Product {
                        x,
                        x_offsets: &offsets[..count],
                        rows: 1,
                        run: inputs,
                        pitch: 0,
                        weights: task.panels.add(weights),
                        prefetch: task.panels.wrapping_add(weights + width * inputs),
                        prefetch_apart: inputs * LINE,
                        fetch: Fetch::One,
                        bias: NO_BIAS.as_ptr(),
                        y: m.as_mut_ptr().add(plane * m_plane),
                        y_offsets: &m_offsets[..count],
                        channels: width,
                        accumulate: false,
                        relu: false,
                    });
                }
            }
            let pairs = PairsTask {
                m: m.as_ptr(),
                plane: m_plane,
                bias: task.bias.wrapping_add(channel),
                y: task.y.wrapping_add(channel),
                half: outputs,
                y_offsets: &y_offsets[..located],
                channels: width,
                accumulate: residual == Residual::Same,
                relu,
            };
            // SAFETY: the caller's contract, for the located pixels and the panel's channels of both halves.
            unsafe { (kernels.strassen_pairs)(&pairs) };
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

/// The outputs of all pairs; the second pixel of the last one may be missing.
///
/// # Safety
/// Each plane holds the panel's channels for each pair; the bias holds those of both halves; pixels lie in the output, where
/// nobody else reads or writes. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn pairs<S: Simd>(simd: S, task: &PairsTask<'_>) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    for (slot, pair) in task.y_offsets.chunks(2).enumerate() {
        for channel in (0..task.channels).step_by(S::LANES) {
            // SAFETY: the caller's contract.
            unsafe {
                let m = task.m.add(slot * WIDEST_PANEL + channel);
                let m: [S::Vector; PRODUCTS] = std::array::from_fn(|i| simd.load(m.add(i * task.plane)));
                let bias = task.bias.add(channel);
                let bias = [simd.load(bias), simd.load(bias.add(task.half))];
                let u = simd.add(m[0], m[5]);
                let w = simd.add(u, m[6]);
                let sums = [
                    [simd.add(m[0], m[1]), simd.add(simd.add(u, m[4]), m[2])],
                    [simd.sub(w, m[3]), simd.add(w, m[4])],
                ];
                for (offset, sums) in pair.iter().zip(sums) {
                    for half in 0..2 {
                        let to = task.y.add(offset + half * task.half + channel);
                        let mut sum = simd.add(sums[half], bias[half]);
                        if task.accumulate {
                            sum = simd.add(sum, simd.load(to));
                        }
                        simd.store(to, simd.at_least(floor, sum));
                    }
                }
            }
        }
    }
}
