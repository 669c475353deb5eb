//! Direct sums by instructions that multiply words of bf16 or int8: the blocks, panels and tiles of [`conv`](crate::kernels::conv), in
//! words; or those of [`tiles`](crate::kernels::tiles), where there are registers for them.

use resnet_plan::ConvGeometry;

use crate::kernels::conv::{BLOCK, ConvTask, Work, locate};
use crate::kernels::dot::{DotKernel, DotTask, Method};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::panels::Panels;
use crate::kernels::tiles::Tiling;
use crate::kernels::wide::Kind;

/// What threads share out.
pub(super) fn work(dots: &DotKernel, geometry: &ConvGeometry) -> Work {
    let ConvGeometry { batch, output: [height, width], .. } = *geometry;
    // Registers are filled two tiles at a time.
    let (units, together) = match dots.method {
        Method::Vectors(tile, _) => (batch * height * width, tile),
        Method::Tiles(_) => (Tiling::of(geometry).tiles(), 2),
    };
    let panels = Panels::of_width(dots.lanes, dots.panel, geometry);
    let weights = geometry.depth().saturating_mul(panels.padded());
    Work { units, together, panels: panels.count(), weights }
}

/// One thread's part.
///
/// # Safety
/// For all pixels and panels of the task: windows lie in `x`, outputs in `y` where nobody else reads or writes; `panels` and the
/// lists behind it hold all channels as they are packed for this kernel, whose instruction set the machine has.
pub(super) unsafe fn run(dots: &DotKernel, task: &ConvTask<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match dots.method {
            Method::Vectors(_, compute) => run_vectors(dots, compute, task),
            Method::Tiles(run) => run(task),
        }
    }
}

/// One thread's part, vector by vector.
///
/// # Safety
/// As [`run`].
unsafe fn run_vectors(kernel: &DotKernel, compute: unsafe fn(&DotTask<'_>), task: &ConvTask<'_>) {
    let geometry = &task.convolution.geometry;
    let (depth, panels) = (geometry.depth(), Panels::of_width(kernel.lanes, kernel.panel, geometry));
    let mut x_offsets = [0usize; BLOCK];
    let mut y_offsets = [0usize; BLOCK];
    for pixels in task.share.blocks(BLOCK, BLOCK) {
        let count = pixels.len();
        locate(geometry, pixels.start, &mut x_offsets[..count], &mut y_offsets[..count]);
        for panel in task.share.panels(&pixels) {
            let panel = panels.at(panel);
            let epilogue = task.epilogue(panel);
            let weights = task.panels.cast::<u32>().wrapping_add(panel.place * depth);
            // SAFETY: the caller's contract, for these pixels and channels. Panels are packed one after the other, each of `depth`
            // times its width.
            unsafe {
                compute(&DotTask {
                    x: task.x.cast::<u32>().add(panel.block * geometry.run),
                    x_offsets: &x_offsets[..count],
                    signed: task.kind == Kind::I8,
                    rows: geometry.rows,
                    taps: geometry.taps,
                    run: geometry.run,
                    pitch: geometry.pitch,
                    tap: geometry.tap,
                    weights,
                    prefetch: weights.wrapping_add(depth * epilogue.width),
                    start: task.start.add(panel.place).cast(),
                    epilogue: Epilogue { y_offsets: &y_offsets[..count], ..epilogue },
                });
            }
        }
    }
}
