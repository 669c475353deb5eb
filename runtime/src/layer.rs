//! The layers that compiled code calls: safe functions over typed tensors.
//!
//! A layer is a constant. Making it checks its numbers against its tensors' types, so a wrong one does not compile;
//! running it calls a kernel that takes the same numbers at run time and is compiled once, in this crate.

use std::marker::PhantomData;

use crate::kernels::{
    self, AddGeometry, ConvGeometry, Convolution, CopyGeometry, Pixels, PoolGeometry, PoolKind,
};
use crate::network::Context;
use crate::numbers::{Element, NumbersMut};
use crate::tensor::Shape;

pub use crate::kernels::{Algorithm, Residual, Split};

/// Where a value lies in a tensor; around it is the halo, room for the padding of what reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interior {
    /// First row and column.
    pub at: [usize; 2],
    /// Height and width.
    pub size: [usize; 2],
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
    /// What the output holds, to be added.
    pub residual: Residual,
    /// Whether negative sums become zero.
    pub relu: bool,
    /// What the threads share out.
    pub split: Split,
    /// How it is computed.
    pub algorithm: Algorithm,
}

/// A pooling layer's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Window height and width.
    pub window: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Padding: top, bottom, left, right. Windows are cut to the image, so no padding is read.
    pub padding: [usize; 4],
    /// Where the image lies in the input tensor.
    pub from: Interior,
    /// Where the output goes.
    pub to: Interior,
}

/// A convolution from tensors `X` to tensors `Y`, as row runs: see [`crate::kernels`].
pub struct Conv2d<X, Y> {
    convolution: Convolution,
    tensors: Tensors<X, Y>,
}

/// The maximum of a window; NaN if one is in it.
pub struct MaxPool<X, Y> {
    geometry: PoolGeometry,
    tensors: Tensors<X, Y>,
}

/// The mean of a window.
pub struct AveragePool<X, Y> {
    geometry: PoolGeometry,
    tensors: Tensors<X, Y>,
}

/// A value added to another, in place.
pub struct Add<X, Y> {
    geometry: AddGeometry,
    relu: bool,
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
    /// # Panics
    /// (In a constant: does not compile.) If the batches differ, a window lies outside `X` or the output outside `Y`.
    pub const fn new(conv: Conv) -> Self {
        let Conv { kernel, stride, from, to, residual, relu, split, algorithm } = conv;
        let per_word = X::Element::PER_WORD;
        assert!(X::DIMS[3].is_multiple_of(per_word), "a pixel of X is not whole words");
        same_batch::<X, Y>();
        inside::<Y>(to);
        assert!(kernel[0] > 0 && kernel[1] > 0, "a window is empty");
        assert!(
            from[0] + (to.size[0] - 1) * stride[0] + kernel[0] <= X::DIMS[1],
            "windows are too low for X"
        );
        assert!(
            from[1] + (to.size[1] - 1) * stride[1] + kernel[1] <= X::DIMS[2],
            "windows are too wide for X"
        );
        let geometry = ConvGeometry {
            batch: Y::DIMS[0],
            output: to.size,
            rows: kernel[0],
            run: kernel[1] * X::DIMS[3] / per_word,
            pitch: X::DIMS[2] * X::DIMS[3] / per_word,
            channels: Y::DIMS[3],
            x: words(pixels::<X>(from, stride), per_word),
            y: pixels::<Y>(to.at, [1, 1]),
        };
        Conv2d {
            convolution: Convolution { geometry, algorithm, residual, relu, split },
            tensors: PhantomData,
        }
    }

    /// `y = relu?(conv(x) + y?)`, with the weights of layer `layer`.
    pub fn run(&self, context: &Context<'_>, layer: usize, x: &X, y: &mut Y) {
        let Context { weights, threads, .. } = context;
        let (x, layer) = (X::Element::numbers(x.as_slice()), weights.layer(layer));
        context.step(y, |y| kernels::convolve(weights.isa(), threads, &self.convolution, x, layer, y));
    }
}

impl<X: Shape, Y: Shape> MaxPool<X, Y> {
    /// # Panics
    /// (In a constant: does not compile.) If batches or channels differ, or a value lies outside its tensor.
    pub const fn new(pool: Pool) -> Self {
        MaxPool { geometry: pooling::<X, Y>(pool, PoolKind::Max, 1.0), tensors: PhantomData }
    }

    /// `y = max(windows of x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (isa, x) = (context.weights.isa(), X::Element::numbers(x.as_slice()));
        context.step(y, |y| kernels::pool(isa, context.threads, &self.geometry, x, y));
    }
}

impl<X: Shape, Y: Shape> AveragePool<X, Y> {
    /// `count_padding`: whether padding counts as zeros. `scale`: what the mean is multiplied with.
    ///
    /// # Panics
    /// (In a constant: does not compile.) As [`MaxPool::new`].
    pub const fn new(pool: Pool, count_padding: bool, scale: f32) -> Self {
        let kind = if count_padding { PoolKind::AverageWithPadding } else { PoolKind::Average };
        AveragePool { geometry: pooling::<X, Y>(pool, kind, scale), tensors: PhantomData }
    }

    /// `y = mean(windows of x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (isa, x) = (context.weights.isa(), X::Element::numbers(x.as_slice()));
        context.step(y, |y| kernels::pool(isa, context.threads, &self.geometry, x, y));
    }
}

impl<X: Shape, Y: Shape> Add<X, Y> {
    /// `scale`: what `X` is multiplied with; `residual`: what `Y` holds before.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If sizes differ, or a value lies outside its tensor.
    pub const fn new(from: Interior, to: Interior, relu: bool, scale: f32, residual: Residual) -> Self {
        same_batch::<X, Y>();
        inside::<X>(from);
        inside::<Y>(to);
        assert!(from.size[0] == to.size[0] && from.size[1] == to.size[1], "the sizes differ");
        assert!(X::DIMS[3] == Y::DIMS[3], "the channels differ");
        let geometry = AddGeometry {
            batch: Y::DIMS[0],
            size: to.size,
            channels: Y::DIMS[3],
            x: pixels::<X>(from.at, [1, 1]),
            y: pixels::<Y>(to.at, [1, 1]),
            scale,
            residual,
        };
        Add { geometry, relu, tensors: PhantomData }
    }

    /// `y = relu?(y + x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (isa, x) = (context.weights.isa(), X::Element::numbers(x.as_slice()));
        context.step(y, |y| kernels::add(isa, context.threads, &self.geometry, self.relu, x, y));
    }
}

impl<X: Shape, Y: Shape> Copy<X, Y> {
    /// All of a value. Where `X` and `Y` hold different numbers: times `scale`, rounded to what `Y` holds, of as many channels
    /// as both have; `Y` may have more, which become zero.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If sizes differ, or a value lies outside its tensor.
    pub const fn new(from: Interior, to: Interior, scale: f32) -> Self {
        assert!(from.size[0] == to.size[0] && from.size[1] == to.size[1], "the sizes differ");
        // Only a conversion may fill channels up to whole words, or drop what was filled up.
        let converts = X::Element::PER_WORD != Y::Element::PER_WORD;
        assert!(converts || X::DIMS[3] == Y::DIMS[3], "the channels differ");
        let channels = if X::DIMS[3] < Y::DIMS[3] { X::DIMS[3] } else { Y::DIMS[3] };
        Self::of([1, 1], 0, channels, from, to, scale)
    }

    /// Every n-th pixel of the first `channels` channels; `front` zero channels before them, and behind them what is left of
    /// `Y`'s.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If sizes do not fit.
    pub const fn subsample(
        stride: [usize; 2],
        front: usize,
        channels: usize,
        from: Interior,
        to: Interior,
    ) -> Self {
        Self::of(stride, front, channels, from, to, 1.0)
    }

    const fn of(
        stride: [usize; 2],
        front: usize,
        channels: usize,
        from: Interior,
        to: Interior,
        scale: f32,
    ) -> Self {
        same_batch::<X, Y>();
        inside::<X>(from);
        inside::<Y>(to);
        assert!(channels <= X::DIMS[3] && front + channels <= Y::DIMS[3], "the channels do not fit");
        assert!((to.size[0] - 1) * stride[0] < from.size[0], "the rows do not fit");
        assert!((to.size[1] - 1) * stride[1] < from.size[1], "the columns do not fit");
        let geometry = CopyGeometry {
            batch: Y::DIMS[0],
            size: to.size,
            channels,
            front,
            back: Y::DIMS[3] - channels - front,
            x: pixels::<X>(from.at, stride),
            y: pixels::<Y>(to.at, [1, 1]),
        };
        Copy { geometry, scale, tensors: PhantomData }
    }

    /// `y = x`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let (isa, x) = (context.weights.isa(), X::Element::numbers(x.as_slice()));
        context.step(y, |y| kernels::convert(isa, context.threads, &self.geometry, self.scale, x, y));
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
            NumbersMut::F32(y) => kernels::softmax(Y::DIMS[3], x, y),
            _ => unreachable!("Y holds f32"),
        });
    }
}

/// Writes zeros everywhere around a value, in each image.
pub fn clear_halo<Y: Shape>(context: &Context<'_>, y: &mut Y, interior: Interior) {
    context.step(y, |y| kernels::clear_halo(Y::DIMS, interior.at, interior.size, y));
}

const fn pooling<X: Shape, Y: Shape>(pool: Pool, kind: PoolKind, scale: f32) -> PoolGeometry {
    let Pool { window, stride, padding, from, to } = pool;
    same_batch::<X, Y>();
    inside::<X>(from);
    inside::<Y>(to);
    assert!(X::DIMS[3] == Y::DIMS[3], "the channels differ");
    assert!((to.size[0] - 1) * stride[0] < from.size[0] + padding[0], "windows are too low for X");
    assert!((to.size[1] - 1) * stride[1] < from.size[1] + padding[2], "windows are too wide for X");
    PoolGeometry {
        kind,
        scale,
        batch: Y::DIMS[0],
        input: from.size,
        output: to.size,
        channels: Y::DIMS[3],
        window,
        stride,
        padding,
        x: pixels::<X>(from.at, [1, 1]),
        y: pixels::<Y>(to.at, [1, 1]),
    }
}

/// Where pixels lie that begin at `from` and are `stride` apart.
const fn pixels<S: Shape>(from: [usize; 2], stride: [usize; 2]) -> Pixels {
    let [_, height, width, channels] = S::DIMS;
    Pixels {
        start: (from[0] * width + from[1]) * channels,
        image: height * width * channels,
        row: stride[0] * width * channels,
        pixel: stride[1] * channels,
    }
}

/// Pixels of elements as pixels of words.
const fn words(pixels: Pixels, per_word: usize) -> Pixels {
    let Pixels { start, image, row, pixel } = pixels;
    Pixels { start: start / per_word, image: image / per_word, row: row / per_word, pixel: pixel / per_word }
}

const fn same_batch<X: Shape, Y: Shape>() {
    assert!(X::DIMS[0] == Y::DIMS[0], "the batches differ");
}

const fn inside<S: Shape>(interior: Interior) {
    assert!(interior.size[0] > 0 && interior.size[1] > 0, "a value is empty");
    assert!(interior.at[0] + interior.size[0] <= S::DIMS[1], "a value is too low for its tensor");
    assert!(interior.at[1] + interior.size[1] <= S::DIMS[2], "a value is too wide for its tensor");
}
