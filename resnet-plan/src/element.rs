//! What values hold, and what a network computes in.

use crate::constant::constant;

use std::fmt;
use std::str::FromStr;

/// What a value holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// The upper half of that.
    Bf16,
    /// Integers from 0 to 255, with their quantization scale: an element is the integer times the scale.
    U8(f32),
    /// Integers from -128 to 127, with their quantization scale.
    I8(f32),
}

/// What the layers of a network compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// Weights and values in bf16, sums in f32.
    Bf16,
    /// Weights and values in 8-bit integers, by calibrated scales; sums in 32-bit integers.
    Int8,
}

constant!(
    enum Element {
        F32,
        Bf16,
        U8(scale),
        I8(scale),
    }
);
constant!(
    enum Precision {
        F32,
        Bf16,
        Int8,
    }
);

impl Element {
    /// Size in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 => 2,
            Element::U8(_) | Element::I8(_) => 1,
        }
    }

    /// Elements in a word of four bytes, the unit in which convolutions multiply.
    pub const fn per_word(self) -> usize {
        4 / self.bytes()
    }

    /// What a layer computes in that reads it.
    pub const fn precision(self) -> Precision {
        match self {
            Element::F32 => Precision::F32,
            Element::Bf16 => Precision::Bf16,
            Element::U8(_) | Element::I8(_) => Precision::Int8,
        }
    }

    /// The quantization scale; 1 where there is none.
    pub const fn scale(self) -> f32 {
        match self {
            Element::F32 | Element::Bf16 => 1.0,
            Element::U8(scale) | Element::I8(scale) => scale,
        }
    }

    /// Whether it holds quantized integers.
    pub const fn is_quantized(self) -> bool {
        matches!(self, Element::U8(_) | Element::I8(_))
    }

    /// Whether it holds quantized integers with a sign.
    pub const fn is_signed(self) -> bool {
        matches!(self, Element::I8(_))
    }

    /// Whether both are stored alike; scales may differ.
    pub const fn is_stored_as(self, other: Element) -> bool {
        matches!(
            (self, other),
            (Element::F32, Element::F32)
                | (Element::Bf16, Element::Bf16)
                | (Element::U8(_), Element::U8(_))
                | (Element::I8(_), Element::I8(_))
        )
    }

    /// Whether both are the same, scales included.
    pub const fn equals(self, other: Element) -> bool {
        self.is_stored_as(other) && self.scale() == other.scale()
    }

    /// The same with another quantization scale, if it has one.
    pub const fn scaled(self, scale: f32) -> Self {
        match self {
            Element::F32 | Element::Bf16 => self,
            Element::U8(_) => Element::U8(scale),
            Element::I8(_) => Element::I8(scale),
        }
    }

    /// What is multiplied with a stored value to store it as another element: the ratio of the scales, rounded once.
    pub const fn ratio(self, to: Element) -> f32 {
        (self.scale() as f64 / to.scale() as f64) as f32
    }
}

impl Precision {
    /// Elements in a word of four bytes.
    pub const fn per_word(self) -> usize {
        match self {
            Precision::F32 => 1,
            Precision::Bf16 => 2,
            Precision::Int8 => 4,
        }
    }
}

/// `f32`, `bf16`, `int8`.
impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        })
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
