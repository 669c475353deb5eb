//! The layers that compiled code calls: safe functions over typed tensors.
//!
//! A layer is a constant. Making it checks its geometry against its tensors' types, so a wrong one does not compile;
//! running it calls a kernel that takes the same geometry at run time and is compiled once, in this crate.

use std::marker::PhantomData;

use resnet_plan::{Action, Area, Operand, Task};

use crate::elements::{Element, Elements, ElementsMut};
use crate::kernels;
use crate::network::Context;
use crate::tensor::Shape;
use crate::threads::Threads;
use crate::weights::Weights;

/// Where a value lies in a tensor, around which is the halo, room for the padding of what reads it; and the quantization scale of its elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interior {
    /// First row and column.
    pub at: [usize; 2],
    /// Height and width.
    pub size: [usize; 2],
    /// The quantization scale; nothing where elements have none.
    pub scale: f32,
}

/// A step of a network from tensors `X` to tensors `Y`, and the gates `G` that it multiplies with, if it has some.
pub struct Layer<X, Y, G = ()> {
    task: Task,
    tensors: PhantomData<fn(&X, &G) -> Y>,
}

impl Interior {
    /// A value of elements that have no quantization scale.
    pub const fn new(at: [usize; 2], size: [usize; 2]) -> Self {
        Interior { at, size, scale: 1.0 }
    }

    /// The same with a quantization scale.
    pub const fn scaled(self, scale: f32) -> Self {
        Interior { scale, ..self }
    }

    const fn operand<S: Shape>(self) -> Operand {
        Operand { area: self.area::<S>(), element: S::Element::ELEMENT.scaled(self.scale) }
    }

    const fn area<S: Shape>(self) -> Area {
        Area { dims: S::DIMS, at: self.at, size: self.size }
    }
}

impl<X: Shape, Y: Shape> Layer<X, Y> {
    /// The step `action` from the value `from` of an `X` to the value `to` of a `Y`.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`Task::new`].
    pub const fn new(action: Action, from: Interior, to: Interior) -> Self {
        match Task::new(action, Some(from.operand::<X>()), None, to.operand::<Y>()) {
            Ok(task) => Layer { task, tensors: PhantomData },
            Err(fault) => panic!("{}", fault.message()),
        }
    }

    /// Computes `y` of `x`, and of what `y` holds if the action adds to that or multiplies it. The action counts layers and lists of weights from those
    /// of the indices `first` on.
    pub fn run(&self, context: &Context<'_>, first: [usize; 2], x: &X, y: &mut Y) {
        let x = X::Element::elements(x.as_slice());
        context.step(y, |y| compute(&self.task, context.weights, first, context.threads, x, &[], y));
    }
}

impl<X: Shape, Y: Shape, G: Shape<Element = f32>> Layer<X, Y, G> {
    /// As [`Layer::new`], with a `gate` of `[N, 1, 1, C]`: an element for each channel of each image of the output.
    ///
    /// # Panics
    /// (In a constant: does not compile.) See [`Task::new`].
    pub const fn gated(action: Action, from: Interior, gate: Interior, to: Interior) -> Self {
        let gate = Some(gate.operand::<G>());
        match Task::new(action, Some(from.operand::<X>()), gate, to.operand::<Y>()) {
            Ok(task) => Layer { task, tensors: PhantomData },
            Err(fault) => panic!("{}", fault.message()),
        }
    }

    /// As [`Layer::run`], with a gate.
    pub fn run_gated(&self, context: &Context<'_>, first: [usize; 2], x: &X, gate: &G, y: &mut Y) {
        let (x, gate) = (X::Element::elements(x.as_slice()), gate.as_slice());
        context.step(y, |y| compute(&self.task, context.weights, first, context.threads, x, gate, y));
    }
}

/// Does a task, whose layers and lists of weights are counted from those of the indices `first` on.
///
/// # Panics
/// If the task reaches outside the slices or is not of their elements, or there are no such weights.
pub(crate) fn compute(
    task: &Task,
    weights: &Weights,
    first: [usize; 2],
    threads: &Threads,
    x: Elements<'_>,
    gate: &[f32],
    y: ElementsMut<'_>,
) {
    let table = weights.kernels();
    let list_at = |list: Option<usize>| list.map_or(&[][..], |list| weights.list(first[1] + list));
    match (task, x, y) {
        (Task::Conv(convolution, layer), x, y) => {
            kernels::convolve(table, threads, convolution, x, weights.layer(first[0] + layer), gate, y);
        }
        (Task::Pool(geometry), x, y) => kernels::pool(table, threads, geometry, x, y),
        (Task::Elementwise(geometry, list), x, y) => {
            kernels::elementwise(table, threads, geometry, list_at(*list), x, y);
        }
        (Task::Copy(geometry, scale), x, y) => kernels::convert(table, threads, geometry, *scale, x, y),
        (Task::Clear(area), _, y) => kernels::clear_halo(area, y),
        (task, Elements::F32(x), ElementsMut::F32(y)) => match *task {
            Task::GroupNorm(ref norm, list) => {
                kernels::group_norm(table, threads, norm, list_at(list), x, y);
            }
            Task::Reduce(ref reduce, list) => {
                kernels::reduce(table, threads, reduce, list_at(list).first().copied(), x, y);
            }
            Task::Softmax(channels) => kernels::softmax(channels, x, y),
            Task::L2Normalize(channels, epsilon) => kernels::l2_normalize(channels, epsilon, x, y),
            Task::ChannelConv { channels, kernel, list } => {
                kernels::channel_conv(channels, &list_at(Some(list))[..kernel], x, y);
            }
            _ => unreachable!("all others are done above"),
        },
        _ => unreachable!("there is no kernel for these elements"),
    }
}

/// Writes zeros everywhere around a value, in each image.
///
/// # Panics
/// If the value reaches outside its tensor.
pub fn clear_halo<Y: Shape>(context: &Context<'_>, y: &mut Y, interior: Interior) {
    context.step(y, |y| kernels::clear_halo(&interior.area::<Y>(), y));
}
