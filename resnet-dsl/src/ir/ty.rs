//! Types of values: `f32[1,28,28,128]`, batch, height, width, channels.

use std::fmt;
use std::str::FromStr;

use resnet_plan::Element;

/// The type of a value: a dense NHWC array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Type {
    /// What it holds.
    pub element: Element,
    /// Batch, height, width, channels.
    pub dims: [usize; 4],
}

impl Type {
    /// `f32` of these sizes.
    pub fn f32(dims: [usize; 4]) -> Self {
        Type { element: Element::F32, dims }
    }

    /// Number of elements, at most `usize::MAX`.
    pub fn len(&self) -> usize {
        self.dims.iter().fold(1, |len, size| len.saturating_mul(*size))
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
