//! Narrow elements, widened: bf16 to f32, and int8 to int16, of which a word holds two. The algorithms of f32 then compute with them, word by
//! word: on instruction sets that do not multiply narrow elements, and on the others where fewer products make up for their slower
//! instruction.
//!
//! A word of narrow elements becomes two wide ones. Signed inputs are moved by 128 on the way, as for dots: the sums begin with what
//! that adds to them. Whoever reads inputs or weights widens them: the [`direct`] sum and [`strassen`](crate::kernels::strassen) by the
//! functions here, [`winograd`](crate::kernels::winograd) and [`winograd_rows`](crate::kernels::winograd_rows) in their transforms. Sums go
//! through memory to the epilogue of all narrow elements.

pub(super) mod direct;

use resnet_plan::Precision;

use crate::elements::{Elements, bf16};
use crate::kernels::conv::ConvTask;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::Panel;
use crate::simd::{Integers, Simd};

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    Bf16,
    U8,
    I8,
}

impl Kind {
    pub(crate) fn of(elements: Elements<'_>) -> Kind {
        match elements {
            Elements::F32(_) => Kind::F32,
            Elements::Bf16(_) => Kind::Bf16,
            Elements::U8(_) => Kind::U8,
            Elements::I8(_) => Kind::I8,
        }
    }

    pub(crate) fn precision(self) -> Precision {
        match self {
            Kind::F32 => Precision::F32,
            Kind::Bf16 => Precision::Bf16,
            Kind::U8 | Kind::I8 => Precision::Int8,
        }
    }

    /// Whether sums are integers.
    pub(crate) fn is_integer(self) -> bool {
        self.precision() == Precision::Int8
    }

    /// Wide words that a stored word becomes.
    pub(crate) fn wide(self) -> usize {
        if self == Kind::F32 { 1 } else { 2 }
    }
}

/// Elements of an input, as wide words.
pub(crate) trait Input<S: Simd> {
    /// What they are widened to.
    type Arithmetic: Arithmetic;

    /// The wide words from the `first` on, so many, and zeros.
    ///
    /// # Safety
    /// `from` is the address of a word, from which on there are so many wide words; `count <= LANES`.
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector;
}

/// Packed weights, as wide words.
pub(crate) trait Weights<S: Simd> {
    /// What they are widened to.
    type Arithmetic: Arithmetic;
    /// Rows of wide words that a row of packed words becomes.
    const WIDE: usize;

    /// A vector of such a row.
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector;
}

/// f32, of inputs and of weights.
pub(crate) struct F32;
/// bf16, of inputs and of weights.
pub(crate) struct Bf16;
/// Inputs from 0 to 255.
pub(crate) struct U8;
/// Inputs from -128 to 127, moved by 128; weights.
pub(crate) struct I8;

impl<S: Simd> Input<S> for F32 {
    type Arithmetic = Float;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe {
            let from = from.add(first);
            if count == S::LANES { simd.load(from) } else { simd.load_partial(from, count) }
        }
    }
}

impl<S: Simd> Input<S> for Bf16 {
    type Arithmetic = Float;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_bf16(from.cast::<bf16>().add(first), count) }
    }
}

impl<S: Integers> Input<S> for U8 {
    type Arithmetic = Integer;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_pairs::<false>(from.cast::<u8>().add(2 * first), count) }
    }
}

impl<S: Integers> Input<S> for I8 {
    type Arithmetic = Integer;

    #[inline(always)]
    unsafe fn load(simd: S, from: *const f32, first: usize, count: usize) -> S::Vector {
        // SAFETY: the caller's contract.
        unsafe { simd.load_pairs::<true>(from.cast::<u8>().add(2 * first), count) }
    }
}

impl<S: Simd> Weights<S> for F32 {
    type Arithmetic = Float;
    const WIDE: usize = 1;

    #[inline(always)]
    fn row(_: S, words: S::Vector, _: usize) -> S::Vector {
        words
    }
}

impl<S: Simd> Weights<S> for Bf16 {
    type Arithmetic = Float;
    const WIDE: usize = 2;

    #[inline(always)]
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector {
        if row == 0 { simd.lower_bf16(words) } else { simd.upper_bf16(words) }
    }
}

impl<S: Integers> Weights<S> for I8 {
    type Arithmetic = Integer;
    const WIDE: usize = 2;

    #[inline(always)]
    fn row(simd: S, words: S::Vector, row: usize) -> S::Vector {
        if row == 0 { simd.lower_i8(words) } else { simd.upper_i8(words) }
    }
}

/// What elements and sums are, and how they are computed with.
pub(crate) trait Arithmetic {
    /// Whether they are integers: inputs and weights int16, sums int32.
    const INTEGER: bool;

    /// `a + b`
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// `a - b`
    fn sub<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// `sum + x * w`: of a word of one f32, or of two int16.
    fn add_product<S: Integers>(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector;
    /// `a + b`, of sums
    fn add_sums<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector;
    /// A sum, cut off below if it is f32.
    fn at_least<S: Integers>(simd: S, floor: S::Vector, sum: S::Vector) -> S::Vector;
}

/// f32.
pub(crate) struct Float;

/// int16, and int32.
pub(crate) struct Integer;

impl Arithmetic for Float {
    const INTEGER: bool = false;

    #[inline(always)]
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    #[inline(always)]
    fn sub<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub(a, b)
    }

    #[inline(always)]
    fn add_product<S: Integers>(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector {
        simd.mul_add(x, w, sum)
    }

    #[inline(always)]
    fn add_sums<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add(a, b)
    }

    #[inline(always)]
    fn at_least<S: Integers>(simd: S, floor: S::Vector, sum: S::Vector) -> S::Vector {
        simd.at_least(floor, sum)
    }
}

impl Arithmetic for Integer {
    const INTEGER: bool = true;

    #[inline(always)]
    fn add<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add_i16(a, b)
    }

    #[inline(always)]
    fn sub<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.sub_i16(a, b)
    }

    #[inline(always)]
    fn add_product<S: Integers>(simd: S, x: S::Vector, w: S::Vector, sum: S::Vector) -> S::Vector {
        simd.add_pairs(x, w, sum)
    }

    #[inline(always)]
    fn add_sums<S: Integers>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
        simd.add_i32(a, b)
    }

    #[inline(always)]
    fn at_least<S: Integers>(_: S, _: S::Vector, sum: S::Vector) -> S::Vector {
        sum
    }
}

/// A run of inputs to be widened.
pub(crate) struct InputRun {
    pub(crate) kind: Kind,
    pub(crate) from: *const f32,
    /// Wide words.
    pub(crate) count: usize,
    pub(crate) to: *mut f32,
}

/// Rows of a panel to be widened.
pub(crate) struct WeightRows {
    pub(crate) kind: Kind,
    pub(crate) from: *const f32,
    /// Packed rows, and the words of each: whole vectors.
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) to: *mut f32,
}

/// Widens a run.
///
/// # Safety
/// So many wide words may be read and written. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn inputs<S: Simd, I: Input<S>>(simd: S, task: &InputRun) {
    let whole = task.count - task.count % S::LANES;
    // SAFETY: the caller's contract; what is left behind the whole vectors is less than one.
    unsafe {
        for first in (0..whole).step_by(S::LANES) {
            simd.store(task.to.add(first), I::load(simd, task.from, first, S::LANES));
        }
        let rest = task.count - whole;
        if rest > 0 {
            simd.store_partial(task.to.add(whole), I::load(simd, task.from, whole, rest), rest);
        }
    }
}

/// Widens rows.
///
/// # Safety
/// So many rows may be read, and twice as many written. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn weights<S: Simd, W: Weights<S>>(simd: S, task: &WeightRows) {
    for row in 0..task.rows {
        for lane in (0..task.width).step_by(S::LANES) {
            // SAFETY: the caller's contract.
            unsafe {
                let words = simd.load(task.from.add(row * task.width + lane));
                for wide in 0..W::WIDE {
                    let to = task.to.add((row * W::WIDE + wide) * task.width + lane);
                    simd.store(to, W::row(simd, words, wide));
                }
            }
        }
    }
}

/// The outputs of a panel of some pixels, whose sums are so far apart from one pixel to the next. The sums may be written over.
///
/// # Safety
/// Pixels lie in the task's output, where nobody else reads or writes, as their sums; those and the task's lists are there for the channels, filled up to
/// whole vectors.
pub(super) unsafe fn finish(
    task: &ConvTask<'_>,
    panel: Panel,
    y_offsets: &[usize],
    sums: *mut f32,
    width: usize,
) {
    let epilogue = Epilogue { sums: sums.cast(), y_offsets, width, ..task.epilogue(panel) };
    // SAFETY: the caller's contract; whoever made the task has the instruction set.
    unsafe { (task.finish)(&epilogue) };
}
