//! Instruction sets: one file each, from its vector operations to its table of kernels.
//!
//! The algorithms in [`crate::kernels`] are written once, over `Simd`. Each instruction set compiles them under its
//! own `#[target_feature]`; which of them runs is chosen once, when weights are loaded (they are packed for it).

use std::fmt;

use resnet_plan::Precision;

use crate::kernels::{
    AddTask, BandInput, BandKernel, BandOutput, ConvertTask, DotKernel, FoldTask, InputTile, KernelTile,
    LastTask, OutputTile, PoolTask, Product, RowProduct, SumsTask,
};
use crate::numbers::bf16;

#[cfg(target_arch = "x86_64")]
mod amx;
mod amx_emulated;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
mod scalar;
mod stored;

pub(crate) use stored::Stored;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, for every machine.
    Scalar,
    /// The same, but bf16 and int8 as AMX computes them, number by number: for tests, and never the best.
    AmxEmulated,
    /// x86-64 with AVX2 and FMA: 8 numbers at a time.
    Avx2,
    /// x86-64 with AVX-512F and BW: 16 numbers at a time.
    Avx512,
    /// The same with VNNI: 64 products of int8 at a time.
    Avx512Vnni,
    /// The same with bf16: 32 products of bf16 at a time.
    Avx512Bf16,
    /// The same with AMX: 8,192 products of bf16 or 16,384 of int8 at a time.
    Amx,
}

/// An instruction set that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not an instruction set of this machine; it has {}", list(.available))]
pub struct IsaError {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub available: Vec<Isa>,
}

impl Isa {
    /// All, the best last.
    pub const ALL: [Isa; 7] =
        [Isa::Scalar, Isa::AmxEmulated, Isa::Avx2, Isa::Avx512, Isa::Avx512Vnni, Isa::Avx512Bf16, Isa::Amx];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar | Isa::AmxEmulated => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => Isa::Avx512.is_available() && is_x86_feature_detected!("avx512vnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Isa::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Isa::Avx512Bf16.is_available() && amx::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Those that this machine has, the best last.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The best that this machine has.
    pub fn best() -> Isa {
        let real = |isa: &Isa| *isa != Isa::AmxEmulated && isa.is_available();
        Isa::ALL.into_iter().rfind(real).unwrap_or(Isa::Scalar)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// If there is none, or this machine does not have it.
    pub fn choose(name: &str) -> Result<Isa, IsaError> {
        let found = Isa::ALL.into_iter().find(|isa| isa.name() == name && isa.is_available());
        found.ok_or_else(|| IsaError { name: name.to_owned(), available: Isa::available() })
    }

    /// The one that the environment variable `RESNET_ISA` names, or the best.
    ///
    /// # Errors
    /// If the variable names one that this machine does not have.
    pub fn from_environment() -> Result<Isa, IsaError> {
        match std::env::var_os("RESNET_ISA") {
            Some(name) => Isa::choose(&name.to_string_lossy()),
            None => Ok(Isa::best()),
        }
    }

    /// The one whose kernels compute in a precision: another one, if this adds nothing to it.
    pub fn serving(self, precision: Precision) -> Isa {
        let kernels = self.kernels();
        match precision {
            Precision::F32 => kernels.isa,
            Precision::Bf16 => kernels.bf16.isa,
            Precision::Int8 => kernels.int8.isa,
        }
    }

    /// Its name: `scalar`, `amx-emulated`, `avx2`, `avx512`, `avx512vnni`, `avx512bf16`, `amx`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::AmxEmulated => "amx-emulated",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512vnni",
            Isa::Avx512Bf16 => "avx512bf16",
            Isa::Amx => "amx",
        }
    }

    /// Its kernels. Calling them needs the instruction set: see [`Isa::is_available`].
    pub(crate) fn kernels(self) -> &'static Kernels {
        match self {
            Isa::Scalar => &scalar::KERNELS,
            Isa::AmxEmulated => &amx_emulated::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => &avx512vnni::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => &avx512bf16::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => &amx::KERNELS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => &scalar::KERNELS,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn list(isas: &[Isa]) -> String {
    isas.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

/// The kernels of an instruction set, and the shapes that they work in.
///
/// The machine must have the instruction set for any of the functions to be called.
pub(crate) struct Kernels {
    /// The instruction set of the kernels for f32.
    pub(crate) isa: Isa,
    /// Numbers in a vector.
    pub(crate) lanes: usize,
    /// Output channels in a panel of packed weights, a multiple of `lanes`.
    pub(crate) panel: usize,
    /// Output pixels in a tile.
    pub(crate) tile: usize,
    /// Tiles of Winograd's algorithm in a group whose products are computed together.
    pub(crate) group: usize,
    pub(crate) product: unsafe fn(&Product<'_>),
    pub(crate) row_product: unsafe fn(&RowProduct<'_>),
    pub(crate) winograd_kernel: unsafe fn(&KernelTile),
    pub(crate) winograd_input: unsafe fn(&InputTile<'_>),
    pub(crate) winograd_output: unsafe fn(&OutputTile),
    pub(crate) winograd_rows_kernel: unsafe fn(&BandKernel<'_>),
    pub(crate) winograd_rows_input: unsafe fn(&BandInput<'_>),
    pub(crate) winograd_rows_output: unsafe fn(&BandOutput),
    pub(crate) strassen_sums: unsafe fn(&SumsTask<'_>),
    pub(crate) strassen_last: unsafe fn(&LastTask<'_>),
    pub(crate) max_pool: unsafe fn(&PoolTask<'_>),
    pub(crate) average_pool: unsafe fn(&PoolTask<'_>),
    pub(crate) add: unsafe fn(&AddTask<'_>),
    pub(crate) fold: unsafe fn(&mut FoldTask<'_>),
    pub(crate) convert: unsafe fn(&ConvertTask<'_>),
    pub(crate) peak: unsafe fn(usize) -> f32,
    pub(crate) bf16: DotKernel,
    pub(crate) int8: DotKernel,
}

/// The vector operations that the algorithms are written in. A value of the type shows that the machine has them.
pub(crate) trait Simd: Copy {
    /// A vector of [`Self::LANES`] numbers.
    type Vector: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    /// Has the cache line at an address fetched into the second-level cache, if there is one; any address will do.
    fn prefetch(self, from: *const f32);

    /// The same for what is read once: it is the first to give way, and does not go on to the next cache.
    fn prefetch_once(self, from: *const f32);

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;

    /// # Safety
    /// `from` must be valid for reads of a whole vector.
    unsafe fn load(self, from: *const f32) -> Self::Vector;

    /// The first `count` numbers, and zeros.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count <= LANES` numbers.
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector;

    /// # Safety
    /// `to` must be valid for writes of a whole vector.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);

    /// Writes the first `count` numbers.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count <= LANES` numbers.
    unsafe fn store_partial(self, to: *mut f32, value: Self::Vector, count: usize);

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`, rounded once where the machine can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// The larger of each pair; NaN if either is.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The larger of each pair; NaN where `value` is. `floor` holds none.
    fn at_least(self, floor: Self::Vector, value: Self::Vector) -> Self::Vector;

    /// The bf16 in the lower half of each lane.
    fn lower_bf16(self, words: Self::Vector) -> Self::Vector;

    /// The bf16 in the upper half of each lane.
    fn upper_bf16(self, words: Self::Vector) -> Self::Vector;

    /// A vector of i32, each rounded to the nearest f32.
    ///
    /// # Safety
    /// `from` must be valid for reads of a whole vector.
    unsafe fn load_i32(self, from: *const i32) -> Self::Vector;

    /// The first `count` numbers, and zeros.
    ///
    /// # Safety
    /// `from` must be valid for reads of `count <= LANES` numbers.
    unsafe fn load_bf16(self, from: *const bf16, count: usize) -> Self::Vector;

    /// # Safety
    /// As [`Simd::load_bf16`].
    unsafe fn load_u8(self, from: *const u8, count: usize) -> Self::Vector;

    /// # Safety
    /// As [`Simd::load_bf16`].
    unsafe fn load_i8(self, from: *const i8, count: usize) -> Self::Vector;

    /// Writes the first `count` numbers, each rounded to the nearest bf16, an even one if it lies in the middle.
    ///
    /// # Safety
    /// `to` must be valid for writes of `count <= LANES` numbers.
    unsafe fn store_bf16(self, to: *mut bf16, value: Self::Vector, count: usize);

    /// Writes the first `count` numbers, each cut to the range and rounded to the nearest, an even one if it lies in the
    /// middle; NaN becomes the least.
    ///
    /// # Safety
    /// As [`Simd::store_bf16`].
    unsafe fn store_u8(self, to: *mut u8, value: Self::Vector, count: usize);

    /// [`Simd::store_u8`], of numbers from -128 to 127.
    ///
    /// # Safety
    /// As [`Simd::store_bf16`].
    unsafe fn store_i8(self, to: *mut i8, value: Self::Vector, count: usize);

    /// [`Simd::store_i8`] if `SIGNED`, else [`Simd::store_u8`], of four whole vectors, one behind the other.
    ///
    /// # Safety
    /// `to` must be valid for writes of four vectors of numbers.
    #[inline(always)]
    unsafe fn store_four<const SIGNED: bool>(self, to: *mut u8, values: [Self::Vector; 4]) {
        for (index, value) in values.into_iter().enumerate() {
            // SAFETY: the caller's contract.
            unsafe {
                let to = to.add(index * Self::LANES);
                if SIGNED {
                    self.store_i8(to.cast(), value, Self::LANES);
                } else {
                    self.store_u8(to, value, Self::LANES);
                }
            }
        }
    }
}

/// The first `count` numbers of a vector's, in memory that may be read as a whole.
///
/// # Safety
/// `from` must be valid for reads of `count <= N` numbers.
#[inline(always)]
unsafe fn gather<T: Copy + Default, const N: usize>(from: *const T, count: usize) -> [T; N] {
    let mut numbers = [T::default(); N];
    for (lane, number) in numbers.iter_mut().enumerate().take(count) {
        // SAFETY: `lane < count`, which the caller's contract covers.
        *number = unsafe { *from.add(lane) };
    }
    numbers
}

/// Writes the first `count` numbers.
///
/// # Safety
/// `to` must be valid for writes of `count <= N` numbers.
#[inline(always)]
unsafe fn scatter<T: Copy, const N: usize>(to: *mut T, numbers: [T; N], count: usize) {
    for (lane, number) in numbers.into_iter().enumerate().take(count) {
        // SAFETY: `lane < count`, which the caller's contract covers.
        unsafe { *to.add(lane) = number };
    }
}

/// The table of an instruction set: its algorithms, compiled under its target features.
macro_rules! kernels {
    (
        $isa:ident, $simd:ty, $(#[$feature:meta])?, tile: $tile:literal, vectors: $vectors:literal,
        bf16: $bf16:expr, int8: $int8:expr
    ) => {
        pub(super) const KERNELS: crate::isa::Kernels = {
            use crate::isa::Simd;
            use crate::kernels::{self, product::Fetch};

            /// # Safety
            /// The machine has the instruction set, and the task's pointers cover its geometry.
            $(#[$feature])?
            unsafe fn product(task: &kernels::Product<'_>) {
                // SAFETY: the caller's contract.
                unsafe {
                    use kernels::product::compute;
                    match task.fetch {
                        Fetch::Once => compute::<$simd, $tile, $vectors, 1, true>(<$simd>::assume(), task),
                        Fetch::One => compute::<$simd, $tile, $vectors, 1, false>(<$simd>::assume(), task),
                        Fetch::Two => compute::<$simd, $tile, $vectors, 2, false>(<$simd>::assume(), task),
                        Fetch::Four => compute::<$simd, $tile, $vectors, 4, false>(<$simd>::assume(), task),
                    }
                }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn row_product(task: &kernels::RowProduct<'_>) {
                // SAFETY: the caller's contract.
                unsafe {
                    kernels::winograd::row_product::compute::<$simd, $vectors>(<$simd>::assume(), task)
                }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_kernel(task: &kernels::KernelTile) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd::transform::kernel(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_input(task: &kernels::InputTile<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd::transform::input(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_output(task: &kernels::OutputTile) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd::transform::output(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_rows_kernel(task: &kernels::BandKernel<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd_rows::transform::kernel(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_rows_input(task: &kernels::BandInput<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd_rows::transform::input(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_rows_output(task: &kernels::BandOutput) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd_rows::transform::output(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn strassen_sums(task: &kernels::SumsTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::strassen::sums(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn strassen_last(task: &kernels::LastTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::strassen::last(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn max_pool(task: &kernels::PoolTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::pool::max(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn average_pool(task: &kernels::PoolTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::pool::average(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn add(task: &kernels::AddTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::add::run(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn convert(task: &kernels::ConvertTask<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::convert::run(<$simd>::assume(), task) }
            }
            /// # Safety
            /// The machine has the instruction set.
            $(#[$feature])?
            unsafe fn fold(task: &mut kernels::FoldTask<'_>) {
                kernels::fold::run(task);
            }
            /// # Safety
            /// As `fold`.
            $(#[$feature])?
            unsafe fn peak(rounds: usize) -> f32 {
                // SAFETY: the caller's contract.
                unsafe { kernels::peak::run(<$simd>::assume(), rounds) }
            }
            crate::isa::Kernels {
                isa: crate::isa::Isa::$isa,
                lanes: <$simd>::LANES,
                panel: $vectors * <$simd>::LANES,
                tile: $tile,
                group: $vectors,
                product,
                row_product,
                winograd_kernel,
                winograd_input,
                winograd_output,
                winograd_rows_kernel,
                winograd_rows_input,
                winograd_rows_output,
                strassen_sums,
                strassen_last,
                max_pool,
                average_pool,
                add,
                fold,
                convert,
                peak,
                bf16: $bf16,
                int8: $int8,
            }
        };
    };
}
use kernels;
