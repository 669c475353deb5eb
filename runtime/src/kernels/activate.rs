//! Activations, in place. The cut-off of a ReLU is part of the micro-kernels; all others are computed here, for the outputs of a
//! block that was just written and lies in the nearest caches.
//!
//! Each operation is rounded by itself, without [`Simd::mul_add`], so all instruction sets compute the same bits: int8 depend on that.
//! Their values are in units of the output's quantization scale `s`, so that is `f(s * x) / s`. (Where `f` only multiplies with slopes, the
//! scale does not matter.)

use resnet_plan::Activation;

use crate::kernels::Kernels;
use crate::simd::{Integers, Simd};

/// Values to be activated.
pub(crate) struct ActivateTask<'a> {
    pub(crate) activation: Activation,
    /// The quantization scale of the values; 1 where there is none.
    pub(crate) scale: f32,
    /// [`Activation::Prelu`]: the slope of each channel, filled up to whole vectors.
    pub(crate) slopes: *const f32,
    /// What pixel offsets count from.
    pub(crate) values: *mut f32,
    /// Where each pixel's channels are.
    pub(crate) offsets: &'a [usize],
    pub(crate) channels: usize,
}

/// An activation that micro-kernels leave to others.
#[derive(Clone, Copy)]
pub(crate) struct Activator {
    activation: Activation,
    scale: f32,
    slopes: *const f32,
    run: unsafe fn(&ActivateTask<'_>),
}

impl Activator {
    /// `slopes`: of the first channel on, if it has some.
    pub(crate) fn new(kernels: &Kernels, activation: Activation, scale: f32, slopes: *const f32) -> Self {
        Activator { activation, scale, slopes, run: kernels.activate }
    }

    /// The same from a channel on.
    #[inline(always)]
    pub(crate) fn from(self, channel: usize) -> Self {
        Activator { slopes: self.slopes.wrapping_add(channel), ..self }
    }

    /// Activates so many channels.
    ///
    /// # Safety
    /// Each pixel's channels lie behind `values`, where nobody else reads or writes; there is a slope for each, if they have some, filled up
    /// to whole vectors. The machine has the instruction set of the kernels.
    #[inline(always)]
    pub(crate) unsafe fn apply(&self, channels: usize, values: *mut f32, offsets: &[usize]) {
        let Activator { activation, scale, slopes, run } = *self;
        // SAFETY: the caller's contract.
        unsafe { run(&ActivateTask { activation, scale, slopes, values, offsets, channels }) }
    }
}

/// # Safety
/// As [`Activator::apply`]. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn run<S: Integers>(simd: S, task: &ActivateTask<'_>) {
    // A loop for each: none of them has a branch inside.
    macro_rules! each {
        ($activation:expr) => {
            for offset in task.offsets {
                for channel in (0..task.channels).step_by(S::LANES) {
                    let count = (task.channels - channel).min(S::LANES);
                    // SAFETY: the caller's contract.
                    unsafe {
                        let slope = match $activation {
                            Activation::Prelu => simd.load(task.slopes.add(channel)),
                            Activation::LeakyRelu(slope) => simd.splat(slope),
                            _ => simd.splat(0.0),
                        };
                        let place = task.values.add(offset + channel);
                        if count == S::LANES {
                            let value = simd.load(place);
                            simd.store(place, activated(simd, $activation, task.scale, slope, value));
                        } else {
                            let value = simd.load_partial(place, count);
                            let value = activated(simd, $activation, task.scale, slope, value);
                            simd.store_partial(place, value, count);
                        }
                    }
                }
            }
        };
    }
    match task.activation {
        Activation::None => {}
        Activation::Relu => each!(Activation::Relu),
        Activation::Relu6 => each!(Activation::Relu6),
        Activation::LeakyRelu(slope) => each!(Activation::LeakyRelu(slope)),
        Activation::Prelu => each!(Activation::Prelu),
        Activation::Silu => each!(Activation::Silu),
        Activation::HardSwish => each!(Activation::HardSwish),
        Activation::Sigmoid => each!(Activation::Sigmoid),
        Activation::HardSigmoid => each!(Activation::HardSigmoid),
    }
}

/// A vector of values, activated: see [`ActivateTask`].
#[inline(always)]
pub(crate) fn activated<S: Integers>(
    simd: S,
    activation: Activation,
    scale: f32,
    slope: S::Vector,
    x: S::Vector,
) -> S::Vector {
    let (zero, one, six) = (simd.splat(0.0), simd.splat(1.0), simd.splat(6.0));
    let real = simd.mul(x, simd.splat(scale));
    let y = match activation {
        Activation::None => return x,
        Activation::Relu => return simd.at_least(zero, x),
        Activation::LeakyRelu(_) | Activation::Prelu => {
            return simd.add(simd.at_least(zero, x), simd.mul(slope, simd.at_most(zero, x)));
        }
        Activation::Relu6 => simd.at_most(six, simd.at_least(zero, real)),
        Activation::Silu => simd.div(real, simd.add(one, exp(simd, simd.sub(zero, real)))),
        Activation::HardSwish => simd.mul(real, hard_sigmoid(simd, real)),
        Activation::Sigmoid => simd.div(one, simd.add(one, exp(simd, simd.sub(zero, real)))),
        Activation::HardSigmoid => hard_sigmoid(simd, real),
    };
    simd.mul(y, simd.splat(1.0 / scale))
}

/// `relu6(x + 3) / 6`. (Not a closure, which would be compiled for every machine.)
#[inline(always)]
fn hard_sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let cut = simd.at_least(simd.splat(0.0), simd.add(x, simd.splat(3.0)));
    simd.mul(simd.at_most(simd.splat(6.0), cut), simd.splat(1.0 / 6.0))
}

/// `e^x`, within 2 units in the last place: infinite from 88.4 on, and at least the smallest normal number. NaN stays NaN.
///
/// `x = n ln 2 + r`, and `e^x = 2^n e^r`; the polynomial and the two parts of `ln 2` are those of `expf` in Moshier's Cephes library
/// (release 2.2, 1992).
#[inline(always)]
fn exp<S: Integers>(simd: S, x: S::Vector) -> S::Vector {
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    // A number that is so large is whole, and has it in its lowest bits.
    const INTEGER: f32 = 12_582_912.0;
    // 2^128 is infinite, 2^-126 the smallest normal number.
    let x = simd.at_most(simd.splat(89.0), simd.at_least(simd.splat(-87.0), x));
    let integer = simd.splat(INTEGER);
    let shifted = simd.add(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)), integer);
    let n = simd.sub(shifted, integer);
    let r = simd.sub(x, simd.mul(n, simd.splat(LN_2[0])));
    let r = simd.sub(r, simd.mul(n, simd.splat(LN_2[1])));
    let mut sum = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        sum = simd.add(simd.mul(sum, r), simd.splat(*coefficient));
    }
    let power = simd.add(simd.add(simd.mul(sum, simd.mul(r, r)), r), simd.splat(1.0));
    // An exponent of n, biased: the bits of 1 are those of 2^0.
    let scale = simd.add_i32(simd.shift_i32::<23>(shifted), simd.splat(1.0));
    simd.mul(power, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::scalar::Scalar;

    fn exp_of(x: f32) -> f32 {
        // SAFETY: every machine has the scalar instruction set.
        exp(unsafe { Scalar::assume() }, [x; 4])[0]
    }

    #[test]
    fn exponentials_are_within_two_units() {
        let mut worst = 0.0f64;
        for step in -87_000..88_300 {
            let x = step as f32 / 1000.0;
            worst = worst.max((f64::from(exp_of(x)) / f64::from(x).exp() - 1.0).abs());
        }
        assert!(worst <= 2.0 * f64::from(f32::EPSILON), "{worst:e}");
        assert_eq!((exp_of(0.0), exp_of(f32::INFINITY), exp_of(89.0)), (1.0, f32::INFINITY, f32::INFINITY));
        assert!(exp_of(f32::NEG_INFINITY) < 1e-37 && exp_of(f32::NAN).is_nan());
    }

    /// The ends of the range, and NaN, as the definition has them.
    #[test]
    fn extremes_are_as_defined() {
        let all = [
            Activation::None,
            Activation::Relu,
            Activation::Relu6,
            Activation::LeakyRelu(0.25),
            Activation::Prelu,
            Activation::Silu,
            Activation::HardSwish,
            Activation::Sigmoid,
            Activation::HardSigmoid,
        ];
        let extremes = [f32::NEG_INFINITY, f32::MIN, -1e4, -0.0, 1e4, f32::MAX, f32::INFINITY, f32::NAN];
        for (activation, x) in all.into_iter().flat_map(|activation| extremes.map(|x| (activation, x))) {
            // SAFETY: every machine has the scalar instruction set.
            let simd = unsafe { Scalar::assume() };
            let found = activated(simd, activation, 1.0, [0.25; 4], [x; 4])[0];
            let expected = activation.apply(f64::from(x), 0.25) as f32;
            let same = found == expected || found.is_nan() && expected.is_nan();
            assert!(
                same || (found - expected).abs() <= 1e-30,
                "{activation} of {x}: {found}, not {expected}"
            );
        }
    }
}
