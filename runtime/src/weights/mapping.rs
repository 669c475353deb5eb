//! Packed weights in a file that is mapped into memory: pages come when they are read, and are shared between programs.
//!
//! Safe code can change or cut a file while it is mapped, so who maps promises that nobody does: an [`Unchanged`] is that
//! promise, and only this file makes one.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use resnet_plan::Description;

use crate::error::Error;
use crate::isa::Isa;
use crate::maps::{self, Mapped};
use crate::weights::{Weights, file};

impl Weights {
    /// [`Weights::load_for`]; a file of packed weights ([`Weights::save`]) is mapped, and not read: it takes no time, and memory
    /// only once for all programs that map it.
    ///
    /// # Safety
    /// Nobody may change or cut the file until the last clone of these weights is dropped. (Reading a page that was cut off
    /// ends the process.)
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub unsafe fn map_shared(isa: Isa, network: &Description, path: &Path) -> Result<Self, Error> {
        Self::of_file(isa, network, &file::File::open(path)?, Some(Unchanged(())))
    }

    /// [`Weights::map_shared`] for the command line, which promises its user's part: its manual says that a weight file must
    /// stay as it is while a command runs, and no command writes the file that it maps.
    ///
    /// Programs that cannot say that of their files use [`Weights::load`]; enabling the feature `command-line` is the promise that
    /// `unsafe` is elsewhere.
    ///
    /// # Errors
    /// As [`Weights::load`].
    #[cfg(feature = "command-line")]
    pub fn map_for_command(isa: Isa, network: &Description, path: &Path) -> Result<Self, Error> {
        // SAFETY: the promise above.
        unsafe { Self::map_shared(isa, network, path) }
    }
}

/// The promise that nobody changes or cuts a file while it is mapped.
#[derive(Clone, Copy)]
pub(crate) struct Unchanged(());

/// A part of a mapped file, as f32.
pub(crate) struct Mapping {
    map: Mapped,
    bytes: Range<usize>,
}

impl Mapping {
    /// Maps the bytes of a file that are little-endian f32; `None` if the system does not, or they are not aligned, or this
    /// machine keeps bytes the other way round.
    pub(super) fn new(file: &File, bytes: Range<usize>, _: Unchanged) -> Option<Mapping> {
        // SAFETY: nobody changes the file: that was promised.
        let map = unsafe { maps::file(file) }?;
        let aligned = map.get(bytes.clone())?.as_ptr().cast::<f32>().is_aligned();
        (aligned && cfg!(target_endian = "little")).then_some(Mapping { map, bytes })
    }

    /// The values.
    pub(super) fn as_slice(&self) -> &[f32] {
        let bytes = &self.map[self.bytes.clone()];
        // SAFETY: the bytes are aligned, live as long as the mapping, and every pattern of them is an f32.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<f32>()) }
    }
}
