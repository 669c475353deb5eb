//! What Winograd's algorithm makes of kernels: how many products, transformed inputs and weights, and sums.

use crate::algorithm::VECTOR;
use crate::pixels::{plus, times};

/// Output rows of a band of [`Algorithm::WinogradRows`](crate::Algorithm::WinogradRows).
pub const BAND: usize = 4;

/// The most products of an output that int8 may have by Winograd's algorithm of rows, so that it stays below 2^27: 255 * 127 times 4,144.
pub const MOST_PRODUCTS: usize = 4096;

/// A tile of outputs of a 3x3 kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// Stride 1: 4 by 4 outputs.
    Four,
    /// Stride 2: 2 by 2 outputs. Of a side, five products of four weights make three sums; three inputs and three weights are
    /// taken as they are.
    TwoOfStride2,
}

/// The rows of a kernel in phases of its stride, each of which is filtered with stride 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Points of the transform.
    pub points: usize,
    /// Phases that have all taps; the others have one less.
    pub full: usize,
    /// Row runs that are multiplied: of each point as many as there are phases, of the last, infinity, only the full ones.
    pub runs: usize,
    /// Elements of a row run: KW * C.
    pub run: usize,
    /// Elements from one output pixel's run to the next one's.
    pub pixel: usize,
}

/// Where a kernel has a dilation, at least 1, outputs that are so far apart are computed together, as if they were neighbours: the phases
/// of a side, how many there are and how many outputs each has, the larger ones first.
pub const fn phases(size: usize, dilation: usize) -> [(usize, usize); 2] {
    let larger = size % dilation;
    [(larger, size / dilation + 1), (dilation - larger, size / dilation)]
}

impl Tile {
    /// The tile for kernels of a stride.
    pub const fn of(stride: usize) -> Tile {
        if stride == 1 { Tile::Four } else { Tile::TwoOfStride2 }
    }

    /// Outputs of a side.
    pub const fn output(self) -> usize {
        match self {
            Tile::Four => 4,
            Tile::TwoOfStride2 => 2,
        }
    }

    /// Inputs of a side, and products.
    pub const fn side(self) -> usize {
        match self {
            Tile::Four => 6,
            Tile::TwoOfStride2 => 5,
        }
    }

    /// Products of a tile, for each pair of channels.
    pub const fn products(self) -> usize {
        self.side() * self.side()
    }

    /// Transformed weights, for each pair of channels.
    pub const fn kernels(self) -> usize {
        match self {
            Tile::Four => 6 * 6,
            Tile::TwoOfStride2 => 4 * 4,
        }
    }

    /// Sums of products of a side.
    pub const fn side_sums(self) -> usize {
        match self {
            Tile::Four => 6,
            Tile::TwoOfStride2 => 3,
        }
    }

    /// Sums of products, for each output channel.
    pub const fn sums(self) -> usize {
        self.side_sums() * self.side_sums()
    }

    /// Tiles of an output of this height and width, of a kernel of this dilation, or [`usize::MAX`].
    pub const fn count(self, [height, width]: [usize; 2], [down, right]: [usize; 2]) -> usize {
        times(self.count_along(height, down), self.count_along(width, right))
    }

    /// Tiles along a side of an output, of all its [`phases`].
    pub const fn count_along(self, size: usize, dilation: usize) -> usize {
        let [larger, smaller] = phases(size, dilation);
        plus(
            times(larger.0, larger.1.div_ceil(self.output())),
            times(smaller.0, smaller.1.div_ceil(self.output())),
        )
    }

    /// The widest panel of products that transform their weights.
    pub const fn fused_panel(self) -> usize {
        match self {
            Tile::Four => VECTOR,
            Tile::TwoOfStride2 => 2 * VECTOR,
        }
    }
}

impl Rows {
    /// `None` where a phase has neither three nor four taps.
    pub const fn of(kernel: [usize; 2], stride: [usize; 2], channels: usize) -> Option<Rows> {
        if stride[0] == 0 || kernel[1] == 0 || channels == 0 {
            return None;
        }
        let taps = kernel[0].div_ceil(stride[0]);
        if taps != 3 && taps != 4 {
            return None;
        }
        let full = kernel[0] - (taps - 1) * stride[0];
        let points = taps + BAND - 1;
        let runs = plus(times(points - 1, stride[0]), full);
        Some(Rows { points, full, runs, run: times(kernel[1], channels), pixel: times(stride[1], channels) })
    }

    /// Elements of a transformed row, for so many columns, filled up to whole vectors; or [`usize::MAX`].
    pub const fn row(self, columns: usize) -> usize {
        let elements = plus(times(columns.saturating_sub(1), self.pixel), self.run);
        times(elements.div_ceil(VECTOR), VECTOR)
    }
}
