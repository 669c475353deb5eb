//! Means and standard deviations of many pixels, and what is normalized by them.
//!
//! ```text
//! for each span of an image's channels (whole groups, or a part of a wide one):
//!     measure:    the mean of each channel and the squared differences to it, which become those of its group
//! write both, or (x - mean) / deviation, from the last row to the first: those that were read last are in the cache
//! ```

mod measure;

use std::ops::Range;

use resnet_plan::Activation;
use resnet_plan::list::WIDTH;
use resnet_plan::moments::{GroupNorm, Reduce, Reduction};

use crate::kernels::activate::activated;
use crate::kernels::moments::measure::{Moments, SPAN, measure};
use crate::kernels::{Kernels, Shared, must_fit, share_out};
use crate::simd::{FEW_LANES, Integers};
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
    let parts = Parts::of(norm);
    let y = Shared(y.as_mut_ptr());
    share_out(threads, norm.batch * parts.count, parts.most(norm), &|parts| {
        let task = NormTask { norm: *norm, list, x, y: y.pointer(), parts };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions hold for every pixel; the parts of two calls do
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
    let y = Shared(y.as_mut_ptr());
    match reduce.reduction {
        Reduction::Statistics { epsilon } => {
            let vectors = reduce.batch * reduce.parts * reduce.channels.div_ceil(LANES);
            share_out(threads, vectors, SPAN / LANES, &|vectors| {
                let task = StatisticsTask { reduce: *reduce, epsilon, x, y: y.pointer(), vectors };
                // SAFETY: as in `group_norm`.
                unsafe { (kernels.statistics)(&task) }
            });
        }
        Reduction::Gem { epsilon, exponent: fixed } => {
            let exponent = fixed.or(exponent.map(f64::from)).expect("a generalized mean has an exponent");
            let vectors = reduce.batch * reduce.parts * reduce.channels.div_ceil(LANES);
            share_out(threads, vectors, 1, &|vectors| {
                for vector in vectors {
                    let (to, means, rest) = generalized_means(reduce, epsilon, exponent, x, vector);
                    for (lane, mean) in means.into_iter().enumerate().take(rest) {
                        // SAFETY: the assertions hold for every pixel that is written; the vectors of two calls do not meet, and `y` is
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

    /// The end of the parts from `first` on that are one span of channels, or one group: no matter whose part it is, each group's mean and
    /// deviation have the same bits.
    fn together(&self, norm: &GroupNorm, first: usize, end: usize) -> usize {
        let end = end.min(first - first % self.count + self.normalized);
        end.min(first + self.most(norm)).max(first + 1)
    }

    /// The most parts that are one span, or one.
    fn most(&self, norm: &GroupNorm) -> usize {
        (SPAN / (self.groups * norm.width())).max(1)
    }
}

/// # Safety
/// All pixels lie in `x`, and in `y`, where nobody else reads or writes the channels of the task's parts; there are the rows of weights that
/// are needed. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn normalize<S: Integers>(simd: S, task: &NormTask<'_>) {
    let norm = &task.norm;
    let (parts, [first, end]) = (Parts::of(norm), norm.range);
    let mut part = task.parts.start;
    while part < task.parts.end {
        let next = parts.together(norm, part, task.parts.end);
        let (image, of_image) = (part / parts.count, part % parts.count);
        let groups = of_image * parts.groups..((of_image + next - part) * parts.groups).min(norm.groups);
        part = next;
        // SAFETY: the caller's contract; each range is one of the channels.
        unsafe {
            if of_image == parts.normalized {
                for channels in [0..first, end..norm.channels] {
                    write_spans(simd, task, image, channels, None);
                }
                continue;
            }
            let channels = first + groups.start * norm.width()..first + groups.end * norm.width();
            let mut moments = [Moments::NONE; SPAN];
            for channel in channels.clone().step_by(SPAN) {
                let from = task.x.as_ptr().add(norm.x.at(image, 0, 0) + channel);
                let of_channels = measure(simd, from, &norm.x, norm.size, (channels.end - channel).min(SPAN));
                of_channels.add_to(&mut moments, norm.width());
            }
            write_spans(simd, task, image, channels, Some(&moments));
        }
    }
}

/// What the channels of a span become: `(x - mean) * scale + shift`.
struct Normal {
    mean: [f32; SPAN],
    scale: [f32; SPAN],
    shift: [f32; SPAN],
    slope: [f32; SPAN],
}

/// Writes channels of all pixels of an image, normalized if there are moments of their groups.
///
/// # Safety
/// As [`normalize`], for these channels.
#[inline(always)]
unsafe fn write_spans<S: Integers>(
    simd: S,
    task: &NormTask<'_>,
    image: usize,
    channels: Range<usize>,
    groups: Option<&[Moments; SPAN]>,
) {
    let norm = &task.norm;
    let (affine, slopes) =
        task.list.split_at(if norm.affine { 2 * norm.channels.next_multiple_of(WIDTH) } else { 0 });
    let (gamma, beta) = affine.split_at(affine.len() / 2);
    for first in channels.clone().step_by(SPAN) {
        let count = (channels.end - first).min(SPAN);
        let mut normal =
            Normal { mean: [0.0; SPAN], scale: [1.0; SPAN], shift: [0.0; SPAN], slope: [0.0; SPAN] };
        if let Some(groups) = groups {
            for (start, group) in (0..count).step_by(norm.width()).zip(groups) {
                let mean = group.mean as f32;
                let rest = (group.mean - f64::from(mean)) as f32;
                let factor = (1.0 / Moments::deviation(group.squares, group.count, norm.epsilon)) as f32;
                for lane in start..(start + norm.width()).min(count) {
                    let gamma = gamma.get(first + lane).copied().unwrap_or(1.0);
                    let beta = beta.get(first + lane).copied().unwrap_or(0.0);
                    normal.mean[lane] = mean;
                    normal.scale[lane] = factor * gamma;
                    normal.shift[lane] = beta - rest * normal.scale[lane];
                }
            }
        }
        match norm.activation {
            Activation::Prelu => normal.slope[..count].copy_from_slice(&slopes[first..first + count]),
            Activation::LeakyRelu(slope) => normal.slope = [slope; SPAN],
            _ => {}
        }
        // SAFETY: the caller's contract.
        unsafe {
            // (The scalar kernels do without code of their own for these.)
            if S::LANES > FEW_LANES && matches!(norm.activation, Activation::None | Activation::Relu) {
                write::<S, true>(simd, task, image, first, count, &normal);
            } else {
                write::<S, false>(simd, task, image, first, count, &normal);
            }
        }
    }
}

/// Writes `count` channels from the `first` on. `PLAIN`: nothing but a ReLU is applied to them.
///
/// # Safety
/// As [`normalize`], for these channels.
#[inline(always)]
unsafe fn write<S: Integers, const PLAIN: bool>(
    simd: S,
    task: &NormTask<'_>,
    image: usize,
    first: usize,
    count: usize,
    normal: &Normal,
) {
    let GroupNorm { size: [height, width], activation, ref x, ref y, .. } = task.norm;
    let floor = simd.splat(if activation == Activation::Relu { 0.0 } else { f32::NEG_INFINITY });
    let whole = count - count % S::LANES;
    macro_rules! of {
        ($x:expr, $channel:expr) => {{
            let channel = $channel;
            let difference = simd.sub($x, simd.load(normal.mean.as_ptr().add(channel)));
            let (scale, shift) = (normal.scale.as_ptr().add(channel), normal.shift.as_ptr().add(channel));
            let value = simd.mul_add(difference, simd.load(scale), simd.load(shift));
            if PLAIN {
                simd.at_least(floor, value)
            } else {
                activated(simd, activation, 1.0, simd.load(normal.slope.as_ptr().add(channel)), value)
            }
        }};
    }
    for row in (0..height).rev() {
        for column in 0..width {
            // SAFETY: the caller's contract; arrays have whole vectors.
            unsafe {
                let from = task.x.as_ptr().add(x.at(image, row, column) + first);
                let to = task.y.add(y.at(image, row, column) + first);
                for channel in (0..whole).step_by(S::LANES) {
                    simd.store(to.add(channel), of!(simd.load(from.add(channel)), channel));
                }
                if whole < count {
                    let value = of!(simd.load_partial(from.add(whole), count - whole), whole);
                    simd.store_partial(to.add(whole), value, count - whole);
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
    let mut vector = task.vectors.start;
    while vector < task.vectors.end {
        let Place { image, part, channel, .. } = Place::of(&task.reduce, vector);
        let count = ((task.vectors.end - vector) * LANES).min(channels - channel).min(SPAN);
        vector += count.div_ceil(LANES);
        // SAFETY: the caller's contract.
        unsafe {
            let from = task.x.as_ptr().add(x.at(image, part * size[0], 0) + channel);
            let moments = measure(simd, from, x, size, count);
            let to = task.y.add(y.at(image, part, 0) + channel);
            for lane in 0..count {
                let deviation = Moments::deviation(moments.squares[lane], moments.count - 1.0, task.epsilon);
                *to.add(lane) = moments.mean[lane] as f32;
                *to.add(channels + lane) = deviation as f32;
            }
        }
    }
}
