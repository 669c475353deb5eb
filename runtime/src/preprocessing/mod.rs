//! An image becomes a network's input, as the spec's preprocessing says.
//!
//! ```text
//! flatten:  alpha is composed on the background; for a gray network, color becomes brightness
//! resize:   the shorter side to a length, or everything to a size, or to the input's
//! crop:     the middle; where the image is smaller than the input, zero bytes stand around it
//! values:   for each channel, in the network's order:  (byte * scale - mean) / std, from a table
//! ```
//! The pixels are those of torchvision's `Resize`, `CenterCrop` and `Normalize` on PIL images, to the bit before `Normalize`.

mod resize;

use std::ops::Range;

use resnet_plan::{ChannelOrder, Preprocessing, Resize};

use crate::error::Error;
use crate::image::{Channels, Image};
use resize::Resizer;

/// Makes inputs of images, for one network. After the first image of a size it allocates nothing. (The memory that an image of more
/// than 16 million pixels needs is given back when one of another size comes.)
#[derive(Clone, Debug)]
pub struct Preprocessor {
    how: Preprocessing,
    /// Height, width, channels of an input.
    input: [usize; 3],
    /// What each byte of each channel becomes.
    values: Vec<[f32; 256]>,
    /// The size (height, width) of images that the rest is for.
    size: Option<[usize; 2]>,
    resizes: [Resizer; 2],
    /// How many of them there are.
    stages: usize,
    /// Rows and columns of the resized image.
    window: [Window; 2],
    flat: Vec<u8>,
}

/// Pixels of an image whose memory is given back once another size comes.
const LARGE: usize = 1 << 24;

/// Where the input lies in a resized image, in one direction.
#[derive(Clone, Debug, Default)]
struct Window {
    /// What is cut out.
    cut: Range<usize>,
    /// Rows or columns of padding before it: zero bytes.
    before: usize,
}

impl Preprocessor {
    /// For networks whose input is `[_, height, width, channels]`.
    pub fn new(how: &Preprocessing, [_, height, width, channels]: [usize; 4]) -> Self {
        let table = |channel: usize| {
            let of = |list: &[f32], default| list.get(channel).copied().unwrap_or(default);
            let (mean, std) = (of(&how.mean, 0.0), of(&how.std, 1.0));
            std::array::from_fn(|byte| (byte as f32 * how.scale - mean) / std)
        };
        Preprocessor {
            how: how.clone(),
            input: [height, width, channels],
            values: (0..channels).map(table).collect(),
            size: None,
            resizes: Default::default(),
            stages: 0,
            window: Default::default(),
            flat: Vec::new(),
        }
    }

    /// Writes the input of an image: `[height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::Length`] if `to` has another length; [`Error::Channels`] if images do not have the input's channels.
    pub fn apply(&mut self, image: &Image<'_>, to: &mut [f32]) -> Result<(), Error> {
        let [height, width, channels] = self.input;
        let expected = height.saturating_mul(width).saturating_mul(channels);
        if to.len() != expected {
            return Err(Error::Length { dims: [1, height, width, channels], expected, found: to.len() });
        }
        if to.is_empty() {
            return Ok(());
        }
        if !self.how.channels.makes(channels) {
            return Err(Error::Channels { channels, order: self.how.channels });
        }
        let size = [image.height(), image.width()];
        if self.size != Some(size) {
            self.prepare(size);
        }
        let gray = self.how.channels == ChannelOrder::Gray || image.channels() == Channels::Gray;
        let mut bytes = flat(image, gray, self.how.background, &mut self.flat);
        let mut width = size[1];
        for resize in &mut self.resizes[..self.stages] {
            let next = resize.width();
            bytes = if gray { resize.apply::<1>(bytes, width) } else { resize.apply::<3>(bytes, width) };
            width = next;
        }
        // What was resized is cut already.
        let [top, left] = if self.stages > 0 { [0, 0] } else { self.window.each_ref().map(|w| w.cut.start) };
        let stored = if gray { 1 } else { 3 };
        let pixels = Pixels { bytes, row: width * stored, stored, start: (top * width + left) * stored };
        fill(&pixels, self.how.channels, &self.values, &self.window, self.input[1], to);
        Ok(())
    }

    /// Sizes of all stages, for images of this size.
    fn prepare(&mut self, size: [usize; 2]) {
        // What a very large image needed is not kept for those after it.
        if self.size.is_some_and(|[height, width]| height.saturating_mul(width) > LARGE) {
            self.resizes = Default::default();
            self.flat = Vec::new();
        }
        let Preprocessing { resize, crop, interpolation, .. } = self.how;
        let input = [self.input[0], self.input[1]].map(|side| side.max(1));
        let first = match resize {
            Some(Resize::Shorter(side)) => shorter_side(size, side.max(1)),
            Some(Resize::Cover(sides)) => cover(size, sides.map(|side| side.max(1))),
            Some(Resize::To(sides)) => sides.map(|side| side.max(1)),
            None if crop => size,
            None => input,
        };
        let last = if crop { first } else { input };
        self.window = [0, 1].map(|axis| Window::middle(last[axis], input[axis]));
        self.stages = 0;
        let mut from = size;
        for (to, is_last) in [(first, first == last), (last, true)] {
            if from == to {
                continue;
            }
            let window =
                if is_last { self.window.clone().map(|window| window.cut) } else { to.map(|side| 0..side) };
            self.resizes[self.stages].prepare(from, to, window, interpolation);
            self.stages += 1;
            from = to;
        }
        self.size = Some(size);
    }
}

impl Window {
    /// As torchvision's `CenterCrop`: what is cut off is shared out half to even, what is missing has its larger half behind.
    fn middle(outer: usize, inner: usize) -> Self {
        match outer.checked_sub(inner) {
            Some(off) => {
                let half = off / 2;
                let start = half + usize::from(off % 2 == 1 && half % 2 == 1);
                Window { cut: start..start + inner, before: 0 }
            }
            None => Window { cut: 0..outer, before: (inner - outer) / 2 },
        }
    }
}

/// The size at which the shorter side has this length, as torchvision's `Resize`.
fn shorter_side([height, width]: [usize; 2], side: usize) -> [usize; 2] {
    let long = |long: usize, short: usize| {
        usize::try_from(side as u128 * long as u128 / short.max(1) as u128).unwrap_or(usize::MAX).max(1)
    };
    if width <= height { [long(height, width), side] } else { [side, long(width, height)] }
}

/// The smallest size that covers another one, as timm's `ResizeKeepRatio`: in floating point, half to even.
fn cover(size: [usize; 2], to: [usize; 2]) -> [usize; 2] {
    let ratio = |axis: usize| size[axis] as f64 / to[axis] as f64;
    let ratio = ratio(0).min(ratio(1));
    size.map(|side| ((side as f64 / ratio).round_ties_even() as usize).max(1))
}

/// The bytes of an opaque image, gray or color.
fn flat<'a>(image: &'a Image<'_>, gray: bool, background: [u8; 3], to: &'a mut Vec<u8>) -> &'a [u8] {
    let bytes = image.bytes();
    let composed = |&[red, green, blue, alpha]: &[u8; 4]| {
        let [red, green, blue] = [(red, background[0]), (green, background[1]), (blue, background[2])]
            .map(|(byte, behind)| compose(byte, behind, alpha));
        [red, green, blue]
    };
    to.clear();
    match (image.channels(), gray) {
        (Channels::Gray, _) | (Channels::Rgb, false) => return bytes,
        (Channels::Rgb, true) => to.extend(bytes.as_chunks().0.iter().map(brightness)),
        (Channels::Rgba, false) => to.extend(bytes.as_chunks().0.iter().flat_map(composed)),
        (Channels::Rgba, true) => {
            to.extend(bytes.as_chunks().0.iter().map(|pixel| brightness(&composed(pixel))));
        }
    }
    to
}

/// `alpha` parts of `byte` and the rest of what is behind, of 255 parts; rounded.
fn compose(byte: u8, behind: u8, alpha: u8) -> u8 {
    let [byte, behind, alpha] = [byte, behind, alpha].map(u32::from);
    ((alpha * byte + (255 - alpha) * behind + 127) / 255) as u8
}

/// The luma of ITU-R BT.601, as Pillow's `convert("L")` rounds it.
fn brightness(&[red, green, blue]: &[u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16) as u8
}

/// Bytes of a resized image.
struct Pixels<'a> {
    bytes: &'a [u8],
    /// From one row to the next.
    row: usize,
    /// Bytes of a pixel.
    stored: usize,
    /// The first one of the window.
    start: usize,
}

/// Values of an input `width` pixels wide.
fn fill(
    pixels: &Pixels<'_>,
    order: ChannelOrder,
    values: &[[f32; 256]],
    [rows, columns]: &[Window; 2],
    width: usize,
    to: &mut [f32],
) {
    let channels = values.len();
    for (channel, table) in values.iter().enumerate() {
        let source = match order {
            _ if pixels.stored == 1 => 0,
            ChannelOrder::Gray | ChannelOrder::Rgb => channel,
            ChannelOrder::Bgr => 2 - channel,
        };
        for (y, to) in to.chunks_exact_mut(width * channels).enumerate() {
            let to = to[channel..].iter_mut().step_by(channels);
            let Some(y) = y.checked_sub(rows.before).filter(|y| *y < rows.cut.len()) else {
                to.for_each(|to| *to = table[0]);
                continue;
            };
            let start = pixels.start + y * pixels.row + source;
            let bytes = pixels.bytes[start..].iter().step_by(pixels.stored).take(columns.cut.len());
            let nothing = std::iter::repeat(&0);
            let bytes = nothing.clone().take(columns.before).chain(bytes).chain(nothing);
            to.zip(bytes).for_each(|(to, byte)| *to = table[usize::from(*byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_shared_out_half_to_even() {
        let cut = |outer, inner| Window::middle(outer, inner).cut;
        assert_eq!(cut(383, 224), 80..304); // 79.5
        assert_eq!(cut(225, 224), 0..224); // 0.5
        assert_eq!(cut(227, 224), 2..226); // 1.5
        assert_eq!(cut(256, 224), 16..240);
        let small = Window::middle(3, 6);
        assert_eq!((small.cut, small.before), (0..3, 1));
    }

    #[test]
    fn the_shorter_side_is_never_nothing() {
        assert_eq!(shorter_side([500, 375], 256), [341, 256]);
        assert_eq!(shorter_side([1, 100_000], 1), [1, 100_000]);
        assert_eq!(shorter_side([1, usize::MAX], 2), [2, usize::MAX]);
        assert_eq!(cover([1, 100_000], [1, 1]), [1, 100_000]);
        assert_eq!(cover([1, usize::MAX], [2, 2]), [2, usize::MAX]);
    }

    #[test]
    fn one_side_is_the_covered_ones() {
        assert_eq!(cover([500, 375], [26, 44]), [59, 44]); // 58.67
        assert_eq!(cover([375, 500], [26, 44]), [33, 44]);
        assert_eq!(cover([100, 1000], [26, 44]), [26, 260]);
        assert_eq!(cover([5, 4], [2, 2]), [2, 2]); // 2.5
    }
}
