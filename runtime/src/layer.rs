//! The layers that compiled code calls: safe functions over typed tensors.
//!
//! A layer is a constant. Making it checks its geometry against its tensors' types, so a wrong one does not compile;
//! running it calls a kernel that takes the same geometry at run time and is compiled once, in this crate.

use std::marker::PhantomData;

use resnet_plan::{
    Activation, AddGeometry, Area, Conv, Convolution, CopyGeometry, Fault, Pool, PoolGeometry, Residual,
};

use crate::elements::{Element, ElementsMut};
use crate::kernels;
use crate::network::Context;
use crate::tensor::Shape;

/// Where a value lies in a tensor; around it is the halo, room for the padding of what reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interior {
    /// First row and column.
    pub at: [usize; 2],
    /// Height and width.
    pub size: [usize; 2],
}

/// A convolution from tensors `X` to tensors `Y`, as row runs: see [`crate::kernels`].
pub struct Conv2d<X, Y> {
    convolution: Convolution,
    tensors: Tensors<X, Y>,
}

/// The maximum or the mean of a window.
pub struct Pool2d<X, Y> {
    geometry: PoolGeometry,
    tensors: Tensors<X, Y>,
}

/// A value added to another, in place.
pub struct Add<X, Y> {
    geometry: AddGeometry,
    activation: Activation,
    tensors: Tensors<X, Y>,
}

/// A value copied from one tensor to another: all of it, or every n-th pixel between channels of zeros.
pub struct Copy<X, Y> {
    geometry: CopyGeometry,
    scale: f32,
    tensors: Tensors<X, Y>,
}

/// Softmax over the channels of each pixel.
pub struct Softmax<X, Y> {
    tensors: Tensors<X, Y>,
}

type Tensors<X, Y> = PhantomData<fn(&X) -> Y>;

impl<X: Shape, Y: Shape> Conv2d<X, Y> {
    /// `scale`: the output's quantization scale, or 1.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`Convolution::new`].
    pub const fn new(conv: Conv, to: Interior, scale: f32) -> Self {
        let made = Convolution::new(conv, Area::dense(X::DIMS), X::Element::PRECISION, area::<Y>(to), scale);
        match made {
            Ok(convolution) => Conv2d { convolution, tensors: PhantomData },
            Err(fault) => refuse(fault),
        }
    }

    /// `y = activation(conv(x) + y?)`, with the weights of layer `layer`.
    pub fn run(&self, context: &Context<'_>, layer: usize, x: &X, y: &mut Y) {
        let Context { weights, threads, .. } = context;
        let (x, layer) = (X::Element::elements(x.as_slice()), weights.layer(layer));
        context.step(y, |y| kernels::convolve(weights.kernels(), threads, &self.convolution, x, layer, y));
    }
}

impl<X: Shape, Y: Shape> Pool2d<X, Y> {
    /// `scale`: what a mean is multiplied with.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`PoolGeometry::new`].
    pub const fn new(pool: Pool, from: Interior, to: Interior, scale: f32) -> Self {
        match PoolGeometry::new(pool, area::<X>(from), area::<Y>(to), scale) {
            Ok(geometry) => Pool2d { geometry, tensors: PhantomData },
            Err(fault) => refuse(fault),
        }
    }

    /// `y = max or mean(windows of x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (table, x) = (context.weights.kernels(), X::Element::elements(x.as_slice()));
        context.step(y, |y| kernels::pool(table, context.threads, &self.geometry, x, y));
    }
}

impl<X: Shape, Y: Shape> Add<X, Y> {
    /// `scale`: what `X` is multiplied with; `residual`: what `Y` holds before.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`AddGeometry::new`].
    pub const fn new(
        from: Interior,
        to: Interior,
        activation: Activation,
        scale: f32,
        residual: Residual,
    ) -> Self {
        match AddGeometry::new(area::<X>(from), area::<Y>(to), scale, residual) {
            Ok(geometry) => Add { geometry, activation, tensors: PhantomData },
            Err(fault) => refuse(fault),
        }
    }

    /// `y = activation(y + x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (table, x) = (context.weights.kernels(), X::Element::elements(x.as_slice()));
        context.step(y, |y| kernels::add(table, context.threads, &self.geometry, self.activation, x, y));
    }
}

impl<X: Shape, Y: Shape> Copy<X, Y> {
    /// All of a value. Where `X` and `Y` hold different elements: times `scale`, rounded to what `Y` holds.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`CopyGeometry::whole`].
    pub const fn new(from: Interior, to: Interior, scale: f32) -> Self {
        let same_size = X::Element::PRECISION.per_word() == Y::Element::PRECISION.per_word();
        Self::of(CopyGeometry::whole(area::<X>(from), area::<Y>(to), same_size), scale)
    }

    /// Every n-th pixel of the first `channels` channels, behind `front` zero channels.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`CopyGeometry::subsample`].
    pub const fn subsample(
        stride: [usize; 2],
        front: usize,
        channels: usize,
        from: Interior,
        to: Interior,
    ) -> Self {
        Self::of(CopyGeometry::subsample(stride, front, channels, area::<X>(from), area::<Y>(to)), 1.0)
    }

    const fn of(geometry: Result<CopyGeometry, Fault>, scale: f32) -> Self {
        match geometry {
            Ok(geometry) => Copy { geometry, scale, tensors: PhantomData },
            Err(fault) => refuse(fault),
        }
    }

    /// `y = x`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (table, x) = (context.weights.kernels(), X::Element::elements(x.as_slice()));
        context.step(y, |y| kernels::convert(table, context.threads, &self.geometry, self.scale, x, y));
    }
}

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> Softmax<X, Y> {
    /// # Panics
    /// (In a constant: does not compile.) If the shapes differ.
    #[allow(clippy::new_without_default)] // a layer is a constant, and `Default` makes none
    pub const fn new() -> Self {
        let mut axis = 0;
        while axis < 4 {
            assert!(X::DIMS[axis] == Y::DIMS[axis], "the shapes differ");
            axis += 1;
        }
        Softmax { tensors: PhantomData }
    }

    /// `y = softmax(x)`, for each pixel.
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let x = x.as_slice();
        context.step(y, |y| match y {
            ElementsMut::F32(y) => kernels::softmax(Y::DIMS[3], x, y),
            _ => unreachable!("Y holds f32"),
        });
    }
}

/// Writes zeros everywhere around a value, in each image.
///
/// # Panics
/// If the value reaches outside its tensor.
pub fn clear_halo<Y: Shape>(context: &Context<'_>, y: &mut Y, interior: Interior) {
    context.step(y, |y| kernels::clear_halo(&area::<Y>(interior), y));
}

const fn area<S: Shape>(interior: Interior) -> Area {
    Area { dims: S::DIMS, at: interior.at, size: interior.size }
}

const fn refuse(fault: Fault) -> ! {
    panic!("{}", fault.message())
}
