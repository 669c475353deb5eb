//! The algorithms, written once over the `Simd` operations of an instruction set.
//!
//! One idea carries the convolutions. Activations are NHWC, and the zeros of a convolution's padding are there in memory.
//! Then, for one row of the window, the elements that an output pixel needs lie next to each other: `KW` pixels of `C`
//! channels. A convolution is a sum of `KH` such *row runs*,
//!
//! ```text
//! y[p, :] = bias + sum over kh of  x[p + kh rows][0 .. KW*C] . w[kh][0 .. KW*C, :]
//! ```
//!
//! and one small matrix kernel computes them all: 1x1, 3x3, the 7x7 of a stem, a dense layer (a window as large as the
//! input). A stride only changes how far apart two pixels' runs begin. Nothing is copied out (no im2col), and there is
//! no code for edges.
//!
//! Functions here check their geometry against their slices and share the work out over threads; what they call
//! through [`Kernels`] is compiled for one instruction set and takes pointers.
//!
//! This floor imports `simd`, [`elements`](crate::elements), [`threads`](crate::threads) and `resnet_plan`. It does not know which
//! instruction sets there are: that is [`isa`](crate::isa), above it.

pub(crate) mod activate;
pub(crate) mod channels;
pub(crate) mod conv;
pub(crate) mod convert;
pub(crate) mod copy;
pub(crate) mod dot;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
pub(crate) mod fold;
pub(crate) mod groups;
pub(crate) mod moments;
pub mod pack;
pub(crate) mod panels;
pub(crate) mod peak;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod shares;
pub mod strassen;
pub(crate) mod table;
pub(crate) mod tiles;
pub(crate) mod wide;
pub mod winograd;
pub(crate) mod winograd_rows;
pub(crate) mod words;

use resnet_plan::Fault;

use crate::elements::{ElementsMut, bf16};

pub use channels::*;
pub use conv::{PackedConv, convolve};
pub use convert::convert;
pub use copy::{clear_halo, copy};
pub use elementwise::elementwise;
pub(crate) use fold::{FoldTask, fold_panel};
pub use moments::{group_norm, reduce};
pub use peak::{peak_gflops, peak_gops};
pub use pool::pool;
pub(crate) use shares::{blocks, share_out};
pub use table::Kernels;

/// # Panics
/// If a geometry does not fit its slices: nothing behind it may be read or written.
fn must_fit(fits: Result<(), Fault>) {
    if let Err(fault) = fits {
        panic!("{fault}");
    }
}

/// A pointer that threads share, each to write its own part behind it.
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: a pointer is only an address; whoever writes through it states which part is whose.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The pointer. (A method, so that closures capture the whole of `Shared`.)
    #[inline(always)]
    pub(crate) fn pointer(&self) -> *mut T {
        self.0
    }
}

/// Where elements of some type go; threads share it, each to write its own part.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    F32(*mut f32),
    Bf16(*mut bf16),
    U8(*mut u8),
    I8(*mut i8),
}

// SAFETY: a pointer is only an address; whoever writes through it states which part is whose.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    pub(crate) fn of(numbers: ElementsMut<'_>) -> Self {
        match numbers {
            ElementsMut::F32(slice) => Target::F32(slice.as_mut_ptr()),
            ElementsMut::Bf16(slice) => Target::Bf16(slice.as_mut_ptr()),
            ElementsMut::U8(slice) => Target::U8(slice.as_mut_ptr()),
            ElementsMut::I8(slice) => Target::I8(slice.as_mut_ptr()),
        }
    }

    /// The address of f32.
    pub(crate) fn of_f32(self) -> *mut f32 {
        match self {
            Target::F32(pointer) => pointer,
            Target::Bf16(_) | Target::U8(_) | Target::I8(_) => unreachable!("f32 are computed of f32"),
        }
    }

    /// So many elements further on.
    pub(crate) fn offset(self, elements: usize) -> Self {
        match self {
            Target::F32(pointer) => Target::F32(pointer.wrapping_add(elements)),
            Target::Bf16(pointer) => Target::Bf16(pointer.wrapping_add(elements)),
            Target::U8(pointer) => Target::U8(pointer.wrapping_add(elements)),
            Target::I8(pointer) => Target::I8(pointer.wrapping_add(elements)),
        }
    }
}
