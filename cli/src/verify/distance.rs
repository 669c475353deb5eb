//! How far values are from their reference.

use crate::inputs;

/// How far a value is from its reference, over all inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distance {
    /// The largest error in ULP: in the spacing of f32 at the reference. (An element smaller than [`LEAST`] of the value's largest counts
    /// as if it were as large as that: what a sum cancels to has few digits, whatever it is computed in.)
    pub(crate) ulp: f64,
    /// The largest error.
    pub(crate) error: f64,
    /// The largest element of the reference, sign apart.
    pub(crate) largest: f64,
    /// Sums of squares of the reference, the errors and what was found, and the sum of products of the first and the last.
    signal: f64,
    noise: f64,
    found: f64,
    product: f64,
}

/// The least element that an error in ULP is told of, as a part of the value's largest.
pub(crate) const LEAST: f64 = 1.0 / 1024.0;

impl Distance {
    /// Adds a whole value. Elements are found with no more digits than f32 has.
    pub(crate) fn add_all(&mut self, expected: &[f64], found: &[f64]) {
        let found: Vec<f32> = found.iter().map(|element| *element as f32).collect();
        self.add(expected, &found, largest(expected));
    }

    /// Adds elements. `largest` is the largest of all elements of the reference that they are a part of.
    pub(crate) fn add(&mut self, expected: &[f64], found: &[f32], largest: f64) {
        self.largest = self.largest.max(largest);
        for (expected, found) in expected.iter().zip(found) {
            let (found, error) = (f64::from(*found), error(*expected, f64::from(*found)));
            self.ulp = self.ulp.max(error / spacing(expected.abs().max(largest * LEAST)));
            self.error = self.error.max(error);
            self.noise += error.powi(2);
            self.signal += expected * expected;
            self.found += found * found;
            self.product += expected * found;
        }
    }

    /// The largest error as a part of the value's largest element: 0 where nothing is wrong.
    pub(crate) fn relative_error(&self) -> f64 {
        part(self.error, self.largest)
    }

    /// Noise over signal, both as root mean squares: 0 where nothing is wrong.
    pub(crate) fn noise(&self) -> f64 {
        part(self.noise, self.signal).sqrt()
    }

    /// The same in decibels, signal over noise: infinite where nothing is wrong, and never NaN.
    pub(crate) fn decibels(&self) -> f64 {
        inputs::decibels(self.signal, self.noise)
    }

    /// How many elements as large as the largest would carry the reference.
    pub(crate) fn carried_by(&self) -> f64 {
        part(self.signal, self.largest.powi(2))
    }

    /// 1 for values that are the same, as two that are 0; 0 where only one is 0, or one is not finite.
    pub(crate) fn cosine(&self) -> f64 {
        let cosine = self.product / (self.signal * self.found).sqrt();
        if cosine.is_finite() {
            cosine.min(1.0)
        } else if self.noise == 0.0 {
            1.0
        } else {
            0.0
        }
    }
}

/// The largest of some elements, sign apart.
pub(crate) fn largest(elements: &[f64]) -> f64 {
    elements.iter().fold(0.0, |largest, element| element.abs().max(largest))
}

/// 0 of anything is 0, and nothing is no number.
fn part(error: f64, of: f64) -> f64 {
    match error / of {
        _ if error == 0.0 => 0.0,
        part if part.is_nan() => f64::INFINITY,
        part => part,
    }
}

/// How far two elements are apart; infinitely, if only one is infinite, or one is no number.
fn error(expected: f64, found: f64) -> f64 {
    match (expected - found).abs() {
        _ if expected == found => 0.0,
        error if error.is_nan() => f64::INFINITY,
        error => error,
    }
}

/// From a value's nearest f32 to the next one above it: from f32's smallest subnormal to the spacing of its largest values.
fn spacing(value: f64) -> f64 {
    let near = (value as f32).clamp(0.0, f32::MAX.next_down());
    f64::from(near.next_up()) - f64::from(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(expected: &[f64], found: &[f32]) -> Distance {
        let mut distance = Distance::default();
        distance.add(expected, found, largest(expected));
        distance
    }

    #[test]
    fn an_ulp_is_the_spacing_of_f32() {
        assert_eq!(spacing(1.0), f64::from(f32::EPSILON));
        assert_eq!(spacing(1.5), f64::from(f32::EPSILON));
        assert_eq!(spacing(0.0), 2f64.powi(-149));
        assert_eq!(spacing(f64::INFINITY), 2f64.powi(104));
        let next = distance(&[1.0, -3.0], &[1f32.next_up(), (-3f32).next_down()]);
        assert_eq!(next.ulp, 1.0);
        assert_eq!(next.error, 2.0 * f64::from(f32::EPSILON));
        assert_eq!(next.relative_error(), next.error / 3.0);
        // Half a spacing is between two f32.
        assert_eq!(distance(&[1.0 + f64::from(f32::EPSILON) / 2.0], &[1.0]).ulp, 0.5);
    }

    #[test]
    fn errors_of_small_elements_count_in_the_spacing_of_the_least() {
        let error = 2f64.powi(-20);
        assert_eq!(distance(&[1.0, 0.0], &[1.0, error as f32]).ulp, error / spacing(LEAST));
    }

    #[test]
    fn what_is_not_finite_is_far_apart() {
        for found in [f32::NAN, f32::INFINITY] {
            let far = distance(&[1.0], &[found]);
            assert_eq!((far.error, far.relative_error(), far.cosine()), (f64::INFINITY, f64::INFINITY, 0.0));
            assert_eq!(far.decibels(), f64::NEG_INFINITY);
        }
        let same = distance(&[f64::INFINITY, 0.0], &[f32::INFINITY, 0.0]);
        assert_eq!((same.error, same.relative_error()), (0.0, 0.0));
        let zeros = distance(&[0.0; 3], &[0.0; 3]);
        assert_eq!((zeros.ulp, zeros.relative_error(), zeros.cosine()), (0.0, 0.0, 1.0));
        assert_eq!(zeros.decibels(), f64::INFINITY);
        assert_eq!(distance(&[0.0], &[1.0]).relative_error(), f64::INFINITY);
    }
}
