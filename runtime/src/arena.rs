//! Aligned memory, and the disjoint typed views that a compiled network lays over it.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use resnet_plan::Element;

use crate::elements::{Elements, ElementsMut};
use crate::error::Error;
use crate::maps::{self, Pages};
use crate::tensor::Shape;

pub use resnet_plan::check::{ALIGNMENT, MAX_VIEWS};

/// From half of this size on memory is asked for in huge pages: a network reads all of its weights each run, and the processor
/// looks up the place of each page. And scratch memory in one piece spreads evenly over the sets of an L2 cache.
const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory, aligned to [`ALIGNMENT`]: activations of a session, packed weights of a network.
pub struct Arena {
    start: NonNull<u8>,
    owner: Owner,
    bytes: usize,
}

/// What holds the memory until the arena is dropped.
enum Owner {
    Heap(Layout),
    Pages { _map: Pages },
}

// SAFETY: an arena owns its memory, which is plain elements, as a `Vec<u8>` does.
unsafe impl Send for Arena {}
// SAFETY: shared references give no way to write.
unsafe impl Sync for Arena {}

/// Where the tensors `S` (a tuple of [`Shape`]s) lie in an arena: aligned, and no two in the same place.
///
/// Made in a constant, so that the compiler of the user's crate refuses a memory plan that is wrong.
pub struct Views<S> {
    offsets: [usize; MAX_VIEWS],
    end: usize,
    set: PhantomData<fn() -> S>,
}

/// Where a tensor of any shape lies in an arena, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The first byte.
    pub offset: usize,
    /// Elements.
    pub len: usize,
    /// What they are.
    pub element: Element,
}

/// A tuple of tensor types, of which an arena gives a tuple of references.
pub trait TensorSet: sealed::TensorSet {
    /// Sizes in bytes.
    const BYTES: &'static [usize];
    /// References to the tensors.
    type Refs<'a>;

    /// # Safety
    /// `start + offsets[i]` must be valid for reads and writes of the i-th tensor for `'a`, aligned to
    /// [`ALIGNMENT`], initialized, disjoint from all others, and borrowed by nobody else.
    #[doc(hidden)]
    unsafe fn refs<'a>(start: *mut u8, offsets: &[usize; MAX_VIEWS]) -> Self::Refs<'a>;
}

impl Arena {
    /// `bytes` bytes of zeros.
    ///
    /// # Errors
    /// [`Error::Memory`] if the system does not give so many.
    pub fn zeroed(bytes: usize) -> Result<Self, Error> {
        if bytes >= HUGE_PAGE / 2
            && let Some(arena) = Self::huge(bytes)
        {
            return Ok(arena);
        }
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).map_err(|_| Error::Memory { bytes })?;
        // SAFETY: the layout's size is at least one byte.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Error::Memory { bytes })?;
        Ok(Arena { start, owner: Owner::Heap(layout), bytes })
    }

    /// The same, in huge pages if the system has them; `None` if it refuses.
    fn huge(bytes: usize) -> Option<Self> {
        let mut map = maps::pages(bytes.checked_next_multiple_of(HUGE_PAGE)?.checked_add(HUGE_PAGE)?)?;
        let skipped = map.as_ptr().align_offset(HUGE_PAGE);
        let start = NonNull::new(map.as_mut_ptr().wrapping_add(skipped))?;
        (skipped < HUGE_PAGE).then_some(Arena { start, owner: Owner::Pages { _map: map }, bytes })
    }

    /// Size in bytes, as asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole memory as elements.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: the memory is initialized, aligned for f32 and at least `bytes` long.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.bytes / size_of::<f32>()) }
    }

    /// The whole memory as elements, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.bytes / size_of::<f32>()) }
    }

    /// The tensors of `views`, all at once.
    ///
    /// # Panics
    /// If a view lies outside the arena; a compiled network asks for an arena of the size its plan says.
    pub fn views<S: TensorSet>(&mut self, views: &Views<S>) -> S::Refs<'_> {
        assert!(views.end <= self.bytes, "a view ends at {} in an arena of {}", views.end, self.bytes);
        // SAFETY: `Views::at` has checked that the views are aligned and disjoint, the assertion that they lie in
        // the arena, whose memory is initialized and exclusively borrowed for the life of the references.
        unsafe { S::refs(self.start.as_ptr(), &views.offsets) }
    }
}

impl Arena {
    /// What lies at some places, and what lies at another, to be written.
    ///
    /// # Panics
    /// If a place reaches outside the arena, is not aligned for its elements, or one that is read overlaps what is written.
    pub fn reads<const N: usize>(
        &mut self,
        reads: [Place; N],
        write: Place,
    ) -> ([Elements<'_>; N], ElementsMut<'_>) {
        let written = self.inside(write);
        let reads = reads.map(|place| {
            let read = self.inside(place);
            assert!(read.end <= written.start || written.end <= read.start, "a step reads what it writes");
            // SAFETY: `inside` holds for the place; what is written lies apart, and the arena is borrowed exclusively.
            unsafe { self.elements(place) }
        });
        (reads, self.write(write))
    }

    /// What lies at a place.
    ///
    /// # Panics
    /// As [`Arena::reads`].
    pub fn read(&self, place: Place) -> Elements<'_> {
        self.inside(place);
        // SAFETY: `inside` holds for the place, and the arena is borrowed.
        unsafe { self.elements(place) }
    }

    /// The f32 tensor that begins at so many bytes.
    ///
    /// # Panics
    /// As [`Arena::reads`].
    pub fn tensor<S: Shape<Element = f32>>(&self, offset: usize) -> &S {
        match self.read(Place { offset, len: S::LEN, element: Element::F32 }) {
            Elements::F32(slice) => {
                S::from_slice(slice).unwrap_or_else(|_| unreachable!("it has the tensor's length"))
            }
            _ => unreachable!("the place holds f32"),
        }
    }

    /// What lies at a place, to be written.
    ///
    /// # Panics
    /// As [`Arena::reads`].
    pub fn write(&mut self, place: Place) -> ElementsMut<'_> {
        self.inside(place);
        let (start, len) = (self.start.as_ptr().wrapping_add(place.offset), place.len);
        // SAFETY: `inside` holds for the place, every bit pattern is an element, and the arena is borrowed exclusively.
        unsafe {
            match place.element {
                Element::F32 => ElementsMut::F32(std::slice::from_raw_parts_mut(start.cast(), len)),
                Element::Bf16 => ElementsMut::Bf16(std::slice::from_raw_parts_mut(start.cast(), len)),
                Element::U8(_) => ElementsMut::U8(std::slice::from_raw_parts_mut(start, len)),
                Element::I8(_) => ElementsMut::I8(std::slice::from_raw_parts_mut(start.cast(), len)),
            }
        }
    }

    /// The bytes of a place, which lies in the arena and is aligned.
    fn inside(&self, Place { offset, len, element }: Place) -> Range<usize> {
        let end = end_of(offset, len.saturating_mul(element.bytes()));
        assert!(end <= self.bytes, "a tensor ends at {end} in an arena of {}", self.bytes);
        assert!(offset.is_multiple_of(element.bytes()), "a tensor is not aligned");
        offset..end
    }

    /// # Safety
    /// [`Arena::inside`] holds for the place, nobody writes there for `'a`, and the arena lives as long.
    unsafe fn elements<'a>(&self, Place { offset, len, element }: Place) -> Elements<'a> {
        let start = self.start.as_ptr().wrapping_add(offset);
        // SAFETY: the caller's contract; every bit pattern is an element.
        unsafe {
            match element {
                Element::F32 => Elements::F32(std::slice::from_raw_parts(start.cast(), len)),
                Element::Bf16 => Elements::Bf16(std::slice::from_raw_parts(start.cast(), len)),
                Element::U8(_) => Elements::U8(std::slice::from_raw_parts(start, len)),
                Element::I8(_) => Elements::I8(std::slice::from_raw_parts(start.cast(), len)),
            }
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Owner::Heap(layout) = self.owner {
            // SAFETY: allocated with this very layout in `zeroed`.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

impl<S: TensorSet> Views<S> {
    /// The i-th tensor of `S` at byte `offsets[i]`.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If an offset is not aligned, or two tensors overlap.
    pub const fn at(offsets: &[usize]) -> Self {
        assert!(offsets.len() == S::BYTES.len(), "one offset a tensor");
        let mut places = [0; MAX_VIEWS];
        let mut end = 0;
        let mut i = 0;
        while i < offsets.len() {
            assert!(offsets[i].is_multiple_of(ALIGNMENT), "a view is not aligned");
            let mut j = 0;
            while j < i {
                let apart = end_of(offsets[i], S::BYTES[i]) <= offsets[j]
                    || end_of(offsets[j], S::BYTES[j]) <= offsets[i];
                assert!(apart, "two views overlap");
                j += 1;
            }
            places[i] = offsets[i];
            if end_of(offsets[i], S::BYTES[i]) > end {
                end = end_of(offsets[i], S::BYTES[i]);
            }
            i += 1;
        }
        Views { offsets: places, end, set: PhantomData }
    }
}

/// The end of a view; one that would wrap lies outside any arena.
const fn end_of(offset: usize, bytes: usize) -> usize {
    offset.saturating_add(bytes)
}

macro_rules! tensor_set {
    ($($tensor:ident $index:literal),*) => {
        impl<$($tensor: Shape),*> sealed::TensorSet for ($($tensor,)*) {}
        impl<$($tensor: Shape),*> TensorSet for ($($tensor,)*) {
            const BYTES: &'static [usize] = &[$($tensor::BYTES),*];
            type Refs<'a> = ($(&'a mut $tensor,)*);

            unsafe fn refs<'a>(start: *mut u8, offsets: &[usize; MAX_VIEWS]) -> Self::Refs<'a> {
                // SAFETY: the caller's contract, for each tensor; a `Shape` is a transparent array of elements.
                unsafe { ($(&mut *start.add(offsets[$index]).cast::<$tensor>(),)*) }
            }
        }
    };
}

tensor_set!(A 0);
tensor_set!(A 0, B 1);
tensor_set!(A 0, B 1, C 2);
tensor_set!(A 0, B 1, C 2, D 3);
tensor_set!(A 0, B 1, C 2, D 3, E 4);
tensor_set!(A 0, B 1, C 2, D 3, E 4, F 5);
tensor_set!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tensor_set!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

mod sealed {
    pub trait TensorSet {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    #[test]
    fn views_lie_where_the_plan_says() {
        const PLAN: Views<(Tensor<f32, 1, 1, 2, 8>, Tensor<f32, 1, 1, 1, 3>)> = Views::at(&[64, 0]);
        let mut arena = Arena::zeroed(128).unwrap();
        let (a, b) = arena.views(&PLAN);
        a.as_mut_slice().fill(1.0);
        b.as_mut_slice().fill(2.0);
        assert_eq!(arena.as_slice()[..4], [2.0, 2.0, 2.0, 0.0]);
        assert_eq!(arena.as_slice()[16..], [1.0; 16]);
    }

    #[test]
    #[should_panic(expected = "two views overlap")]
    fn views_that_overlap_are_refused() {
        let _ = Views::<(Tensor<f32, 1, 1, 2, 9>, Tensor<f32, 1, 1, 1, 3>)>::at(&[0, 64]);
    }
}
