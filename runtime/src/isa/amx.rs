//! Intel AMX: eight registers of 16 rows of 64 bytes, and products of two of them, of bf16 or int8, with sums in f32 or i32. f32
//! are multiplied by AVX-512.
//!
//! The instructions are written out, as their intrinsics are not stable. Registers belong to nobody between two blocks of
//! assembly, so one block begins the sums, adds all products and stores them; only their shape outlives it.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::mem::offset_of;
use std::sync::OnceLock;

use crate::isa::avx512bf16;
use crate::kernels::table::Kernels;
use crate::kernels::tiles::{LANES, ROWS, TileConfig, TileTask, Tiles, tile_kernel};

/// Whether the machine has AMX for bf16 and int8, and the system lets this process use it: it is asked once.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    avx512bf16::is_available() && *AVAILABLE.get_or_init(|| has_amx() && is_permitted())
}

/// Whether the processor has it, and the system saves its registers.
#[allow(unused_unsafe)] // `cpuid` is unsafe in older toolchains
fn has_amx() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AMX_BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    // SAFETY: every x86-64 has `cpuid`; bit 27 says that there is `xgetbv`.
    unsafe {
        __cpuid(0).eax >= 7
            && __cpuid(1).ecx & OSXSAVE == OSXSAVE
            && __cpuid_count(7, 0).edx & AMX_BF16_TILE_INT8 == AMX_BF16_TILE_INT8
            && _xgetbv(0) & TILE_STATE == TILE_STATE
    }
}

/// Linux grants the registers to a process that asks; it then has more to save in each of its threads.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn is_permitted() -> bool {
    const SYS_ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: the call reads and writes no memory of this process. It returns in `rax`; `rcx` and `r11` are the processor's.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// What other systems want is not known here.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn is_permitted() -> bool {
    false
}

/// Gives this thread's registers a shape.
///
/// # Safety
/// The machine must have AMX.
#[inline(always)]
unsafe fn configure(config: &TileConfig) {
    // SAFETY: the caller's contract; the shape is one that the processor takes: see `TileConfig::new`.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            config = in(reg) config,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Takes their shape from this thread's registers.
///
/// # Safety
/// The machine must have AMX.
#[inline(always)]
unsafe fn release() {
    // SAFETY: the caller's contract.
    unsafe {
        asm!(
            "tilerelease",
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, nomem, preserves_flags),
        );
    }
}

/// The frame of `Tiles::compute`: what begins the sums, what is done with a block of words, and what stores the sums. In these,
/// `{x0}` and `{x1}` are the inputs of two tiles and `{apart}` their pixels' distance, `{w}` the weights and `{width}` their
/// rows' distance; before the products `{x0}` is the start, after them `{x0}` and `{x1}` are where sums go.
macro_rules! compute {
    ($task:expr, start: [$($start:expr,)*], products: [$($product:expr,)*], store: [$($store:expr,)*]) => {
        asm!(
            "mov {width}, [{task} + {WIDTH}]",
            "mov {x0}, [{task} + {START}]",
            // At distance 0, all rows begin with the same elements.
            "xor {apart:e}, {apart:e}",
            $($start,)*
            "mov {rows}, [{task} + {ROWS}]",
            "test {rows}, {rows}",
            "jz 5f",
            "mov {apart}, [{task} + {INPUT_STRIDE}]",
            "mov {x0}, [{task} + {INPUT_0}]",
            "mov {x1}, [{task} + {INPUT_1}]",
            "mov {w}, [{task} + {WEIGHTS}]",
            "mov {next}, [{task} + {PREFETCH}]",
            "2:",
            "mov {taps}, [{task} + {TAPS}]",
            "6:",
            "mov {blocks}, [{task} + {BLOCKS}]",
            "3:",
            $($product,)*
            "mov {lines}, [{task} + {PREFETCHES}]",
            "4:",
            "prefetcht1 [{next}]",
            "add {next}, 64",
            "dec {lines}",
            "jnz 4b",
            "add {x0}, [{task} + {INPUT_STEP}]",
            "add {x1}, [{task} + {INPUT_STEP}]",
            "add {w}, [{task} + {WEIGHT_STEP}]",
            "dec {blocks}",
            "jnz 3b",
            "add {x0}, [{task} + {RUN_STEP}]",
            "add {x1}, [{task} + {RUN_STEP}]",
            "dec {taps}",
            "jnz 6b",
            "add {x0}, [{task} + {ROW_STEP}]",
            "add {x1}, [{task} + {ROW_STEP}]",
            "dec {rows}",
            "jnz 2b",
            "5:",
            "mov {x0}, [{task} + {SUMS_0}]",
            "mov {x1}, [{task} + {SUMS_1}]",
            $($store,)*
            task = in(reg) $task,
            x0 = out(reg) _,
            x1 = out(reg) _,
            w = out(reg) _,
            apart = out(reg) _,
            width = out(reg) _,
            rows = out(reg) _,
            taps = out(reg) _,
            blocks = out(reg) _,
            next = out(reg) _,
            lines = out(reg) _,
            START = const offset_of!(TileTask, start),
            INPUT_0 = const offset_of!(TileTask, inputs),
            INPUT_1 = const offset_of!(TileTask, inputs) + 8,
            INPUT_STRIDE = const offset_of!(TileTask, input_stride),
            WEIGHTS = const offset_of!(TileTask, weights),
            SUMS_0 = const offset_of!(TileTask, sums),
            SUMS_1 = const offset_of!(TileTask, sums) + 8,
            WIDTH = const offset_of!(TileTask, width),
            ROWS = const offset_of!(TileTask, rows),
            TAPS = const offset_of!(TileTask, taps),
            BLOCKS = const offset_of!(TileTask, blocks),
            INPUT_STEP = const offset_of!(TileTask, input_step),
            RUN_STEP = const offset_of!(TileTask, run_step),
            ROW_STEP = const offset_of!(TileTask, row_step),
            WEIGHT_STEP = const offset_of!(TileTask, weight_step),
            PREFETCH = const offset_of!(TileTask, prefetch),
            PREFETCHES = const offset_of!(TileTask, prefetches),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// The registers, for products of some type of elements.
macro_rules! registers {
    ($(#[$doc:meta])* $name:ident, $multiply:literal) => {
        $(#[$doc])*
        struct $name(());

        impl Tiles for $name {
            #[inline(always)]
            unsafe fn assume() -> Self {
                $name(())
            }

            #[inline(always)]
            fn configure(&mut self, config: &TileConfig) {
                // SAFETY: `self` shows that the machine has AMX.
                unsafe { configure(config) }
            }

            #[inline(always)]
            unsafe fn compute(&mut self, task: &TileTask, tiles: usize, vectors: usize) {
                // SAFETY: `self` shows that the machine has AMX; memory and shape are the caller's contract.
                unsafe {
                    match (tiles, vectors) {
                        (2, 2) => compute!(
                            task,
                            start: [
                                "tileloadd tmm0, [{x0} + {apart}*1]",
                                "tileloadd tmm1, [{x0} + {apart}*1 + 64]",
                                "tileloadd tmm2, [{x0} + {apart}*1]",
                                "tileloadd tmm3, [{x0} + {apart}*1 + 64]",
                            ],
                            products: [
                                "tileloadd tmm6, [{w} + {width}*1]",
                                "tileloadd tmm4, [{x0} + {apart}*1]",
                                concat!($multiply, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm7, [{w} + {width}*1 + 64]",
                                concat!($multiply, " tmm1, tmm4, tmm7"),
                                "tileloadd tmm5, [{x1} + {apart}*1]",
                                concat!($multiply, " tmm2, tmm5, tmm6"),
                                concat!($multiply, " tmm3, tmm5, tmm7"),
                            ],
                            store: [
                                "tilestored [{x0} + {width}*1], tmm0",
                                "tilestored [{x0} + {width}*1 + 64], tmm1",
                                "tilestored [{x1} + {width}*1], tmm2",
                                "tilestored [{x1} + {width}*1 + 64], tmm3",
                            ]
                        ),
                        (2, _) => compute!(
                            task,
                            start: [
                                "tileloadd tmm0, [{x0} + {apart}*1]",
                                "tileloadd tmm2, [{x0} + {apart}*1]",
                            ],
                            products: [
                                "tileloadd tmm6, [{w} + {width}*1]",
                                "tileloadd tmm4, [{x0} + {apart}*1]",
                                concat!($multiply, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm5, [{x1} + {apart}*1]",
                                concat!($multiply, " tmm2, tmm5, tmm6"),
                            ],
                            store: [
                                "tilestored [{x0} + {width}*1], tmm0",
                                "tilestored [{x1} + {width}*1], tmm2",
                            ]
                        ),
                        (_, 2) => compute!(
                            task,
                            start: [
                                "tileloadd tmm0, [{x0} + {apart}*1]",
                                "tileloadd tmm1, [{x0} + {apart}*1 + 64]",
                            ],
                            products: [
                                "tileloadd tmm6, [{w} + {width}*1]",
                                "tileloadd tmm4, [{x0} + {apart}*1]",
                                concat!($multiply, " tmm0, tmm4, tmm6"),
                                "tileloadd tmm7, [{w} + {width}*1 + 64]",
                                concat!($multiply, " tmm1, tmm4, tmm7"),
                            ],
                            store: [
                                "tilestored [{x0} + {width}*1], tmm0",
                                "tilestored [{x0} + {width}*1 + 64], tmm1",
                            ]
                        ),
                        _ => compute!(
                            task,
                            start: ["tileloadd tmm0, [{x0} + {apart}*1]",],
                            products: [
                                "tileloadd tmm6, [{w} + {width}*1]",
                                "tileloadd tmm4, [{x0} + {apart}*1]",
                                concat!($multiply, " tmm0, tmm4, tmm6"),
                            ],
                            store: ["tilestored [{x0} + {width}*1], tmm0",]
                        ),
                    }
                }
            }

            #[inline(always)]
            fn release(&mut self) {
                // SAFETY: `self` shows that the machine has AMX.
                unsafe { release() }
            }
        }
    };
}

registers!(
    /// bf16.
    Bf16, "tdpbf16ps"
);
registers!(
    /// int8, inputs that are not signed.
    Unsigned, "tdpbusd"
);
registers!(
    /// int8, inputs that are signed.
    Signed, "tdpbssd"
);

/// Words that are multiplied in a round of the yardstick: a product for each register of sums.
const PEAK_WORDS: usize = 4 * ROWS * LANES * LANES;

/// The yardstick: products of registers, and nothing else.
macro_rules! peak {
    ($name:ident, $multiply:literal) => {
        /// # Safety
        /// The machine must have AMX, and the system must permit it.
        unsafe fn $name(rounds: usize) -> u32 {
            // SAFETY: the caller's contract; all registers are full.
            unsafe {
                configure(&TileConfig::new(ROWS, LANES));
                asm!(
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
                    "test {rounds}, {rounds}",
                    "jz 3f",
                    "2:",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7"),
                    "dec {rounds}",
                    "jnz 2b",
                    "3:",
                    rounds = inout(reg) rounds => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, nomem),
                );
                release();
            }
            0
        }
    };
}

peak!(peak_bf16, "tdpbf16ps");
peak!(peak_int8, "tdpbusd");

pub(super) const KERNELS: Kernels = Kernels {
    bf16: Some(tile_kernel!("amx", Bf16, Bf16, ["avx512f,avx512bw"], peak: peak_bf16, words: PEAK_WORDS)),
    int8: Some(
        tile_kernel!("amx", Unsigned, Signed, ["avx512f,avx512bw"], peak: peak_int8, words: PEAK_WORDS),
    ),
    ..avx512bf16::KERNELS
};
