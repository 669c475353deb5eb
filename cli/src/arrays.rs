//! NumPy files: float32 arrays, NHWC.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::{Context, bail};
use npyz::WriterBuilder;
use resnet::runtime::files;

/// The images of an array: its first size.
pub(crate) fn batch(path: &Path) -> anyhow::Result<usize> {
    let name = path.display();
    match *open(path)?.shape() {
        [0, _, _, _] => bail!("{name} holds no images"),
        [images, _, _, _] => Ok(images as usize),
        ref shape => bail!("{name} has shape {shape:?}, a network takes [N, height, width, channels]"),
    }
}

/// Reads an array of this shape.
pub(crate) fn read(path: &Path, dims: [usize; 4]) -> anyhow::Result<Vec<f32>> {
    let name = path.display();
    let array = open(path)?;
    let shape: Vec<usize> = array.shape().iter().map(|size| *size as usize).collect();
    if shape != dims {
        bail!("{name} has shape {shape:?}, the network takes {dims:?} (batch, height, width, channels)");
    }
    if array.order() != npyz::Order::C {
        bail!("{name} is in Fortran order: save it with numpy.ascontiguousarray");
    }
    let dtype = array.dtype();
    array
        .data::<f32>()
        .map_err(|_| anyhow::anyhow!("{name} holds {}, the network takes float32 (<f4)", dtype.descr()))?
        .collect::<Result<_, _>>()
        .with_context(|| format!("{name} ends too early"))
}

/// Reads an array of any number of images of this shape, an image each.
pub(crate) fn images(path: &Path, [_, height, width, channels]: [usize; 4]) -> anyhow::Result<Vec<Vec<f32>>> {
    let numbers = read(path, [batch(path)?, height, width, channels])?;
    Ok(numbers.chunks_exact(height * width * channels).map(<[f32]>::to_vec).collect())
}

/// Writes an array of this shape.
pub(crate) fn write(path: &Path, dims: [usize; 4], data: &[f32]) -> anyhow::Result<()> {
    let write = |to: &mut dyn Write| -> std::io::Result<()> {
        let shape: Vec<u64> = dims.iter().map(|size| *size as u64).collect();
        let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(to).begin_nd()?;
        array.extend(data.iter())?;
        array.finish()
    };
    files::replace(path, write).with_context(|| format!("cannot write {}", path.display()))
}

fn open(path: &Path) -> anyhow::Result<npyz::NpyFile<BufReader<File>>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let array =
        npyz::NpyFile::new(BufReader::new(file)).with_context(|| format!("{name} is not an npy file"))?;
    let elements = array.shape().iter().try_fold(1u64, |elements, size| elements.checked_mul(*size));
    elements
        .with_context(|| format!("{name} has shape {:?}, more elements than there can be", array.shape()))?;
    Ok(array)
}
