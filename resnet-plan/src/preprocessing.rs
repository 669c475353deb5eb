//! How an image becomes an input.

use crate::constant::constant;

use std::borrow::Cow;
use std::fmt;

/// How an image becomes an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// The size that an image gets first; `None`: with `crop` the one that it has, without it the input's.
    pub resize: Option<Resize>,
    /// Whether the middle of the resized image is cut out; if not, it is resized to the input's size, aspect lost.
    pub crop: bool,
    /// How pixels are made where an image is resized.
    pub interpolation: Interpolation,
    /// Order of the channels.
    pub channels: ChannelOrder,
    /// Red, green and blue of what is seen through an image that is not opaque.
    pub background: [u8; 3],
    /// Multiplied with each byte before mean and deviation.
    pub scale: f32,
    /// Subtracted, a channel.
    pub mean: Cow<'static, [f32]>,
    /// Divided by, a channel.
    pub std: Cow<'static, [f32]>,
}

/// The size that an image is resized to, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, aspect kept (torchvision's `Resize` of one number).
    Shorter(usize),
    /// The smallest size with no side below this height and width, aspect kept (timm's `ResizeKeepRatio`).
    Cover([usize; 2]),
    /// This height and width, aspect lost.
    To([usize; 2]),
}

/// How pixels are made of others: Pillow's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A triangle over the nearest 2 pixels of each direction, over more where the image shrinks.
    Bilinear,
    /// A cubic spline over 4 (a = -0.5), over more where the image shrinks.
    Bicubic,
}

/// Order of an image's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (Caffe, Keras' ResNet50).
    Bgr,
    /// One channel of brightness.
    Gray,
}

constant!(struct Preprocessing { resize, crop, interpolation, channels, background, scale, mean, std });
constant!(
    enum Resize {
        Shorter(side),
        Cover(sides),
        To(sides),
    }
);
constant!(
    enum Interpolation {
        Nearest,
        Bilinear,
        Bicubic,
    }
);
constant!(
    enum ChannelOrder {
        Rgb,
        Bgr,
        Gray,
    }
);

impl Preprocessing {
    /// Bytes as they are, red, green, blue, of an image on white that is resized to the input's size.
    pub const BYTES: Self = Preprocessing {
        resize: None,
        crop: false,
        interpolation: Interpolation::Bilinear,
        channels: ChannelOrder::Rgb,
        background: [255; 3],
        scale: 1.0,
        mean: Cow::Borrowed(&[]),
        std: Cow::Borrowed(&[]),
    };
}

impl Interpolation {
    /// `nearest`, `bilinear`, `bicubic`
    pub const fn name(self) -> &'static str {
        match self {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        }
    }
}

/// [`Preprocessing::BYTES`]
impl Default for Preprocessing {
    fn default() -> Self {
        Preprocessing::BYTES
    }
}

impl ChannelOrder {
    /// Whether an image can be an input of so many channels: of one each of red, green and blue; gray, of one, or three that are alike.
    pub const fn makes(self, channels: usize) -> bool {
        match self {
            ChannelOrder::Rgb | ChannelOrder::Bgr => channels == 3,
            ChannelOrder::Gray => channels == 1 || channels == 3,
        }
    }
}

/// `rgb`, `bgr`, `gray`.
impl fmt::Display for ChannelOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
            ChannelOrder::Gray => "gray",
        })
    }
}
