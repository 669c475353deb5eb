//! The sums of f32 in groups, and their outputs.
//!
//! ```text
//! for each vector of the panel's channels, or two, for each tile of neighbours in a row:       all sums in registers
//!     for each position of the window, for k in 0 .. channels of a group:
//!         sums[p][lane] += x[p][first of the lane's group + k] * w[k][lane]
//!     y[p] = relu?(sums[p] + y[p]?)
//! ```
//! Inputs are picked for groups that share a vector. Those of a group that fills one are read into all lanes. Where such vectors are the widest,
//! two are computed at a time, of two groups or of one: the sums of one vector are too few to hide how long each multiply-add takes.

use resnet_plan::algorithm::VECTOR;

use super::{GroupTask, PANEL, TILE};
use crate::kernels::product::LINE;
use crate::simd::{FEW_LANES, Integers};

/// Pixels of a smaller tile.
const SMALL: usize = 4;

/// Where a lane's inputs are: in any lane of a vector, in one of four neighbours, in one lane for all of a vector's, in one for all of two
/// vectors'; or either of these two.
const ANY: usize = 0;
const NEAR: usize = 1;
const ONE: usize = 2;
const TWO: usize = 3;
const ONE_OR_TWO: usize = 4;

/// Writes the outputs of all pixels.
///
/// # Safety
/// For each pixel, its runs lie in the input, among at least a vector of channels up to the panel's last, and its channels in the output,
/// where nobody else reads or writes; weights and bias hold what they say. The machine has the instructions of `S`.
#[inline(always)]
pub(crate) unsafe fn compute<S: Integers>(simd: S, task: &GroupTask<'_>) {
    let few = const { S::LANES <= FEW_LANES };
    macro_rules! tiles {
        ($vectors:literal, $channel:expr, $lanes:ident, $of_small:ident) => {{
            let (mut done, mut next) = (0, task.next);
            while done < task.pixels {
                let size = next_tile(task, done, few);
                let first = done.min(task.pixels - size);
                // SAFETY: the caller's contract; all tiles lie among the pixels.
                unsafe {
                    match size {
                        TILE if $vectors == 2 && task.run > S::LANES => {
                            tile::<S, TILE, $vectors, TWO>(simd, task, first, $channel, next)
                        }
                        TILE if !few => tile::<S, TILE, $vectors, $lanes>(simd, task, first, $channel, next),
                        SMALL if !few => {
                            tile::<S, SMALL, $vectors, $of_small>(simd, task, first, $channel, next)
                        }
                        2 if few => tile::<S, 2, $vectors, $of_small>(simd, task, first, $channel, next),
                        _ => tile::<S, 1, $vectors, $of_small>(simd, task, first, $channel, next),
                    }
                }
                done = first + size;
                next = next.wrapping_add(task.rows * task.lines * LINE);
            }
        }};
    }
    let widest = const { S::LANES == VECTOR };
    if widest && task.run >= S::LANES {
        tiles!(2, 0, ONE, ONE_OR_TWO);
    } else {
        for channel in (0..task.width).step_by(S::LANES) {
            if widest {
                tiles!(1, channel, ANY, ANY);
            } else if task.channels - channel < S::LANES {
                for pixel in 0..task.pixels {
                    // SAFETY: the caller's contract.
                    unsafe { tile::<S, 1, 1, ANY>(simd, task, pixel, channel, task.next) };
                }
            } else if task.run == S::LANES {
                tiles!(1, channel, ONE, ONE);
            } else {
                tiles!(1, channel, NEAR, NEAR);
            }
        }
    }
}

/// Pixels of the next tile: where there are enough of them, it begins earlier, and computes some of the one before again, to the same bits. (Not
/// if what the output holds is added. If lanes are `few`, registers are, too.)
#[inline(always)]
fn next_tile(task: &GroupTask<'_>, done: usize, few: bool) -> usize {
    let left = task.pixels - done;
    let there = if task.held { left } else { task.pixels };
    let fits = |size: usize, least: usize| left >= least && there >= size;
    match few {
        false if fits(TILE, SMALL + 1) => TILE,
        false if fits(SMALL, 2) => SMALL,
        true if fits(2, 2) => 2,
        _ => 1,
    }
}

/// Computes `P` pixels from the `first` on, `V` vectors of channels, and fetches what is needed `next`.
///
/// The sums stay in registers only if every loop over them is unrolled, so none of those has a branch inside.
///
/// # Safety
/// As [`compute`], for these pixels and channels.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // each loop runs over several arrays, and over offsets
unsafe fn tile<S: Integers, const P: usize, const V: usize, const LANES: usize>(
    simd: S,
    task: &GroupTask<'_>,
    first: usize,
    channel: usize,
    mut next: *const f32,
) {
    let GroupTask { x_step, y_step, rows, taps, pitch, tap, run, width, .. } = *task;
    let count = (task.channels - channel).min(V * S::LANES);
    // A vector of inputs ends with the last channel, though there may be fewer than fill one.
    let before = V * S::LANES - count;
    // SAFETY: the caller's contract: of the last vector only the channels that there are get written.
    unsafe {
        let load = |from: *const f32| -> [S::Vector; V] {
            std::array::from_fn(|v| simd.load(from.add(v * S::LANES)))
        };
        let lanes = simd.load(task.lanes.as_ptr().cast());
        let picked = simd.add_i32(lanes, simd.splat(f32::from_bits(before as u32)));
        let one = simd.splat(f32::from_bits(1));
        let apart = if run > S::LANES { 0 } else { S::LANES };
        let x = task.x.add(first * x_step + channel).sub(before);
        let mut weights = task.weights.add(channel);
        let mut sums = [load(task.bias.add(channel)); P];
        for row in 0..rows {
            let mut column = 0;
            // What the next panel reads of these pixels: a line of each, far apart, which the machine does not expect.
            for p in 0..P {
                simd.prefetch(x.wrapping_add(row * pitch + p * x_step + V * PANEL));
            }
            if V > 1 {
                for _ in 0..task.lines {
                    simd.prefetch(next);
                    next = next.wrapping_add(LINE);
                }
            }
            if x_step == tap {
                while column + 3 <= taps {
                    let x = x.add(row * pitch + column * tap);
                    let mut from = picked;
                    for k in 0..run {
                        let w = [0, 1, 2].map(|next| load(weights.add((next * run + k) * width)));
                        let mut a = inputs::<S, V, LANES>(simd, x, k, from, apart);
                        let mut b = inputs::<S, V, LANES>(simd, x.add(x_step), k, from, apart);
                        for p in 0..P {
                            let c = inputs::<S, V, LANES>(simd, x.add((p + 2) * x_step), k, from, apart);
                            for v in 0..V {
                                sums[p][v] = simd.mul_add(a[v], w[0][v], sums[p][v]);
                                sums[p][v] = simd.mul_add(b[v], w[1][v], sums[p][v]);
                                sums[p][v] = simd.mul_add(c[v], w[2][v], sums[p][v]);
                            }
                            (a, b) = (b, c);
                        }
                        from = simd.add_i32(from, one);
                    }
                    weights = weights.wrapping_add(3 * run * width);
                    column += 3;
                }
            }
            while column < taps {
                let x = x.add(row * pitch + column * tap);
                let mut from = picked;
                for k in 0..run {
                    let w = load(weights);
                    weights = weights.wrapping_add(width);
                    for p in 0..P {
                        let x = inputs::<S, V, LANES>(simd, x.add(p * x_step), k, from, apart);
                        for v in 0..V {
                            sums[p][v] = simd.mul_add(x[v], w[v], sums[p][v]);
                        }
                    }
                    from = simd.add_i32(from, one);
                }
                column += 1;
            }
        }
        let y = task.y.add(first * y_step + channel);
        if task.held {
            for p in 0..P {
                for v in 0..V {
                    let y = y.add(p * y_step + v * S::LANES);
                    let held = if V == 1 { simd.load_partial(y, count) } else { simd.load(y) };
                    sums[p][v] = simd.add(sums[p][v], held);
                }
            }
        }
        let floor = simd.splat(if task.relu { 0.0 } else { f32::NEG_INFINITY });
        if V > 1 || count == S::LANES {
            for p in 0..P {
                for v in 0..V {
                    simd.store(y.add(p * y_step + v * S::LANES), simd.at_least(floor, sums[p][v]));
                }
            }
        } else {
            for p in 0..P {
                simd.store_partial(y.add(p * y_step), simd.at_least(floor, sums[p][0]), count);
            }
        }
    }
}

/// The `k`-th input of each lane's group, of a pixel: in the lanes `from`, or in the `k`-th from each group's first, where a group fills a vector;
/// groups are so many lanes `apart`.
///
/// # Safety
/// `V` vectors of inputs lie at `x`.
#[inline(always)]
unsafe fn inputs<S: Integers, const V: usize, const LANES: usize>(
    simd: S,
    x: *const f32,
    k: usize,
    from: S::Vector,
    apart: usize,
) -> [S::Vector; V] {
    // SAFETY: the caller's contract.
    unsafe {
        match LANES {
            TWO => [simd.splat(*x.add(k)); V],
            ONE => std::array::from_fn(|v| simd.splat(*x.add(v * S::LANES + k))),
            ONE_OR_TWO => std::array::from_fn(|v| simd.splat(*x.add(v * apart + k))),
            NEAR => [simd.pick_near(simd.load(x), from); V],
            _ => [simd.pick(simd.load(x), from); V],
        }
    }
}
