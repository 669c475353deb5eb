//! Means and standard deviations of many pixels, and what is normalized by them.
//!
//! ```text
//! for each image, for each part of its channels (whole groups, the same whatever the threads):
//!     mean:       sum the pixels, a block in f32 and blocks in f64; of all channels of a group
//!     variance:   the same of (x - mean)^2, and of x - mean for what the mean was rounded by
//!     write both, or (x - mean) / deviation
//! ```
//! The variance is one of differences to the mean, and is as exact where the mean is large.

use std::ops::Range;

use resnet_plan::list::WIDTH;
use resnet_plan::moments::{GroupNorm, Reduce, Reduction};
use resnet_plan::{Activation, Pixels};

use crate::kernels::activate::activated;
use crate::kernels::{Kernels, Shared, must_fit, share};
use crate::simd::Integers;
use crate::threads::Threads;

/// Parts of group norms, counted through all images, that one thread does.
pub(crate) struct NormTask<'a> {
    norm: GroupNorm,
    /// Rows of weights, each filled up to whole vectors: gamma and beta, slopes.
    list: &'a [f32],
    x: &'a [f32],
    y: *mut f32,
    parts: Range<usize>,
}

/// Vectors of channels, counted through all parts of all images, that one thread does.
pub(crate) struct StatisticsTask<'a> {
    reduce: Reduce,
    epsilon: f64,
    x: &'a [f32],
    y: *mut f32,
    vectors: Range<usize>,
}

/// Pixels that are summed in f32.
const BLOCK: usize = 32;
/// The most lanes of a vector.
const LANES: usize = 16;

/// Normalizes groups of channels, shared out over threads. `list` has the rows of weights that it needs.
///
/// # Panics
/// If the geometry reaches outside the slices, pixels of the output overlap, or weights are missing.
pub fn group_norm(
    kernels: &Kernels,
    threads: &Threads,
    norm: &GroupNorm,
    list: &[f32],
    x: &[f32],
    y: &mut [f32],
) {
    if norm.is_empty() {
        return;
    }
    must_fit(norm.fits(x.len(), y.len()));
    let width = norm.channels.checked_next_multiple_of(WIDTH);
    let needed = width.and_then(|width| width.checked_mul(norm.rows()));
    assert!(needed.is_some_and(|needed| list.len() >= needed), "there are too few weights");
    let (parts, count) = (norm.batch * Parts::of(norm).count, threads.count());
    let y = Shared(y.as_mut_ptr());
    threads.run(|index, _| {
        let parts = share(parts, index, count);
        let task = NormTask { norm: *norm, list, x, y: y.pointer(), parts };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel; the parts of two threads do
        // not meet, and `y` is borrowed exclusively.
        unsafe { (kernels.group_norm)(&task) }
    });
}

/// What `reduce` says, shared out over threads; `exponent` is p of a generalized mean that has it as a weight.
///
/// # Panics
/// If the geometry reaches outside the slices, or pixels of the output overlap; if there is no exponent.
pub fn reduce(
    kernels: &Kernels,
    threads: &Threads,
    reduce: &Reduce,
    exponent: Option<f32>,
    x: &[f32],
    y: &mut [f32],
) {
    if reduce.is_empty() {
        return;
    }
    must_fit(reduce.fits(x.len(), y.len()));
    let count = threads.count();
    let y = Shared(y.as_mut_ptr());
    match reduce.reduction {
        Reduction::Statistics { epsilon } => {
            let vectors = reduce.batch * reduce.parts * reduce.channels.div_ceil(LANES);
            threads.run(|index, _| {
                let vectors = share(vectors, index, count);
                let task = StatisticsTask { reduce: *reduce, epsilon, x, y: y.pointer(), vectors };
                // SAFETY: as in `group_norm`.
                unsafe { (kernels.statistics)(&task) }
            });
        }
        Reduction::Gem { epsilon, exponent: fixed } => {
            let exponent = fixed.or(exponent.map(f64::from)).expect("a generalized mean has an exponent");
            let vectors = reduce.batch * reduce.parts * reduce.channels.div_ceil(LANES);
            threads.run(|index, _| {
                for vector in share(vectors, index, count) {
                    let (to, means, rest) = generalized_means(reduce, epsilon, exponent, x, vector);
                    for (lane, mean) in means.into_iter().enumerate().take(rest) {
                        // SAFETY: the assertions hold for every pixel that is written; the vectors of two threads do not meet, and `y` is
                        // borrowed exclusively.
                        unsafe { *y.pointer().add(to + lane) = mean };
                    }
                }
            });
        }
    }
}

/// The generalized means of the channels of a vector, where they go, and how many there are.
fn generalized_means(
    reduce: &Reduce,
    epsilon: f64,
    exponent: f64,
    x: &[f32],
    vector: usize,
) -> (usize, [f32; LANES], usize) {
    let Place { image, part, channel, rest } = Place::of(reduce, vector);
    let (least, power) = (epsilon as f32, exponent as f32);
    let mut totals = [0.0f64; LANES];
    for row in part * reduce.size[0]..(part + 1) * reduce.size[0] {
        for column in 0..reduce.size[1] {
            let pixel = &x[reduce.x.at(image, row, column) + channel..][..rest];
            for (total, x) in totals.iter_mut().zip(pixel) {
                // (NaN stays NaN.)
                *total += f64::from((if *x < least { least } else { *x }).powf(power));
            }
        }
    }
    let count = (reduce.size[0] * reduce.size[1]) as f64;
    let means = totals.map(|total| (total / count).powf(1.0 / exponent) as f32);
    (reduce.y.at(image, part, 0) + channel, means, rest)
}

/// A vector of channels: its image and the part of it, its first channel, and how many there are.
struct Place {
    image: usize,
    part: usize,
    channel: usize,
    rest: usize,
}

impl Place {
    fn of(reduce: &Reduce, vector: usize) -> Self {
        let vectors = reduce.channels.div_ceil(LANES);
        let (part, channel) = (vector / vectors, vector % vectors * LANES);
        let (image, part) = (part / reduce.parts, part % reduce.parts);
        Place { image, part, channel, rest: (reduce.channels - channel).min(LANES) }
    }
}

/// How the channels of an image are parted: whole groups, several if they are narrower than a vector; then what is copied.
struct Parts {
    /// Groups of a part.
    groups: usize,
    /// Parts with groups.
    normalized: usize,
    count: usize,
}

impl Parts {
    fn of(norm: &GroupNorm) -> Self {
        let groups = (LANES / norm.width()).max(1);
        let normalized = norm.groups.div_ceil(groups);
        let copied = usize::from(norm.range != [0, norm.channels]);
        Parts { groups, normalized, count: normalized + copied }
    }
}

/// # Safety
/// All pixels lie in `x`, and in `y`, where nobody else reads or writes the channels of the task's parts; there are the rows of weights that
/// are needed. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn normalize<S: Integers>(simd: S, task: &NormTask<'_>) {
    let norm = &task.norm;
    let (parts, [first, end]) = (Parts::of(norm), norm.range);
    for part in task.parts.clone() {
        let (image, part) = (part / parts.count, part % parts.count);
        // SAFETY: the caller's contract; each range is one of the channels.
        unsafe {
            if part == parts.normalized {
                let unchanged = Normal { mean: [0.0; LANES], rest: [0.0; LANES], factor: [1.0; LANES] };
                write(simd, task, image, 0..first, &unchanged, false);
                write(simd, task, image, end..norm.channels, &unchanged, false);
                continue;
            }
            let groups = part * parts.groups..((part + 1) * parts.groups).min(norm.groups);
            let channels = first + groups.start * norm.width()..first + groups.end * norm.width();
            let normal = measure(simd, task, image, channels.clone());
            write(simd, task, image, channels, &normal, norm.affine);
        }
    }
}

/// What each lane of a part's vectors is normalized with: `(x - mean - rest) * factor`.
struct Normal {
    mean: [f32; LANES],
    /// What the mean was rounded by.
    rest: [f32; LANES],
    factor: [f32; LANES],
}

/// # Safety
/// As [`normalize`], for channels that are whole groups: one, or as many as fit a vector.
#[inline(always)]
unsafe fn measure<S: Integers>(simd: S, task: &NormTask<'_>, image: usize, channels: Range<usize>) -> Normal {
    let norm = &task.norm;
    let count = norm.size[0] as f64 * norm.size[1] as f64 * norm.width() as f64;
    let start = norm.x.at(image, 0, 0);
    let mut normal = Normal { mean: [0.0; LANES], rest: [0.0; LANES], factor: [0.0; LANES] };
    // First of the elements, then of their differences to the mean.
    let mut totals = [[0.0f64; LANES]; 2];
    for measured in 0..2 {
        totals = [[0.0; LANES]; 2];
        // Wider groups fill all lanes of their vectors: what is in a lane is summed, whatever its channel.
        for channel in channels.clone().step_by(LANES) {
            let lanes = (channels.end - channel).min(LANES);
            // SAFETY: the caller's contract.
            unsafe {
                let from = task.x.as_ptr().add(start + channel);
                add_sums(simd, from, &norm.x, norm.size, lanes, &normal.mean, &mut totals);
            }
        }
        totals = [of_groups(totals[0], norm.width()), of_groups(totals[1], norm.width())];
        let to = if measured == 0 { &mut normal.mean } else { &mut normal.rest };
        for (to, sum) in to.iter_mut().zip(totals[0]) {
            *to = (sum / count) as f32;
        }
    }
    let [rests, squares] = totals;
    for (lane, factor) in normal.factor.iter_mut().enumerate() {
        let variance = (squares[lane] - rests[lane] * rests[lane] / count) / count;
        *factor = (1.0 / (variance + norm.epsilon).sqrt()) as f32;
    }
    normal
}

/// Gives each lane the sum of its group's lanes. Groups that are wider than a vector are all lanes.
#[inline(always)]
fn of_groups(totals: [f64; LANES], width: usize) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    let width = width.min(LANES);
    for (sums, totals) in sums.chunks_mut(width).zip(totals.chunks(width)) {
        let sum: f64 = totals.iter().sum();
        sums.fill(sum);
    }
    sums
}

/// Adds the sums of `x - shift` and of its square to those of each lane.
///
/// # Safety
/// Behind `from`, each pixel has `lanes` channels. The machine has the instructions of `S`.
#[inline(always)]
unsafe fn add_sums<S: Integers>(
    simd: S,
    from: *const f32,
    x: &Pixels,
    [height, width]: [usize; 2],
    lanes: usize,
    shift: &[f32; LANES],
    totals: &mut [[f64; LANES]; 2],
) {
    for first in (0..lanes).step_by(S::LANES) {
        let count = (lanes - first).min(S::LANES);
        // SAFETY: the caller's contract; arrays have whole vectors.
        unsafe {
            let shift = simd.load(shift.as_ptr().add(first));
            for row in 0..height {
                for block in (0..width).step_by(BLOCK) {
                    let (mut sum, mut squares) = (simd.splat(0.0), simd.splat(0.0));
                    for column in block..(block + BLOCK).min(width) {
                        let place = from.add(row * x.row + column * x.pixel + first);
                        let value = load(simd, place, count);
                        let value = simd.sub(value, shift);
                        sum = simd.add(sum, value);
                        squares = simd.mul_add(value, value, squares);
                    }
                    let mut of_block = [[0.0f32; LANES]; 2];
                    simd.store(of_block[0].as_mut_ptr(), sum);
                    simd.store(of_block[1].as_mut_ptr(), squares);
                    for (totals, of_block) in totals.iter_mut().zip(of_block) {
                        for (total, sum) in totals[first..].iter_mut().zip(of_block).take(count) {
                            *total += f64::from(sum);
                        }
                    }
                }
            }
        }
    }
}

/// Writes channels of all pixels of an image.
///
/// # Safety
/// As [`normalize`], for these channels.
#[inline(always)]
unsafe fn write<S: Integers>(
    simd: S,
    task: &NormTask<'_>,
    image: usize,
    channels: Range<usize>,
    normal: &Normal,
    affine: bool,
) {
    let norm = &task.norm;
    let row_of_weights = norm.channels.next_multiple_of(WIDTH);
    let slopes = task.list.as_ptr().wrapping_add(if norm.affine { 2 * row_of_weights } else { 0 });
    for channel in channels.clone().step_by(S::LANES) {
        let count = (channels.end - channel).min(S::LANES);
        let lane = (channel - channels.start) % LANES;
        // SAFETY: the caller's contract; rows of weights have the channels.
        unsafe {
            let mean = simd.load(normal.mean.as_ptr().add(lane));
            let mut scale = simd.load(normal.factor.as_ptr().add(lane));
            let mut shift = simd.splat(0.0);
            if affine {
                scale = simd.mul(scale, load(simd, task.list.as_ptr().add(channel), count));
                shift = load(simd, task.list.as_ptr().add(row_of_weights + channel), count);
            }
            let shift = simd.sub(shift, simd.mul(simd.load(normal.rest.as_ptr().add(lane)), scale));
            let slope = match norm.activation {
                Activation::Prelu => load(simd, slopes.add(channel), count),
                Activation::LeakyRelu(slope) => simd.splat(slope),
                _ => simd.splat(0.0),
            };
            for row in 0..norm.size[0] {
                for column in 0..norm.size[1] {
                    let x = load(simd, task.x.as_ptr().add(norm.x.at(image, row, column) + channel), count);
                    let value = simd.add(simd.mul(simd.sub(x, mean), scale), shift);
                    let value = activated(simd, norm.activation, 1.0, slope, value);
                    let to = task.y.add(norm.y.at(image, row, column) + channel);
                    if count == S::LANES {
                        simd.store(to, value);
                    } else {
                        simd.store_partial(to, value, count);
                    }
                }
            }
        }
    }
}

/// # Safety
/// All pixels lie in `x`, and in `y`, where nobody else reads or writes the task's channels. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn statistics<S: Integers>(simd: S, task: &StatisticsTask<'_>) {
    let Reduce { size, channels, ref x, ref y, .. } = task.reduce;
    let count = size[0] as f64 * size[1] as f64;
    for vector in task.vectors.clone() {
        let Place { image, part, channel, rest } = Place::of(&task.reduce, vector);
        let [mut sums, mut differences] = [[[0.0; LANES]; 2]; 2];
        // SAFETY: the caller's contract.
        unsafe {
            let from = task.x.as_ptr().add(x.at(image, part * size[0], 0) + channel);
            add_sums(simd, from, x, size, rest, &[0.0; LANES], &mut sums);
            let mut shift = [0.0; LANES];
            for (shift, sum) in shift.iter_mut().zip(sums[0]) {
                *shift = (sum / count) as f32;
            }
            add_sums(simd, from, x, size, rest, &shift, &mut differences);
            let to = task.y.add(y.at(image, part, 0) + channel);
            for lane in 0..rest {
                let [difference, squares] = [differences[0][lane], differences[1][lane]];
                let variance = (squares - difference * difference / count) / (count - 1.0);
                *to.add(lane) = (f64::from(shift[lane]) + difference / count) as f32;
                *to.add(channels + lane) = (variance + task.epsilon).sqrt() as f32;
            }
        }
    }
}

/// The first `count` elements, and zeros.
///
/// # Safety
/// `from` must be valid for reads of `count <= LANES` elements.
#[inline(always)]
unsafe fn load<S: Integers>(simd: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe { if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) } }
}
