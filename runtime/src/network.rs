//! What a compiled network tells the runtime of itself: its constants, its weights, its forward function.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use resnet_plan::Description;

use crate::arena::Arena;
use crate::elements::{Element, Elements, ElementsMut};
use crate::tensor::Shape;
use crate::threads::Threads;
use crate::weights::Weights;

/// A compiled network with one output. The `resnet!` macro writes the only implementations.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no network with one output",
    label = "this needs a network with one output",
    note = "a network whose spec names several `outputs` is no `Network`: a session's `run` gives a struct of them"
)]
pub trait Network: Clone + Send + Sync + 'static {
    /// What goes in: `[N, H, W, C]`.
    type Input: Shape<Element = f32>;
    /// What comes out.
    type Output: Shape<Element = f32>;
    /// Everything that is known when the network is compiled.
    const DESCRIPTION: Description;

    /// A network with these weights.
    fn from_weights(weights: Weights) -> Self;
    /// Its weights.
    fn weights(&self) -> &Weights;
    /// Computes the output, which lies in the arena.
    fn forward<'a>(context: &Context<'_>, input: &Self::Input, arena: &'a mut Arena) -> &'a Self::Output;
}

/// What a session runs: every [`Network`], and the compiled networks with several outputs.
pub trait Runs: Clone + Send + Sync + 'static {
    /// What goes in: `[N, H, W, C]`.
    type Input: Shape<Element = f32>;
    /// What comes out: of a [`Network`], a reference to its output; of several outputs, a struct with a reference to each.
    type Outputs<'a>;
    /// Everything that is known when the network is compiled.
    const DESCRIPTION: Description;

    /// A network with these weights.
    fn from_weights(weights: Weights) -> Self;
    /// Its weights.
    fn weights(&self) -> &Weights;
    /// Computes the outputs, which lie in the arena.
    fn forward<'a>(context: &Context<'_>, input: &Self::Input, arena: &'a mut Arena) -> Self::Outputs<'a>;
}

impl<N: Network> Runs for N {
    type Input = N::Input;
    type Outputs<'a> = &'a N::Output;
    const DESCRIPTION: Description = <N as Network>::DESCRIPTION;

    fn from_weights(weights: Weights) -> Self {
        <N as Network>::from_weights(weights)
    }

    fn weights(&self) -> &Weights {
        <N as Network>::weights(self)
    }

    #[inline(always)]
    fn forward<'a>(context: &Context<'_>, input: &N::Input, arena: &'a mut Arena) -> &'a N::Output {
        <N as Network>::forward(context, input, arena)
    }
}

/// A network whose output has a value for each class: it has a classifier. (`T` is there for a method of a type that lacks this: a
/// bound that depends on a parameter is looked at where the method is called, so that only a call is an error.)
#[diagnostic::on_unimplemented(
    message = "`{Self}` ends in features, not in classes",
    label = "no classifier",
    note = "a network has classes if its spec says `classes`, and its output is one value for each",
    note = "for features, make a session and `run` it"
)]
pub trait Classes<T = ()> {}

/// A network whose weights are in the program. (`T`: as in [`Classes`].)
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no weights in the program",
    label = "nothing is embedded",
    note = "name a file where the macro is called, `weights: \"model.safetensors\"`, or `load` one when the program runs"
)]
pub trait Embedded<T = ()> {}

/// What layers run with.
pub struct Context<'a> {
    /// The packed weights, and the kernels they are packed for.
    pub weights: &'a Weights,
    /// The threads that share each layer.
    pub threads: &'a Threads,
    /// Who wants to know what the steps do.
    pub(crate) observer: Option<Observer<'a>>,
}

/// Who is told what each step has done.
pub(crate) type Observer<'a> = RefCell<&'a mut dyn FnMut(Observation<'_>)>;

/// What a step has done.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The tensor that it wrote into, halo included: `[N, H, W, C]`.
    pub dims: [usize; 4],
    /// What the tensor holds now.
    pub elements: Elements<'a>,
}

/// Measures one step after the other.
pub(crate) struct StopWatch {
    last: Instant,
    pub(crate) laps: Vec<Duration>,
}

impl StopWatch {
    pub(crate) fn start() -> Self {
        StopWatch { last: Instant::now(), laps: Vec::new() }
    }

    /// A step ends, and the next one begins.
    pub(crate) fn lap(&mut self) {
        let end = Instant::now();
        self.laps.push(end - std::mem::replace(&mut self.last, end));
    }
}

impl Context<'_> {
    /// Does one step of the plan.
    #[inline(always)]
    pub(crate) fn step<Y: Shape>(&self, y: &mut Y, step: impl FnOnce(ElementsMut<'_>)) {
        step(Y::Element::elements_mut(y.as_mut_slice()));
        if let Some(observer) = &self.observer {
            let elements = Y::Element::elements(y.as_slice());
            observer.borrow_mut()(Observation { dims: Y::DIMS, elements });
        }
    }
}
