//! A tensor of the weight file that is written, and where its elements come from.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::io::{self, Write};

use resnet_plan::KernelLayout;

use crate::checkpoint::{Bytes, Element, Tensor};
use crate::strided::row_major;

/// A tensor that is written.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Its name in the spec.
    pub name: String,
    /// Its sizes there.
    pub dims: Vec<usize>,
    /// Its elements.
    pub source: Source,
}

/// Where elements come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A tensor as it is.
    Same(Tensor),
    /// A kernel in another order.
    Reordered {
        /// The tensor.
        tensor: Tensor,
        /// The sizes of what is written, row-major: outputs, inputs and positions in some order.
        dims: [usize; 3],
        /// How far apart in the tensor its elements are along these.
        strides: [usize; 3],
    },
    /// Elements that were computed, in the order that is written.
    Computed(Vec<f64>),
}

/// What elements are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, IEEE 754.
    F16,
    /// The upper 16 bits of an f32, rounded to nearest.
    Bf16,
}

impl Format {
    /// As safetensors files say it.
    pub fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
        }
    }

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        self.as_element().bytes()
    }

    /// Whether an element can be written: it is finite, and is so when it is converted.
    pub(crate) fn holds(self, element: f64) -> bool {
        match self {
            Format::F32 => (element as f32).is_finite(),
            Format::F16 => half::f16::from_f64(element).is_finite(),
            Format::Bf16 => half::bf16::from_f64(element).is_finite(),
        }
    }

    fn as_element(self) -> Element {
        match self {
            Format::F32 => Element::F32,
            Format::F16 => Element::F16,
            Format::Bf16 => Element::Bf16,
        }
    }
}

impl Weight {
    /// The name of the file's tensor, or what was computed is called in the spec.
    pub(crate) fn origin(&self) -> &str {
        match &self.source {
            Source::Same(tensor) | Source::Reordered { tensor, .. } => &tensor.name,
            Source::Computed(_) => &self.name,
        }
    }
}

impl Source {
    /// A kernel in this order of a tensor in that one. What agrees is taken as it is.
    pub fn kernel(tensor: Tensor, from: KernelLayout, to: KernelLayout, shape: [usize; 4]) -> Self {
        let [from, to] = [from, to].map(|layout| layout.strides(shape));
        let sizes = [shape[3], shape[2], shape[0].saturating_mul(shape[1])];
        // How far apart neighbours are does not matter where there are none.
        if (0..3).all(|axis| sizes[axis] == 1 || from[axis] == to[axis]) {
            return Source::Same(tensor);
        }
        let mut axes = [0, 1, 2];
        axes.sort_by_key(|axis| Reverse(to[*axis]));
        Source::Reordered { tensor, dims: axes.map(|axis| sizes[axis]), strides: axes.map(|axis| from[axis]) }
    }

    /// All elements, in the order that is written.
    pub fn to_f64(&self) -> Cow<'_, [f64]> {
        match self {
            Source::Same(tensor) => Cow::Owned(tensor.to_f64()),
            Source::Reordered { tensor, dims, strides } => {
                let bytes = Bytes::new(row_major(&tensor.bytes, dims, strides, tensor.element.bytes()));
                Cow::Owned(Tensor { bytes, ..tensor.clone() }.to_f64())
            }
            Source::Computed(elements) => Cow::Borrowed(elements),
        }
    }

    /// Writes all elements.
    pub(crate) fn write(&self, format: Format, to: &mut dyn Write) -> io::Result<()> {
        let element = format.as_element();
        match self {
            Source::Same(tensor) if tensor.element == element => to.write_all(&tensor.bytes),
            Source::Reordered { tensor, dims, strides } if tensor.element == element => {
                to.write_all(&row_major(&tensor.bytes, dims, strides, element.bytes()))
            }
            _ => {
                let mut bytes = Vec::new();
                // Small pieces, so that nothing is in memory twice.
                for piece in self.to_f64().chunks(1 << 14) {
                    bytes.clear();
                    piece.iter().for_each(|number| element.write(*number, &mut bytes));
                    to.write_all(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

#[test]
fn orders_are_permutations() {
    let shape = [1, 2, 3, 2];
    let kernel = |numbers: &[f64], from, to| {
        let tensor = Tensor::new("", vec![numbers.len()], Element::F16, numbers.iter().copied());
        Source::kernel(tensor, from, to, shape).to_f64().into_owned()
    };
    let hwio: Vec<f64> = (0..12).map(f64::from).collect();
    let oihw = kernel(&hwio, KernelLayout::Hwio, KernelLayout::Oihw);
    assert_eq!(oihw, [0.0, 6.0, 2.0, 8.0, 4.0, 10.0, 1.0, 7.0, 3.0, 9.0, 5.0, 11.0]);
    assert_eq!(kernel(&oihw, KernelLayout::Oihw, KernelLayout::Hwio), hwio);
}
