//! The bytes of a pickle, one after the other.

use crate::error::Error;

/// What is left of a pickle.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Scan { bytes, at: 0 }
    }

    /// The byte that comes next, counted from the first one.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| {
            Error::Malformed(format!(
                "the pickle ends too early: {len} bytes should follow byte {}; copy or download the file again",
                self.at
            ))
        })?;
        self.at = self.at.saturating_add(len);
        Ok(bytes)
    }

    /// As many bytes as an array has.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        self.bytes(N)?.try_into().map_err(|_| Error::Malformed(format!("the pickle is damaged at byte {at}")))
    }

    /// A length of `N` bytes, and that many bytes.
    pub(super) fn counted<const N: usize>(&mut self) -> Result<&'a [u8], Error> {
        let mut len = [0; 8];
        for (to, from) in len.iter_mut().zip(self.array::<N>()?) {
            *to = from;
        }
        self.bytes(usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX))
    }

    /// What is left of the line.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = self.bytes(len)?;
        self.bytes(1)?;
        Ok(line)
    }

    /// What is left of the line, a text.
    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        let at = self.at;
        str::from_utf8(self.line()?)
            .map_err(|_| Error::Malformed(format!("the pickle has a name at byte {at} that is not UTF-8")))
    }
}
