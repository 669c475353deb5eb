//! HDF5: groups, attributes that are text, and datasets, of a file in memory. No other file is ever opened.
//!
//! The crate `hdf5-reader` knows the format. Added here: links to other files and data in other files are refused, what is decompressed
//! and what attributes point to is taken from a budget, and so is all that is read but datasets in one piece: structures of a file can
//! point to one place from many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdf5_reader::error::{ByteOrder, Error as Hdf5Error};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::{
    Dataset, Datatype, ExternalLinkResolver, Hdf5File, OpenOptions, RawAttribute, Storage, StorageBuffer,
    StringSize, VarLenKind,
};

use crate::budget::Budget;
use crate::checkpoint::{Bytes, Element, Tensor};
use crate::error::{Error, shown};
use crate::strided::paste;

/// Whether a file that begins so is one.
pub(crate) fn is_hdf5(file: &[u8]) -> bool {
    file.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// The largest object header: of attributes, of which one has up to 64 KiB.
const HEADER: usize = 1 << 20;

/// The largest chunk of a dataset, decompressed.
const CHUNK: usize = 16 << 20;

/// A file.
pub(crate) struct File {
    file: Hdf5File,
    bytes: Bytes,
    budget: Arc<Mutex<Budget>>,
}

/// A group of a file.
pub(crate) struct Group<'a> {
    file: &'a File,
    group: hdf5_reader::group::Group,
    path: String,
}

impl File {
    /// The file that these bytes are. What is made of it is taken from the budget, and what is read of its structures.
    ///
    /// # Errors
    /// If they are none.
    pub(crate) fn open(bytes: &Bytes, budget: Budget) -> Result<Self, Error> {
        let options = OpenOptions::default()
            .with_chunk_cache_bytes(0)
            .with_max_chunk_bytes(CHUNK)
            .with_max_object_header_bytes(HEADER)
            .with_external_link_resolver(Arc::new(NoLinks));
        let budget = Arc::new(Mutex::new(budget));
        let storage = Arc::new(Counted { bytes: Arc::new(Owner(bytes.clone())), budget: budget.clone() });
        let file =
            Hdf5File::from_storage_with_options(storage, options).map_err(|error| damaged("/", &error))?;
        let superblock = file.superblock();
        if superblock.base_address.saturating_add(superblock.eof_address) > bytes.len() as u64 {
            return Err(Error::Malformed(format!(
                "the HDF5 file is incomplete: it has {} bytes, and says that it ends at {}; download or copy it again",
                bytes.len(),
                superblock.eof_address
            )));
        }
        Ok(File { file, bytes: bytes.clone(), budget })
    }

    /// The root group.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn root(&self) -> Result<Group<'_>, Error> {
        let group = self.file.root_group().map_err(|error| damaged("/", &error))?;
        Ok(Group { file: self, group, path: String::new() })
    }

    /// Takes memory for what is made of the file.
    ///
    /// # Errors
    /// If less is left.
    pub(crate) fn take(&self, bytes: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.budget().take(bytes, what)
    }

    /// What is left of the budget, when all is read.
    pub(crate) fn into_budget(self) -> Budget {
        self.budget().clone()
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A dataset as a tensor: a range of the file's bytes where they lie in one piece, else read.
    fn tensor(&self, dataset: &Dataset, path: String) -> Result<Tensor, Error> {
        let element = element(dataset).ok_or_else(|| {
            Error::Unsupported(format!(
                "the dataset `{path}` holds {:?}: weights are numbers of 8, 16, 32 or 64 bits",
                dataset.dtype()
            ))
        })?;
        let dims: Option<Vec<usize>> =
            dataset.shape().iter().map(|size| usize::try_from(*size).ok()).collect();
        let size = dims.as_ref().and_then(|dims| Tensor::len(dims)?.checked_mul(element.bytes()));
        let (Some(dims), Some(size)) = (dims, size) else {
            return Err(Error::Malformed(format!(
                "the dataset `{path}` has more elements than can be counted: {:?}",
                dataset.shape()
            )));
        };
        let header =
            self.file.get_or_parse_header(dataset.address()).map_err(|error| damaged(&path, &error))?;
        if header.messages.iter().any(|message| matches!(message, HdfMessage::ExternalFiles(_))) {
            return Err(Error::Refused(format!(
                "the dataset `{path}` lies in another file, and no other file is opened: save the model in one file"
            )));
        }
        let place = header.messages.iter().find_map(|message| match message {
            HdfMessage::DataLayout(message) => match message.layout {
                DataLayout::Contiguous { address, .. } if is_little(dataset.dtype()) => Some(address),
                _ => None,
            },
            _ => None,
        });
        let bytes = match place.and_then(|address| self.range(address, size)) {
            Some(bytes) => bytes,
            None => self.read(dataset, &path, &dims, element.bytes())?,
        };
        Ok(Tensor { name: path, dims, element, bytes })
    }

    fn range(&self, address: u64, size: usize) -> Option<Bytes> {
        let start = usize::try_from(address.checked_add(self.file.superblock().base_address)?).ok()?;
        self.bytes.part(start..start.checked_add(size)?)
    }

    /// The elements of a dataset that does not lie in one piece as it is.
    fn read(&self, dataset: &Dataset, path: &str, dims: &[usize], element: usize) -> Result<Bytes, Error> {
        let chunk =
            dataset.chunks().map(|chunk| chunk.into_iter().map(|size| size as usize).collect::<Vec<_>>());
        // Chunks reach beyond the end.
        let mut sizes = dims.to_vec();
        for (size, chunk) in sizes.iter_mut().zip(chunk.iter().flatten()) {
            *size = size.div_ceil(*chunk.max(&1)).saturating_mul(*chunk);
        }
        let bytes = |dims: &[usize]| dims.iter().fold(element, |bytes, size| bytes.saturating_mul(*size));
        self.take(bytes(&sizes).max(bytes(dims)), || {
            format!("the dataset `{path}`, which is compressed or without a place in the file,")
        })?;
        let mut elements = match chunk {
            Some(chunk) => self.chunks(dataset, path, dims, &chunk, element)?,
            None => dataset.read_raw_bytes().map_err(|error| damaged(path, &error))?,
        };
        if elements.len() != bytes(dims) {
            let (found, needed) = (elements.len(), bytes(dims));
            return Err(Error::Malformed(format!("the dataset `{path}` has {found} bytes, not {needed}")));
        }
        if !is_little(dataset.dtype()) {
            elements.chunks_exact_mut(element).for_each(<[u8]>::reverse);
        }
        Ok(Bytes::new(elements))
    }

    /// The elements of all chunks. (`hdf5-reader` puts them together, too, but keeps a copy as long as the file is open.)
    fn chunks(
        &self,
        dataset: &Dataset,
        path: &str,
        dims: &[usize],
        shape: &[usize],
        element: usize,
    ) -> Result<Vec<u8>, Error> {
        let chunks = dataset.iter_chunks().map_err(|error| damaged(path, &error))?;
        let len = |dims: &[usize]| dims.iter().fold(1usize, |len, size| len.saturating_mul(*size));
        let mut missing = len(dims);
        let mut elements = vec![0; missing.saturating_mul(element)];
        // One chunk at a time is in memory, after each of its filters, and where it lies in the file is read once.
        let before = self.budget().clone();
        self.take(len(shape).saturating_mul(4 * element), || format!("a chunk of the dataset `{path}`"))?;
        let one = self.budget().clone();
        for chunk in chunks {
            let chunk = chunk.map_err(|error| damaged(path, &error))?;
            let at: Vec<usize> =
                chunk.offsets().iter().map(|at| usize::try_from(*at).unwrap_or(usize::MAX)).collect();
            let copied = paste(chunk.bytes(), shape, &at, &mut elements, dims, element);
            missing = missing.checked_sub(copied).filter(|_| copied > 0).ok_or_else(|| {
                Error::Malformed(format!("the dataset `{path}` has a chunk twice, or one outside of it"))
            })?;
            *self.budget() = one.clone();
        }
        *self.budget() = before;
        match missing {
            0 => Ok(elements),
            _ => Err(Error::Malformed(format!("the dataset `{path}` lacks {missing} elements"))),
        }
    }
}

impl<'a> Group<'a> {
    /// Names of the groups in it.
    ///
    /// # Errors
    /// If it is damaged or links to another file.
    pub(crate) fn groups(&self) -> Result<Vec<String>, Error> {
        Ok(self.members()?.0)
    }

    /// Names of the datasets in it.
    ///
    /// # Errors
    /// If it is damaged or links to another file.
    pub(crate) fn datasets(&self) -> Result<Vec<String>, Error> {
        Ok(self.members()?.1)
    }

    fn members(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        let (groups, datasets) = self.group.member_names().map_err(|error| damaged(&self.path, &error))?;
        self.visit(groups.len() + datasets.len())?;
        Ok((groups, datasets))
    }

    /// Takes memory for members of this group that are looked at: links can make far more of them than lie in the file.
    fn visit(&self, members: usize) -> Result<(), Error> {
        let bytes = members.saturating_mul(MEMBER.saturating_add(self.path.len()));
        self.file.take(bytes, || {
            format!(
                "`{}` in the HDF5 file, with the groups before, which links may repeat,",
                shown(&self.path)
            )
        })
    }

    /// Where a tensor's bytes lie in the file, if they are a part of it: what was written later lies behind.
    pub(crate) fn offset(&self, tensor: &Tensor) -> Option<usize> {
        tensor.bytes.offset_in(&self.file.bytes)
    }

    /// The group of this path, from here.
    ///
    /// # Errors
    /// If one on the way is damaged or a link to another file.
    pub(crate) fn group(&self, path: &str) -> Result<Option<Group<'a>>, Error> {
        let mut found = Group { file: self.file, group: self.group.clone(), path: self.path.clone() };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            found.visit(1)?;
            let path = found.child(part);
            let group = match found.group.group(part) {
                Ok(group) => group,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(damaged(&path, &error)),
            };
            found = Group { file: self.file, group, path };
        }
        Ok(Some(found))
    }

    /// The dataset of this path, from here; its name is the whole path.
    ///
    /// # Errors
    /// If it is damaged, holds no numbers, or lies in another file.
    pub(crate) fn tensor(&self, path: &str) -> Result<Option<Tensor>, Error> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(parent) = self.group(parent)? else { return Ok(None) };
        parent.visit(1)?;
        let path = parent.child(name);
        let dataset = match parent.group.dataset(name) {
            Ok(dataset) => dataset,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(damaged(&path, &error)),
        };
        self.file.tensor(&dataset, path).map(Some)
    }

    /// An attribute that is one text.
    ///
    /// # Errors
    /// If it is damaged, or no text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.texts(name)?.and_then(|texts| texts.into_iter().next()))
    }

    /// An attribute that is a list of texts. Longer lists than an attribute can hold go on in those of this name and 0, 1, ..
    ///
    /// # Errors
    /// If one is damaged, or no text.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let attributes = self.group.raw_attributes().map_err(|error| damaged(&self.path, &error))?;
        let one = |name: &str| {
            let attribute = attributes.iter().find(|attribute| attribute.name() == name);
            let texts = attribute.map(|attribute| self.decoded(attribute.message())).transpose();
            texts.map_err(|problem| match problem {
                Problem::Budget(error) => error,
                Problem::File(error) => damaged(&format!("{}, attribute {name}", self.path), &error),
            })
        };
        if let Some(texts) = one(name)? {
            return Ok(Some(texts));
        }
        let mut all = Vec::new();
        for part in 0.. {
            match one(&format!("{name}{part}"))? {
                Some(texts) => all.extend(texts),
                None if part == 0 => return Ok(None),
                None => break,
            }
        }
        Ok(Some(all))
    }

    /// The texts of an attribute. Those without a fixed length lie in a heap, where several can be one.
    fn decoded(&self, attribute: &AttributeMessage) -> Result<Vec<String>, Problem> {
        let count = usize::try_from(attribute.dataspace.num_elements().map_err(Hdf5Error::from)?)
            .unwrap_or(usize::MAX);
        if count == 0 {
            return Ok(Vec::new()); // of any type
        }
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
        };
        let size = match &attribute.datatype {
            Datatype::String { size: StringSize::Fixed(size), .. } => {
                usize::try_from(*size).unwrap_or(usize::MAX)
            }
            Datatype::VarLen { kind: VarLenKind::String, .. } | Datatype::String { .. } => {
                usize::from(self.group.offset_size()) + 8
            }
            other => return Err(Hdf5Error::InvalidData(format!("{other:?} is no text")).into()),
        };
        let elements = attribute.raw_data.chunks_exact(size.max(1)).take(count);
        if elements.len() < count {
            return Err(Hdf5Error::InvalidData("it has fewer elements than its shape says".to_owned()).into());
        }
        let is_fixed = matches!(attribute.datatype, Datatype::String { size: StringSize::Fixed(_), .. });
        let element = |bytes: &[u8]| {
            let length = match bytes.first_chunk() {
                Some(length) if !is_fixed => u32::from_le_bytes(*length) as usize,
                _ => bytes.len(),
            };
            let length = length.saturating_add(TEXT);
            self.file.take(length, || "the texts of an attribute".to_owned()).map_err(Problem::Budget)?;
            if is_fixed {
                Ok(text(bytes))
            } else {
                Ok(text(&self.group.resolve_vlen_reference_bytes(bytes, 1)?))
            }
        };
        elements.map(element).collect()
    }

    fn child(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }
}

/// Bytes that a group or dataset takes, beside its path, when it is looked at.
const MEMBER: usize = 256;

/// Bytes that a text takes beside its own.
const TEXT: usize = 32;

/// Why an attribute cannot be read.
enum Problem {
    Budget(Error),
    File(Hdf5Error),
}

impl From<Hdf5Error> for Problem {
    fn from(error: Hdf5Error) -> Self {
        Problem::File(error)
    }
}

/// The file's bytes as `hdf5-reader` takes them. They are not copied, but what is read is the size of what is made of it.
struct Counted {
    bytes: Arc<Owner>,
    budget: Arc<Mutex<Budget>>,
}

struct Owner(Bytes);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Storage for Counted {
    fn len(&self) -> u64 {
        self.bytes.0.len() as u64
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer, Hdf5Error> {
        let start = usize::try_from(offset).map_err(|_| Hdf5Error::OffsetOutOfBounds(offset))?;
        let buffer = StorageBuffer::from_shared_owner(self.bytes.clone(), start, len)?;
        let what = || "what its structures point to, the same bytes again and again,".to_owned();
        let taken = self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(len, what);
        taken.map_err(|error| Hdf5Error::Other(format!("{REFUSED}{error}")))?;
        Ok(buffer)
    }
}

/// Refuses links to other files.
struct NoLinks;

impl ExternalLinkResolver for NoLinks {
    fn resolve_external_link(&self, file: &str) -> Result<Option<Hdf5File>, Hdf5Error> {
        Err(Hdf5Error::Other(format!("{REFUSED}it links to the file `{file}`, and no other file is opened")))
    }
}

/// How errors begin that are not those of `hdf5-reader`.
const REFUSED: &str = "refused: ";

fn damaged(place: &str, error: &Hdf5Error) -> Error {
    let place = if place.is_empty() { "/" } else { place };
    let message = error.to_string();
    match message.split_once(REFUSED) {
        Some((_, reason)) => Error::Refused(format!("`{place}` in the HDF5 file: {reason}")),
        None => Error::Malformed(format!("the HDF5 file is damaged at `{place}`: {message}")),
    }
}

fn is_missing(error: &Hdf5Error) -> bool {
    match error {
        Hdf5Error::GroupNotFound(_) | Hdf5Error::DatasetNotFound(_) => true,
        Hdf5Error::Context { source, .. } => is_missing(source),
        _ => false,
    }
}

fn is_little(datatype: &Datatype) -> bool {
    match datatype {
        Datatype::FixedPoint { byte_order, .. } | Datatype::FloatingPoint { byte_order, .. } => {
            *byte_order == ByteOrder::LittleEndian
        }
        _ => true,
    }
}

/// What a dataset's elements are. Keras says of those of type bfloat16 in an attribute that they are; there are several ways to store them.
fn element(dataset: &Dataset) -> Option<Element> {
    let is_bf16 = || {
        let attributes = dataset.raw_attributes().unwrap_or_default();
        let one = |attribute: &RawAttribute| {
            attribute.message().dataspace.num_elements().is_ok_and(|count| count == 1)
        };
        let text = attributes.iter().any(|attribute| attribute.name() == "dtype" && one(attribute));
        text && dataset
            .attribute("dtype")
            .and_then(|text| text.read_string())
            .is_ok_and(|text| text == "bfloat16")
    };
    match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, .. }
        | Datatype::FixedPoint { size: 2, .. }
        | Datatype::Opaque { size: 2, .. }
            if is_bf16() =>
        {
            Some(Element::Bf16)
        }
        Datatype::FloatingPoint { size: 2, .. } => Some(Element::F16),
        Datatype::FloatingPoint { size: 4, .. } => Some(Element::F32),
        Datatype::FloatingPoint { size: 8, .. } => Some(Element::F64),
        Datatype::FixedPoint { size: 1, signed: true, .. } => Some(Element::I8),
        Datatype::FixedPoint { size: 1, .. } => Some(Element::U8),
        Datatype::FixedPoint { size: 4, signed: true, .. } => Some(Element::I32),
        Datatype::FixedPoint { size: 8, signed: true, .. } => Some(Element::I64),
        Datatype::Enum { base, .. } if matches!(**base, Datatype::FixedPoint { size: 1, .. }) => {
            Some(Element::U8)
        }
        _ => None,
    }
}
