//! The wire format of protocol buffers: a message is a list of fields, each a number and a value.
//!
//! A reader of our own, because the format is this one file, and generated readers copy every tensor out of the file, or need a
//! build step: here what is read is a range of the file's bytes. A message is read only when it is asked for, one level at a time, so
//! that nothing recurses.

use crate::checkpoint::Bytes;
use crate::error::Error;

/// What is left of the memory that everything but tensors may take: a file of many empty nodes must not become a thousand times larger.
#[derive(Debug)]
pub(super) struct Budget(usize);

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    /// A whole number.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Text, a message, a packed list.
    Bytes(Bytes),
}

/// The fields of a message, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    bytes: Bytes,
    at: usize,
    what: &'static str,
}

impl Budget {
    /// 32 MB.
    pub(super) fn new() -> Self {
        Budget(32 << 20)
    }

    /// Takes so many bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            Error::Refused(
                "the ONNX file describes more than 32 MB beside its tensors: it is not a network".to_owned(),
            )
        })?;
        Ok(())
    }
}

impl Fields {
    /// The fields of a message, which errors call `what`.
    pub(super) fn new(bytes: Bytes, what: &'static str) -> Self {
        Fields { bytes, at: 0, what }
    }

    fn malformed(&self) -> Error {
        Error::Malformed(format!(
            "the ONNX file is damaged or incomplete: its {} ends or is malformed at byte {} of {}",
            self.what,
            self.at,
            self.bytes.len()
        ))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = *rest.first_chunk().ok_or_else(|| self.malformed())?;
        self.at += N;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.take()?;
            number |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    fn field(&mut self) -> Result<(u64, Wire), Error> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| self.malformed())?;
                let end = self.at.checked_add(len).ok_or_else(|| self.malformed())?;
                let part = self.bytes.part(self.at..end).ok_or_else(|| self.malformed())?;
                self.at = end;
                Wire::Bytes(part)
            }
            5 => Wire::Fixed32(self.take()?),
            _ => return Err(self.malformed()),
        };
        Ok((tag >> 3, value))
    }
}

impl Iterator for Fields {
    type Item = Result<(u64, Wire), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

impl Wire {
    /// A message or a packed list; a number where there should be one is none.
    pub(super) fn bytes(self) -> Bytes {
        match self {
            Wire::Bytes(bytes) => bytes,
            _ => Bytes::new(Vec::new()),
        }
    }

    /// Text; what is not UTF-8 is replaced.
    pub(super) fn text(self, budget: &mut Budget) -> Result<String, Error> {
        let bytes = self.bytes();
        budget.spend(bytes.len())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A whole number.
    pub(super) fn int(&self) -> i64 {
        match self {
            Wire::Varint(number) => number.cast_signed(),
            _ => 0,
        }
    }

    /// A number of 32 bits.
    pub(super) fn float(&self) -> f32 {
        match self {
            Wire::Fixed32(bytes) => f32::from_le_bytes(*bytes),
            _ => 0.0,
        }
    }

    /// Whole numbers, one or packed, each of which is given to `push`.
    pub(super) fn ints(self, mut push: impl FnMut(i64) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Wire::Bytes(bytes) => {
                let mut packed = Fields::new(bytes, "list of numbers");
                while packed.at < packed.bytes.len() {
                    push(packed.varint()?.cast_signed())?;
                }
                Ok(())
            }
            other => push(other.int()),
        }
    }
}
