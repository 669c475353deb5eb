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
//!         v = s1 t1
//!         u = p0 w00                      y(p)0 = u + p1 w10
//!         u += s2 t2                      y(p)1 = u + v + s4 w11
//!         u += s3 t3                      y(q)0 = u + q1 t4
//!                                         y(q)1 = u + v              without a product
//! ```
//! If the output is a single pixel `p` (a gate is computed from the mean of an image), four products do, with four of the seven factors:
//!
//! ```text
//!         v = p0 t1
//!         u = p0 w00                      y(p)0 = u + p1 w10      y(p)1 = u + v + p1 w11
//! ```
//! Narrow elements: inputs are widened into memory, factors are made for each block and panel, and all `y` go to memory and then to the
//! epilogue. int8 stay exact: sums of inputs are at most 510 in magnitude and factors at most 508, both int16; sums of products wrap
//! modulo 2^32, and what they come to fits.
//!
//! Each `y` is `(.. + bias) * gate? + y?`, cut off by a ReLU if there is one: products write them, so that all but the last are written
//! while others are computed.

mod pairs;

use resnet_plan::algorithm::{Channels, LARGEST_PAIRS, PLANES, PRODUCTS, PRODUCTS_OF_ONE, SKEW, SUMS};
use resnet_plan::{Activation, Algorithm, ConvGeometry, Convolution, Residual};

use crate::kernels::conv::{ConvTask, NO_BIAS};
use crate::kernels::panels::Panel;
use crate::kernels::product::{Begun, Fetch, Product};
use crate::kernels::table::Kernels;
use crate::kernels::wide::{self, Arithmetic, InputRun, Kind, Weights};
use crate::simd::Integers;
use pairs::Pairs;

/// What the seven products multiply with, one after the other, of the blocks `w00`, `w01`, `w10`, `w11`.
#[inline(always)]
pub fn factors([w00, w01, w10, w11]: [f64; 4]) -> [f64; PRODUCTS] {
    let t1 = w01 - w00;
    let t2 = w11 - t1;
    [t1, w00, w10, t2, w11, w11 - w01, w10 - t2]
}

/// # Panics
/// If the convolution is not one that Strassen's algorithm computes of such elements, or the scratch memory is too small.
pub(super) fn check(geometry: &ConvGeometry, kind: Kind, algorithm: Algorithm, scratch: usize) {
    let precision = kind.precision();
    let channels = Channels::dense([geometry.run.saturating_mul(precision.per_word()), geometry.channels]);
    let computes = geometry.rows == 1 && algorithm.computes_in(precision, [1, 1], [1, 1], channels);
    assert!(computes, "the algorithm does not compute this convolution");
    let needed = algorithm.scratch_len(precision, [1, 1], [1, 1], channels);
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

/// Blocks of packed weights to be added up and subtracted, widened.
pub(crate) struct FactorTask {
    pub(crate) kind: Kind,
    blocks: [*const f32; 4],
    /// Packed rows, and the words of each: whole vectors.
    rows: usize,
    width: usize,
    /// Where the factors go, and how far apart they are.
    to: *mut f32,
    plane: usize,
}

/// Sums of products of pairs of pixels, which make the second halves of the second pixels.
pub(crate) struct LastTask<'a> {
    /// `w` and `v`.
    m: *const f32,
    plane: usize,
    /// How far apart those of two pairs are.
    pixel: usize,
    bias: *const f32,
    y: *mut f32,
    /// Where the pixels begin.
    y_offsets: &'a [usize],
    /// Channels of the panel, whole vectors.
    channels: usize,
    /// What sums are multiplied with, and where each pixel's is; an empty list: with nothing.
    gate: *const f32,
    gate_offsets: &'a [usize],
    accumulate: bool,
    relu: bool,
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all pairs and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels; `gate` holds those of each image, if there is one.
/// [`check`] holds for the task, and for `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let Algorithm::Strassen { block } = task.algorithm else { return };
    let part = Part::of(kernels, task, block);
    let mut planes = Planes::carve(&part, block, scratch);
    let mut pairs = Pairs::NONE;
    let narrow = task.kind != Kind::F32;
    for range in task.share.blocks(block, kernels.tile) {
        pairs.locate(task.convolution, range.clone());
        // SAFETY: the caller's contract, for these pairs.
        unsafe {
            if narrow {
                part.widen_inputs(&mut pairs, &mut planes);
            }
            if !pairs.alone {
                part.add_inputs(&pairs, &mut planes);
            }
        }
        for panel in task.share.panels(&range) {
            let panel = kernels.panel_at(panel, part.outputs);
            if narrow {
                pairs.place_sums(panel);
            }
            // SAFETY: the caller's contract, for these pairs and this panel.
            unsafe {
                if narrow {
                    part.make_factors(panel, &mut planes);
                }
                part.multiply(panel, &pairs, &mut planes);
                part.add_products(panel, &pairs, &mut planes);
                part.finish(panel, &pairs, &mut planes);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    /// Wide words of a half of the input channels, and channels of a half of the output.
    inputs: usize,
    outputs: usize,
    /// Where each pair's elements are in a plane of V and of M.
    v_offsets: [usize; LARGEST_PAIRS],
    m_offsets: [usize; LARGEST_PAIRS],
}

/// The scratch memory: sums of inputs, and sums of products, plane by plane. Narrow elements: widened inputs, pixel by pixel, the factors
/// of a panel, and sums that are not yet finished.
struct Planes<'a> {
    v: &'a mut [f32],
    v_plane: usize,
    m: &'a mut [f32],
    m_plane: usize,
    x: &'a mut [f32],
    g: &'a mut [f32],
    y: &'a mut [f32],
}

/// Products, and where each pair's are.
type Products<'a> = (*mut f32, &'a [usize]);

/// A product: its factor, its inputs, the products that it is added to, where it goes; of an output, which half it is and where its pixels'
/// gates are.
type Term<'a> =
    (usize, (*const f32, &'a [usize]), &'a [Products<'a>], Products<'a>, Option<(usize, &'a [usize])>);

impl<'a> Planes<'a> {
    fn carve(part: &Part<'_>, block: usize, scratch: &'a mut [f32]) -> Self {
        let (v_plane, m_plane) = (block * part.inputs + SKEW, block * part.kernels.panel + SKEW);
        let (v, rest) = scratch.split_at_mut(SUMS * v_plane);
        let (m, rest) = rest.split_at_mut(PLANES * m_plane);
        if part.task.kind == Kind::F32 {
            return Planes { v, v_plane, m, m_plane, x: &mut [], g: &mut [], y: &mut [] };
        }
        let (x, rest) = rest.split_at_mut(4 * block * part.inputs);
        let (g, y) = rest.split_at_mut(PRODUCTS * part.inputs * part.kernels.panel);
        Planes { v, v_plane, m, m_plane, x, g, y }
    }
}

impl<'a> Part<'a> {
    fn of(kernels: &'a Kernels, task: &'a ConvTask<'a>, block: usize) -> Self {
        let ConvGeometry { run, channels, .. } = task.convolution.geometry;
        let (inputs, outputs) = (run * task.kind.wide() / 2, channels / 2);
        let (mut v_offsets, mut m_offsets) = ([0; LARGEST_PAIRS], [0; LARGEST_PAIRS]);
        for slot in 0..block {
            v_offsets[slot] = slot * inputs;
            m_offsets[slot] = slot * kernels.panel;
        }
        Part { kernels, task, inputs, outputs, v_offsets, m_offsets }
    }

    /// The inputs of the pairs, pixel by pixel, where they are looked for from now on.
    ///
    /// # Safety
    /// As [`run`], for these pairs.
    unsafe fn widen_inputs(&self, pairs: &mut Pairs, planes: &mut Planes<'_>) {
        let count = 2 * self.inputs;
        for (pixel, x) in pairs.x[..2 * pairs.count].iter_mut().enumerate() {
            let run = InputRun {
                kind: self.task.kind,
                from: self.task.x.wrapping_add(*x),
                count,
                to: planes.x[pixel * count..].as_mut_ptr(),
            };
            // SAFETY: the caller's contract; there is room for as many pixels.
            unsafe { (self.kernels.widen_inputs)(&run) };
            *x = pixel * count;
        }
        for slot in 0..pairs.count {
            [pairs.x_first[slot], pairs.x_second[slot]] = [pairs.x[2 * slot], pairs.x[2 * slot + 1]];
        }
    }

    /// Where inputs are, and outputs, or the sums that are finished later: of the first half of a panel, and how far it is to the
    /// second.
    fn places(&self, panel: Panel, planes: &mut Planes<'_>) -> (*const f32, *mut f32, usize) {
        match self.task.kind {
            Kind::F32 => (self.task.x, self.task.y.of_f32().wrapping_add(panel.first), self.outputs),
            _ => (planes.x.as_ptr(), planes.y.as_mut_ptr(), panel.width),
        }
    }

    /// `V`: the sums of the pairs' inputs.
    ///
    /// # Safety
    /// As [`run`], for these pairs.
    unsafe fn add_inputs(&self, pairs: &Pairs, planes: &mut Planes<'_>) {
        let sums = SumsTask {
            x: if self.task.kind == Kind::F32 { self.task.x } else { planes.x.as_ptr() },
            x_offsets: &pairs.x[..2 * pairs.count],
            half: self.inputs,
            v: planes.v.as_mut_ptr(),
            plane: planes.v_plane,
        };
        // SAFETY: the caller's contract; each plane has `inputs` elements for each slot.
        unsafe { (self.kernels.of(self.task.kind).strassen_sums)(&sums) };
    }

    /// The products of a panel: seven, of which three are outputs, or the four of a single pixel, of which two are.
    ///
    /// # Safety
    /// As [`run`], for the panel and these pairs, whose inputs are widened if they are narrow, and added up unless they are a single pixel.
    unsafe fn multiply(&self, panel: Panel, pairs: &Pairs, planes: &mut Planes<'_>) {
        let Part { kernels, task, inputs, outputs, .. } = *self;
        let Convolution { residual, activation, gated, .. } = *task.convolution;
        let relu = activation == Activation::Relu;
        let is_f32 = task.kind == Kind::F32;
        let fetch = Fetch::of(task.kind, pairs.count.div_ceil(kernels.tile));
        let (residual, relu) = if is_f32 { (residual, relu) } else { (Residual::None, false) };
        let product = kernels.of(task.kind).product;
        let (x, y, apart) = self.places(panel, planes);
        let g = planes.g.as_ptr();
        let (x_first, x_second) = (&pairs.x_first[..pairs.count], &pairs.x_second[..pairs.count]);
        let (y_first, y_second) = (&pairs.y_first[..pairs.count], &pairs.y_second[..pairs.seconds]);
        let sum =
            |index: usize| (planes.v[index * planes.v_plane..].as_ptr(), &self.v_offsets[..pairs.count]);
        let m = planes.m.as_mut_ptr();
        let plane = |index: usize| (m.wrapping_add(index * planes.m_plane), &self.m_offsets[..pairs.count]);
        let [u, v] = std::array::from_fn(plane);
        let half = |half: usize, offsets| (y.wrapping_add(half * apart), offsets);
        let (lower, upper) = ((x, x_first), (x.wrapping_add(inputs), x_first));
        let gates = [&pairs.gate_first[..], &pairs.gate_second[..]];
        let of_pairs: [Term<'_>; PRODUCTS] = [
            (0, sum(0), &[], v, None),
            (1, lower, &[], u, None),
            (2, upper, &[u], half(0, y_first), Some((0, gates[0]))),
            (3, sum(1), &[u], u, None),
            (4, sum(3), &[u, v], half(1, y_first), Some((1, gates[0]))),
            (5, sum(2), &[u], u, None),
            (6, (upper.0, x_second), &[u], half(0, y_second), Some((0, gates[1]))),
        ];
        let of_one: [Term<'_>; PRODUCTS_OF_ONE] = [
            (0, lower, &[], v, None),
            (1, lower, &[], u, None),
            (2, upper, &[u], half(0, y_first), Some((0, gates[0]))),
            (4, upper, &[u, v], half(1, y_first), Some((1, gates[0]))),
        ];
        let products = if pairs.alone { &of_one[..] } else { &of_pairs[..] };
        let weights = |factor: usize| match task.kind {
            // Earlier panels are all full.
            Kind::F32 => task.panels.wrapping_add((panel.first * PRODUCTS + factor * panel.width) * inputs),
            _ => g.wrapping_add(factor * panel.width * inputs),
        };
        for (index, (factor, (x, x_offsets), others, (y, y_offsets), output)) in
            products.iter().copied().enumerate()
        {
            // After the last product: the first factor of the next panel, which lies behind this one's.
            let next = products.get(index + 1).map_or(PRODUCTS, |(factor, ..)| *factor);
            // The other sums, and behind them what the output holds.
            let mut begun = [Begun { sums: y, offsets: y_offsets }; 3];
            for (begun, (sums, offsets)) in begun.iter_mut().zip(others) {
                *begun = Begun { sums: *sums, offsets };
            }
            let begun = &begun[..others.len() + usize::from(output.is_some() && residual == Residual::Same)];
            let gate = output.filter(|_| gated).map(|(half, offsets)| {
                let sums = task.gate.wrapping_add(half * outputs + panel.first);
                (Begun { sums, offsets }, others.len())
            });
            // SAFETY: the caller's contract, for the pixels of the pairs; slots lie in V and M; earlier panels are all full; the
            // bias is as long as the widest panel.
            unsafe {
                product(&Product {
                    x,
                    x_offsets: &x_offsets[..y_offsets.len()],
                    rows: 1,
                    run: inputs,
                    taps: 1,
                    pitch: 0,
                    tap: 0,
                    weights: weights(factor),
                    prefetch: weights(next),
                    prefetch_apart: fetch.words(inputs, kernels.panel),
                    fetch,
                    bias: output
                        .map_or(NO_BIAS.as_ptr(), |(half, _)| task.start.add(half * outputs + panel.first)),
                    y,
                    y_offsets,
                    channels: panel.width,
                    begun,
                    gate,
                    held: output.is_some() && residual == Residual::Same,
                    relu: output.is_some() && relu,
                });
            }
        }
    }

    /// What the products of a panel of each half multiply with: blocks of packed weights, widened and added up.
    ///
    /// # Safety
    /// As [`run`], for the panel.
    unsafe fn make_factors(&self, panel: Panel, planes: &mut Planes<'_>) {
        let Part { kernels, task, inputs, outputs, .. } = *self;
        let rows = inputs / task.kind.wide();
        // Panels of both halves are full ones, of `2 * rows` packed words a channel.
        let block = |block: usize| {
            let channel = block % 2 * outputs + panel.first;
            task.panels.wrapping_add((channel * 2 + block / 2 * panel.width) * rows)
        };
        let factors = FactorTask {
            kind: task.kind,
            blocks: [0, 1, 2, 3].map(block),
            rows,
            width: panel.width,
            to: planes.g.as_mut_ptr(),
            plane: inputs * panel.width,
        };
        // SAFETY: the caller's contract; there is room for all factors of the widest panel.
        unsafe { (kernels.strassen_factors)(&factors) };
    }

    /// The outputs of a panel of each half: f32 are activated, others made of their sums.
    ///
    /// # Safety
    /// As [`run`], for these pairs and the panel, whose sums are in Y, or f32 in the output.
    unsafe fn finish(&self, panel: Panel, pairs: &Pairs, planes: &mut Planes<'_>) {
        let Part { task, outputs, .. } = *self;
        for half in 0..2 {
            let first = half * outputs + panel.first;
            let of_half = Panel { first, place: first, ..panel };
            let y_offsets = &pairs.y[..pairs.count + pairs.seconds];
            // SAFETY: the caller's contract, for the pixels of the pairs and the panel's channels of the half.
            unsafe {
                if task.kind == Kind::F32 {
                    task.activate(of_half, y_offsets);
                } else {
                    let sums = planes.y[half * panel.width..].as_mut_ptr();
                    wide::finish(task, of_half, y_offsets, sums, 2 * panel.width);
                }
            }
        }
    }

    /// The second halves of the second pixels, without a product.
    ///
    /// # Safety
    /// As [`run`], for these pairs and the panel, whose products are in M.
    unsafe fn add_products(&self, panel: Panel, pairs: &Pairs, planes: &mut Planes<'_>) {
        let Convolution { residual, activation, gated, .. } = *self.task.convolution;
        let relu = activation == Activation::Relu;
        let is_f32 = self.task.kind == Kind::F32;
        let (_, y, apart) = self.places(panel, planes);
        let last = LastTask {
            m: planes.m.as_ptr(),
            plane: planes.m_plane,
            pixel: self.kernels.panel,
            bias: self.task.start.wrapping_add(self.outputs + panel.first),
            y: y.wrapping_add(apart),
            y_offsets: &pairs.y_second[..pairs.seconds],
            channels: panel.width,
            gate: self.task.gate.wrapping_add(self.outputs + panel.first),
            gate_offsets: if gated { &pairs.gate_second[..pairs.seconds] } else { &[] },
            accumulate: is_f32 && residual == Residual::Same,
            relu: is_f32 && relu,
        };
        // SAFETY: the caller's contract, for the second pixels and the panel's channels of the second half.
        unsafe { (self.kernels.of(self.task.kind).strassen_last)(&last) };
    }
}

/// `s1` to `s4` of all pairs.
///
/// # Safety
/// Each pixel holds two halves, which are whole vectors; each plane has room for a half for each pair. The machine has the
/// instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn sums<S: Integers, N: Arithmetic>(simd: S, task: &SumsTask<'_>) {
    for (slot, pair) in task.x_offsets.chunks_exact(2).enumerate() {
        // SAFETY: the caller's contract.
        unsafe {
            let (p, q) = (task.x.add(pair[0]), task.x.add(pair[1]));
            let v = task.v.add(slot * task.half);
            for channel in (0..task.half).step_by(S::LANES) {
                let (p0, p1) = (simd.load(p.add(channel)), simd.load(p.add(task.half + channel)));
                let (q0, q1) = (simd.load(q.add(channel)), simd.load(q.add(task.half + channel)));
                let s1 = N::add(simd, q0, q1);
                let s2 = N::sub(simd, s1, p0);
                let to = v.add(channel);
                simd.store(to, s1);
                simd.store(to.add(task.plane), s2);
                simd.store(to.add(2 * task.plane), N::sub(simd, p0, q0));
                simd.store(to.add(3 * task.plane), N::sub(simd, p1, s2));
            }
        }
    }
}

/// The [`factors`] of narrow weights.
///
/// # Safety
/// Each block holds so many rows, and each plane has room for twice as many. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn make_factors<S: Integers, W: Weights<S>>(simd: S, task: &FactorTask) {
    for row in 0..task.rows {
        for lane in (0..task.width).step_by(S::LANES) {
            let place = row * task.width + lane;
            for wide in 0..W::WIDE {
                let mut blocks = [simd.splat(0.0); 4];
                for (block, from) in blocks.iter_mut().zip(task.blocks) {
                    // SAFETY: the caller's contract.
                    *block = W::row(simd, unsafe { simd.load(from.add(place)) }, wide);
                }
                let [w00, w01, w10, w11] = blocks;
                let t1 = W::Arithmetic::sub(simd, w01, w00);
                let t2 = W::Arithmetic::sub(simd, w11, t1);
                let (t3, t4) = (W::Arithmetic::sub(simd, w11, w01), W::Arithmetic::sub(simd, w10, t2));
                let to = task.to.wrapping_add((row * W::WIDE + wide) * task.width + lane);
                for (index, factor) in [t1, w00, w10, t2, w11, t3, t4].into_iter().enumerate() {
                    // SAFETY: the caller's contract.
                    unsafe { simd.store(to.add(index * task.plane), factor) };
                }
            }
        }
    }
}

/// The second halves of the second pixels: `v + w`.
///
/// # Safety
/// Each plane, the bias and each pixel's gate hold the panel's channels; pixels lie in the output, where nobody else reads or writes.
/// The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn last<S: Integers, N: Arithmetic>(simd: S, task: &LastTask<'_>) {
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    for (slot, offset) in task.y_offsets.iter().enumerate() {
        for channel in (0..task.channels).step_by(S::LANES) {
            // SAFETY: the caller's contract.
            unsafe {
                let m = task.m.add(slot * task.pixel + channel);
                let [w, v] = std::array::from_fn(|plane| simd.load(m.add(plane * task.plane)));
                let bias = simd.load(task.bias.add(channel));
                let mut sum = N::add_sums(simd, N::add_sums(simd, v, w), bias);
                let to = task.y.add(offset + channel);
                if !N::INTEGER
                    && let Some(offset) = task.gate_offsets.get(slot)
                {
                    sum = simd.mul(sum, simd.load(task.gate.add(offset + channel)));
                }
                if task.accumulate {
                    sum = N::add_sums(simd, sum, simd.load(to));
                }
                simd.store(to, N::at_least(simd, floor, sum));
            }
        }
    }
}
