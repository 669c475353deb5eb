//! A session: one network, one arena, one team of threads.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::arena::Arena;
use crate::batches::run_each;
use crate::error::Error;
use crate::network::{Context, Network, Observation, Observer, Runs, StopWatch};
use crate::tensor::Shape;
use crate::threads::{self, Threads};

/// Runs a network, one input after another. Everything it needs is allocated when it is made.
pub struct Session<N: Runs> {
    network: N,
    arena: Arena,
    threads: Threads,
    /// Whether the weights were packed for this network.
    fits: bool,
    /// Input of a run that is not full: see [`Session::run_each`].
    spare: Vec<f32>,
}

impl<N: Runs> Session<N> {
    /// A session with one thread a core.
    ///
    /// # Panics
    /// As [`Session::with_threads`].
    pub fn new(network: &N) -> Self {
        Self::with_threads(network, threads::cores())
    }

    /// A session with so many threads, the caller's included. It has fewer if the system refuses some, and at most
    /// [`Threads::most`]. A session that was made before a `fork` runs on one thread in the child.
    ///
    /// # Panics
    /// If the system does not give the memory of the arena or of a thread's scratch.
    pub fn with_threads(network: &N, threads: NonZeroUsize) -> Self {
        let description = N::DESCRIPTION;
        let memory = Arena::zeroed(description.peak_bytes)
            .and_then(|arena| Ok((arena, Threads::new(threads, description.scratch_bytes)?)));
        let (arena, threads) = memory.unwrap_or_else(|error| panic!("{error}"));
        let fits = network.weights().fit(&description);
        Session { network: network.clone(), arena, threads, fits, spare: Vec::new() }
    }

    /// The network's output for `input` (of several, a struct of references), which stays until the next run. Nothing is allocated.
    ///
    /// Infinities and NaN in the input are no error: they go where the arithmetic takes them.
    ///
    /// # Errors
    /// [`Error::OtherWeights`] if the network's weights were packed for another one.
    pub fn run(&mut self, input: &N::Input) -> Result<N::Outputs<'_>, Error> {
        self.begin()?;
        let context = Context { weights: self.network.weights(), threads: &self.threads, observer: None };
        Ok(N::forward(&context, input, &mut self.arena))
    }

    /// The network's outputs for any number of images, one after another, whatever the batch that it was compiled for. (The last
    /// run is filled up with zeros, and memory for that is allocated once.)
    ///
    /// # Errors
    /// [`Error::Images`] if `images` is no whole number of images, or `outputs` has no room for as many outputs; as
    /// [`Session::run`].
    pub fn run_each(&mut self, images: &[f32], outputs: &mut [f32]) -> Result<(), Error>
    where
        N: Network,
    {
        each(self, images, outputs)
    }

    /// As [`Session::run`]; `observe` sees what each step of the plan has written, in order.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_observed(
        &mut self,
        input: &N::Input,
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<N::Outputs<'_>, Error> {
        self.begin()?;
        // (A closure of this call's own, since the context shares one lifetime.)
        let mut observe = |observation: Observation<'_>| observe(observation);
        let observer: Observer<'_> = RefCell::new(&mut observe);
        let context =
            Context { weights: self.network.weights(), threads: &self.threads, observer: Some(observer) };
        Ok(N::forward(&context, input, &mut self.arena))
    }

    /// As [`Session::run`]; gives the time of each step of the plan, in order. (This allocates.)
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_timed(&mut self, input: &N::Input) -> Result<Vec<Duration>, Error> {
        let mut watch = StopWatch::start();
        self.run_observed(input, &mut |_| watch.lap())?;
        Ok(watch.laps)
    }

    /// Threads that it runs on, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    fn begin(&self) -> Result<(), Error> {
        self.threads.notice_fork();
        if self.fits {
            return Ok(());
        }
        Err(Error::OtherWeights { network: N::DESCRIPTION.name.into_owned() })
    }
}

/// [`Session::run_each`]. (Where `N` is bound by both traits, the compiler does not see that a run gives the one output.)
fn each<N: Network>(session: &mut Session<N>, images: &[f32], outputs: &mut [f32]) -> Result<(), Error> {
    let mut spare = std::mem::take(&mut session.spare);
    let run = |images: &[f32], give: &mut dyn FnMut(&[f32])| {
        give(session.run(N::Input::from_slice(images)?)?.as_slice());
        Ok(())
    };
    let result = run_each(N::Input::DIMS, N::Output::DIMS, images, outputs, &mut spare, run);
    session.spare = spare;
    result
}

/// What `session()` of a network that did not compile gives, so that only the mistake itself is reported.
#[doc(hidden)]
pub struct NoSession<O> {
    output: std::marker::PhantomData<fn() -> O>,
}

#[doc(hidden)]
impl<O> Default for NoSession<O> {
    fn default() -> Self {
        NoSession { output: std::marker::PhantomData }
    }
}

#[doc(hidden)]
impl<O> NoSession<O> {
    pub fn run<I: ?Sized>(&mut self, _: &I) -> Result<O, Error> {
        Err(Error::Length { dims: [0; 4], expected: 0, found: 0 })
    }

    pub fn run_each(&mut self, _: &[f32], _: &mut [f32]) -> Result<(), Error> {
        Ok(())
    }

    pub fn threads(&self) -> usize {
        0
    }
}
