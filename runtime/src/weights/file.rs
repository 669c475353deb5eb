//! Weights in a safetensors file: everything is checked before anything is used.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use resnet_plan::{Description, Role, WeightTensor};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::arena::Arena;
use crate::error::Error;
use crate::weights::advice::{Shapes, advice, shapes};
use crate::weights::mapping::{Mapping, Unchanged};
use crate::weights::{self, Memory, foreign, packed};

/// An open safetensors file.
pub struct File<'a> {
    source: Source<'a>,
    metadata: Metadata,
    /// Where the elements begin.
    data: usize,
    origin: String,
}

/// Where the bytes are.
enum Source<'a> {
    Bytes(&'a [u8]),
    /// Read piece by piece, so that a file is never in memory as a whole.
    Disk(Mutex<std::fs::File>, PathBuf),
}

/// Why a tensor cannot be had.
pub(super) enum Fault {
    /// What the file holds is wrong, which is told along with all other faults.
    Unfit(String),
    /// The system failed, which ends loading.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Failed(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unfit(what) => f.write_str(what),
            Fault::Failed(error) => write!(f, "{error:?}"),
        }
    }
}

/// What is wrong with a file.
///
/// # Errors
/// The first failure of the system.
pub(super) fn unfit(faults: impl IntoIterator<Item = Fault>) -> Result<Vec<String>, Error> {
    let text = |fault| match fault {
        Fault::Unfit(what) => Ok(what),
        Fault::Failed(error) => Err(error),
    };
    faults.into_iter().map(text).collect()
}

/// The largest header that is taken for one (the `safetensors` crate's own limit).
const LARGEST_HEADER: usize = 100_000_000;

impl<'a> File<'a> {
    /// Reads the header of a file on disk.
    ///
    /// # Errors
    /// If it cannot be read, or is no safetensors file.
    pub fn open(path: &Path) -> Result<File<'static>, Error> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(read)?;
        let size = file.metadata().map_err(read)?.len() as usize;
        File::new(Source::Disk(Mutex::new(file), path.to_owned()), size, path.display().to_string())
    }

    /// The same of bytes in memory.
    ///
    /// # Errors
    /// If they are no safetensors file.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        File::new(Source::Bytes(bytes), bytes.len(), "the data".to_owned())
    }

    fn new(source: Source<'a>, size: usize, origin: String) -> Result<Self, Error> {
        match header(&source, size) {
            Ok((metadata, data)) => Ok(File { source, metadata, data, origin }),
            Err(Fault::Failed(error)) => Err(error),
            Err(Fault::Unfit(reason)) => {
                let start = source.bytes(0, size.min(foreign::START))?;
                let path = if matches!(source, Source::Disk(..)) { &origin } else { "FILE" };
                let reason = foreign::recognize(&start).map_or(reason, |kind| kind.replace("FILE", path));
                Err(Error::Format { origin, reason })
            }
        }
    }

    /// The elements of a tensor, in the order of the file.
    ///
    /// # Errors
    /// What is wrong with it: it is missing, of another shape or type, or holds what no weight can be.
    pub fn tensor(&self, tensor: &WeightTensor<'_>) -> Result<Vec<f32>, String> {
        let mut elements = Vec::new();
        self.plain()?;
        self.read(tensor, &mut elements).map_err(|fault| fault.to_string())?;
        Ok(elements.into_iter().map(f32::from_le_bytes).collect())
    }

    /// Whether it has tensors as a network's spec names them.
    ///
    /// # Errors
    /// If it holds packed weights.
    pub fn plain(&self) -> Result<(), String> {
        let packed = self.packed().is_some();
        if packed {
            Err("packed weights, where the plain file is needed that they were packed from".to_owned())
        } else {
            Ok(())
        }
    }

    /// What the file says of itself, if it is one of packed weights.
    pub(crate) fn packed(&self) -> Option<HashMap<&str, &str>> {
        self.labels().filter(packed::is_packed)
    }

    /// Where the file is, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Disk(_, path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    /// What the file says of itself.
    pub(super) fn labels(&self) -> Option<HashMap<&str, &str>> {
        let labels = self.metadata.metadata().as_ref()?;
        Some(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
    }

    /// The packed weights: mapped, if so asked for, or read.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn packed_weights(&self, count: usize, map: Option<Unchanged>) -> Result<Memory, Fault> {
        let info = self.metadata.info(packed::TENSOR).filter(|info| info.dtype == Dtype::F32);
        let Some(info) = info.filter(|info| info.shape == [count]) else {
            return Err(Fault::Unfit(format!("the tensor `{}` is not {count} elements", packed::TENSOR)));
        };
        let (start, end) = info.data_offsets;
        let range = self.data + start..self.data + end;
        if let Some(unchanged) = map
            && let Source::Disk(file, _) = &self.source
        {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mapping) = Mapping::new(&file, range.clone(), unchanged) {
                return Ok(Memory::Mapped(mapping));
            }
        }
        let mut arena = Arena::zeroed(range.len())?;
        let mut buffer = vec![[0; 4]; 1 << 14];
        for (index, numbers) in arena.as_mut_slice().chunks_mut(1 << 14).enumerate() {
            let bytes = buffer[..numbers.len()].as_flattened_mut();
            self.source.read(range.start + (index << 16), bytes)?;
            for (number, bytes) in numbers.iter_mut().zip(&buffer) {
                *number = f32::from_le_bytes(*bytes);
            }
        }
        Ok(Memory::Arena(arena))
    }

    /// What is wrong with the file as a whole: tensors that the network does not use.
    pub(super) fn extra(&self, network: &Description) -> Vec<String> {
        let mut extra = self.found(network);
        network.tensors().for_each(|tensor| drop(extra.remove(tensor.name)));
        let extra = extra.into_iter();
        extra.map(|(name, shape)| format!("extra: {name} {shape:?}")).collect()
    }

    /// Its tensors, but those that a file of such a network may hold beside the network's.
    fn found(&self, network: &Description) -> Shapes {
        let is_beside = |name: &str| network.ignored.iter().any(|ending| name.ends_with(&**ending));
        let names = self.metadata.offset_keys();
        let names = names.iter().map(String::as_str).filter(|name| !is_beside(name));
        shapes(names.filter_map(|name| Some((name, self.metadata.info(name)?.shape.clone()))))
    }

    /// Its name in messages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The error of a file with these faults.
    pub(super) fn error(&self, network: &Description, faults: Vec<String>) -> Error {
        weights::error(network, &self.origin, faults)
    }

    /// The error of a file whose tensors have these faults, with advice in front.
    pub(super) fn unfit(&self, network: &Description, faults: Vec<String>) -> Error {
        let path = self.path().map_or("FILE".into(), Path::to_string_lossy);
        let advice =
            if cfg!(feature = "advice") { advice(network, &path, &self.found(network)) } else { Vec::new() };
        self.error(network, advice.into_iter().chain(faults).collect())
    }

    /// Reads a tensor's elements as little-endian f32.
    ///
    /// # Errors
    /// What is wrong with it: it is missing, of another shape or type, or holds what no weight can be; or it cannot be read.
    pub(super) fn read(&self, tensor: &WeightTensor<'_>, to: &mut Vec<[u8; 4]>) -> Result<(), Fault> {
        let unfit = |what| Err(Fault::Unfit(what));
        let WeightTensor { name, ref dims, role } = *tensor;
        let Some(info) = self.metadata.info(name) else { return unfit(format!("missing: {name} {dims:?}")) };
        if info.shape != *dims {
            return unfit(format!("misshapen: {name} is {:?}, the network has {dims:?}", info.shape));
        }
        let (start, end) = info.data_offsets;
        let (start, length) = (self.data + start, end - start);
        to.clear();
        match info.dtype {
            Dtype::F32 => {
                reserve(to, length / 4)?;
                to.resize(length / 4, [0; 4]);
                self.source.read(start, to.as_flattened_mut())?;
            }
            Dtype::F64 => {
                convert(&self.source.bytes(start, length)?, to, |bytes| f64::from_le_bytes(bytes) as f32)?
            }
            Dtype::F16 => {
                convert(&self.source.bytes(start, length)?, to, |bytes| f16::from_le_bytes(bytes).to_f32())?
            }
            Dtype::BF16 => {
                convert(&self.source.bytes(start, length)?, to, |bytes| bf16::from_le_bytes(bytes).to_f32())?
            }
            other => {
                return unfit(format!(
                    "wrong type: {name} holds {other:?}, which is not one of F32, F64, F16 and BF16"
                ));
            }
        }
        if let Some((place, number)) = find(to, |number| !number.is_finite()) {
            return unfit(format!("not finite: {name} has {number} at place {place}"));
        }
        let (what, least) = match role {
            Role::Variance { epsilon } => ("variance", -epsilon),
            Role::Exponent => ("exponent above 0", 0.0),
            _ => return Ok(()),
        };
        match find(to, |number| f64::from(number) <= least) {
            Some((place, number)) => unfit(format!("no {what}: {name} has {number} at place {place}")),
            None => Ok(()),
        }
    }
}

impl Source<'_> {
    /// # Errors
    /// If the file cannot be read, or has become shorter.
    fn read(&self, start: usize, to: &mut [u8]) -> Result<(), Error> {
        match self {
            Source::Bytes(bytes) => {
                to.copy_from_slice(&bytes[start..start + to.len()]);
                Ok(())
            }
            Source::Disk(file, path) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let read = file.seek(SeekFrom::Start(start as u64)).and_then(|_| file.read_exact(to));
                read.map_err(|source| Error::Read { path: path.clone(), source })
            }
        }
    }

    /// So many bytes.
    fn bytes(&self, start: usize, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        reserve(&mut bytes, length)?;
        bytes.resize(length, 0);
        self.read(start, &mut bytes)?;
        Ok(bytes)
    }
}

/// The header, and where the elements begin.
fn header(source: &Source<'_>, size: usize) -> Result<(Metadata, usize), Fault> {
    const PREFIX: usize = 8;
    let unfit = |what| Err(Fault::Unfit(what));
    if size < PREFIX {
        return unfit(format!("it has {size} bytes"));
    }
    let length =
        source.bytes(0, PREFIX)?.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LARGEST_HEADER || length > size - PREFIX {
        return unfit(format!("its header would have {length} bytes, of {size}"));
    }
    let metadata: Metadata = match serde_json::from_slice(&source.bytes(PREFIX, length)?) {
        Ok(metadata) => metadata,
        Err(error) => return unfit(error.to_string()),
    };
    let data = PREFIX + length;
    // Not `data + data_len`: a header can claim any number of bytes.
    if metadata.data_len() != size - data {
        let claimed = metadata.data_len();
        return unfit(format!("by its header {claimed} bytes follow that, not {}", size - data));
    }
    Ok((metadata, data))
}

/// Converts elements of `N` bytes.
fn convert<const N: usize>(
    bytes: &[u8],
    to: &mut Vec<[u8; 4]>,
    number: impl Fn([u8; N]) -> f32,
) -> Result<(), Error> {
    reserve(to, bytes.len() / N)?;
    to.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes).to_le_bytes()));
    Ok(())
}

/// Makes room for so many elements, of an empty list.
///
/// # Errors
/// If the system does not give the memory.
pub(super) fn reserve<T>(list: &mut Vec<T>, count: usize) -> Result<(), Error> {
    let bytes = count.saturating_mul(size_of::<T>());
    list.try_reserve_exact(count).map_err(|_| Error::Memory { bytes })
}

/// The first element that is `bad`.
fn find(numbers: &[[u8; 4]], bad: impl Fn(f32) -> bool) -> Option<(usize, f32)> {
    // A block at a time, without a way out of its middle: that is fast.
    const BLOCK: usize = 1 << 12;
    let value = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
    let any = |block: &[[u8; 4]]| block.iter().fold(false, |any, number| any | bad(value(number)));
    let block = numbers.chunks(BLOCK).position(any)?;
    let place = block * BLOCK + numbers[block * BLOCK..].iter().position(|number| bad(value(number)))?;
    Some((place, value(&numbers[place])))
}

/// As in a spec, an exponent is above 0: the mean has its root.
#[test]
fn an_exponent_is_above_0() {
    let tensor = WeightTensor { name: "p", dims: vec![1], role: Role::Exponent };
    let read = |exponent: f32| {
        let header = br#"{"p":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let bytes = [&(header.len() as u64).to_le_bytes(), &header[..], &exponent.to_le_bytes()].concat();
        File::of_bytes(&bytes).unwrap().tensor(&tensor)
    };
    assert_eq!(read(0.5), Ok(vec![0.5]));
    for exponent in [0.0, -0.0, -2.0] {
        assert_eq!(read(exponent), Err(format!("no exponent above 0: p has {exponent} at place 0")));
    }
}
