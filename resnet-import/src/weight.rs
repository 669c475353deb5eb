//! A tensor of the weight file that is written, and where its elements come from.

use std::borrow::Cow;
use std::io::{self, Write};

use half::{bf16, f16};
use resnet_plan::KernelLayout;

use crate::checkpoint::{Element, Tensor};

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
        /// Its order.
        from: KernelLayout,
        /// The order that is written.
        to: KernelLayout,
        /// Height, width, inputs of a group, outputs.
        shape: [usize; 4],
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
        match self {
            Format::F32 => 4,
            Format::F16 | Format::Bf16 => 2,
        }
    }

    /// Whether an element can be written: it is finite, and is so when it is converted.
    pub(crate) fn holds(self, element: f64) -> bool {
        match self {
            Format::F32 => (element as f32).is_finite(),
            Format::F16 => f16::from_f64(element).is_finite(),
            Format::Bf16 => bf16::from_f64(element).is_finite(),
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
        let [places_from, places_to] = [from, to].map(|layout| layout.strides(shape));
        let sizes = [shape[3], shape[2], shape[0].saturating_mul(shape[1])];
        // How far apart neighbours are does not matter where there are none.
        let same = (0..3).all(|axis| sizes[axis] == 1 || places_from[axis] == places_to[axis]);
        if same { Source::Same(tensor) } else { Source::Reordered { tensor, from, to, shape } }
    }

    /// All elements, in the order that is written.
    pub fn to_f64(&self) -> Cow<'_, [f64]> {
        match self {
            Source::Same(tensor) => Cow::Owned(tensor.to_f64()),
            Source::Reordered { tensor, from, to, shape } => {
                Cow::Owned(reorder(&tensor.to_f64(), *from, *to, *shape))
            }
            Source::Computed(elements) => Cow::Borrowed(elements),
        }
    }

    /// Writes all elements.
    pub(crate) fn write(&self, format: Format, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Source::Same(tensor) if tensor.element == format.as_element() => to.write_all(&tensor.bytes),
            Source::Reordered { tensor, from, to: order, shape } if tensor.element == format.as_element() => {
                if format == Format::F32 {
                    to.write_all(
                        reorder(tensor.bytes.as_chunks::<4>().0, *from, *order, *shape).as_flattened(),
                    )
                } else {
                    to.write_all(
                        reorder(tensor.bytes.as_chunks::<2>().0, *from, *order, *shape).as_flattened(),
                    )
                }
            }
            _ => {
                let mut bytes = Vec::new();
                // Small pieces, so that nothing is in memory twice.
                for piece in self.to_f64().chunks(1 << 14) {
                    bytes.clear();
                    for element in piece {
                        match format {
                            Format::F32 => bytes.extend((*element as f32).to_le_bytes()),
                            Format::F16 => bytes.extend(f16::from_f64(*element).to_le_bytes()),
                            Format::Bf16 => bytes.extend(bf16::from_f64(*element).to_le_bytes()),
                        }
                    }
                    to.write_all(&bytes)?;
                }
                Ok(())
            }
        }
    }
}

/// The elements of a kernel in another order. A tensor of another length gives as many zeros as the shape says.
pub(crate) fn reorder<T: Copy + Default>(
    elements: &[T],
    from: KernelLayout,
    to: KernelLayout,
    shape @ [height, width, inputs, outputs]: [usize; 4],
) -> Vec<T> {
    let mut reordered = vec![T::default(); elements.len()];
    let ([of, if_, pf], [ot, it, pt]) = (from.strides(shape), to.strides(shape));
    for output in 0..outputs {
        for input in 0..inputs {
            for position in 0..height * width {
                let source = elements.get(output * of + input * if_ + position * pf);
                let target = reordered.get_mut(output * ot + input * it + position * pt);
                if let (Some(source), Some(target)) = (source, target) {
                    *target = *source;
                }
            }
        }
    }
    reordered
}

#[test]
fn orders_are_permutations() {
    let shape = [1, 2, 3, 2];
    let hwio: Vec<u8> = (0..12).collect();
    let oihw = reorder(&hwio, KernelLayout::Hwio, KernelLayout::Oihw, shape);
    assert_eq!(oihw, [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
    assert_eq!(reorder(&oihw, KernelLayout::Oihw, KernelLayout::Hwio, shape), hwio);
}
