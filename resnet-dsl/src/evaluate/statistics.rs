//! Operators that depend on sums over many elements, in f64: norms of the image itself, statistics, generalized means.

use crate::evaluate::Array;
use crate::evaluate::weights::Affine;
use crate::ops::{GroupNorm, Over, StatisticsPool};

/// Group norm of a range of channels. `affine` has an element for each of them.
pub fn group_norm(x: &Array, norm: &GroupNorm, affine: &Affine) -> Array {
    let mut y = x.clone();
    let mut moments = moments(x, norm).into_iter();
    for_each_group(x, norm, |first, places| {
        let Some([mean, deviation]) = moments.next() else { return };
        for place in places {
            let channel = place % x.dims[3] - first;
            y.data[*place] =
                (x.data[*place] - mean) / deviation * affine.scale[channel] + affine.beta[channel];
        }
    });
    y
}

/// The mean of each group of each image, and what a group norm divides by: the square root of the variance and epsilon.
pub fn moments(x: &Array, norm: &GroupNorm) -> Vec<[f64; 2]> {
    let mut moments = Vec::new();
    for_each_group(x, norm, |_, places| {
        let [mean, variance] = mean_and_variance(places.iter().map(|place| x.data[*place]));
        moments.push([mean, (variance + norm.epsilon).sqrt()]);
    });
    moments
}

/// Calls `f` for the groups of each image, with the first channel of the range and the places of the group's elements.
fn for_each_group(x: &Array, norm: &GroupNorm, mut f: impl FnMut(usize, &[usize])) {
    let [batch, height, width, channels] = x.dims;
    let [first, end] = norm.channels.unwrap_or([0, channels]);
    let size = (end - first) / norm.groups(channels);
    for n in 0..batch {
        for group in (first..end).step_by(size) {
            let pixels = n * height * width..(n + 1) * height * width;
            let of_pixel = |pixel: usize| pixel * channels + group..pixel * channels + group + size;
            f(first, &pixels.flat_map(of_pixel).collect::<Vec<_>>());
        }
    }
}

/// Means, then standard deviations, of each channel.
pub fn statistics_pool(x: &Array, pool: &StatisticsPool) -> Array {
    let [batch, height, width, channels] = x.dims;
    let (rows, pixels) = match pool.over {
        Over::Width => (height, width),
        Over::Image => (1, height * width),
    };
    let dims = [batch, rows, 1, 2 * channels];
    let mut data = vec![0.0; dims.iter().product()];
    for (index, y) in data.chunks_exact_mut(2 * channels).enumerate() {
        for channel in 0..channels {
            let of_channel = (0..pixels).map(|pixel| x.data[(index * pixels + pixel) * channels + channel]);
            let [mean, variance] = mean_and_variance(of_channel);
            let unbiased = variance * pixels as f64 / (pixels as f64 - 1.0);
            y[channel] = mean;
            y[channels + channel] = (unbiased + pool.epsilon).sqrt();
        }
    }
    Array { dims, data }
}

/// `mean(max(x, epsilon)^exponent)^(1/exponent)` of each channel.
pub fn gem_pool(x: &Array, exponent: f64, epsilon: f64) -> Array {
    let [batch, height, width, channels] = x.dims;
    let pixels = height * width;
    let mut data = vec![0.0; batch * channels];
    for (index, x) in x.data.chunks_exact(pixels * channels).enumerate() {
        for (place, x) in x.iter().enumerate() {
            // (`clamp` keeps NaN.)
            data[index * channels + place % channels] += x.clamp(epsilon, f64::INFINITY).powf(exponent);
        }
    }
    data.iter_mut().for_each(|sum| *sum = (*sum / pixels as f64).powf(1.0 / exponent));
    Array { dims: [batch, 1, 1, channels], data }
}

/// Each pixel over its Euclidean norm, or over `epsilon`, if that is larger.
pub fn l2_normalize(x: &Array, epsilon: f64) -> Array {
    let mut y = x.clone();
    for pixel in y.data.chunks_exact_mut(x.dims[3]) {
        let norm = pixel.iter().map(|x| x * x).sum::<f64>().sqrt().clamp(epsilon, f64::INFINITY);
        pixel.iter_mut().for_each(|x| *x /= norm);
    }
    y
}

/// The mean and the biased variance.
fn mean_and_variance(elements: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let count = elements.clone().count() as f64;
    let mean = elements.clone().sum::<f64>() / count;
    [mean, elements.map(|x| (x - mean).powi(2)).sum::<f64>() / count]
}
