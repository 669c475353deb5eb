//! Panels of output channels: what is multiplied together, and lies together in packed weights.
//!
//! Channels of one block after another are cut into panels, which are as wide as they can be but for the last one of a block: that
//! is as wide as its channels fill vectors. Narrow blocks share vectors: see [`groups`](crate::kernels::groups).

use resnet_plan::{ConvGeometry, Precision};

use crate::kernels::Kernels;
use crate::kernels::groups;

/// How output channels are cut into panels.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    lanes: usize,
    panel: usize,
    blocks: usize,
    /// Channels of a block.
    channels: usize,
}

/// A panel of packed weights.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    /// The block of channels that it belongs to.
    pub(crate) block: usize,
    /// Its first output channel.
    pub(crate) first: usize,
    /// Output channels.
    pub(crate) channels: usize,
    /// Those, filled up to whole vectors.
    pub(crate) width: usize,
    /// The channels before it, filled up to whole vectors block by block: its place in lists, and times the depth in packed weights.
    pub(crate) place: usize,
}

impl Panels {
    /// For the kernels of f32 and widened elements, of a geometry that fits.
    pub(crate) fn of(kernels: &Kernels, precision: Precision, geometry: &ConvGeometry) -> Self {
        let (blocks, channels) = (geometry.blocks, geometry.block_channels());
        if groups::computes(kernels, precision, geometry) {
            return Panels::new(kernels, precision, blocks, [geometry.run, channels]);
        }
        Panels::of_blocks(kernels, precision, blocks, channels)
    }

    /// Of so many blocks, each of so many words of inputs and so many outputs.
    pub(crate) fn new(
        kernels: &Kernels,
        precision: Precision,
        blocks: usize,
        block @ [_, channels]: [usize; 2],
    ) -> Self {
        if let Some(panel) = groups::panel(kernels, precision, blocks, block) {
            return Panels {
                lanes: kernels.lanes,
                panel,
                blocks: 1,
                channels: blocks.saturating_mul(channels),
            };
        }
        Panels::of_blocks(kernels, precision, blocks, channels)
    }

    /// Of blocks of so many channels, each with panels of its own.
    fn of_blocks(kernels: &Kernels, precision: Precision, blocks: usize, channels: usize) -> Self {
        let (lanes, panel) = kernels.shape(precision);
        Panels { lanes, panel, blocks, channels }
    }

    /// Of vectors and panels of so many channels.
    pub(crate) fn of_width(lanes: usize, panel: usize, geometry: &ConvGeometry) -> Self {
        Panels { lanes, panel, blocks: geometry.blocks, channels: geometry.block_channels() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.blocks * self.channels.div_ceil(self.panel)
    }

    /// Output channels, filled up to whole vectors block by block: the length of a list. Or [`usize::MAX`].
    pub(crate) fn padded(&self) -> usize {
        self.blocks.saturating_mul(self.channels.div_ceil(self.lanes).saturating_mul(self.lanes))
    }

    /// The place of an output channel in a list.
    pub(crate) fn place(&self, channel: usize) -> usize {
        channel / self.channels * self.channels.next_multiple_of(self.lanes) + channel % self.channels
    }

    pub(crate) fn at(&self, index: usize) -> Panel {
        let of_block = self.channels.div_ceil(self.panel);
        let (block, inside) = (index / of_block, index % of_block * self.panel);
        let channels = (self.channels - inside).min(self.panel);
        Panel {
            block,
            first: block * self.channels + inside,
            channels,
            width: channels.next_multiple_of(self.lanes),
            place: block * self.channels.next_multiple_of(self.lanes) + inside,
        }
    }
}
