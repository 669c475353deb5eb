//! NumPy files: float32 arrays, NHWC.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use npyz::WriterBuilder;
use resnet::runtime::files;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An array that has been opened.
pub(crate) struct Array<'a> {
    name: String,
    file: npyz::NpyFile<Box<dyn Read + 'a>>,
}

/// Whether a file that begins so is an array.
pub(crate) fn is_array(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x93NUMPY")
}

impl<'a> Array<'a> {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        Self::new(name, Box::new(BufReader::new(file)))
    }

    /// Opens a file that is in memory.
    pub(crate) fn of(name: &str, bytes: &'a [u8]) -> anyhow::Result<Self> {
        Self::new(name.to_owned(), Box::new(bytes))
    }

    fn new(name: String, from: Box<dyn Read + 'a>) -> anyhow::Result<Self> {
        let file = npyz::NpyFile::new(from).with_context(|| format!("{name} is not an npy file"))?;
        let elements = file.shape().iter().try_fold(1u64, |elements, size| elements.checked_mul(*size));
        elements.with_context(|| {
            format!("{name} has shape {:?}, more elements than there can be", file.shape())
        })?;
        Ok(Array { name, file })
    }

    /// How many images it holds: its first size.
    pub(crate) fn count(&self) -> anyhow::Result<usize> {
        match *self.file.shape() {
            [0, _, _, _] => bail!("{} holds no images", self.name),
            [images, _, _, _] => Ok(images as usize),
            ref shape => {
                bail!("{} has shape {shape:?}, a network takes [N, height, width, channels]", self.name)
            }
        }
    }

    /// Its images, each of this height, width and channels.
    pub(crate) fn images(self, [_, height, width, channels]: [usize; 4]) -> anyhow::Result<Vec<Vec<f32>>> {
        let dims = [self.count()?, height, width, channels];
        if self.shape() != dims {
            bail!(
                "{} has shape {:?}, the network takes {dims:?} (batch, height, width, channels)",
                self.name,
                self.shape()
            );
        }
        let numbers = self.elements("takes")?;
        Ok(numbers.chunks_exact(height * width * channels).map(<[f32]>::to_vec).collect())
    }

    /// Its elements, which are a network's outputs of this shape; sizes of 1 may be left out.
    pub(crate) fn outputs(self, dims: [usize; 4]) -> anyhow::Result<Vec<f32>> {
        let [images, height, width, channels] = dims;
        let shape = self.shape();
        if shape != dims && !([height, width] == [1, 1] && shape == [images, channels]) {
            bail!(
                "{} has shape {shape:?}, the network gives {dims:?} (batch, height, width, channels)",
                self.name
            );
        }
        self.elements("gives")
    }

    fn shape(&self) -> Vec<usize> {
        self.file.shape().iter().map(|size| *size as usize).collect()
    }

    /// All elements, in C's order; what the network does with float32 is for the message.
    fn elements(self, does: &str) -> anyhow::Result<Vec<f32>> {
        let Array { name, file } = self;
        if file.order() != npyz::Order::C {
            bail!("{name} is in Fortran order: save it with numpy.ascontiguousarray");
        }
        let dtype = file.dtype();
        file.data::<f32>()
            .map_err(|_| anyhow::anyhow!("{name} holds {}, the network {does} float32 (<f4)", dtype.descr()))?
            .collect::<Result<_, _>>()
            .with_context(|| format!("{name} ends too early"))
    }
}

/// Writes one array as npy, several as npz, each under its name.
pub(crate) fn write(path: &Path, arrays: &[(&str, [usize; 4], &[f32])]) -> anyhow::Result<()> {
    let write = |to: &mut dyn Write| -> std::io::Result<()> {
        if let [(_, dims, data)] = arrays {
            return array(to, *dims, data);
        }
        // An archive's table stands behind what it lists, so that it is made in memory.
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, dims, data) in arrays {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            let is_large = size_of_val(*data) as u64 > u64::from(u32::MAX) / 2;
            archive.start_file(format!("{name}.npy"), options.large_file(is_large))?;
            array(&mut archive, *dims, data)?;
        }
        to.write_all(&archive.finish()?.into_inner())
    };
    files::replace(path, write).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes an array of this shape.
fn array(to: &mut dyn Write, dims: [usize; 4], data: &[f32]) -> std::io::Result<()> {
    let shape: Vec<u64> = dims.iter().map(|size| *size as u64).collect();
    let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(to).begin_nd()?;
    array.extend(data.iter())?;
    array.finish()
}
