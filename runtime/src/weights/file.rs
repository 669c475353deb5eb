//! Weights in a safetensors file: everything is checked before anything is used.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use resnet_plan::{Description, Role, WeightTensor};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::arena::Arena;
use crate::error::Error;
use crate::weights::mapping::{Mapping, Unchanged};
use crate::weights::{self, Memory, packed};

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
    Disk(Mutex<std::fs::File>),
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
        File::new(Source::Disk(Mutex::new(file)), size, path.display().to_string())
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
            Err(reason) => Err(Error::Format { origin, reason }),
        }
    }

    /// The elements of a tensor, in the order of the file.
    ///
    /// # Errors
    /// What is wrong with it: it is missing, of another shape or type, or holds what no weight can be.
    pub fn tensor(&self, tensor: &WeightTensor<'_>) -> Result<Vec<f32>, String> {
        let mut elements = Vec::new();
        self.plain()?;
        self.read(tensor, &mut elements)?;
        Ok(elements.into_iter().map(f32::from_le_bytes).collect())
    }

    /// Whether it has tensors as a network's spec names them.
    ///
    /// # Errors
    /// If it holds packed weights.
    pub(crate) fn plain(&self) -> Result<(), String> {
        let packed = self.packed().is_some();
        if packed {
            Err("packed weights, where the plain file is needed that they were packed from".to_owned())
        } else {
            Ok(())
        }
    }

    /// What the file says of itself, if it is one of packed weights.
    pub(crate) fn packed(&self) -> Option<HashMap<&str, &str>> {
        let labels = self.metadata.metadata().as_ref()?;
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        packed::is_packed(&labels).then_some(labels)
    }

    /// The packed weights: mapped, if so asked for, or read.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn packed_weights(&self, count: usize, map: Option<Unchanged>) -> Result<Memory, String> {
        let info = self.metadata.info(packed::TENSOR).filter(|info| info.dtype == Dtype::F32);
        let Some(info) = info.filter(|info| info.shape == [count]) else {
            return Err(format!("the tensor `{}` is not {count} elements", packed::TENSOR));
        };
        let (start, end) = info.data_offsets;
        let range = self.data + start..self.data + end;
        if let Some(unchanged) = map
            && let Source::Disk(file) = &self.source
        {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mapping) = Mapping::new(&file, range.clone(), unchanged) {
                return Ok(Memory::Mapped(mapping));
            }
        }
        let mut arena = Arena::zeroed(range.len()).map_err(|error| error.to_string())?;
        let mut buffer = vec![[0; 4]; 1 << 14];
        for (index, numbers) in arena.as_mut_slice().chunks_mut(1 << 14).enumerate() {
            let bytes = buffer[..numbers.len()].as_flattened_mut();
            self.source.read(range.start + (index << 16), bytes).map_err(|error| error.to_string())?;
            for (number, bytes) in numbers.iter_mut().zip(&buffer) {
                *number = f32::from_le_bytes(*bytes);
            }
        }
        Ok(Memory::Arena(arena))
    }

    /// What is wrong with the file as a whole: tensors that the network does not use.
    pub(crate) fn extra(&self, network: &Description) -> Vec<String> {
        let known: HashSet<&str> = network.tensors().map(|tensor| tensor.name).collect();
        let mut names = self.metadata.offset_keys();
        let mut faults = Vec::new();
        if !known.is_empty() && !names.iter().any(|name| known.contains(name.as_str())) {
            let hint = "no tensor has a name of the network's: is it another network's file, or another naming scheme?";
            faults.push(hint.to_owned());
        }
        names.retain(|name| {
            !known.contains(name.as_str()) && !network.ignored.iter().any(|ending| name.ends_with(&**ending))
        });
        names.sort_unstable();
        faults.extend(names.into_iter().map(|name| format!("extra: {name}, which the network does not use")));
        faults
    }

    /// Its name in messages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The error of a file with these faults.
    pub(crate) fn error(&self, network: &Description, faults: Vec<String>) -> Error {
        weights::error(network, &self.origin, faults)
    }

    /// Reads a tensor's elements as little-endian f32.
    ///
    /// # Errors
    /// What is wrong with it: it is missing, of another shape or type, or holds what no weight can be.
    pub(crate) fn read(&self, tensor: &WeightTensor<'_>, to: &mut Vec<[u8; 4]>) -> Result<(), String> {
        let WeightTensor { name, ref dims, role } = *tensor;
        let info = self.metadata.info(name).ok_or_else(|| format!("missing: {name} {dims:?}"))?;
        if info.shape != *dims {
            return Err(format!("misshapen: {name} is {:?}, the network has {dims:?}", info.shape));
        }
        let (start, end) = info.data_offsets;
        let range = self.data + start..self.data + end;
        let raw = |bytes: &mut [u8]| self.source.read(range.start, bytes).map_err(|error| error.to_string());
        to.clear();
        let read = match info.dtype {
            Dtype::F32 => reserve(to, range.len() / 4).and_then(|()| {
                to.resize(range.len() / 4, [0; 4]);
                raw(to.as_flattened_mut())
            }),
            Dtype::F64 => convert(range.len(), raw, to, |bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F16 => convert(range.len(), raw, to, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => convert(range.len(), raw, to, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            other => {
                return Err(format!(
                    "wrong type: {name} holds {other:?}, which is not one of F32, F64, F16 and BF16"
                ));
            }
        };
        read.map_err(|fault| format!("unreadable: {name}: {fault}"))?;
        if let Some((place, number)) = find(to, |number| !number.is_finite()) {
            return Err(format!("not finite: {name} has {number} at place {place}"));
        }
        if let Role::Variance { epsilon } = role
            && let Some((place, number)) = find(to, |number| f64::from(number) + epsilon <= 0.0)
        {
            return Err(format!("no variance: {name} has {number} at place {place}"));
        }
        Ok(())
    }
}

impl Source<'_> {
    fn read(&self, start: usize, to: &mut [u8]) -> std::io::Result<()> {
        match self {
            Source::Bytes(bytes) => {
                to.copy_from_slice(&bytes[start..start + to.len()]);
                Ok(())
            }
            Source::Disk(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start as u64))?;
                file.read_exact(to)
            }
        }
    }
}

/// The header, and where the elements begin.
fn header(source: &Source<'_>, size: usize) -> Result<(Metadata, usize), String> {
    const PREFIX: usize = 8;
    let read = |start, length| {
        let mut bytes = zeros(length)?;
        source.read(start, &mut bytes).map(|()| bytes).map_err(|error| error.to_string())
    };
    if size < PREFIX {
        return Err(format!("it has {size} bytes"));
    }
    let length = read(0, PREFIX)?.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LARGEST_HEADER || length > size - PREFIX {
        return Err(format!("its header would have {length} bytes, of {size}"));
    }
    let metadata: Metadata =
        serde_json::from_slice(&read(PREFIX, length)?).map_err(|error| error.to_string())?;
    let data = PREFIX + length;
    // Not `data + data_len`: a header can claim any number of bytes.
    if metadata.data_len() != size - data {
        let claimed = metadata.data_len();
        return Err(format!("by its header {claimed} bytes follow that, not {}", size - data));
    }
    Ok((metadata, data))
}

/// Reads elements of `N` bytes.
fn convert<const N: usize>(
    length: usize,
    raw: impl Fn(&mut [u8]) -> Result<(), String>,
    to: &mut Vec<[u8; 4]>,
    number: impl Fn([u8; N]) -> f32,
) -> Result<(), String> {
    let mut bytes = zeros(length)?;
    raw(&mut bytes)?;
    reserve(to, length / N)?;
    to.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes).to_le_bytes()));
    Ok(())
}

/// So many zeros.
///
/// # Errors
/// If the system does not give the memory.
fn zeros(length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reserve(&mut bytes, length)?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// Makes room for so many elements, of an empty list.
///
/// # Errors
/// If the system does not give the memory.
pub(super) fn reserve<T>(list: &mut Vec<T>, count: usize) -> Result<(), String> {
    let bytes = count.saturating_mul(size_of::<T>());
    list.try_reserve_exact(count).map_err(|_| format!("cannot allocate {bytes} bytes of memory"))
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
