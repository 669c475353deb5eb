//! Images as they come, from a file or from memory, before they become inputs.

#[cfg(feature = "image")]
mod decode;

use std::borrow::Cow;

use crate::error::Error;

/// An image: 8 bits a channel, row after row from the top, the channels of a pixel side by side.
///
/// ```
/// # fn main() -> Result<(), resnet_runtime::Error> {
/// let (width, height) = (640, 480);
/// let frame = vec![0; width * height * 3]; // of a camera, a video, an image library
/// let image = resnet_runtime::Image::rgb8(&frame, width, height)?; // no copy
/// assert_eq!((image.width(), image.height()), (640, 480));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Image<'a> {
    bytes: Cow<'a, [u8]>,
    width: usize,
    height: usize,
    channels: Channels,
}

/// What the bytes of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Brightness.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, and how opaque the pixel is (0: one sees the background).
    Rgba,
}

impl<'a> Image<'a> {
    /// An image of red, green and blue bytes, `3 * width * height` of them.
    ///
    /// # Errors
    /// [`Error::Pixels`] if there are more or fewer bytes, or no pixels.
    pub fn rgb8(bytes: &'a [u8], width: usize, height: usize) -> Result<Self, Error> {
        Self::new(Cow::Borrowed(bytes), width, height, Channels::Rgb)
    }

    /// The same with alpha, `4 * width * height` bytes. Colors are as they are, not multiplied by alpha.
    ///
    /// # Errors
    /// As [`Image::rgb8`].
    pub fn rgba8(bytes: &'a [u8], width: usize, height: usize) -> Result<Self, Error> {
        Self::new(Cow::Borrowed(bytes), width, height, Channels::Rgba)
    }

    /// An image of brightness, `width * height` bytes.
    ///
    /// # Errors
    /// As [`Image::rgb8`].
    pub fn gray8(bytes: &'a [u8], width: usize, height: usize) -> Result<Self, Error> {
        Self::new(Cow::Borrowed(bytes), width, height, Channels::Gray)
    }

    fn new(bytes: Cow<'a, [u8]>, width: usize, height: usize, channels: Channels) -> Result<Self, Error> {
        let pixels = width.checked_mul(height).filter(|pixels| *pixels > 0);
        let expected = pixels.and_then(|pixels| pixels.checked_mul(channels.count()));
        if expected != Some(bytes.len()) {
            return Err(Error::Pixels { width, height, channels: channels.count(), found: bytes.len() });
        }
        Ok(Image { bytes, width, height, channels })
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// What the bytes of a pixel are.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// All bytes: `[height, width, channels]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Channels {
    /// How many bytes a pixel has.
    pub const fn count(self) -> usize {
        match self {
            Channels::Gray => 1,
            Channels::Rgb => 3,
            Channels::Rgba => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_fit_the_bytes() {
        assert!(Image::rgb8(&[0; 12], 2, 2).is_ok() && Image::gray8(&[0; 4], 4, 1).is_ok());
        for (bytes, width, height) in
            [(12, 2, 1), (0, 0, 0), (0, 5, 0), (3, usize::MAX, 1), (12, 1 << 63, 1 << 63), (4, 1 << 62, 1)]
        {
            let error = Image::rgb8(&vec![0; bytes], width, height).unwrap_err();
            assert!(matches!(error, Error::Pixels { .. }), "{error}");
        }
    }
}
