//! Winograd's minimal filtering: a tile of 4x4 outputs of a 3x3 convolution, or of 2x2 where its stride is 2, with fewer products than
//! a direct sum (Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks").
//!
//! ```text
//! Y = A^T [ (G g G^T) * (B^T d B) ] A                           g, d, Y: window, input tile, output tile
//!
//! for each block of tiles, for each block of channels (one, but for groups):
//!     V[i][tile][c] = (B^T d B)[i]                              i: the place in the transformed tile
//!     for each panel of its output channels:
//!         for some of its input channels c at a time:
//!             U[j][c][:] = (G g G^T)[j]                         from the packed weights, into the L2 cache
//!             for each i:  M[i][tile][:] += V[i][tile][c] . U[j(i)][c][:]           the micro-kernel
//!         for each tile:   y = relu?(A^T M A + bias + y?)
//! ```
//! Weights are stored as those of a direct sum and transformed when they are used: stored transformed, they would take up to
//! four times the memory. (Where there are few tiles, `winograd/fused.rs` transforms them in registers.) `winograd/sides.rs` has
//! the matrices. A tile that hangs over the image's lower or right edge takes only the products that its outputs inside need. A
//! value that is not finite reaches all outputs of the tiles it lies in.

pub mod fused;
mod integer;
pub(crate) mod made_row;
mod places;
pub(crate) mod row_product;
pub(crate) mod sides;
pub(crate) mod transform;

use std::ops::Range;

use resnet_plan::algorithm::{Channels, LARGEST_BLOCK, SKEW, VECTOR};
use resnet_plan::winograd::Tile;
use resnet_plan::{Algorithm, ConvGeometry};

use crate::kernels::conv::{ConvTask, NO_BIAS};
use crate::kernels::panels::{Panel, Panels};
use crate::kernels::product::{Begun, Fetch, Product};
use crate::kernels::table::Kernels;
use crate::kernels::wide::{self, Kind};
use places::{Place, Windows, activate, find_pixels, output_row, outputs};
use sides::{Factor, LARGEST_INPUT};
use transform::{InputTile, KernelTile, OutputTile};

/// Tiles of an image.
///
/// # Panics
/// If the convolution is not one that Winograd's algorithm computes of such elements, or the scratch memory is too small.
pub(super) fn check(geometry: &ConvGeometry, kind: Kind, algorithm: Algorithm, scratch: usize) -> usize {
    const REFUSED: &str = "the algorithm does not compute this convolution";
    let windows = Windows::of(geometry).expect(REFUSED);
    let (precision, strides) = (kind.precision(), [windows.stride; 2]);
    let all = [windows.pixel.saturating_mul(precision.per_word()), geometry.channels];
    let channels = Channels { all, blocks: geometry.blocks };
    assert!(algorithm.computes_in(precision, [3, 3], strides, channels), "{REFUSED}");
    let needed = algorithm.scratch_len(precision, [3, 3], strides, channels);
    assert!(scratch >= needed, "a thread has too little scratch memory");
    windows.tile().count(geometry.output, windows.dilation)
}

/// Its panels, each of one block of channels, for tiles of so many outputs a side.
pub(super) fn panels(kernels: &Kernels, geometry: &ConvGeometry, output: usize, fused: bool) -> Panels {
    let panel = if fused { fused::panel(kernels, output) } else { kernels.panel };
    Panels::of_width(kernels.lanes, panel, geometry)
}

/// One thread's part.
///
/// # Safety
/// As for a direct convolution: for all tiles and panels of the task, windows lie in `x`, outputs in `y` where nobody else
/// reads or writes, and `panels` and `bias` hold all channels, packed for these kernels. [`check`] holds for the task, and for
/// `scratch`.
pub(super) unsafe fn run(kernels: &Kernels, task: &ConvTask<'_>, scratch: &mut [f32]) {
    let Some(part) = Part::of(kernels, task) else { return };
    let mut planes = Planes::carve(&part, scratch);
    let mut slots = [Slots::NONE; 4];
    let mut found = [Place::NONE; LARGEST_BLOCK];
    for tiles in task.share.blocks(part.block, 1) {
        let places = places::find(&task.convolution.geometry, part.windows, &tiles, &mut found);
        for (lasts, slots) in slots.iter_mut().enumerate() {
            slots.find(&part, places, lasts);
        }
        let mut transformed = None;
        for panel in task.share.panels(&tiles) {
            let panel = part.panels.at(panel);
            // SAFETY: the caller's contract, for these tiles and this panel.
            unsafe {
                if transformed != Some(panel.block) {
                    transformed = Some(panel.block);
                    part.transform_inputs(places, panel.block, &mut planes);
                }
                part.multiply(places, panel, &slots, &mut planes);
            }
        }
    }
}

/// What all blocks of a thread's part share.
struct Part<'a> {
    kernels: &'a Kernels,
    task: &'a ConvTask<'a>,
    windows: Windows,
    tile: Tile,
    panels: Panels,
    /// Wide words of the inputs of a block of channels; of so many, a stored word becomes `wide`.
    channels: usize,
    wide: usize,
    /// Tiles of a block.
    block: usize,
    /// Wide words whose weights are transformed at a time.
    depth: usize,
    /// What is multiplied: the first products of the list.
    products: [Factors; LARGEST_INPUT],
    /// How weights are fetched.
    fetch: Fetch,
}

/// A product of a tile.
#[derive(Clone, Copy)]
struct Factors {
    /// The sum that it belongs to.
    sum: usize,
    input: Factor,
    kernel: Factor,
    /// The [`Slots`] of the tiles that take it.
    slots: usize,
}

/// The scratch memory: a pixel of zeros; V, U and M, plane by plane.
struct Planes<'a> {
    zeros: &'a mut [f32],
    v: &'a mut [f32],
    v_plane: usize,
    u: &'a mut [f32],
    u_plane: usize,
    m: &'a mut [f32],
    m_plane: usize,
    /// Narrow elements: outputs that are not yet finished, tile by tile.
    y: &'a mut [f32],
    /// What U holds: the first output channel of its panel, and the first input channel.
    made: Option<[usize; 2]>,
}

/// Tiles of a block that take a product, and where their elements are: in the input, in a plane of V and of M.
#[derive(Clone, Copy)]
struct Slots {
    count: usize,
    x: [usize; LARGEST_BLOCK],
    v: [usize; LARGEST_BLOCK],
    m: [usize; LARGEST_BLOCK],
}

impl<'a> Planes<'a> {
    fn carve(part: &Part<'_>, scratch: &'a mut [f32]) -> Self {
        let Part { tile, channels, block, depth, .. } = *part;
        let row = channels.next_multiple_of(VECTOR);
        let v_plane = block * row.next_multiple_of(depth) + SKEW;
        let panel = part.kernels.panel;
        let u_plane = depth * panel + SKEW;
        let m_plane = block * panel + SKEW;
        let (zeros, rest) = scratch.split_at_mut(row);
        let (v, rest) = rest.split_at_mut(tile.products() * v_plane);
        let (u, rest) = rest.split_at_mut(tile.kernels() * u_plane);
        let (m, y) = rest.split_at_mut(tile.sums() * m_plane);
        zeros.fill(0.0);
        Planes { zeros, v, v_plane, u, u_plane, m, m_plane, y, made: None }
    }
}

impl Slots {
    const NONE: Slots =
        Slots { count: 0, x: [0; LARGEST_BLOCK], v: [0; LARGEST_BLOCK], m: [0; LARGEST_BLOCK] };

    /// Finds the tiles of a block that have all their rows inside, if `lasts` has bit 0, and all their columns, if it has bit 1.
    fn find(&mut self, part: &Part<'_>, places: &[Place], lasts: usize) {
        let output = part.tile.output();
        self.count = 0;
        for (slot, place) in places.iter().enumerate() {
            if (lasts & 1 == 0 || place.inside[0] == output) && (lasts & 2 == 0 || place.inside[1] == output)
            {
                let x = &part.task.convolution.geometry.x;
                self.x[self.count] = x.at(place.image, place.row, place.column);
                self.v[self.count] = slot * part.depth;
                self.m[self.count] = slot * part.kernels.panel;
                self.count += 1;
            }
        }
    }
}

impl<'a> Part<'a> {
    /// `None` for other algorithms.
    fn of(kernels: &'a Kernels, task: &'a ConvTask<'a>) -> Option<Self> {
        let geometry = &task.convolution.geometry;
        let Algorithm::Winograd { output, block, depth, fused } = task.algorithm else { return None };
        let windows = Windows::of(geometry)?;
        let wide = task.kind.wide();
        let (channels, tile) = (windows.words * wide, windows.tile());
        // What the products of a block fetch are the window's nine positions.
        let units = task.share.units().len();
        let tiles = units.min(block).div_ceil(kernels.tile);
        let fetch = match Fetch::of(task.kind, tile.products() * tiles / 9) {
            // Weights that no other block reads again: fetched as such, they leave V in the L2 cache.
            Fetch::Eighth if units <= block => Fetch::Once,
            fetch => fetch,
        };
        let depth = depth.min(channels.next_multiple_of(VECTOR));
        let products = Factors::of(tile, task.kind, windows.last(geometry.output));
        let panels = panels(kernels, geometry, output, fused);
        Some(Part { kernels, task, windows, tile, panels, channels, wide, block, depth, products, fetch })
    }

    /// `V = B^T d B`, one block of channels of a block of tiles.
    ///
    /// # Safety
    /// As [`run`], for these tiles and a block of channels that there is.
    unsafe fn transform_inputs(&self, places: &[Place], channel_block: usize, planes: &mut Planes<'_>) {
        let Part { kernels, task, windows, tile, channels, block, depth, .. } = *self;
        let mut pixels = [std::ptr::null(); LARGEST_INPUT];
        for (slot, place) in places.iter().enumerate() {
            find_pixels(task, windows, place, channel_block, planes.zeros.as_ptr(), &mut pixels);
            let v = planes.v.as_mut_ptr();
            for first in (0..channels).step_by(depth) {
                let input = InputTile {
                    tile,
                    kind: task.kind,
                    pixels: &pixels,
                    channels: first..channels.min(first + depth),
                    v: std::array::from_fn(|row| {
                        let row = row.min(tile.side() - 1) * tile.side() * planes.v_plane;
                        v.wrapping_add(row + first * block + slot * depth)
                    }),
                    plane: planes.v_plane,
                    vector: kernels.lanes,
                    all: task.kind != Kind::F32,
                    inside: place.inside,
                };
                // SAFETY: the caller's contract: the rows and columns that are not beyond the last window's are in some window;
                // all others are the `channels` zeros. Each plane has `depth` elements for each slot.
                unsafe { (kernels.winograd_input)(&input) };
            }
        }
    }

    /// `M = V * U`, and from it the outputs: all channels of a panel, whose weights are transformed some input channels at a time.
    /// Sums of f32 are transformed when all products are in M; integers, which would outgrow it, whenever some are.
    ///
    /// # Safety
    /// As [`run`], for the panel and the tiles, which are in `slots`; the panel's block of channels is in V.
    unsafe fn multiply(&self, places: &[Place], panel: Panel, slots: &[Slots; 4], planes: &mut Planes<'_>) {
        let Part { kernels, task, tile, channels, wide, .. } = *self;
        let (width, words) = (panel.width, channels / wide);
        // Panels are packed one after the other, each of `9 * words` times its width.
        let weights = task.panels.wrapping_add(panel.place * 9 * words);
        for first in (0..channels).step_by(self.depth) {
            let depth = self.depth.min(channels - first);
            let g = weights.wrapping_add(first / wide * width);
            // With one panel, all of whose channels are transformed at a time, U serves all blocks of tiles.
            if planes.made != Some([panel.first, first]) {
                planes.made = Some([panel.first, first]);
                let kernel = KernelTile {
                    tile,
                    kind: task.kind,
                    g,
                    position: words * width,
                    rows: depth / wide,
                    width,
                    all: task.kind != Kind::F32,
                    u: planes.u.as_mut_ptr(),
                    plane: planes.u_plane,
                };
                // SAFETY: the caller's contract: `depth` channels of each of the window's nine positions; a plane of U has
                // room for `depth` rows of the widest panel.
                unsafe { (kernels.winograd_kernel)(&kernel) };
            }
            // The same channels of the next panel follow the last ones of this.
            let part = self.fetch.words(depth, kernels.panel);
            let ahead = if first + depth < channels { depth } else { 9 * channels - first };
            let upcoming = Upcoming {
                next: g.wrapping_add(ahead / wide * width),
                position: words * width,
                part,
                parts: (depth * width / wide).div_ceil(part),
                fetched: [0, 0],
            };
            // SAFETY: the caller's contract; U holds these channels of the panel.
            unsafe { self.add_products(g, panel, first..first + depth, upcoming, slots, planes) };
            let last = first + depth == channels;
            let integer = task.kind.is_integer();
            if last || integer {
                // SAFETY: the caller's contract; all sums that there are, are in M.
                unsafe { self.transform_sums(places, panel, integer && first > 0, last, planes) };
            }
        }
    }

    /// Adds the products of some input channels to M; the first channels begin its sums.
    ///
    /// # Safety
    /// As [`run`], for the panel and the tiles in `slots`; the panel's block of channels is in V. `g` are the packed weights of the
    /// channels, U the transformed ones.
    unsafe fn add_products(
        &self,
        g: *const f32,
        panel: Panel,
        channels: Range<usize>,
        mut upcoming: Upcoming,
        slots: &[Slots; 4],
        planes: &mut Planes<'_>,
    ) {
        let Part { kernels, task, windows, tile, block, .. } = *self;
        let (pitch, width, first) = (task.convolution.geometry.pitch, panel.width, channels.start);
        let integer = task.kind.is_integer();
        let multiply = kernels.of(task.kind).product;
        let mut begun = 0u64;
        for (index, product) in self.products[..tile.products()].iter().enumerate() {
            let slots = &slots[product.slots];
            let (x, offsets) = match product.input {
                Factor::Raw(pixel) => {
                    let offset = pixel / tile.side() * pitch + pixel % tile.side() * windows.pixel;
                    (task.x.wrapping_add(offset + panel.block * windows.words + first), &slots.x)
                }
                Factor::Made(_) => (planes.v[index * planes.v_plane + first * block..].as_ptr(), &slots.v),
            };
            let weights = match product.kernel {
                Factor::Raw(position) => g.wrapping_add(position * self.channels * width),
                Factor::Made(plane) => planes.u[plane * planes.u_plane..].as_ptr(),
            };
            let accumulate = first > 0 && !integer || begun >> product.sum & 1 == 1;
            begun |= 1 << product.sum;
            let y = planes.m[product.sum * planes.m_plane..].as_mut_ptr();
            let (x_offsets, y_offsets) = (&offsets[..slots.count], &slots.m[..slots.count]);
            let held = [Begun { sums: y, offsets: y_offsets }];
            let tiles = slots.count.div_ceil(kernels.tile);
            // SAFETY: the slots lie in V and M, pixels of whole tiles in the input, weights in U or among the packed ones; the
            // bias is as long as the widest panel.
            unsafe {
                multiply(&Product {
                    x,
                    x_offsets,
                    rows: 1,
                    run: channels.len(),
                    taps: 1,
                    pitch: 0,
                    tap: 0,
                    weights,
                    prefetch: upcoming.parts(tiles, weights),
                    prefetch_apart: upcoming.position,
                    fetch: self.fetch,
                    bias: NO_BIAS.as_ptr(),
                    y,
                    y_offsets,
                    channels: width,
                    begun: &held[..usize::from(accumulate)],
                    gate: None,
                    held: false,
                    relu: false,
                });
            }
        }
    }

    /// `relu?(A^T M A + bias + y?)`, a panel's channels of a block's tiles. Narrow elements: into memory first, and when the `last`
    /// products are there, finished.
    ///
    /// # Safety
    /// As [`run`], for these tiles and the panel, whose sums are in M.
    unsafe fn transform_sums(
        &self,
        places: &[Place],
        panel: Panel,
        begun: bool,
        last: bool,
        planes: &mut Planes<'_>,
    ) {
        let Part { kernels, task, windows, tile, .. } = *self;
        let (geometry, side) = (&task.convolution.geometry, tile.output());
        for (slot, place) in places.iter().enumerate() {
            let sums = planes.m[slot * kernels.panel..].as_ptr();
            if task.kind == Kind::F32 {
                let output = outputs(task, windows, place, sums, planes.m_plane, panel);
                // SAFETY: the caller's contract, for the pixels of the tile that are inside and the panel's channels.
                unsafe {
                    (kernels.float.winograd_output)(&output);
                    activate(task, windows, place, panel);
                }
                continue;
            }
            let y = planes.y[slot * side * side * kernels.panel..].as_mut_ptr();
            let row = side * panel.width;
            let output = OutputTile {
                tile,
                m: sums,
                plane: planes.m_plane,
                bias: task.start.wrapping_add(panel.place),
                y,
                row,
                pixel: panel.width,
                inside: place.inside,
                channels: panel.width,
                accumulate: begun,
                relu: false,
            };
            // SAFETY: a slot of Y has room for all pixels of a tile.
            unsafe { (kernels.of(task.kind).winograd_output)(&output) };
            if !last {
                continue;
            }
            for inside in 0..place.inside[0] {
                let y_offsets = &output_row(geometry, windows, place, inside)[..place.inside[1]];
                let sums = y.wrapping_add(inside * row);
                // SAFETY: the caller's contract, for the pixels of a row of the tile that are inside and the panel's channels.
                unsafe { wide::finish(task, panel, y_offsets, sums, panel.width) };
            }
        }
    }
}

impl Factors {
    /// Those of a tile, if the last ones have so many outputs: products that these do not take are only for the others.
    fn of(tile: Tile, kind: Kind, last: [usize; 2]) -> [Factors; LARGEST_INPUT] {
        let raw = kind == Kind::F32;
        let none = Factors { sum: 0, input: Factor::Made(0), kernel: Factor::Made(0), slots: 0 };
        let mut products = [none; LARGEST_INPUT];
        for (index, product) in products[..tile.products()].iter_mut().enumerate() {
            let (sum, input, kernel) = sides::product(tile, raw, index);
            let rows = sides::takes(tile, index / tile.side(), last[0]);
            let columns = sides::takes(tile, index % tile.side(), last[1]);
            let slots = usize::from(!rows) + 2 * usize::from(!columns);
            *product = Factors { sum, input, kernel, slots };
        }
        products
    }
}

/// The weights that are transformed next: of each of the window's nine positions some parts, of which a tile fetches one.
/// Parts of all positions, then the next parts.
struct Upcoming {
    next: *const f32,
    /// From one of the window's positions to the next.
    position: usize,
    /// From one part to the next, and how many there are of a position.
    part: usize,
    parts: usize,
    /// Parts, and positions of the next part.
    fetched: [usize; 2],
}

impl Upcoming {
    /// The parts for so many tiles; when there are no more, what is there already.
    fn parts(&mut self, tiles: usize, idle: *const f32) -> *const f32 {
        let [part, position] = self.fetched;
        // No tile fetches beyond the last position: rather one of them twice.
        let first = position.min(9 - tiles.min(9));
        self.fetched = if position + tiles < 9 { [part, position + tiles] } else { [part + 1, 0] };
        if part < self.parts {
            self.next.wrapping_add(first * self.position + part * self.part)
        } else {
            idle
        }
    }
}
