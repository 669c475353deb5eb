//! Values inside larger arrays, and comparing them.

use proptest::prelude::*;
use resnet_plan::Pixels;
use resnet_runtime::reference::Image;

/// What is around values: nobody writes it.
pub(crate) const UNTOUCHED: f32 = 77.0;

/// A value inside a larger array, with room around it.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) image: Image,
    pub(crate) halo: [usize; 4],
}

impl Placed {
    pub(crate) fn dims(&self) -> [usize; 4] {
        let [top, bottom, left, right] = self.halo;
        let [batch, height, width, channels] = self.image.dims;
        [batch, top + height + bottom, left + width + right, channels]
    }

    /// The array, `fill` around the value.
    pub(crate) fn array(&self, fill: f32) -> Vec<f32> {
        let [top, _, left, _] = self.halo;
        let [_, height, width, _] = self.image.dims;
        let inside = |y: usize, x: usize| {
            let (y, x) = (y.checked_sub(top)?, x.checked_sub(left)?);
            (y < height && x < width).then_some((y, x))
        };
        let array = Image::from_fn(self.dims(), |n, y, x, c| match inside(y, x) {
            Some((y, x)) => self.image.pixel(n, y, x)[c],
            None => fill,
        });
        array.data
    }

    /// Where pixels lie that begin at a row and column of the array and are `stride` apart.
    pub(crate) fn pixels(&self, at: [usize; 2], stride: [usize; 2]) -> Pixels {
        let [_, height, width, channels] = self.dims();
        Pixels {
            start: (at[0] * width + at[1]) * channels,
            image: height * width * channels,
            row: stride[0] * width * channels,
            pixel: stride[1] * channels,
        }
    }

    pub(crate) fn interior(&self) -> Pixels {
        self.pixels([self.halo[0], self.halo[2]], [1, 1])
    }
}

/// Elements from a seed; about one case in eight holds something that is no finite element.
pub(crate) fn image(dims: [usize; 4], seed: u64) -> Image {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let count = dims.iter().product::<usize>();
    let mut data: Vec<f32> = (0..count).map(|_| next() as f32 / (1u32 << 30) as f32 - 1.0).collect();
    if next().is_multiple_of(8) && count > 0 {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE / 2.0, -0.0];
        data[next() as usize % count] = special[next() as usize % special.len()];
    }
    Image { dims, data }
}

pub(crate) fn placed(dims: [usize; 4], halo: [usize; 4], seed: u64) -> Placed {
    Placed { image: image(dims, seed), halo }
}

pub(crate) fn halo() -> impl Strategy<Value = [usize; 4]> {
    prop::array::uniform4(0usize..3)
}

/// `found` is the array around `expected`, in which nothing else was written; elements may be `tolerance` apart.
pub(crate) fn check(
    expected: &Placed,
    fill: f32,
    tolerance: &[f32],
    found: &[f32],
) -> Result<(), TestCaseError> {
    let tolerance =
        Placed { image: Image { dims: expected.image.dims, data: tolerance.to_vec() }, halo: expected.halo };
    let pairs = expected.array(fill).into_iter().zip(tolerance.array(0.0)).zip(found);
    for (place, ((expected, tolerance), found)) in pairs.enumerate() {
        let same = if expected.is_finite() {
            (expected - found).abs() <= tolerance
        } else {
            expected.is_nan() == found.is_nan() && (expected.is_nan() || expected == *found)
        };
        prop_assert!(same, "at {place}: {found}, expected {expected} +- {tolerance}");
    }
    Ok(())
}
