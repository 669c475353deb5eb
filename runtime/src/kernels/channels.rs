//! Steps on the channels of a pixel: softmax, Euclidean norms, convolutions along channels.
//!
//! Sums are in f64: of many terms, one in f32 is off by more than any of them.

/// `y = exp(x - max(x)) / sum(exp(x - max(x)))` over each `channels` elements. A NaN among them makes all of them NaN.
///
/// # Panics
/// If `channels` is 0.
pub fn softmax(channels: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0f64;
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - largest).exp();
            sum += f64::from(*y);
        }
        let sum = sum as f32;
        for y in y {
            *y /= sum;
        }
    }
}

/// `y = x / max(sqrt(sum(x^2)), epsilon)` over each `channels` elements. A NaN among them makes all of them NaN.
///
/// # Panics
/// If `channels` is 0.
pub fn l2_normalize(channels: usize, epsilon: f64, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        let norm = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        let norm = if norm < epsilon { epsilon } else { norm };
        for (y, x) in y.iter_mut().zip(x) {
            *y = (f64::from(*x) / norm) as f32;
        }
    }
}

/// `y[c] = sum over k of kernel[k] * x[c + k - kernel / 2]` over each `channels` elements, with zeros on both sides.
///
/// # Panics
/// If `channels` is 0.
pub fn channel_conv(channels: usize, kernel: &[f32], x: &[f32], y: &mut [f32]) {
    let half = kernel.len() / 2;
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        for (channel, y) in y.iter_mut().enumerate() {
            let first = half.saturating_sub(channel);
            let x = &x[(channel + first).saturating_sub(half)..];
            let products = kernel[first.min(kernel.len())..].iter().zip(x);
            *y = products.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() as f32;
        }
    }
}
