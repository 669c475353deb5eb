//! The layers that compiled code calls: safe functions over typed tensors.
//!
//! A layer is a constant. Making it checks its numbers against its tensors' types, so a wrong one does not compile;
//! running it calls a kernel that takes the same numbers at run time and is compiled once, in this crate.

use std::marker::PhantomData;

use crate::kernels::{
    self, AddGeometry, ConvGeometry, Convolution, CopyGeometry, Pixels, PoolGeometry, PoolKind,
};
use crate::network::Context;
use crate::tensor::Shape;

pub use crate::kernels::{Algorithm, Split};

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
    tensors: Tensors<X, Y>,
}

/// Softmax over the channels of each pixel.
pub struct Softmax<X, Y> {
    tensors: Tensors<X, Y>,
}

type Tensors<X, Y> = PhantomData<fn(&X) -> Y>;

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> Conv2d<X, Y> {
    /// # Panics
    /// (In a constant: does not compile.) If the batches differ, a window lies outside `X` or the output outside `Y`.
    pub const fn new(conv: Conv) -> Self {
        let Conv { kernel, stride, from, to, relu, split, algorithm } = conv;
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
            run: kernel[1] * X::DIMS[3],
            pitch: X::DIMS[2] * X::DIMS[3],
            channels: Y::DIMS[3],
            x: pixels::<X>(from, stride),
            y: pixels::<Y>(to.at, [1, 1]),
        };
        Conv2d {
            convolution: Convolution { geometry, algorithm, accumulate: false, relu, split },
            tensors: PhantomData,
        }
    }

    /// `y = relu?(conv(x))`, with the weights of layer `layer`.
    pub fn run(&self, context: &Context<'_>, layer: usize, x: &X, y: &mut Y) {
        self.compute(context, layer, x, y, false);
    }

    /// `y = relu?(conv(x) + y)`: the residual is where the sum goes.
    pub fn accumulate(&self, context: &Context<'_>, layer: usize, x: &X, y: &mut Y) {
        self.compute(context, layer, x, y, true);
    }

    fn compute(&self, context: &Context<'_>, layer: usize, x: &X, y: &mut Y, accumulate: bool) {
        let Context { weights, threads, .. } = context;
        let convolution = Convolution { accumulate, ..self.convolution };
        let layer = weights.layer(layer);
        context.step(|| {
            kernels::convolve(weights.isa(), threads, &convolution, x.as_slice(), layer, y.as_mut_slice());
        });
    }
}

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> MaxPool<X, Y> {
    /// # Panics
    /// (In a constant: does not compile.) If batches or channels differ, or a value lies outside its tensor.
    pub const fn new(pool: Pool) -> Self {
        MaxPool { geometry: pooling::<X, Y>(pool, PoolKind::Max), tensors: PhantomData }
    }

    /// `y = max(windows of x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let isa = context.weights.isa();
        context.step(|| {
            kernels::pool(isa, context.threads, &self.geometry, x.as_slice(), y.as_mut_slice());
        });
    }
}

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> AveragePool<X, Y> {
    /// `count_padding`: whether padding counts as zeros.
    ///
    /// # Panics
    /// (In a constant: does not compile.) As [`MaxPool::new`].
    pub const fn new(pool: Pool, count_padding: bool) -> Self {
        let kind = if count_padding { PoolKind::AverageWithPadding } else { PoolKind::Average };
        AveragePool { geometry: pooling::<X, Y>(pool, kind), tensors: PhantomData }
    }

    /// `y = mean(windows of x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let isa = context.weights.isa();
        context.step(|| {
            kernels::pool(isa, context.threads, &self.geometry, x.as_slice(), y.as_mut_slice());
        });
    }
}

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> Add<X, Y> {
    /// # Panics
    /// (In a constant: does not compile.) If sizes differ, or a value lies outside its tensor.
    pub const fn new(from: Interior, to: Interior, relu: bool) -> Self {
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
        };
        Add { geometry, relu, tensors: PhantomData }
    }

    /// `y = relu?(y + x)`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        let isa = context.weights.isa();
        context.step(|| {
            kernels::add(isa, context.threads, &self.geometry, self.relu, x.as_slice(), y.as_mut_slice());
        });
    }
}

impl<X: Shape<Element = f32>, Y: Shape<Element = f32>> Copy<X, Y> {
    /// All of a value.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If sizes differ, or a value lies outside its tensor.
    pub const fn new(from: Interior, to: Interior) -> Self {
        assert!(from.size[0] == to.size[0] && from.size[1] == to.size[1], "the sizes differ");
        assert!(X::DIMS[3] == Y::DIMS[3], "the channels differ");
        Self::subsample([1, 1], 0, from, to)
    }

    /// Every n-th pixel; `front` zero channels before those of `X`, and behind them what is left of `Y`'s.
    ///
    /// # Panics
    /// (In a constant: does not compile.) If sizes do not fit.
    pub const fn subsample(stride: [usize; 2], front: usize, from: Interior, to: Interior) -> Self {
        same_batch::<X, Y>();
        inside::<X>(from);
        inside::<Y>(to);
        assert!(front + X::DIMS[3] <= Y::DIMS[3], "the channels do not fit");
        assert!((to.size[0] - 1) * stride[0] < from.size[0], "the rows do not fit");
        assert!((to.size[1] - 1) * stride[1] < from.size[1], "the columns do not fit");
        let geometry = CopyGeometry {
            batch: Y::DIMS[0],
            size: to.size,
            channels: X::DIMS[3],
            front,
            back: Y::DIMS[3] - X::DIMS[3] - front,
            x: pixels::<X>(from.at, stride),
            y: pixels::<Y>(to.at, [1, 1]),
        };
        Copy { geometry, tensors: PhantomData }
    }

    /// `y = x`
    pub fn run(&self, context: &Context<'_>, x: &X, y: &mut Y) {
        context.step(|| kernels::copy(&self.geometry, x.as_slice(), y.as_mut_slice()));
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
        context.step(|| kernels::softmax(Y::DIMS[3], x.as_slice(), y.as_mut_slice()));
    }
}

/// Writes zeros everywhere around a value, in each image.
pub fn clear_halo<Y: Shape<Element = f32>>(context: &Context<'_>, y: &mut Y, interior: Interior) {
    context.step(|| kernels::clear_halo(Y::DIMS, interior.at, interior.size, y.as_mut_slice()));
}

const fn pooling<X: Shape, Y: Shape>(pool: Pool, kind: PoolKind) -> PoolGeometry {
    let Pool { window, stride, padding, from, to } = pool;
    same_batch::<X, Y>();
    inside::<X>(from);
    inside::<Y>(to);
    assert!(X::DIMS[3] == Y::DIMS[3], "the channels differ");
    assert!((to.size[0] - 1) * stride[0] < from.size[0] + padding[0], "windows are too low for X");
    assert!((to.size[1] - 1) * stride[1] < from.size[1] + padding[2], "windows are too wide for X");
    PoolGeometry {
        kind,
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

const fn same_batch<X: Shape, Y: Shape>() {
    assert!(X::DIMS[0] == Y::DIMS[0], "the batches differ");
}

const fn inside<S: Shape>(interior: Interior) {
    assert!(interior.size[0] > 0 && interior.size[1] > 0, "a value is empty");
    assert!(interior.at[0] + interior.size[0] <= S::DIMS[1], "a value is too low for its tensor");
    assert!(interior.at[1] + interior.size[1] <= S::DIMS[2], "a value is too wide for its tensor");
}
