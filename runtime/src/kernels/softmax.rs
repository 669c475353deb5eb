//! Softmax.

/// `y = exp(x - max(x)) / sum(exp(x - max(x)))` over each `channels` elements. A NaN among them makes all of them NaN.
///
/// # Panics
/// If `channels` is 0.
pub fn softmax(channels: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - largest).exp();
            sum += *y;
        }
        for y in y {
            *y /= sum;
        }
    }
}
