//! Softmax.
//!
//! The sum is in f64: of many terms, one in f32 is off by more than any of them.

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
