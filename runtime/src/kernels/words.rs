//! Direct convolution of bf16 and int8: the blocks, panels and tiles of [`conv`](crate::kernels::conv), in words; or those of
//! [`tiles`], where there are registers for them.

use std::ops::Range;

use resnet_plan::{Algorithm, ConvGeometry, Convolution, Residual};

use crate::elements::{Elements, ElementsMut};
use crate::kernels::conv::{BLOCK, PackedConv, locate};
use crate::kernels::dot::{DotKernel, DotTask, Method};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::tiles::Tiling;
use crate::kernels::{Kernels, Shares, Target, must_fit};
use crate::threads::Threads;

/// The part of a convolution that one thread does.
pub(crate) struct Task<'a> {
    pub(crate) convolution: &'a Convolution,
    pub(crate) x: *const u32,
    /// Whether the input's int8 are signed.
    pub(crate) signed: bool,
    pub(crate) panels: *const u32,
    /// Each channel's: what its sums begin with, and for int8 what they are multiplied with and what is added.
    pub(crate) start: *const u32,
    pub(crate) scale: *const f32,
    pub(crate) bias: *const f32,
    pub(crate) y: Target,
    /// Pixels, or tiles of pixels.
    pub(crate) units: Range<usize>,
    pub(crate) panel_range: Range<usize>,
}

impl Task<'_> {
    /// What becomes of the sums of a panel, for no pixels yet. Panels are of so many channels, filled up to whole vectors.
    #[inline(always)]
    pub(crate) fn epilogue(&self, panel_width: usize, lanes: usize, panel: usize) -> Epilogue<'_> {
        let Convolution { geometry, residual, relu, .. } = self.convolution;
        let channel = panel * panel_width;
        let channels = (geometry.channels - channel).min(panel_width);
        Epilogue {
            scale: self.scale.wrapping_add(channel),
            bias: self.bias.wrapping_add(channel),
            y: self.y.offset(channel),
            y_offsets: &[],
            channels,
            width: channels.next_multiple_of(lanes),
            residual: *residual,
            relu: *relu,
        }
    }
}

/// As [`convolve`](crate::kernels::convolve), for elements that are not f32.
pub(super) fn convolve(
    kernels: &Kernels,
    threads: &Threads,
    convolution: &Convolution,
    x: Elements<'_>,
    weights: PackedConv<'_>,
    y: ElementsMut<'_>,
) {
    let Convolution { geometry, algorithm, split, .. } = convolution;
    let ConvGeometry { batch, output, channels, .. } = *geometry;
    let (kernel, lists) = kernel(kernels, convolution.residual, x, &y);
    if geometry.is_empty() {
        return;
    }
    let signed = matches!(x, Elements::I8(_));
    let (x, words) = match x {
        Elements::F32(_) => unreachable!("refused above"),
        Elements::Bf16(x) => (x.as_ptr().cast::<u32>(), x.len() / 2),
        Elements::U8(x) => (x.as_ptr().cast(), x.len() / 4),
        Elements::I8(x) => (x.as_ptr().cast(), x.len() / 4),
    };
    assert!(*algorithm == Algorithm::Direct, "only f32 are computed by Winograd's algorithm");
    must_fit(geometry.fits(words, y.len()));
    let padded = channels.next_multiple_of(kernel.lanes);
    assert!(x.is_aligned(), "the input does not begin with a whole word");
    let needed = geometry.depth().saturating_mul(padded);
    assert!(weights.panels.len() >= needed, "the weights have another shape");
    assert!(weights.bias.len() >= lists * padded, "the bias has another length");
    // Registers are filled two tiles at a time.
    let (units, together) = match kernel.method {
        Method::Vectors(tile, _) => (batch * output[0] * output[1], tile),
        Method::Tiles(_) => (Tiling::of(geometry).tiles(), 2),
    };
    let shares = Shares::of(*split, threads, units, together, channels.div_ceil(kernel.panel));
    // One pointer for all threads: an address and a type.
    let y = Target::of(y);
    let list = |index: usize| weights.bias[index.min(lists - 1) * padded..].as_ptr();
    let task = Task {
        convolution,
        x,
        signed,
        panels: weights.panels.as_ptr().cast(),
        start: list(0).cast(),
        scale: list(1),
        bias: list(2),
        y,
        units: 0..0,
        panel_range: 0..0,
    };
    let shared = Shared(&task);
    threads.run(|index, _| {
        let task = shared.task();
        let (units, panel_range) = shares.part(index);
        let part = Task { units, panel_range, ..*task };
        // SAFETY: `kernels` shows that the machine has the instruction set; the assertions above hold for every pixel and panel of
        // the geometry; the pixels and channels of two threads do not meet, and the output is borrowed exclusively.
        unsafe {
            match kernel.method {
                Method::Vectors(_, compute) => run_vectors(kernel, compute, &part),
                Method::Tiles(run) => run(&part),
            }
        }
    });
}

/// The kernel from elements to elements, and how many lists its bias is: see [`PackedConv`].
///
/// # Panics
/// If there is none.
fn kernel<'a>(
    kernels: &'a Kernels,
    residual: Residual,
    x: Elements<'_>,
    y: &ElementsMut<'_>,
) -> (&'a DotKernel, usize) {
    match (x, y, residual) {
        (Elements::Bf16(_), ElementsMut::Bf16(_) | ElementsMut::F32(_), Residual::None | Residual::Same) => {
            (&kernels.bf16, 1)
        }
        (
            Elements::U8(_) | Elements::I8(_),
            ElementsMut::U8(_) | ElementsMut::I8(_),
            Residual::None | Residual::Quantized { .. },
        )
        | (Elements::U8(_) | Elements::I8(_), ElementsMut::F32(_), Residual::None) => (&kernels.int8, 3),
        _ => panic!("there is no convolution of these elements"),
    }
}

/// The task of which each thread takes its part.
struct Shared<'a>(&'a Task<'a>);

// SAFETY: the pointers are only addresses; whoever follows them states which part is whose.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// The task. (A method, so that closures capture the whole of `Shared`.)
    fn task(&self) -> &'a Task<'a> {
        self.0
    }
}

/// One thread's part, vector by vector.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes; `panels` and the
/// lists behind it hold all channels as they are packed for this kernel, whose instruction set the machine has.
unsafe fn run_vectors(kernel: &DotKernel, compute: unsafe fn(&DotTask<'_>), task: &Task<'_>) {
    let geometry = &task.convolution.geometry;
    let depth = geometry.rows * geometry.run;
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    for start in task.units.clone().step_by(BLOCK) {
        let count = BLOCK.min(task.units.end - start);
        locate(geometry, start, &mut x_offsets[..count], &mut y_offsets[..count]);
        for panel in task.panel_range.clone() {
            let channel = panel * kernel.panel;
            let epilogue = task.epilogue(kernel.panel, kernel.lanes, panel);
            let weights = task.panels.wrapping_add(channel * depth);
            // SAFETY: the caller's contract, for these pixels and channels. Earlier panels are all full, each of `depth` times its
            // width.
            unsafe {
                compute(&DotTask {
                    x: task.x,
                    x_offsets: &x_offsets[..count],
                    signed: task.signed,
                    rows: geometry.rows,
                    run: geometry.run,
                    pitch: geometry.pitch,
                    weights,
                    prefetch: weights.wrapping_add(depth * epilogue.width),
                    start: task.start.add(channel),
                    epilogue: Epilogue { y_offsets: &y_offsets[..count], ..epilogue },
                });
            }
        }
    }
}
