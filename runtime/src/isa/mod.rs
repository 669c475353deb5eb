//! Instruction sets: which of them the machine has, and the kernels of each.
//!
//! An instruction set is a file here, with what only it can do (its dot products), `is_available` and its table `KERNELS`; its
//! vector operations, if it brings any, are a file in `simd`. Which one runs is chosen once, when weights are loaded
//! (they are packed for it).
//!
//! This floor imports [`kernels`](crate::kernels) and `simd`; what is above it gets kernels by [`Isa::kernels`] only.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(feature = "emulation")]
mod amx_emulated;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
mod scalar;

use std::fmt;

use resnet_plan::{Class, Precision};

pub use crate::error::IsaError;
use crate::kernels::Kernels;
use crate::simd::is_amd;

/// What is known of each instruction set: a line here, and its file.
macro_rules! instruction_sets {
    ($($(#[$doc:meta])* $isa:ident, $name:literal, $file:ident, on $machine:meta;)*) => {
        /// An instruction set that kernels are compiled for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Isa {
            $($(#[$doc])* $isa,)*
        }

        impl Isa {
            /// All, the best last.
            pub const ALL: [Isa; [$(Isa::$isa),*].len()] = [$(Isa::$isa),*];

            /// Its name, as command lines and packed files have it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Isa::$isa => $name,)*
                }
            }

            /// Whether this machine has it, and its kernels; nothing on machines that they are not compiled for.
            fn table(self) -> Option<(fn() -> bool, &'static Kernels)> {
                match self {
                    $(
                        #[cfg($machine)]
                        Isa::$isa => Some(($file::is_available, &$file::KERNELS)),
                        #[cfg(not($machine))]
                        Isa::$isa => None,
                    )*
                }
            }
        }
    };
}

instruction_sets! {
    /// Plain Rust, for every machine.
    Scalar, "scalar", scalar, on all();
    /// The same, but bf16 and int8 as AMX computes them, element by element: for tests, with the feature `emulation`, and never the
    /// best.
    AmxEmulated, "amx-emulated", amx_emulated, on feature = "emulation";
    /// x86-64 with AVX2 and FMA: 8 elements at a time.
    Avx2, "avx2", avx2, on target_arch = "x86_64";
    /// The same with AVX-VNNI: 32 products of int8 at a time.
    AvxVnni, "avxvnni", avxvnni, on target_arch = "x86_64";
    /// x86-64 with AVX-512F and BW: 16 elements at a time.
    Avx512, "avx512", avx512, on target_arch = "x86_64";
    /// The same with VNNI: 64 products of int8 at a time.
    Avx512Vnni, "avx512vnni", avx512vnni, on target_arch = "x86_64";
    /// The same with bf16: 32 products of bf16 at a time.
    Avx512Bf16, "avx512bf16", avx512bf16, on target_arch = "x86_64";
    /// The same with AMX: 8,192 products of bf16 or 16,384 of int8 at a time. Chosen by name only: see [`Isa::best`].
    Amx, "amx", amx, on target_arch = "x86_64";
}

impl Isa {
    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        self.table().is_some_and(|(is_available, _)| is_available())
    }

    /// Those that this machine has, the best last.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// The best that this machine has. [`Isa::Amx`] is not among them: it has been tested in emulation only, so it is chosen by name. Nor is
    /// [`Isa::Avx512Bf16`] on Intel's processors, whose instruction for bf16 takes four times as long as one for f32 (Emerald Rapids).
    pub fn best() -> Isa {
        let proven = |isa: &Isa| match isa {
            Isa::Amx | Isa::AmxEmulated => false,
            Isa::Avx512Bf16 => isa.is_available() && is_amd(),
            _ => isa.is_available(),
        };
        Isa::ALL.into_iter().rfind(proven).unwrap_or(Isa::Scalar)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// If there is none, or this machine does not have it.
    pub fn choose(name: &str) -> Result<Isa, IsaError> {
        let found = Isa::ALL.into_iter().find(|isa| isa.name() == name && isa.is_available());
        found.ok_or_else(|| IsaError {
            name: name.to_owned(),
            available: Isa::available().into_iter().map(Isa::name).collect(),
            known: Isa::ALL.into_iter().map(Isa::name).collect(),
        })
    }

    /// The one that the environment variable `RESNET_ISA` names; the best, if there is no such variable or it is empty.
    ///
    /// # Errors
    /// If the variable names one that this machine does not have.
    pub fn from_environment() -> Result<Isa, IsaError> {
        match std::env::var_os("RESNET_ISA") {
            Some(name) if !name.is_empty() => Isa::choose(&name.to_string_lossy()),
            _ => Ok(Isa::best()),
        }
    }

    /// Its kernels.
    ///
    /// # Panics
    /// If this machine does not have it: whoever holds kernels may call them.
    pub fn kernels(self) -> &'static Kernels {
        match self.table() {
            Some((is_available, kernels)) if is_available() => kernels,
            _ => panic!("this machine has no {self}"),
        }
    }

    /// The instruction set whose kernels this one uses for a precision: `avx512bf16` uses those of `avx512vnni` for int8, and those
    /// of `avx512` for f32.
    pub fn serving(self, precision: Precision) -> Isa {
        let serving = self.table().map(|(_, kernels)| kernels.isa(precision));
        Isa::ALL.into_iter().find(|isa| Some(isa.name()) == serving).unwrap_or(self)
    }

    /// The class of its kernels for a precision: which of a step's algorithms they compute.
    ///
    /// # Panics
    /// As [`Isa::kernels`].
    pub fn class(self, precision: Precision) -> Class {
        self.kernels().class(precision)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
