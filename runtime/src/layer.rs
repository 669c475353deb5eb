//! The layers that compiled code calls: safe functions over typed tensors.
//!
//! A layer is a constant. Making it checks its numbers against its tensors' types, so a wrong one does not compile;
//! running it cuts the work into one part a thread and calls the kernel of the chosen instruction set, which is
//! compiled once in this crate and takes the same numbers at run time.

use std::marker::PhantomData;

use crate::kernels::{ConvGeometry, PoolGeometry, SubsampleGeometry};
use crate::network::Context;
use crate::tensor::Shape;

/// Where a layer's output lies in a tensor whose halo is left to the next layer's padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interior {
    /// First row and column.
    pub at: [usize; 2],
    /// Height and width.
    pub size: [usize; 2],
}

/// What a layer's threads share out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Output pixels: every thread reads all weights.
    Pixels,
    /// Output channels: every thread reads all inputs, and its own part of the weights once.
    Channels,
}

/// A convolution's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Row and column of the input tensor at which the first window begins.
    pub from: [usize; 2],
    /// Where the output goes.
    pub to: Interior,
    /// Whether negative sums become zero.
    pub relu: bool,
    /// What the threads share out.
    pub split: Split,
}

/// A convolution from tensors `X` to tensors `Y`, as row runs: see [`crate::kernels`].
pub struct Conv2d<X, Y> {
    geometry: ConvGeometry,
    relu: bool,
    split: Split,
    tensors: PhantomData<fn(&X) -> Y>,
}

/// A pooling layer's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Window height and width.
    pub window: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Rows and columns of padding before the image. Windows are cut to the image.
    pub padding: [usize; 2],
    /// Where the image lies in the input tensor.
    pub from: Interior,
    /// Where the output goes.
    pub to: Interior,
}
