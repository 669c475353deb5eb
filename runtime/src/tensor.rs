//! Tensors of fixed shape: NHWC arrays whose four sizes are part of the type.

use crate::error::Error;

pub use crate::elements::Element;

/// A dense NHWC array: `N` images of `H` rows of `W` pixels of `C` channels, channels next to each other.
///
/// A tensor is only ever seen through a reference, into a slice of the caller's or into an arena: it can be
/// megabytes large and has no business on a stack.
#[repr(transparent)]
pub struct Tensor<T: Element, const N: usize, const H: usize, const W: usize, const C: usize> {
    data: [[[[T; C]; W]; H]; N],
}

/// A tensor type: its shape as constants.
pub trait Shape: sealed::Shape + Send + Sync + 'static {
    /// What it holds.
    type Element: Element;
    /// Batch, height, width, channels.
    const DIMS: [usize; 4];
    /// Number of elements, N * H * W * C.
    const LEN: usize;
    /// Size in bytes.
    const BYTES: usize = Self::LEN * size_of::<Self::Element>();

    /// A view of `slice`, without a copy.
    ///
    /// # Errors
    /// [`Error::Length`] unless the slice has exactly `LEN` elements.
    fn from_slice(slice: &[Self::Element]) -> Result<&Self, Error>
    where
        Self: Sized;
    /// A view of `slice` to be written, without a copy.
    ///
    /// # Errors
    /// As [`Shape::from_slice`].
    fn from_mut_slice(slice: &mut [Self::Element]) -> Result<&mut Self, Error>
    where
        Self: Sized;
    /// All elements in memory order.
    fn as_slice(&self) -> &[Self::Element];
    /// All elements in memory order, to be written.
    fn as_mut_slice(&mut self) -> &mut [Self::Element];
}

impl<T: Element, const N: usize, const H: usize, const W: usize, const C: usize> Tensor<T, N, H, W, C> {
    /// Batch, height, width, channels.
    pub const DIMS: [usize; 4] = [N, H, W, C];

    /// A view of `slice`, without a copy.
    ///
    /// # Errors
    /// [`Error::Length`] unless the slice has exactly `N * H * W * C` elements.
    pub fn from_slice(slice: &[T]) -> Result<&Self, Error> {
        Self::check(slice.len())?;
        // SAFETY: `Tensor` is a transparent array of exactly `slice.len()` elements `T`, so size, alignment and
        // validity are those of the slice; the lifetime and the sharing are the slice's.
        Ok(unsafe { &*slice.as_ptr().cast::<Self>() })
    }

    /// A view of `slice` to be written, without a copy.
    ///
    /// # Errors
    /// [`Error::Length`] unless the slice has exactly `N * H * W * C` elements.
    pub fn from_mut_slice(slice: &mut [T]) -> Result<&mut Self, Error> {
        Self::check(slice.len())?;
        // SAFETY: as in `from_slice`; the exclusive borrow of the slice passes to the view.
        Ok(unsafe { &mut *slice.as_mut_ptr().cast::<Self>() })
    }

    /// All elements: images, then rows, then pixels, then channels.
    pub fn as_slice(&self) -> &[T] {
        self.data.as_flattened().as_flattened().as_flattened()
    }

    /// All elements, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.data.as_flattened_mut().as_flattened_mut().as_flattened_mut()
    }

    /// The front of this memory as a smaller tensor: how a part of the arena serves one shape after another.
    ///
    /// # Panics
    /// If the memory is not aligned for the tensor's elements; that of an arena is.
    pub fn prefix_mut<S: Shape>(&mut self) -> &mut S {
        const { assert!(S::BYTES <= size_of::<Self>(), "the tensor outgrows the memory it is put in") };
        let start = (&raw mut self.data).cast::<S>();
        assert!(start.is_aligned(), "memory of {} is not aligned", std::any::type_name::<S>());
        // SAFETY: a `Shape` is a transparent array of plain elements (the trait is sealed to `Tensor`), aligned and no larger
        // than this one, and every bit pattern is an element; the exclusive borrow passes to the view.
        unsafe { &mut *start }
    }

    /// Some of the images: the `index`-th `S`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part<S: Shape<Element = T>>(&self, index: usize) -> &S {
        const { Self::assert_part::<S>() };
        match S::from_slice(&self.as_slice()[index.saturating_mul(S::LEN)..][..S::LEN]) {
            Ok(part) => part,
            Err(_) => unreachable!("the slice has the part's length"),
        }
    }

    /// Some of the images, to be written: the `index`-th `S`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part_mut<S: Shape<Element = T>>(&mut self, index: usize) -> &mut S {
        const { Self::assert_part::<S>() };
        match S::from_mut_slice(&mut self.as_mut_slice()[index.saturating_mul(S::LEN)..][..S::LEN]) {
            Ok(part) => part,
            Err(_) => unreachable!("the slice has the part's length"),
        }
    }

    const fn assert_part<S: Shape<Element = T>>() {
        let [images, height, width, channels] = S::DIMS;
        assert!(height == H && width == W && channels == C, "a part has another image's size");
        assert!(images > 0 && N.is_multiple_of(images), "the images cannot be parted evenly");
    }

    fn check(found: usize) -> Result<(), Error> {
        let expected = <Self as Shape>::LEN;
        if found == expected { Ok(()) } else { Err(Error::Length { dims: Self::DIMS, expected, found }) }
    }
}

impl<T: Element, const N: usize, const H: usize, const W: usize, const C: usize> Shape
    for Tensor<T, N, H, W, C>
{
    type Element = T;
    const DIMS: [usize; 4] = [N, H, W, C];
    const LEN: usize = N * H * W * C;

    fn from_slice(slice: &[T]) -> Result<&Self, Error> {
        Self::from_slice(slice)
    }
    fn from_mut_slice(slice: &mut [T]) -> Result<&mut Self, Error> {
        Self::from_mut_slice(slice)
    }
    fn as_slice(&self) -> &[T] {
        self.as_slice()
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T: Element, const N: usize, const H: usize, const W: usize, const C: usize> std::fmt::Debug
    for Tensor<T, N, H, W, C>
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor<{}, {N}, {H}, {W}, {C}>", std::any::type_name::<T>())
    }
}

mod sealed {
    pub trait Shape {}
    impl<T: super::Element, const N: usize, const H: usize, const W: usize, const C: usize> Shape
        for super::Tensor<T, N, H, W, C>
    {
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_images() {
        let mut pixels: [f32; 12] = std::array::from_fn(|i| i as f32);
        let tensor = Tensor::<f32, 3, 1, 2, 2>::from_mut_slice(&mut pixels).unwrap();
        let part = tensor.part::<Tensor<f32, 1, 1, 2, 2>>(2);
        assert_eq!(part.as_slice(), [8.0, 9.0, 10.0, 11.0]);
        tensor.part_mut::<Tensor<f32, 1, 1, 2, 2>>(1).as_mut_slice().fill(0.0);
        assert_eq!(tensor.as_slice()[3..9], [3.0, 0.0, 0.0, 0.0, 0.0, 8.0]);
    }

    #[test]
    fn a_view_needs_the_exact_length() {
        let pixels = [1.0f32; 24];
        assert_eq!(Tensor::<f32, 1, 2, 4, 3>::from_slice(&pixels).unwrap().as_slice(), &pixels);
        let error = Tensor::<f32, 1, 2, 4, 4>::from_slice(&pixels).unwrap_err();
        assert_eq!(error.to_string(), "a 1x2x4x4 tensor has 32 elements, the slice has 24");
    }
}
