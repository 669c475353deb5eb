//! The images that a command line names: files, folders of them, and standard input.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use resnet::{Error, Image};

/// An image that a command line names.
pub(crate) enum Source {
    File(PathBuf),
    /// Standard input or a pipe, which can be read once: its name, and what it held.
    Stream(String, Vec<u8>),
}

/// How large images may be.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Limit {
    /// The most pixels of an image
    #[arg(long, value_name = "N", default_value_t = Image::MAX_PIXELS)]
    max_pixels: usize,
}

impl Default for Limit {
    fn default() -> Self {
        Limit { max_pixels: Image::MAX_PIXELS }
    }
}

/// Endings of image files.
const ENDINGS: [&str; 10] = ["png", "jpg", "jpeg", "bmp", "gif", "webp", "ppm", "pgm", "pbm", "pnm"];

/// Files as they are, the images of folders by name, and `-`: standard input.
pub(crate) fn sources(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            if sources.iter().any(|source| matches!(source, Source::Stream(name, _) if name == "-")) {
                bail!("standard input (-) is named twice, and can be read once");
            }
            sources.push(stream("-", std::io::stdin())?);
        } else if path.is_dir() {
            let files = files(path)?;
            if files.is_empty() {
                bail!("there are no images in {}: files that end in {}", path.display(), ENDINGS.join(", "));
            }
            sources.extend(files.into_iter().map(Source::File));
        } else if path.exists() && !path.is_file() {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
            sources.push(stream(&name, file)?);
        } else {
            sources.push(Source::File(path.clone()));
        }
    }
    Ok(sources)
}

impl Source {
    /// Reads it.
    pub(crate) fn open(&self, limit: Limit) -> anyhow::Result<Image<'static>> {
        match self {
            Source::File(path) => limit.explain(Image::open_with_limit(path, limit.max_pixels)),
            Source::Stream(name, bytes) => {
                let image = Image::decode_with_limit(bytes, limit.max_pixels);
                limit.explain(image).with_context(|| name.clone())
            }
        }
    }
}

impl Limit {
    fn explain(self, image: Result<Image<'static>, Error>) -> anyhow::Result<Image<'static>> {
        image.map_err(|error| match error {
            Error::ImageSize { origin, width, height, limit } => {
                anyhow!("{origin} has {width} x {height} pixels, more than {limit}: see --max-pixels")
            }
            other => other.into(),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Stream(name, _) => f.write_str(name),
        }
    }
}

/// What a stream holds, which may have no end.
fn stream(name: &str, from: impl Read) -> anyhow::Result<Source> {
    const MOST: u64 = 1 << 30;
    let mut bytes = Vec::new();
    from.take(MOST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MOST {
        bail!("{name} has no end within {MOST} bytes");
    }
    Ok(Source::Stream(name.to_owned(), bytes))
}

/// The image files of a folder, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && path.is_file()
    });
    paths.sort();
    Ok(paths)
}
