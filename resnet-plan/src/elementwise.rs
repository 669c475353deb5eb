//! Steps that compute each element of one element, or of two in the same place: sums, products, functions.

use crate::activation::Activation;
use crate::conv::Residual;
use crate::copy::hold;
use crate::element::Element;
use crate::pixels::{Area, Fault, Pixels, same_batch, try_const};

/// A step on elements as kernels take it: `y = activation(x operator ..)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elementwise {
    /// What is done with an element of `x`.
    pub operator: Operator,
    /// What becomes of that.
    pub activation: Activation,
    /// Images.
    pub batch: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Where the pixels of `x` lie. Where all pixels of `y` read one, they are no elements apart.
    pub x: Pixels,
    /// Where the pixels lie that are written.
    pub y: Pixels,
    /// What the output holds before, for sums and products.
    pub held: Residual,
    /// Quantization scales, of int8; else 1.
    pub scales: Scales,
}

/// What is done with an element of `x`, before the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Nothing.
    Identity,
    /// It is added to what the output holds.
    Add,
    /// It is multiplied with what the output holds.
    Multiply,
    /// It is multiplied with its channel's scale, and its channel's shift is added.
    Affine,
}

/// What elements of a step are multiplied with. (What the output holds is multiplied with the scale of the [`Residual`].)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Elements of `x`, before anything else.
    pub x: f32,
    /// What an element is multiplied with to give the value that the activation is a function of.
    pub unit: f32,
    /// Results, after everything else.
    pub y: f32,
}

impl Scales {
    /// Those of elements that have none.
    pub const NONE: Self = Scales { x: 1.0, unit: 1.0, y: 1.0 };
}

impl Elementwise {
    /// A step from elements `from` of `x` to elements `to` of `y`, which holds elements `held` before. The single pixel of an image
    /// of `x` may serve all of `y`'s if they are multiplied.
    ///
    /// # Errors
    /// If batches, sizes or channels differ, a value reaches outside its tensor, or there is no kernel for the elements.
    pub const fn new(
        operator: Operator,
        activation: Activation,
        [x, y]: [Area; 2],
        [from, to]: [Element; 2],
        held: Option<Element>,
    ) -> Result<Self, Fault> {
        try_const!(same_batch(&x, &y));
        try_const!(x.check());
        try_const!(y.check());
        let one = x.size[0] == 1 && x.size[1] == 1 && matches!(operator, Operator::Multiply);
        if !one && (x.size[0] != y.size[0] || x.size[1] != y.size[1]) {
            return Err(Fault::new("the sizes differ"));
        }
        if x.dims[3] != y.dims[3] {
            return Err(Fault::new("the channels differ"));
        }
        let int8 = from.is_quantized() && to.is_quantized();
        let has_kernel = match held {
            None => int8 || from.equals(to) || matches!(from, Element::F32),
            Some(held) => int8 && held.is_quantized() || from.equals(to) && held.equals(to),
        };
        if !has_kernel {
            return Err(Fault::new("there is no kernel for these elements"));
        }
        // Sums and products are in units of the output's scale, all else is in units of 1.
        let (held, scales) = match (operator, held) {
            (Operator::Multiply, Some(held)) if int8 => {
                let scale = from.scale() as f64 * held.scale() as f64 / to.scale() as f64;
                let held = Residual::Quantized { signed: held.is_signed(), scale: 1.0 };
                (held, Scales { x: scale as f32, unit: to.scale(), y: 1.0 })
            }
            (_, held @ Some(_)) => {
                (Residual::of(held, to), Scales { x: from.ratio(to), unit: to.scale(), y: 1.0 })
            }
            (_, None) => (Residual::None, Scales { x: from.scale(), unit: 1.0, y: Element::F32.ratio(to) }),
        };
        let mut pixels = x.interior();
        if one {
            (pixels.row, pixels.pixel) = (0, 0);
        }
        Ok(Elementwise {
            operator,
            activation,
            batch: y.dims[0],
            size: y.size,
            channels: y.dims[3],
            x: pixels,
            y: y.interior(),
            held,
            scales,
        })
    }

    /// Whether nothing is computed.
    pub const fn is_empty(&self) -> bool {
        self.batch == 0 || self.size[0] == 0 || self.size[1] == 0 || self.channels == 0
    }

    /// Rows of weights that it needs, an element a channel: scale and shift, slopes.
    pub const fn rows(&self) -> usize {
        let affine = if matches!(self.operator, Operator::Affine) { 2 } else { 0 };
        if matches!(self.activation, Activation::Prelu) { affine + 1 } else { affine }
    }

    /// Whether all pixels lie in an input of so many elements, and each has elements of its own among those of the output.
    ///
    /// # Errors
    /// What does not.
    pub const fn fits(&self, x_elements: usize, y_elements: usize) -> Result<(), Fault> {
        let Elementwise { batch, size, channels, .. } = *self;
        if self.x.end(batch, size, channels) > x_elements {
            return Err(Fault::new("pixels lie outside the input"));
        }
        hold(&self.y, batch, size, channels, y_elements)
    }
}
