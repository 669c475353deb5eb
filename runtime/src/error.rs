//! What can go wrong, and what to do about it.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;

use resnet_plan::nearest;

/// An error of loading or running a network. `Debug` gives the message and what caused it, for programs whose `main` returns it.
#[derive(thiserror::Error)]
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
    /// An image for a network whose input has other channels than images have.
    #[error(
        "an image in {order} makes no input of {channels} channel(s): rgb and bgr have 3, gray has 1, or 3 that are alike. \
         Give this network values in place of images"
    )]
    Channels {
        /// Channels of the network's input.
        channels: usize,
        /// Those that its preprocessing makes of an image.
        order: resnet_plan::ChannelOrder,
    },
    /// A file that is no image, or one that cannot be read.
    #[error("{origin} is not an image that can be read (JPEG, PNG, WebP, GIF, BMP, PNM)")]
    Image {
        /// The file.
        origin: String,
        /// What the decoder says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An image that is larger than the limit.
    #[error(
        "{origin} has {width} x {height} pixels, more than the limit of {limit}: see `open_with_limit` and `decode_with_limit`"
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
        /// Where it stops being one, or what it is instead and how to convert it.
        reason: String,
    },
    /// A file that does not hold the weights of the network.
    #[error("{origin} does not hold the weights of `{network}`:{}", Faults(.faults))]
    Weights {
        /// The file.
        origin: String,
        /// The network's name.
        network: String,
        /// What the file seems to be and what to do, then everything that is wrong, one line each. The message counts faults of a
        /// kind and shows the first of them, in at most twenty lines.
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// An instruction set that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IsaError {
    /// What was asked for.
    pub name: String,
    /// Names of those that there are on this machine.
    pub available: Vec<&'static str>,
    /// Names of all.
    pub known: Vec<&'static str>,
}

impl std::error::Error for IsaError {}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IsaError { name, available, known } = self;
        let available = available.join(", ");
        if known.contains(&name.as_str()) {
            return write!(f, "this machine lacks the instruction set {name}; it has {available}");
        }
        write!(f, "no instruction set is called {name:?}; ")?;
        match nearest(name, known) {
            Some(nearest) => write!(f, "did you mean {nearest}?"),
            None => write!(f, "this machine has {available}"),
        }
    }
}

/// Faults in a few lines: those that many tensors can have are counted by kind, and the first of each are shown.
struct Faults<'a>(&'a [String]);

impl Faults<'_> {
    /// What such faults begin with, and a colon.
    const KINDS: [&'static str; 6] =
        ["missing", "extra", "misshapen", "wrong type", "not finite", "no variance"];
    /// The most lines, without the one before them.
    const LINES: usize = 19;
    /// How many of a kind are shown.
    const SHOWN: usize = 3;
    /// The longest fault of a kind, and the longest line, in letters.
    const LONGEST: [usize; 2] = [100, 400];
}

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for fault in self.0 {
            let (kind, what) = match fault.split_once(": ") {
                Some((kind, what)) if Self::KINDS.contains(&kind) => (Some(kind), what),
                _ => (None, fault.as_str()),
            };
            match groups.iter_mut().find(|(known, _)| kind.is_some() && *known == kind) {
                Some((_, list)) => list.push(what),
                None => groups.push((kind, vec![what])),
            }
        }
        let [longest, longest_line] = Self::LONGEST;
        let line = |(kind, list): &(Option<&str>, Vec<&str>)| match (kind, &**list) {
            (None, list) => list.concat(),
            (Some(kind), [one]) => format!("{kind}: {one}"),
            (Some(kind), list) => {
                let shown: Vec<String> =
                    list.iter().take(Self::SHOWN).map(|fault| clipped(fault, longest)).collect();
                let rest = list.len() - shown.len();
                let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
                format!("{kind}, {} tensors: {}{rest}", list.len(), shown.join("; "))
            }
        };
        let shown = if groups.len() > Self::LINES { Self::LINES - 1 } else { groups.len() };
        for group in &groups[..shown] {
            write!(f, "\n  {}", clipped(&line(group), longest_line))?;
        }
        match groups.len() - shown {
            0 => Ok(()),
            rest => write!(f, "\n  and {rest} more"),
        }
    }
}

/// The first letters of a text, on one line whatever a file calls its tensors.
fn clipped(text: &str, longest: usize) -> String {
    let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let clipped: String = text.chars().take(longest).map(printable).collect();
    if text.chars().nth(longest).is_some() { clipped + "..." } else { clipped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(faults: Vec<String>) -> Error {
        Error::Weights { origin: "file".to_owned(), network: "net".to_owned(), faults }
    }

    #[test]
    fn many_faults_are_a_few_lines() {
        let each = |index: usize| {
            let name = "layer\n.".repeat(100);
            [
                format!("missing: {index}{name}"),
                format!("extra: {index}{name}"),
                format!("odd {index}: {name}"),
            ]
        };
        for faults in
            [(0..10_000).flat_map(each).collect(), (0..10_000).map(|i| format!("fault {i}")).collect()]
        {
            let message = weights(faults).to_string();
            assert_eq!(message.lines().count(), 20, "{message}");
            assert!(message.lines().all(|line| line.chars().count() < 1000), "{message}");
        }
        let all = |kind: &str| (0..20).map(|i| format!("{kind}: t{i}")).collect::<Vec<_>>();
        let message = weights([vec!["advice".to_owned()], all("missing"), all("extra")].concat()).to_string();
        let expected = "file does not hold the weights of `net`:
  advice
  missing, 20 tensors: t0; t1; t2; and 17 more
  extra, 20 tensors: t0; t1; t2; and 17 more";
        assert_eq!(message, expected);
    }

    /// What a program prints whose `main` returns the error.
    #[test]
    fn debug_is_for_people() {
        let source = std::io::Error::other("the disk is gone");
        let error = Error::Read { path: "file".into(), source };
        assert_eq!(format!("{error:?}"), "cannot read file: the disk is gone");
        let error = weights(vec!["missing: a".to_owned()]);
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn an_instruction_set_that_cannot_be_had() {
        let message = |name: &str| {
            let (available, known) = (vec!["scalar", "avx2"], vec!["scalar", "avx2", "amx"]);
            IsaError { name: name.to_owned(), available, known }.to_string()
        };
        assert_eq!(message("amx"), "this machine lacks the instruction set amx; it has scalar, avx2");
        assert_eq!(message("avx3"), "no instruction set is called \"avx3\"; did you mean avx2?");
        assert_eq!(
            message("altivec"),
            "no instruction set is called \"altivec\"; this machine has scalar, avx2"
        );
    }
}
