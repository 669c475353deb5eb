//! Zip archives: their entries as parts of the file.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use flate2::read::DeflateDecoder;

use crate::budget::Budget;
use crate::checkpoint::Bytes;
use crate::error::{Error, shown};

/// A zip archive that is in memory.
pub(crate) struct Archive<'a> {
    file: &'a Bytes,
    entries: Vec<Entry<'a>>,
    by_name: HashMap<&'a str, usize>,
}

/// What the directory says of an entry.
struct Entry<'a> {
    name: &'a str,
    is_encrypted: bool,
    method: u16,
    packed: usize,
    size: usize,
    header: usize,
}

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Bytes of an entry in the directory, at least, and of memory that it takes.
const SHORTEST: usize = 46;
const ENTRY: usize = 160;

/// Whether a file that begins so is a zip archive.
pub(crate) fn is_archive(file: &[u8]) -> bool {
    file.starts_with(b"PK\x03\x04")
}

impl<'a> Archive<'a> {
    /// Reads the directory. Entries whose names are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// If there is no directory (the file ends too early), if it is not what its beginning says, or names an entry twice.
    pub(crate) fn open(file: &'a Bytes, budget: &mut Budget) -> Result<Self, Error> {
        let directory = directory(file).ok_or_else(|| {
            let problem = "the file is a zip archive without the directory at its end: it is incomplete, so download or copy it again";
            Error::Malformed(problem.into())
        })?;
        let mut archive = Archive { file, entries: Vec::new(), by_name: HashMap::new() };
        budget.take(directory.len() / SHORTEST * ENTRY, || "the directory of the zip archive".into())?;
        let mut at = directory.start;
        while at < directory.end {
            let (entry, next) =
                Entry::read(file.get(..directory.end).unwrap_or_default(), at).ok_or_else(|| {
                    Error::Malformed(format!("the zip archive's directory is damaged at byte {at}"))
                })?;
            at = next;
            let Some(entry) = entry else { continue };
            if archive.by_name.insert(entry.name, archive.entries.len()).is_some() {
                return Err(Error::Malformed(format!(
                    "the zip archive holds \"{}\" twice",
                    shown(entry.name)
                )));
            }
            archive.entries.push(entry);
        }
        Ok(archive)
    }

    /// The whole file.
    pub(crate) fn file(&self) -> &'a Bytes {
        self.file
    }

    /// The names of all entries, in the order of the directory.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// What an entry holds: a part of the file if it is stored as it is; `None` if there is no such entry.
    ///
    /// # Errors
    ///
    /// If it reaches outside of the file, is encrypted, is packed in another way than by `deflate`, does not hold what the directory
    /// says, or unpacks to far more than the file.
    pub(crate) fn entry(&self, name: &str, budget: &mut Budget) -> Result<Option<Bytes>, Error> {
        let Some(entry) = self.by_name.get(name).and_then(|index| self.entries.get(*index)) else {
            return Ok(None);
        };
        let malformed = |problem: &str| {
            Error::Malformed(format!("entry \"{}\" of the zip archive {problem}", shown(name)))
        };
        if entry.is_encrypted {
            return Err(malformed("is encrypted: unpack it with its password"));
        }
        let packed = entry
            .content(self.file)
            .and_then(|range| self.file.part(range))
            .ok_or_else(|| malformed("is not where the directory says"))?;
        match entry.method {
            STORED if entry.packed == entry.size => Ok(Some(packed)),
            DEFLATED => {
                // What is packed counts too: it takes time to read, and many entries may claim to be the same bytes.
                budget.take(entry.size.max(entry.packed), || {
                    let name = shown(name);
                    format!("entry \"{name}\" of the zip archive is compressed (pack it without compression), and inflated")
                })?;
                let mut unpacked = Vec::with_capacity(entry.size);
                // One byte more than promised is enough to know that the promise is broken.
                let mut inflater = DeflateDecoder::new(&*packed).take((entry.size as u64).saturating_add(1));
                inflater
                    .read_to_end(&mut unpacked)
                    .map_err(|error| malformed(&format!("does not inflate ({error})")))?;
                if unpacked.len() != entry.size {
                    return Err(malformed(&format!("does not hold the {} bytes it promises", entry.size)));
                }
                Ok(Some(Bytes::new(unpacked)))
            }
            STORED => Err(malformed("is stored as it is, yet has two sizes")),
            method => Err(malformed(&format!("is packed by method {method}, only `deflate` is known"))),
        }
    }
}

impl<'a> Entry<'a> {
    /// The entry of the directory at a byte, and where the next one is. The inner `None`: its name is not UTF-8.
    fn read(file: &'a [u8], at: usize) -> Option<(Option<Self>, usize)> {
        let record = file.get(at..)?;
        if !record.starts_with(b"PK\x01\x02") {
            return None;
        }
        let lengths = [u16_at(record, 28)?, u16_at(record, 30)?, u16_at(record, 32)?].map(usize::from);
        let name = record.get(SHORTEST..)?.get(..lengths[0])?;
        let extra = record.get(SHORTEST + lengths[0]..)?.get(..lengths[1])?;
        let next = at.checked_add(SHORTEST + lengths.iter().sum::<usize>())?;

        let mut sizes = [u32_at(record, 24)?, u32_at(record, 20)?, u32_at(record, 42)?].map(u64::from);
        let mut large = zip64(extra).unwrap_or_default();
        for size in sizes.iter_mut().filter(|size| **size == u64::from(u32::MAX)) {
            *size = u64_at(large, 0)?;
            large = large.get(8..)?;
        }
        let [size, packed, header] = sizes.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let (is_encrypted, method) = (u16_at(record, 8)? & 1 != 0, u16_at(record, 10)?);
        let name = str::from_utf8(name).ok();
        Some((name.map(|name| Entry { name, is_encrypted, method, packed, size, header }), next))
    }

    /// Where its content is.
    fn content(&self, file: &[u8]) -> Option<Range<usize>> {
        let header = file.get(self.header..)?;
        if !header.starts_with(b"PK\x03\x04") {
            return None;
        }
        let lengths = usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
        let start = self.header.checked_add(30)?.checked_add(lengths)?;
        Some(start..start.checked_add(self.packed)?)
    }
}

/// Where the directory is.
fn directory(file: &[u8]) -> Option<Range<usize>> {
    // The record at the end may have a comment behind it, of at most 65535 bytes.
    let first = file.len().saturating_sub(22 + usize::from(u16::MAX));
    let at = (first..file.len().checked_sub(21)?).rev().find(|at| {
        let record = file.get(*at..).unwrap_or_default();
        record.starts_with(b"PK\x05\x06")
            && u16_at(record, 20).is_some_and(|comment| 22 + usize::from(comment) <= record.len())
    })?;
    let record = file.get(at..)?;
    let [mut size, mut start] = [u32_at(record, 12)?, u32_at(record, 16)?].map(u64::from);
    if size == u64::from(u32::MAX) || start == u64::from(u32::MAX) || u16_at(record, 10)? == u16::MAX {
        let locator = file.get(at.checked_sub(20)?..)?;
        let record = file.get(usize::try_from(u64_at(locator, 8)?).ok()?..)?;
        if !locator.starts_with(b"PK\x06\x07") || !record.starts_with(b"PK\x06\x06") {
            return None;
        }
        [size, start] = [u64_at(record, 40)?, u64_at(record, 48)?];
    }
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= at).then_some(start..end)
}

/// The sizes of an entry that need 64 bits, among what else is said of it.
fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..)?;
        if id == 1 {
            return field.get(..len);
        }
        extra = field.get(len..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
