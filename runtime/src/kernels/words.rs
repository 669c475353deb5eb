//! Direct convolution of bf16 and int8: the blocks, panels and tiles of [`conv`](crate::kernels::conv), in words.

use std::ops::Range;

use crate::isa::Isa;
use crate::kernels::conv::{Algorithm, BLOCK, ConvGeometry, Convolution, PackedConv, Split, locate};
use crate::kernels::dot::{DotKernel, DotTask};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::product::LINE;
use crate::kernels::{Residual, Target, share};
use crate::numbers::{Numbers, NumbersMut};
use crate::threads::Threads;

/// The part of a convolution that one thread does.
struct Task<'a> {
    convolution: &'a Convolution,
    x: *const u32,
    signed: bool,
    panels: *const u32,
    start: *const u32,
    scale: *const f32,
    bias: *const f32,
    y: Target,
    pixels: Range<usize>,
    panel_range: Range<usize>,
}

/// As [`convolve`](crate::kernels::convolve), for numbers that are not f32.
pub(super) fn convolve(
    isa: Isa,
    threads: &Threads,
    convolution: &Convolution,
    x: Numbers<'_>,
    weights: PackedConv<'_>,
    y: NumbersMut<'_>,
) {
    let Convolution { geometry, algorithm, split, residual, .. } = convolution;
    let ConvGeometry { batch, output, rows, run, pitch, channels, .. } = *geometry;
    let quantized = matches!(residual, Residual::Quantized { .. });
    let (kernel, lists, signed) = match (x, &y) {
        (Numbers::Bf16(_), NumbersMut::Bf16(_) | NumbersMut::F32(_)) if !quantized => {
            (&isa.kernels().bf16, 1, false)
        }
        (Numbers::U8(_) | Numbers::I8(_), NumbersMut::U8(_) | NumbersMut::I8(_))
            if *residual != Residual::Same =>
        {
            (&isa.kernels().int8, 3, matches!(x, Numbers::I8(_)))
        }
        (Numbers::U8(_) | Numbers::I8(_), NumbersMut::F32(_)) if *residual == Residual::None => {
            (&isa.kernels().int8, 3, matches!(x, Numbers::I8(_)))
        }
        _ => panic!("there is no convolution of these numbers"),
    };
    if batch == 0 || output.contains(&0) || channels == 0 {
        return;
    }
    let padded = channels.next_multiple_of(kernel.lanes);
    let depth = rows * run;
    let reach = (rows.max(1) - 1) * pitch + run;
    let (x, words) = match x {
        Numbers::F32(_) => unreachable!("refused above"),
        Numbers::Bf16(x) => (x.as_ptr().cast::<u32>(), x.len() / 2),
        Numbers::U8(x) => (x.as_ptr().cast(), x.len() / 4),
        Numbers::I8(x) => (x.as_ptr().cast(), x.len() / 4),
    };
    assert!(isa.is_available(), "this machine has no {isa}");
    assert!(*algorithm == Algorithm::Direct, "only f32 are computed by Winograd's algorithm");
    assert!(geometry.x.end(batch, output, reach) <= words, "windows reach outside the input");
    assert!(geometry.y.end(batch, output, channels) <= y.len(), "pixels lie outside the output");
    assert!(weights.panels.len() >= depth * padded, "the weights have another shape");
    assert!(weights.bias.len() >= lists * padded, "the bias has another length");
    let total = batch * output[0] * output[1];
    let panels = channels.div_ceil(kernel.panel);
    let count = threads.count();
    let by_channels = *split == Split::Channels && panels >= count;
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
        pixels: 0..total,
        panel_range: 0..panels,
    };
    let shared = Shared(&task);
    threads.run(|index, _| {
        let task = shared.task();
        let (pixels, panel_range) = if by_channels {
            (0..total, share(panels, index, count))
        } else {
            let units = share(total.div_ceil(kernel.tile), index, count);
            (units.start * kernel.tile..(units.end * kernel.tile).min(total), 0..panels)
        };
        // SAFETY: the machine has the instruction set; the assertions above hold for every pixel and panel of the geometry; the
        // pixels and channels of two threads do not meet, and the output is borrowed exclusively.
        unsafe { part(kernel, &Task { pixels, panel_range, ..*task }) };
    });
}

/// The whole task, of which each thread takes its part.
struct Shared<'a>(&'a Task<'a>);

// SAFETY: the pointers are only addresses; whoever follows them states which part is whose.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// The task. (A method, so that closures capture the whole of `Shared`.)
    fn task(&self) -> &'a Task<'a> {
        self.0
    }
}

/// One thread's part.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes; `panels` and the
/// lists behind it hold all channels as they are packed for this kernel, whose instruction set the machine has.
unsafe fn part(kernel: &DotKernel, task: &Task<'_>) {
    let Convolution { geometry, residual, relu, .. } = task.convolution;
    let depth = geometry.rows * geometry.run;
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    for start in task.pixels.clone().step_by(BLOCK) {
        let count = BLOCK.min(task.pixels.end - start);
        locate(geometry, start, &mut x_offsets[..count], &mut y_offsets[..count]);
        for panel in task.panel_range.clone() {
            let channel = panel * kernel.panel;
            let channels = (geometry.channels - channel).min(kernel.panel);
            let size = depth * channels.next_multiple_of(kernel.lanes);
            let tiles = x_offsets[..count].chunks(kernel.tile).zip(y_offsets[..count].chunks(kernel.tile));
            for (index, (x_offsets, y_offsets)) in tiles.enumerate() {
                // SAFETY: the caller's contract, for these pixels and channels. Earlier panels are all full, each of `depth`
                // times its width.
                unsafe {
                    (kernel.compute)(&DotTask {
                        x: task.x,
                        x_offsets,
                        signed: task.signed,
                        rows: geometry.rows,
                        run: geometry.run,
                        pitch: geometry.pitch,
                        weights: task.panels.add(channel * depth),
                        prefetch: task.panels.wrapping_add(channel * depth + size + index * depth * LINE),
                        start: task.start.add(channel),
                        epilogue: Epilogue {
                            scale: task.scale.wrapping_add(channel),
                            bias: task.bias.wrapping_add(channel),
                            y: task.y.offset(channel),
                            y_offsets,
                            channels,
                            residual: *residual,
                            relu: *relu,
                        },
                    });
                }
            }
        }
    }
}
