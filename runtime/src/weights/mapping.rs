//! Numbers in a file that is mapped into memory: pages come when they are read, and are shared between programs.

use std::fs::File;
use std::ops::Range;

use memmap2::Mmap;

/// A part of a mapped file, as numbers.
pub(crate) struct Mapping {
    map: Mmap,
    bytes: Range<usize>,
}

impl Mapping {
    /// Maps the bytes of a file that are numbers, little-endian f32; `None` if the system does not, or they do not begin
    /// where numbers can, or this machine keeps numbers the other way round.
    pub(crate) fn new(file: &File, bytes: Range<usize>) -> Option<Mapping> {
        // SAFETY: the mapping is private and read-only. That nobody changes or cuts the file while it is mapped is asked
        // of the user, in the documentation of what maps.
        let map = unsafe { Mmap::map(file) }.ok()?;
        let aligned = map.get(bytes.clone())?.as_ptr().cast::<f32>().is_aligned();
        (aligned && cfg!(target_endian = "little")).then_some(Mapping { map, bytes })
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> &[f32] {
        let bytes = &self.map[self.bytes.clone()];
        // SAFETY: the bytes are aligned, live as long as the mapping, and every pattern of them is a number.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<f32>()) }
    }
}
