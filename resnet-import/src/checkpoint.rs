//! The tensors of a file, as they lie there.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// All tensors of a file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What the file is, as messages say it: "PyTorch checkpoint", "safetensors file".
    pub format: &'static str,
    /// Its tensors, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// What a person should know of how it was read, each a line: which part of the file was taken, what was left out.
    pub notes: Vec<String>,
}

/// A tensor: row-major, little-endian, nothing between its elements.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its sizes; none for a single number.
    pub dims: Vec<usize>,
    /// What its elements are.
    pub element: Element,
    /// As many bytes as these sizes and elements take.
    pub bytes: Bytes,
}

/// The elements that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
    /// 16 bits, IEEE 754.
    F16,
    /// The upper 16 bits of an f32.
    Bf16,
    /// A whole number of 64 bits: counters, indices.
    I64,
    /// A whole number of 32 bits.
    I32,
    /// A whole number of 8 bits.
    I8,
    /// A natural number of 8 bits, a truth value.
    U8,
}

/// Bytes that several tensors share: a part of a file that is in memory once.
#[derive(Clone)]
pub struct Bytes {
    all: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Element {
    /// Whether it may be a weight: whole numbers are counters and indices.
    pub const fn is_float(self) -> bool {
        match self {
            Element::F32 | Element::F64 | Element::F16 | Element::Bf16 => true,
            Element::I64 | Element::I32 | Element::I8 | Element::U8 => false,
        }
    }

    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::I8 | Element::U8 => 1,
        }
    }

    /// The number that so many bytes are.
    pub(crate) fn read(self, bytes: &[u8]) -> f64 {
        fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Element::F32 => f32::from_le_bytes(array(bytes)).into(),
            Element::F64 => f64::from_le_bytes(array(bytes)),
            Element::F16 => half::f16::from_le_bytes(array(bytes)).to_f64(),
            Element::Bf16 => half::bf16::from_le_bytes(array(bytes)).to_f64(),
            Element::I64 => i64::from_le_bytes(array(bytes)) as f64,
            Element::I32 => i32::from_le_bytes(array(bytes)).into(),
            Element::I8 => i8::from_le_bytes(array(bytes)).into(),
            Element::U8 => u8::from_le_bytes(array(bytes)).into(),
        }
    }

    /// Writes a number behind others.
    pub(crate) fn write(self, number: f64, to: &mut Vec<u8>) {
        match self {
            Element::F32 => to.extend((number as f32).to_le_bytes()),
            Element::F64 => to.extend(number.to_le_bytes()),
            Element::F16 => to.extend(half::f16::from_f64(number).to_le_bytes()),
            Element::Bf16 => to.extend(half::bf16::from_f64(number).to_le_bytes()),
            Element::I64 => to.extend((number as i64).to_le_bytes()),
            Element::I32 => to.extend((number as i32).to_le_bytes()),
            Element::I8 => to.extend((number as i8).to_le_bytes()),
            Element::U8 => to.push(number as u8),
        }
    }
}

impl Tensor {
    /// How many elements the sizes say; `None` if that overflows.
    pub fn len(dims: &[usize]) -> Option<usize> {
        dims.iter().try_fold(1usize, |len, size| len.checked_mul(*size))
    }

    /// A tensor of as many numbers as the sizes say.
    pub(crate) fn new(
        name: &str,
        dims: Vec<usize>,
        element: Element,
        numbers: impl Iterator<Item = f64>,
    ) -> Tensor {
        let mut bytes = Vec::with_capacity(numbers.size_hint().0.saturating_mul(element.bytes()));
        numbers.for_each(|number| element.write(number, &mut bytes));
        Tensor { name: name.to_owned(), dims, element, bytes: Bytes::new(bytes) }
    }

    /// All elements, converted.
    pub fn to_f64(&self) -> Vec<f64> {
        self.bytes.chunks_exact(self.element.bytes()).map(|bytes| self.element.read(bytes)).collect()
    }
}

impl Bytes {
    /// All of it.
    pub fn new(bytes: Vec<u8>) -> Self {
        Bytes { range: 0..bytes.len(), all: Arc::new(bytes) }
    }

    /// A part, counted from the first byte of this one; `None` if it reaches outside.
    pub fn part(&self, range: Range<usize>) -> Option<Bytes> {
        let at = |offset: usize| self.range.start.checked_add(offset).filter(|at| *at <= self.range.end);
        let range = at(range.start)?..at(range.end)?;
        (range.start <= range.end).then(|| Bytes { all: Arc::clone(&self.all), range })
    }

    /// Where the first byte of this part lies in a whole; `None` if it is no part of it.
    pub fn offset_in(&self, whole: &Bytes) -> Option<usize> {
        let is_inside = whole.range.start <= self.range.start && self.range.end <= whole.range.end;
        let is_part = is_inside && Arc::ptr_eq(&self.all, &whole.all);
        is_part.then(|| self.range.start - whole.range.start)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.all[self.range.clone()]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[test]
fn parts_know_where_they_lie() {
    let whole = Bytes::new((0..9).collect());
    let part = whole.part(2..6).unwrap();
    assert_eq!(part.offset_in(&whole), Some(2));
    assert_eq!(part.part(3..3).unwrap().offset_in(&part), Some(3));
    assert_eq!(whole.offset_in(&part), None);
    assert_eq!(whole.part(6..9).unwrap().offset_in(&part), None);
    // The same bytes elsewhere.
    assert_eq!(Bytes::new(part.to_vec()).offset_in(&whole), None);
}
