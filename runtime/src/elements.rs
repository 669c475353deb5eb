//! What tensors hold, and slices of it whose type is known at run time only: what layers hand to kernels.

pub use half::bf16;

/// An element that tensors can hold: plain elements of which every bit pattern is a value.
pub trait Element: sealed::Element + Copy + Default + Send + Sync + 'static {
    /// The element of a plan that they are, of quantization scale 1.
    const ELEMENT: resnet_plan::Element;

    /// A slice of them.
    fn elements(slice: &[Self]) -> Elements<'_>;

    /// A slice of them, to be written.
    fn elements_mut(slice: &mut [Self]) -> ElementsMut<'_>;
}

/// Elements of some type.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// 32-bit floating point.
    F32(&'a [f32]),
    /// The upper half of that.
    Bf16(&'a [bf16]),
    /// Quantized, from 0 to 255.
    U8(&'a [u8]),
    /// Quantized, from -128 to 127.
    I8(&'a [i8]),
}

/// Elements of some type, to be written.
#[derive(Debug)]
pub enum ElementsMut<'a> {
    /// 32-bit floating point.
    F32(&'a mut [f32]),
    /// The upper half of that.
    Bf16(&'a mut [bf16]),
    /// Quantized, from 0 to 255.
    U8(&'a mut [u8]),
    /// Quantized, from -128 to 127.
    I8(&'a mut [i8]),
}

/// `$body` with the slice in `$elements` as `$slice`, whatever its type.
macro_rules! each {
    ($kind:ident, $elements:expr, $slice:ident => $body:expr) => {
        match $elements {
            $crate::elements::$kind::F32($slice) => $body,
            $crate::elements::$kind::Bf16($slice) => $body,
            $crate::elements::$kind::U8($slice) => $body,
            $crate::elements::$kind::I8($slice) => $body,
        }
    };
}
pub(crate) use each;

impl Elements<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        each!(Elements, self, slice => slice.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a place, as it is stored: a quantized one without its scale.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, place: usize) -> f32 {
        match self {
            Elements::F32(slice) => slice[place],
            Elements::Bf16(slice) => slice[place].to_f32(),
            Elements::U8(slice) => f32::from(slice[place]),
            Elements::I8(slice) => f32::from(slice[place]),
        }
    }
}

impl ElementsMut<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        each!(ElementsMut, self, slice => slice.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! element {
    ($type:ty, $variant:ident $(, $scale:literal)?) => {
        impl sealed::Element for $type {}

        impl Element for $type {
            const ELEMENT: resnet_plan::Element = resnet_plan::Element::$variant$(($scale))?;

            fn elements(slice: &[Self]) -> Elements<'_> {
                Elements::$variant(slice)
            }

            fn elements_mut(slice: &mut [Self]) -> ElementsMut<'_> {
                ElementsMut::$variant(slice)
            }
        }
    };
}

element!(f32, F32);
element!(bf16, Bf16);
element!(u8, U8, 1.0);
element!(i8, I8, 1.0);

mod sealed {
    pub trait Element {}
}
