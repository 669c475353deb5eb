//! An image becomes a network's input, as the spec's preprocessing says.

use std::path::Path;

use anyhow::Context;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, RgbaImage};
use resnet::runtime::{ChannelOrder, Preprocessing};

/// Reads an image and makes it `[height, width, channels]` values.
///
/// Resize (the shorter side to a length, or everything to the input's size), cut the middle out, order the channels,
/// then `(byte * scale - mean) / std` for each channel. Resizing is bilinear and widened where it shrinks, as Pillow's.
pub(crate) fn read(path: &Path, dims: [usize; 4], how: &Preprocessing) -> anyhow::Result<Vec<f32>> {
    let name = path.display();
    let image = image::ImageReader::open(path)
        .with_context(|| format!("cannot open {name}"))?
        .with_guessed_format()
        .with_context(|| format!("cannot read {name}"))?
        .decode()
        .with_context(|| format!("{name} is not an image that can be read"))?;
    let [_, height, width, channels] = dims;
    let image = match how.channels {
        ChannelOrder::Gray => DynamicImage::ImageLuma8(image.into_luma8()).into_rgba8(),
        ChannelOrder::Rgb | ChannelOrder::Bgr => image.into_rgba8(),
    };
    let (target_width, target_height) = match how.resize {
        Some(shorter) => scaled(image.dimensions(), shorter as u32, how.crop).with_context(|| {
            format!("{name}: it would be too large with {shorter} pixels on its shorter side")
        })?,
        None if how.crop => image.dimensions(),
        None => (width as u32, height as u32),
    };
    let resize =
        |image, width, height| resize(image, width, height).with_context(|| format!("cannot resize {name}"));
    let image = resize(image, target_width.max(1), target_height.max(1))?;
    let image = if how.crop { image } else { resize(image, width as u32, height as u32)? };
    Ok(values(&image, [height, width, channels], how))
}

/// The size at which the shorter side has this length; `None` if it would have more than 2^28 pixels.
fn scaled((width, height): (u32, u32), shorter: u32, keep_aspect: bool) -> Option<(u32, u32)> {
    let long = |long: u32, short: u32| u64::from(shorter) * u64::from(long) / u64::from(short.max(1));
    let shorter = u64::from(shorter);
    let (width, height) = match (keep_aspect, width <= height) {
        (false, _) => (shorter, shorter),
        (true, true) => (shorter, long(height, width)),
        (true, false) => (long(width, height), shorter),
    };
    width.checked_mul(height).filter(|pixels| *pixels <= 1 << 28)?;
    Some((width as u32, height as u32))
}

/// (Compiled for this one type of pixels: for all that there are it would take half a minute.)
fn resize(image: RgbaImage, width: u32, height: u32) -> anyhow::Result<RgbaImage> {
    if image.dimensions() == (width, height) {
        return Ok(image);
    }
    let mut resized = RgbaImage::new(width, height);
    let from = TypedImageRef::<U8x4>::from_buffer(image.width(), image.height(), &image)?;
    let mut to = TypedImage::<U8x4>::from_buffer(width, height, &mut resized)?;
    let options = ResizeOptions::new().use_alpha(false);
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize_typed(&from, &mut to, &options)?;
    Ok(resized)
}

/// The middle of an image; where it is smaller than the input, zero bytes stand around it.
fn values(image: &RgbaImage, [height, width, channels]: [usize; 3], how: &Preprocessing) -> Vec<f32> {
    /// Red, green, blue and how opaque a pixel is, which is passed over.
    const STORED: usize = 4;
    let (image_width, image_height) = (image.width() as usize, image.height() as usize);
    let offset = |outer: usize, inner: usize| (outer as isize - inner as isize) / 2;
    let (top, left) = (offset(image_height, height), offset(image_width, width));
    let mut values = Vec::with_capacity(height * width * channels);
    for row in 0..height {
        for column in 0..width {
            let y = (row as isize + top) as usize;
            let x = (column as isize + left) as usize;
            for channel in 0..channels {
                let source = match how.channels {
                    ChannelOrder::Gray => 0,
                    ChannelOrder::Rgb => channel % 3,
                    ChannelOrder::Bgr => 2 - channel % 3,
                };
                let inside = y < image_height && x < image_width;
                let byte = if inside { image.as_raw()[(y * image_width + x) * STORED + source] } else { 0 };
                let of = |list: &[f32], default| list.get(channel).copied().unwrap_or(default);
                values.push((f32::from(byte) * how.scale - of(&how.mean, 0.0)) / of(&how.std, 1.0));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The bytes of an image, in hexadecimal.
    fn bytes(path: &Path, size: [usize; 2], channels: ChannelOrder) -> String {
        let how = Preprocessing { channels, ..Preprocessing::default() };
        let depth = if channels == ChannelOrder::Gray { 1 } else { 3 };
        let values = read(path, [1, size[0], size[1], depth], &how).unwrap();
        values.iter().fold(String::new(), |text, value| text + &format!("{:02x}", *value as u8))
    }

    /// One file of each kind; `expected.txt` holds their 4 x 6 pixels: in color, in gray, and in color at half the size.
    #[test]
    fn every_kind_of_image_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
        let expected = folder.join("expected.txt");
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| *path != expected).collect();
        files.sort();
        let mut text = String::new();
        for path in files {
            let name = path.file_name().unwrap().display();
            let color = bytes(&path, [4, 6], ChannelOrder::Rgb);
            let gray = bytes(&path, [4, 6], ChannelOrder::Gray);
            let half = bytes(&path, [2, 3], ChannelOrder::Rgb);
            writeln!(text, "{name}\n  {color}\n  {gray}\n  {half}").unwrap();
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&expected).unwrap());
    }
}
