//! Memory that the system maps. Without the feature `mmap` nothing is mapped: files are read, and memory is allocated.

#[cfg(feature = "mmap")]
mod system {
    use std::fs::File;

    use memmap2::{Mmap, MmapMut};

    pub(crate) type Pages = MmapMut;
    pub(crate) type Mapped = Mmap;

    /// So many bytes of zeros, in huge pages if the system has them.
    pub(crate) fn pages(bytes: usize) -> Option<Pages> {
        let map = MmapMut::map_anon(bytes).ok()?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage); // without them it is only slower
        Some(map)
    }

    /// A file, to be read.
    ///
    /// # Safety
    /// Nobody may change or cut the file while it is mapped.
    pub(crate) unsafe fn file(file: &File) -> Option<Mapped> {
        // SAFETY: the mapping is private and read-only; that nobody changes the file is the caller's contract.
        unsafe { Mmap::map(file) }.ok()
    }
}

/// Without the feature: nothing is mapped.
#[cfg(not(feature = "mmap"))]
mod system {
    pub(crate) type Pages = Box<[u8]>;
    pub(crate) type Mapped = Box<[u8]>;

    pub(crate) fn pages(_: usize) -> Option<Pages> {
        None
    }

    pub(crate) unsafe fn file(_: &std::fs::File) -> Option<Mapped> {
        None
    }
}

pub(crate) use system::{Mapped, Pages, file, pages};
