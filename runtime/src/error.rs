//! What can go wrong, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// An error of loading or running a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slice that does not have a tensor's number of elements.
    #[error("a {}x{}x{}x{} tensor has {expected} elements, the slice has {found}", .dims[0], .dims[1], .dims[2], .dims[3])]
    Length {
        /// The tensor: batch, height, width, channels.
        dims: [usize; 4],
        /// Its number of elements.
        expected: usize,
        /// The slice's.
        found: usize,
    },
    /// Slices that do not hold as many images as outputs.
    #[error(
        "{found} values in and room for {room} values out: an image has {image} values and its output {output}, \
         and there must be whole ones, as many in as out"
    )]
    Images {
        /// Values of an image.
        image: usize,
        /// Values that there are.
        found: usize,
        /// Values of the output for an image.
        output: usize,
        /// Values that there is room for.
        room: usize,
    },
    /// Bytes that do not make an image of the size that is said.
    #[error(
        "an image of {width} x {height} pixels needs at least one pixel and {channels} byte(s) for each, not {found} bytes"
    )]
    Pixels {
        /// Pixels of a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes of a pixel.
        channels: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A file that is no image, or one that cannot be read.
    #[cfg(feature = "image")]
    #[error("{origin} is not an image that can be read (JPEG, PNG, WebP, GIF, BMP, PNM)")]
    Image {
        /// The file.
        origin: String,
        /// What the decoder says.
        source: Box<image::ImageError>,
    },
    /// An image that is larger than the limit.
    #[error(
        "{origin} has {width} x {height} pixels, more than the limit of {limit}: see `Image::open_with_limit`"
    )]
    ImageSize {
        /// The file.
        origin: String,
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The most pixels.
        limit: usize,
    },
    /// A network that ends in features, where classes are needed.
    #[error("`{network}` ends in features: it has no classes to choose from. See `classes` in its spec")]
    Features {
        /// The network's name.
        network: String,
    },
    /// Scores that are NaN.
    #[error("the scores of `{network}` are NaN: see the weights, and the spec's preprocessing")]
    NotNumbers {
        /// The network's name.
        network: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Bytes that are not a safetensors file.
    #[error("{origin} is not a safetensors file, or only a part of one: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// Where it stops being one.
        reason: String,
    },
    /// A file that does not hold the weights of the network.
    #[error("{origin} does not hold the weights of `{network}`:{}", Faults(.faults))]
    Weights {
        /// The file.
        origin: String,
        /// The network's name.
        network: String,
        /// Everything that is wrong, one line each.
        faults: Vec<String>,
    },
    /// Scales that were made for other weights.
    #[error(
        "the scales of `{network}` were calibrated with the weights {expected:016x}, {origin} holds {found:016x}: \
         calibrate them (resnet calibrate), or load them despite that (load_despite_calibration)"
    )]
    Calibration {
        /// The network's name.
        network: String,
        /// The weights.
        origin: String,
        /// Fingerprint of the weights that the scales were made with.
        expected: u64,
        /// Fingerprint of these.
        found: u64,
    },
    /// A plan that cannot be executed.
    #[error("the plan of `{network}` cannot be executed:{}", Faults(.faults))]
    Plan {
        /// The network's name.
        network: String,
        /// Everything that is wrong, one line each.
        faults: Vec<String>,
    },
    /// Weights that were packed for another network, precision or algorithm than the one that is to run.
    #[error(
        "the weights were packed for another network than `{network}`: load them for its own description"
    )]
    OtherWeights {
        /// The network's name.
        network: String,
    },
    /// Memory that the system does not give.
    #[error("cannot allocate {bytes} bytes of memory")]
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// An instruction set that the machine does not have.
    #[error(transparent)]
    Isa(#[from] IsaError),
}

/// An instruction set that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not an instruction set of this machine; it has {}", .available.join(", "))]
pub struct IsaError {
    /// What was asked for.
    pub name: String,
    /// Names of those that there are.
    pub available: Vec<&'static str>,
}

/// Faults, one a line.
struct Faults<'a>(&'a [String]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
