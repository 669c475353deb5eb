//! Types of values: `f32[1,28,28,128]`, batch, height, width, channels.

use std::fmt;
use std::str::FromStr;

/// The type of a value: a dense NHWC array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type {
    /// What it holds.
    pub element: Element,
    /// Batch, height, width, channels.
    pub dims: [usize; 4],
}

/// What a value holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// The upper half of that.
    Bf16,
    /// Steps from 0 to 255, each worth this much.
    U8(f32),
    /// Steps from -128 to 127, each worth this much.
    I8(f32),
}

impl Element {
    /// Size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 => 2,
            Element::U8(_) | Element::I8(_) => 1,
        }
    }

    /// What a step is worth; 1 where there are none.
    pub fn scale(self) -> f32 {
        match self {
            Element::F32 | Element::Bf16 => 1.0,
            Element::U8(scale) | Element::I8(scale) => scale,
        }
    }

    /// Whether it holds steps.
    pub fn is_quantized(self) -> bool {
        matches!(self, Element::U8(_) | Element::I8(_))
    }
}

/// `f32`, `bf16`, `u8(0.0235)`, `i8(0.0235)`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::F32 => f.write_str("f32"),
            Element::Bf16 => f.write_str("bf16"),
            Element::U8(scale) => write!(f, "u8({scale:?})"),
            Element::I8(scale) => write!(f, "i8({scale:?})"),
        }
    }
}

impl FromStr for Element {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scale = |kind: &str| text.strip_prefix(kind)?.strip_suffix(')')?.parse().ok();
        match text {
            "f32" => Ok(Element::F32),
            "bf16" => Ok(Element::Bf16),
            _ => (scale("u8(").map(Element::U8))
                .or(scale("i8(").map(Element::I8))
                .ok_or_else(|| format!("`{text}` is not f32, bf16, u8(scale) or i8(scale)")),
        }
    }
}

impl Type {
    /// `f32` of these sizes.
    pub fn f32(dims: [usize; 4]) -> Self {
        Type { element: Element::F32, dims }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Type { element, dims: [n, h, w, c] } = self;
        write!(f, "{element}[{n},{h},{w},{c}]")
    }
}

impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is not a type, which is written like f32[1,56,56,64]");
        let (element, dims) =
            text.strip_suffix(']').and_then(|text| text.split_once('[')).ok_or_else(error)?;
        let dims: Vec<usize> =
            dims.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| error())?;
        Ok(Type { element: element.parse()?, dims: dims.try_into().map_err(|_| error())? })
    }
}
