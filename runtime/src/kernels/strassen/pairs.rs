//! Pairs of output pixels, which Strassen's algorithm multiplies together.

use std::ops::Range;

use resnet_plan::Convolution;
use resnet_plan::algorithm::LARGEST_PAIRS;

use crate::kernels::conv::{locate, locate_gates};
use crate::kernels::panels::Panel;

/// The pairs of a block: where their first and second pixels are in the input and in the output.
pub(super) struct Pairs {
    pub(super) count: usize,
    /// Second pixels: as many, or one less. The last first pixel is then its own second one, which has nowhere to go.
    pub(super) seconds: usize,
    /// Whether the whole output is a single pixel. (Not whether the block is: blocks depend on the number of threads, and rounding must not.)
    pub(super) alone: bool,
    /// Both pixels of each pair, one after the other.
    pub(super) x: [usize; 2 * LARGEST_PAIRS],
    pub(super) x_first: [usize; LARGEST_PAIRS],
    pub(super) x_second: [usize; LARGEST_PAIRS],
    pub(super) y_first: [usize; LARGEST_PAIRS],
    pub(super) y_second: [usize; LARGEST_PAIRS],
    /// Where each pixel is in the output, pair by pair.
    pub(super) y: [usize; 2 * LARGEST_PAIRS],
    /// Where their gates are, if there are any.
    pub(super) gate_first: [usize; LARGEST_PAIRS],
    pub(super) gate_second: [usize; LARGEST_PAIRS],
}

impl Pairs {
    pub(super) const NONE: Pairs = Pairs {
        count: 0,
        seconds: 0,
        alone: false,
        x: [0; 2 * LARGEST_PAIRS],
        x_first: [0; LARGEST_PAIRS],
        x_second: [0; LARGEST_PAIRS],
        y_first: [0; LARGEST_PAIRS],
        y_second: [0; LARGEST_PAIRS],
        y: [0; 2 * LARGEST_PAIRS],
        gate_first: [0; LARGEST_PAIRS],
        gate_second: [0; LARGEST_PAIRS],
    };

    /// Finds some pairs.
    pub(super) fn locate(&mut self, convolution: &Convolution, pairs: Range<usize>) {
        let Convolution { geometry, gated, .. } = convolution;
        let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
        let (start, count) = (pairs.start, pairs.len());
        let located = (2 * count).min(pixels - 2 * start);
        locate(geometry, 2 * start, &mut self.x[..located], &mut self.y[..located]);
        self.x[2 * count - 1] = self.x[located - 1];
        for slot in 0..count {
            [self.x_first[slot], self.x_second[slot]] = [self.x[2 * slot], self.x[2 * slot + 1]];
            [self.y_first[slot], self.y_second[slot]] = [self.y[2 * slot], self.y[2 * slot + 1]];
        }
        if *gated {
            let mut gates = [0; 2 * LARGEST_PAIRS];
            locate_gates(geometry, 2 * start..2 * start + located, &mut gates);
            for slot in 0..count {
                [self.gate_first[slot], self.gate_second[slot]] = [gates[2 * slot], gates[2 * slot + 1]];
            }
        }
        (self.count, self.seconds, self.alone) = (count, located - count, pixels == 1);
    }

    /// The sums of the two halves of a panel lie behind each other, those of one pixel after those of another.
    pub(super) fn place_sums(&mut self, panel: Panel) {
        for slot in 0..self.count {
            self.y_first[slot] = 4 * slot * panel.width;
            self.y_second[slot] = (4 * slot + 2) * panel.width;
        }
    }
}
