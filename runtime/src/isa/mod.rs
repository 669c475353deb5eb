//! Instruction sets: one file each, from its vector operations to its table of kernels.
//!
//! The algorithms in [`crate::kernels`] are written once, over `Simd`. Each instruction set compiles them under its
//! own `#[target_feature]`; which of them runs is chosen once, when weights are loaded (they are packed for it).

use std::fmt;

use crate::kernels::{AddTask, FoldTask, InputTile, OutputTile, PoolTask, Product};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, for every machine.
    Scalar,
    /// x86-64 with AVX2 and FMA: 8 numbers at a time.
    Avx2,
    /// x86-64 with AVX-512F: 16 numbers at a time.
    Avx512,
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
    pub const ALL: [Isa; 3] = [Isa::Scalar, Isa::Avx2, Isa::Avx512];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
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
        Isa::ALL.into_iter().rfind(|isa| isa.is_available()).unwrap_or(Isa::Scalar)
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

    /// Its name: `scalar`, `avx2`, `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Its kernels. Calling them needs the instruction set: see [`Isa::is_available`].
    pub(crate) fn kernels(self) -> &'static Kernels {
        match self {
            Isa::Scalar => &scalar::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => &avx512::KERNELS,
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
    /// Numbers in a vector.
    pub(crate) lanes: usize,
    /// Output channels in a panel of packed weights, a multiple of `lanes`.
    pub(crate) panel: usize,
    /// Output pixels in a tile.
    pub(crate) tile: usize,
    pub(crate) product: unsafe fn(&Product<'_>),
    pub(crate) winograd_input: unsafe fn(&InputTile<'_>),
    pub(crate) winograd_output: unsafe fn(&OutputTile),
    pub(crate) max_pool: unsafe fn(&PoolTask),
    pub(crate) average_pool: unsafe fn(&PoolTask),
    pub(crate) add: unsafe fn(&AddTask),
    pub(crate) fold: unsafe fn(&mut FoldTask<'_>),
    pub(crate) peak: unsafe fn(usize) -> f32,
}

/// The vector operations that the algorithms are written in. A value of the type shows that the machine has them.
pub(crate) trait Simd: Copy {
    /// A vector of [`Self::LANES`] numbers.
    type Vector: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    /// Has the cache line at an address fetched into the second-level cache, if there is one; any address will do.
    fn prefetch(self, from: *const f32);

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
}

/// The table of an instruction set: its algorithms, compiled under its target features.
macro_rules! kernels {
    ($simd:ty, $(#[$feature:meta])?, tile: $tile:literal, vectors: $vectors:literal) => {
        pub(super) static KERNELS: crate::isa::Kernels = {
            use crate::isa::Simd;
            use crate::kernels;

            /// # Safety
            /// The machine has the instruction set, and the task's pointers cover its geometry.
            $(#[$feature])?
            unsafe fn product(task: &kernels::Product<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::product::compute::<$simd, $tile, $vectors>(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_input(task: &kernels::InputTile<'_>) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd::input(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn winograd_output(task: &kernels::OutputTile) {
                // SAFETY: the caller's contract.
                unsafe { kernels::winograd::output(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn max_pool(task: &kernels::PoolTask) {
                // SAFETY: the caller's contract.
                unsafe { kernels::pool::max(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn average_pool(task: &kernels::PoolTask) {
                // SAFETY: the caller's contract.
                unsafe { kernels::pool::average(<$simd>::assume(), task) }
            }
            /// # Safety
            /// As `product`.
            $(#[$feature])?
            unsafe fn add(task: &kernels::AddTask) {
                // SAFETY: the caller's contract.
                unsafe { kernels::add::run(<$simd>::assume(), task) }
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
                lanes: <$simd>::LANES,
                panel: $vectors * <$simd>::LANES,
                tile: $tile,
                product,
                winograd_input,
                winograd_output,
                max_pool,
                average_pool,
                add,
                fold,
                peak,
            }
        };
    };
}
use kernels;
