//! A plan that is executed as it is: the same kernels on the same geometry as compiled code, without rustc.
//!
//! ```text
//! new:   check the plan; for each step: resolve its task, and where its tensors lie
//! run:   for each section, for each pass, for each step:  call the kernel
//! ```
//! Kernels check each geometry against the memory that they get, so that a plan that is wrong can only panic, and a checked one
//! does not.

use std::num::NonZeroUsize;
use std::time::Duration;

use resnet_plan::{Element, Plan, Step, Task, View, check};

use crate::arena::{Arena, Place};
use crate::batches::run_each;
use crate::elements::Elements;
use crate::error::Error;
use crate::layer::compute;
use crate::network::{Observation, StopWatch};
use crate::threads::Threads;
use crate::weights::Weights;

/// A plan with its weights, an arena and a team of threads. Everything that `run` needs is allocated when it is made.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use resnet_runtime::{Program, Weights};
///
/// let text = "name: tiny\ninput: 8x8x3\nclasses: 4\nstem: [conv: {filters: 16, kernel: 3, padding: 1}]\n\
///             head: [average_pool: global, flatten, dense]";
/// let spec = resnet_dsl::Spec { name: "tiny", text, overrides: &Default::default() };
/// let plan = spec.compile(&mut |_| Err("no files".to_owned())).expect("a spec without mistakes").plan;
/// let weights = Weights::init(&plan.description(), 0); // or Weights::load(&plan.description(), path)?
/// let mut program = Program::new(plan, weights, NonZeroUsize::MIN)?;
/// let scores: &[f32] = program.run(&[0.5; 8 * 8 * 3])?;
/// assert_eq!(scores.len(), 4);
/// # Ok::<(), resnet_runtime::Error>(())
/// ```
pub struct Program {
    plan: Plan,
    weights: Weights,
    arena: Arena,
    threads: Threads,
    sections: Vec<Passes>,
    outputs: Vec<Place>,
    /// Input of a run that is not full: see [`Program::run_each`].
    spare: Vec<f32>,
}

/// A section: its calls, and how often they are made.
struct Passes {
    calls: Vec<Call>,
    passes: usize,
}

/// A step, resolved.
struct Call {
    task: Task,
    /// Shape of the tensor that is written.
    dims: [usize; 4],
    /// Elements of a pass' part of the network's input, if that is what it reads.
    input: Option<usize>,
    /// What it reads, and its gate: [`Part::NOTHING`] if there is none.
    reads: [Part; 2],
    write: Part,
}

/// A tensor in the arena, and how far apart those of two passes are in bytes.
#[derive(Clone, Copy)]
struct Part {
    place: Place,
    pass_bytes: usize,
}

impl Program {
    /// Checks the plan, resolves its steps, and makes a team of `threads` threads, the caller's included. It has fewer if the
    /// system refuses some, and at most [`Threads::most`]. A program that was made before a `fork` runs on one thread in the child.
    ///
    /// # Errors
    /// [`Error::Plan`] if the plan cannot be executed: all that is wrong with it; [`Error::OtherWeights`] if the weights were
    /// not loaded for its description; [`Error::Memory`].
    pub fn new(plan: Plan, weights: Weights, threads: NonZeroUsize) -> Result<Self, Error> {
        let description = plan.description();
        let name = || description.name.to_string();
        let faults = check(&plan);
        if !faults.is_empty() {
            return Err(Error::Plan { network: name(), faults });
        }
        if !weights.fit(description) {
            return Err(Error::OtherWeights { network: name() });
        }
        let sections = plan
            .sections
            .iter()
            .map(|section| {
                let images = plan.images(section);
                let steps = &plan.steps[section.steps.clone()];
                let calls = steps.iter().map(|step| Call::of(&plan, images, step)).collect::<Result<_, _>>();
                calls.map(|calls| Passes { calls, passes: section.passes })
            })
            .collect::<Result<_, String>>()
            .map_err(|fault| Error::Plan { network: name(), faults: vec![fault] })?;
        let arena = Arena::zeroed(description.peak_bytes)?;
        let threads = Threads::new(threads, description.scratch_bytes)?;
        let outputs = plan.outputs.iter().map(|output| Part::of(&plan, &output.view).place).collect();
        Ok(Program { plan, weights, arena, threads, sections, outputs, spare: Vec::new() })
    }

    /// The network's output for `input` (`[N, H, W, C]`), the last one if there are several, which stays until the next run. After
    /// the first run nothing is allocated.
    ///
    /// Infinities and NaN in the input are no error: they go where the arithmetic takes them.
    ///
    /// # Errors
    /// [`Error::Length`] if the input has another length.
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], Error> {
        self.execute(input, None)
    }

    /// The name and the elements of each output of the last run; zeros before the first.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let elements = self.outputs.iter().map(|place| match self.arena.read(*place) {
            Elements::F32(output) => output,
            _ => unreachable!("a checked plan's outputs are f32"),
        });
        self.plan.outputs.iter().map(|output| &*output.name).zip(elements)
    }

    /// The network's (last) outputs for any number of images, one after another, whatever the plan's batch. (The last run is filled up
    /// with zeros, and memory for that is allocated once.)
    ///
    /// # Errors
    /// [`Error::Images`] if `images` is no whole number of images, or `outputs` has no room for as many outputs.
    pub fn run_each(&mut self, images: &[f32], outputs: &mut [f32]) -> Result<(), Error> {
        let (input, output) = (self.plan.input, self.plan.output());
        let mut spare = std::mem::take(&mut self.spare);
        let run = |images: &[f32], give: &mut dyn FnMut(&[f32])| {
            give(self.run(images)?);
            Ok(())
        };
        let result = run_each(input, output, images, outputs, &mut spare, run);
        self.spare = spare;
        result
    }

    /// As [`Program::run`]; `observe` sees what each step of the plan has written, in order, pass after pass of a section.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_observed(
        &mut self,
        input: &[f32],
        observe: &mut dyn FnMut(Observation<'_>),
    ) -> Result<&[f32], Error> {
        self.execute(input, Some(observe))
    }

    /// As [`Program::run`]; gives the time of each step, in the order of [`Program::run_observed`]. (This allocates.)
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_timed(&mut self, input: &[f32]) -> Result<Vec<Duration>, Error> {
        let mut watch = StopWatch::start();
        self.run_observed(input, &mut |_| watch.lap())?;
        Ok(watch.laps)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Threads that it runs on, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    fn execute(
        &mut self,
        input: &[f32],
        mut observe: Option<&mut dyn FnMut(Observation<'_>)>,
    ) -> Result<&[f32], Error> {
        let expected = self.plan.input.iter().product();
        if input.len() != expected {
            return Err(Error::Length { dims: self.plan.input, expected, found: input.len() });
        }
        let Program { weights, arena, threads, sections, .. } = self;
        threads.notice_fork();
        for Passes { calls, passes } in sections {
            for pass in 0..*passes {
                for call in calls.iter() {
                    call.run(weights, threads, arena, input, pass);
                    if let Some(observe) = &mut observe {
                        let elements = arena.read(call.write.of_pass(pass));
                        observe(Observation { dims: call.dims, elements });
                    }
                }
            }
        }
        Ok(self.outputs().last().map_or(&[], |(_, output)| output))
    }
}

impl Call {
    fn of(plan: &Plan, images: usize, step: &Step) -> Result<Self, String> {
        let [_, height, width, channels] = plan.input;
        let input = [images, height, width, channels];
        let task = step.task(input).map_err(|fault| format!("{}: {fault}", step.name))?;
        let is_input = step.read.is_none() && matches!(task, Task::Copy(..));
        let reads =
            [step.read, step.gate].map(|view| view.map_or(Part::NOTHING, |view| Part::of(plan, &view)));
        let (dims, write) = (step.write.dims, Part::of(plan, &step.write));
        Ok(Call { task, dims, input: is_input.then(|| input.iter().product()), reads, write })
    }

    /// Calls the kernel, for a pass.
    fn run(&self, weights: &Weights, threads: &Threads, arena: &mut Arena, input: &[f32], pass: usize) {
        let write = self.write.of_pass(pass);
        let ([x, gate], y) = arena.reads(self.reads.map(|part| part.of_pass(pass)), write);
        let x = self.input.map_or(x, |len| Elements::F32(&input[pass * len..][..len]));
        let Elements::F32(gate) = gate else { unreachable!("a task's gate is f32") };
        compute(&self.task, weights, [0, 0], threads, x, gate, y);
    }
}

impl Part {
    const NOTHING: Part = Part { place: Place { offset: 0, len: 0, element: Element::F32 }, pass_bytes: 0 };

    fn of(plan: &Plan, view: &View) -> Part {
        let buffer = &plan.buffers[view.buffer];
        let place = Place { offset: buffer.offset, len: view.area().len(), element: view.element };
        Part { place, pass_bytes: if buffer.whole { view.bytes() } else { 0 } }
    }

    fn of_pass(self, pass: usize) -> Place {
        Place { offset: self.place.offset + pass * self.pass_bytes, ..self.place }
    }
}
