//! Image files: JPEG, PNG, WebP, GIF, BMP, PNM.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use super::{Channels, Image};
use crate::error::Error;

impl Image<'static> {
    /// The most pixels that [`Image::open`] and [`Image::decode`] take: a file of a few bytes can claim any size.
    pub const MAX_PIXELS: usize = 100_000_000;

    /// Reads a file: JPEG, PNG, WebP, GIF (its first image), BMP or PNM, known by its first bytes.
    ///
    /// The image is upright: a camera's EXIF orientation is applied. 16 bits a channel are rounded to 8, palettes and CMYK become
    /// red, green and blue, alpha stays until the background is known. Color profiles (ICC) are ignored: colors are
    /// not converted.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Image`] if it is no image that can be read, [`Error::ImageSize`] if it
    /// has more than [`Image::MAX_PIXELS`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with_limit(path, Self::MAX_PIXELS)
    }

    /// [`Image::open`], for an image of at most so many pixels.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_with_limit(path: impl AsRef<Path>, pixels: usize) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        read(BufReader::new(file), &path.display().to_string(), pixels)
    }

    /// [`Image::open`], of a file in memory.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode_with_limit(bytes, Self::MAX_PIXELS)
    }

    /// [`Image::decode`], for an image of at most so many pixels.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn decode_with_limit(bytes: &[u8], pixels: usize) -> Result<Self, Error> {
        read(Cursor::new(bytes), "the data", pixels)
    }
}

fn read(source: impl BufRead + Seek, origin: &str, limit: usize) -> Result<Image<'static>, Error> {
    let error = |error| match error {
        ImageError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Error::Read { path: origin.into(), source }
        }
        other => Error::Image { origin: origin.to_owned(), source: Box::new(other) },
    };
    let reader = ImageReader::new(source).with_guessed_format().map_err(|io| error(io.into()))?;
    let mut decoder = reader.into_decoder().map_err(error)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limit as u64 {
        return Err(Error::ImageSize { origin: origin.to_owned(), width, height, limit });
    }
    // What a decoder may need beside the image itself: 16 bytes a pixel are its largest format.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(32).saturating_add(1 << 26));
    decoder.set_limits(limits).map_err(error)?;
    // An orientation that cannot be read is none.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(error)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let color = image.color();
    let (bytes, channels) = match (color.has_alpha(), color.has_color()) {
        (true, _) => (image.into_rgba8().into_raw(), Channels::Rgba),
        (false, true) => (image.into_rgb8().into_raw(), Channels::Rgb),
        (false, false) => (image.into_luma8().into_raw(), Channels::Gray),
    };
    let image = Image::new(Cow::Owned(bytes), width, height, channels);
    image.map_err(|_| Error::Image { origin: origin.to_owned(), source: "it has no pixels".into() })
}
