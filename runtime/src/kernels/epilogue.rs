//! From the sums of a tile to its output, for bf16 and int8: one source for all instruction sets, and the same bits (of bf16, but for
//! subnormals: AVX-512 bf16 stores whole vectors with zeros for them).
//!
//! ```text
//! value = sum                                  bf16: in single precision, the bias is among its terms
//! value = sum * scale[channel] + bias[channel] int8: in units of the output's scale
//! value = value + residual * its scale
//! y     = rounded(activation(value))           to nearest, even if in the middle; int8: cut to the range
//! ```
//! Each `.. * .. + ..` is rounded once ([`Simd::fused_mul_add`]): [`Simd::mul_add`] would give other bits in scalar code.
//!
//! A ReLU is a part of the last step. Before any other activation, values take the place of their sums, in f32; they are activated there,
//! and then rounded.

use resnet_plan::Residual;

use crate::elements::bf16;
use crate::kernels::Target;
use crate::kernels::activate::Activator;
use crate::simd::{Simd, Stored};

/// What becomes of the sums of a tile.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// The sums of one pixel after another: f32, or i32.
    pub(crate) sums: *mut u32,
    /// The panel's scales, filled up to whole vectors: int8 only.
    pub(crate) scale: *const f32,
    /// The panel's biases, filled up to whole vectors: int8 only.
    pub(crate) bias: *const f32,
    /// The panel's channels in the output; pixel offsets count from here.
    pub(crate) y: Target,
    /// Where each pixel's channels go.
    pub(crate) y_offsets: &'a [usize],
    /// Channels, at most a panel's.
    pub(crate) channels: usize,
    /// Words from the sums of one pixel to those of the next: at least the channels, filled up to whole vectors.
    pub(crate) width: usize,
    /// What the output holds, to be added.
    pub(crate) residual: Residual,
    /// Cut negative results off.
    pub(crate) relu: bool,
    /// The activation, if it is more than that; of the panel's channels.
    pub(crate) activator: Option<Activator>,
}

/// Writes a tile of int8, whose sums are i32.
///
/// # Safety
/// The sums are there for each pixel. Each pixel's channels lie in the output, where nobody else reads or writes; scale and bias
/// hold what they say. The machine has the instructions of `S`.
///
/// # Panics
/// If there is no such combination of residual and output.
#[inline(always)]
pub(crate) unsafe fn of_integers<S: Simd>(simd: S, task: &Epilogue<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.y, task.residual) {
            (Target::F32(y), Residual::None) => rows::<_, Scaled, f32, f32>(simd, task, None, y),
            (Target::F32(y), Residual::Same) => rows::<_, Scaled, f32, f32>(simd, task, Some(1.0), y),
            (Target::U8(y), Residual::None) => rows::<_, Scaled, u8, u8>(simd, task, None, y),
            (Target::I8(y), Residual::None) => rows::<_, Scaled, i8, i8>(simd, task, None, y),
            (Target::U8(y), Residual::Quantized { signed: false, scale }) => {
                rows::<_, Scaled, u8, u8>(simd, task, Some(scale), y);
            }
            (Target::U8(y), Residual::Quantized { signed: true, scale }) => {
                rows::<_, Scaled, i8, u8>(simd, task, Some(scale), y);
            }
            (Target::I8(y), Residual::Quantized { signed: false, scale }) => {
                rows::<_, Scaled, u8, i8>(simd, task, Some(scale), y);
            }
            (Target::I8(y), Residual::Quantized { signed: true, scale }) => {
                rows::<_, Scaled, i8, i8>(simd, task, Some(scale), y);
            }
            _ => unreachable!("int8 sums become int8, with an int8 residual, or f32, with an f32 one"),
        }
    }
}

/// Writes a tile of bf16, whose sums are f32.
///
/// # Safety
/// As [`of_integers`].
///
/// # Panics
/// If there is no such combination of residual and output.
#[inline(always)]
pub(crate) unsafe fn of_floats<S: Simd>(simd: S, task: &Epilogue<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match (task.y, task.residual) {
            (Target::F32(y), Residual::None) => rows::<_, Plain, f32, f32>(simd, task, None, y),
            (Target::Bf16(y), Residual::None) => rows::<_, Plain, bf16, bf16>(simd, task, None, y),
            (Target::F32(y), Residual::Same) => rows::<_, Plain, f32, f32>(simd, task, Some(1.0), y),
            (Target::Bf16(y), Residual::Same) => rows::<_, Plain, bf16, bf16>(simd, task, Some(1.0), y),
            _ => unreachable!("bf16 sums become bf16 or f32, with a residual of the same type"),
        }
    }
}

/// What sums stand for.
trait Sums<S: Simd> {
    /// What the sums of some channels are multiplied with, and what is added.
    type Parameters: Copy;

    /// # Safety
    /// A vector of scales and biases lies there from the `channel`-th on.
    unsafe fn parameters(simd: S, task: &Epilogue<'_>, channel: usize) -> Self::Parameters;

    /// # Safety
    /// A vector of sums lies at `from`.
    unsafe fn value(simd: S, parameters: Self::Parameters, from: *const u32) -> S::Vector;
}

/// f32, as they are.
struct Plain;

/// i32, to be scaled.
struct Scaled;

impl<S: Simd> Sums<S> for Plain {
    type Parameters = ();

    #[inline(always)]
    unsafe fn parameters(_: S, _: &Epilogue<'_>, _: usize) {}

    #[inline(always)]
    unsafe fn value(simd: S, (): (), from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load(from.cast()) }
    }
}

impl<S: Simd> Sums<S> for Scaled {
    type Parameters = [S::Vector; 2];

    #[inline(always)]
    unsafe fn parameters(simd: S, task: &Epilogue<'_>, channel: usize) -> [S::Vector; 2] {
        // SAFETY: the caller's contract.
        unsafe { [simd.load(task.scale.add(channel)), simd.load(task.bias.add(channel))] }
    }

    #[inline(always)]
    unsafe fn value(simd: S, [scale, bias]: [S::Vector; 2], from: *const u32) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.fused_mul_add(simd.load_i32(from.cast()), scale, bias) }
    }
}

/// # Safety
/// As [`of_integers`]; the output holds elements `R` where there is a residual, which has the size of `Y`.
#[inline(always)]
unsafe fn rows<S: Simd, V: Sums<S>, R: Stored<S>, Y: Stored<S>>(
    simd: S,
    task: &Epilogue<'_>,
    residual: Option<f32>,
    y: *mut Y,
) {
    // SAFETY: the caller's contract; when they are activated, sums are f32.
    unsafe {
        match &task.activator {
            None => store::<S, V, R, Y>(simd, task, residual, y),
            Some(activator) => {
                activate::<S, V, R>(simd, task, activator, residual, y.cast());
                store::<S, Plain, Y, Y>(simd, task, None, y);
            }
        }
    }
}

/// Puts activated values into the place of their sums.
///
/// # Safety
/// As [`rows`].
#[inline(always)]
unsafe fn activate<S: Simd, V: Sums<S>, R: Stored<S>>(
    simd: S,
    task: &Epilogue<'_>,
    activator: &Activator,
    residual: Option<f32>,
    before: *const R,
) {
    let factor = simd.splat(residual.unwrap_or(0.0));
    for (pixel, offset) in task.y_offsets.iter().enumerate() {
        let sums = task.sums.wrapping_add(pixel * task.width);
        // SAFETY: the caller's contract: sums are filled up to whole vectors.
        unsafe {
            for channel in (0..task.channels).step_by(S::LANES) {
                let place = sums.add(channel);
                let mut value = V::value(simd, V::parameters(simd, task, channel), place);
                if residual.is_some() {
                    let count = (task.channels - channel).min(S::LANES);
                    let before = R::load(simd, before.add(offset + channel), count);
                    value = with_residual::<S, R>(simd, value, before, factor);
                }
                simd.store(place.cast(), value);
            }
            activator.apply(task.channels, sums.cast(), &[0]);
        }
    }
}

/// # Safety
/// As [`rows`].
#[inline(always)]
unsafe fn store<S: Simd, V: Sums<S>, R: Stored<S>, Y: Stored<S>>(
    simd: S,
    task: &Epilogue<'_>,
    residual: Option<f32>,
    y: *mut Y,
) {
    const { assert!(size_of::<R>() == size_of::<Y>()) };
    let factor = residual.map(|scale| simd.splat(scale));
    let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
    let packed = S::PACKED * S::LANES;
    let whole = task.channels - task.channels % packed;
    for channel in (0..whole).step_by(packed) {
        // SAFETY: the caller's contract; pixels' sums are as far apart as it says, and hold so many vectors from `channel` on.
        unsafe {
            let parameters: [V::Parameters; 4] = std::array::from_fn(|index| {
                V::parameters(simd, task, channel + index.min(S::PACKED - 1) * S::LANES)
            });
            let mut from = task.sums.add(channel);
            for offset in task.y_offsets {
                let to = y.add(offset + channel);
                // (In a closure, vector operations would be calls.)
                let mut values = [floor; 4];
                for (index, value) in values.iter_mut().enumerate().take(S::PACKED) {
                    let (from, to) = (from.add(index * S::LANES), to.add(index * S::LANES));
                    *value =
                        finished::<S, V, R, Y>(simd, parameters[index], from, to, S::LANES, factor, floor);
                }
                Y::store_packed(simd, to, values);
                from = from.wrapping_add(task.width);
            }
        }
    }
    for channel in (whole..task.channels).step_by(S::LANES) {
        let count = (task.channels - channel).min(S::LANES);
        // SAFETY: the caller's contract; pixels' sums are as far apart as it says, and hold a vector from `channel` on.
        unsafe {
            let parameters = V::parameters(simd, task, channel);
            let mut from = task.sums.add(channel);
            for offset in task.y_offsets {
                let to = y.add(offset + channel);
                let value = finished::<S, V, R, Y>(simd, parameters, from, to, count, factor, floor);
                Y::store(simd, to, value, count);
                from = from.wrapping_add(task.width);
            }
        }
    }
}

/// What is stored for a vector of sums.
///
/// # Safety
/// A vector of sums lies at `from`; `count` elements `R` at `to`, if they are to be added.
#[inline(always)]
unsafe fn finished<S: Simd, V: Sums<S>, R: Stored<S>, Y: Stored<S>>(
    simd: S,
    parameters: V::Parameters,
    from: *const u32,
    to: *const Y,
    count: usize,
    factor: Option<S::Vector>,
    floor: S::Vector,
) -> S::Vector {
    // SAFETY: the caller's contract.
    unsafe {
        let mut value = V::value(simd, parameters, from);
        if let Some(factor) = factor {
            value = with_residual::<S, R>(simd, value, R::load(simd, to.cast(), count), factor);
        }
        if Y::POSITIVE { value } else { simd.at_least(floor, value) }
    }
}

/// A value and what the output held. Others than int8 have no factor.
#[inline(always)]
fn with_residual<S: Simd, R: Stored<S>>(
    simd: S,
    value: S::Vector,
    before: S::Vector,
    factor: S::Vector,
) -> S::Vector {
    if R::INT8 { simd.fused_mul_add(before, factor, value) } else { simd.add(value, before) }
}
