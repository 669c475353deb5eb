//! What the values of an ONNX graph are here.
//!
//! An image of the language lies as batch, height, width, channel. In ONNX its axes may be in any order, some of size 1 left out or put
//! in between: each value says what its axes are, so that a `Transpose` or `Unsqueeze` changes only that.

use resnet_dsl::ir::{self, Op};
use resnet_dsl::ops::{Dims, Sides};

use crate::Tensor;
use crate::onnx::sizes::aligned;

/// The value of a name.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Numbers that are known.
    Constant(Tensor),
    /// Weights of a convolution, less the mean of each filter, over the root of its variance and this.
    Standardized(Tensor, f64),
    /// A value of the graph.
    Image(Image),
    /// An image whose channels are cut into groups: batch, group, all that is in it.
    Grouped(Image, usize),
    /// Some channels of an image, and the norm of these.
    Part(Part),
    /// The Euclidean norm of each pixel, at least this.
    Norm(Image, f64),
    /// An image with its own pixels around it, mirrored at the edge.
    Mirrored(Image, Sides),
}

/// Channels of an image that are on their way to be put together with the others again.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The whole image.
    pub(super) image: Image,
    /// The first channel and the end.
    pub(super) channels: [usize; 2],
    /// What is to be done to them, and the name of that.
    pub(super) norm: Option<Box<(Op, String)>>,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The value.
    pub(super) value: ir::Value,
    /// Its sizes there.
    pub(super) dims: Dims,
    /// Its axes in the file.
    pub(super) axes: Vec<Axis>,
    /// What is still to be done to each element.
    pub(super) affine: Option<Affine>,
    /// The order of pixels and channels in the file, if there are several pixels in one row of channels.
    pub(super) flat: Option<Order>,
    /// Whether it stands for one with more pixels, all the same, as gates do.
    pub(super) expanded: bool,
}

/// An axis of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// Images.
    Batch,
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// Channels.
    Channel,
    /// One element, which is none of these.
    One,
}

/// How a file has flattened an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Channel, height, width.
    ChannelsFirst,
    /// Height, width, channel.
    ChannelsLast,
}

/// `x * scale + offset`, an element a channel, or one for all.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    /// Factors.
    pub(super) scale: Vec<f64>,
    /// Summands.
    pub(super) offset: Vec<f64>,
    /// The last node that asks for it.
    pub(super) name: String,
}

/// The axes of images of PyTorch and ONNX.
pub(super) const NCHW: [Axis; 4] = [Axis::Batch, Axis::Channel, Axis::Height, Axis::Width];
/// The axes of images of TensorFlow.
pub(super) const NHWC: [Axis; 4] = [Axis::Batch, Axis::Height, Axis::Width, Axis::Channel];

impl Image {
    /// A value with nothing left to be done.
    pub(super) fn new(value: ir::Value, dims: Dims, axes: Vec<Axis>) -> Self {
        Image { value, dims, axes, affine: None, flat: None, expanded: false }
    }

    /// The size along an axis.
    pub(super) fn size(&self, axis: Axis) -> usize {
        let [batch, height, width, channels] = self.dims;
        match axis {
            Axis::Batch => batch,
            Axis::Height => height,
            Axis::Width => width,
            Axis::Channel => channels,
            Axis::One => 1,
        }
    }

    /// Its sizes in the file.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| self.size(*axis)).collect()
    }

    /// Whether its axes are these, or of size 1 where these are.
    pub(super) fn is(&self, axes: &[Axis]) -> bool {
        let fits = |(own, axis): (&Axis, &Axis)| own == axis || self.size(*own) == 1 && self.size(*axis) == 1;
        self.axes.len() == axes.len() && self.axes.iter().zip(axes).all(fits)
    }

    /// Whether the axes of another value that have more than one element are the same ones here, both aligned at the end.
    pub(super) fn covers(&self, other: &Image) -> bool {
        let rank = self.axes.len().max(other.axes.len());
        let axis = |image: &Image, place: usize| {
            let place = (place + image.axes.len()).checked_sub(rank)?;
            image.axes.get(place).copied().filter(|axis| image.size(*axis) > 1)
        };
        (0..rank).all(|place| axis(other, place).is_none_or(|other| axis(self, place) == Some(other)))
    }

    /// One number for each channel, or for all, if a constant that is aligned with the axes in the file differs along no other.
    pub(super) fn by_channel(&self, constant: &Tensor) -> Option<Vec<f64>> {
        let rank = self.axes.len();
        let (channels, len) = (self.dims[3], Tensor::len(&constant.dims)?);
        let mut sizes =
            self.axes.iter().enumerate().map(|(place, axis)| (*axis, aligned(&constant.dims, place, rank)));
        let fits = |(axis, size)| size == 1 || axis == Axis::Channel && size == channels;
        let by_channel = len == channels && self.flat.is_none() && sizes.all(fits);
        (constant.dims.len() <= rank && (len == 1 || by_channel)).then(|| constant.to_f64())
    }
}
