//! A network computes many images on all cores.
//!
//! ```text
//! few images:   one program with all threads computes one after another
//! many images:  for each thread, a program with one thread:
//!                   while there are images left:  take the next few, read them, compute them
//!               this thread gives the outputs in the order of the images
//! ```
//! A program on each core computes more images a second than one program on all cores: no thread waits for another, and one reads
//! (decodes, resizes) while others compute. Outputs have the same bits either way. Those that are ready before their turn wait, which is
//! a few unless one image takes as long as many.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use resnet::runtime::{Plan, Program, Weights};

/// The network's outputs for one image, or why there are none; and the time that the network took.
pub(crate) struct Output {
    pub(crate) values: anyhow::Result<Vec<Vec<f32>>>,
    pub(crate) time: Duration,
}

/// What computed.
pub(crate) struct Team {
    pub(crate) programs: usize,
    /// Of each program.
    pub(crate) threads: usize,
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.programs {
            1 => write!(f, "{} thread(s)", self.threads),
            programs => write!(f, "{programs} sessions of {} thread", self.threads),
        }
    }
}

/// Computes `count` images. A reader, which each thread makes for itself by `reader`, writes an image's input; `see` is given each
/// image's output, in order, and ends everything by an error.
pub(crate) fn run<R: FnMut(usize, &mut [f32]) -> anyhow::Result<()>>(
    plan: &Plan,
    weights: &Weights,
    threads: NonZeroUsize,
    count: usize,
    reader: impl Fn() -> R + Sync,
    mut see: impl FnMut(usize, Output) -> anyhow::Result<()>,
) -> anyhow::Result<Team> {
    let batch = plan.input[0];
    let parts = count.div_ceil(batch);
    let part = |index: usize| index * batch..count.min((index + 1) * batch);
    let program = |threads| Program::new(plan.clone(), weights.clone(), threads);
    if threads.get() == 1 || parts < 2 * threads.get() {
        let mut worker = Worker { program: program(threads)?, reader: reader(), input: Vec::new() };
        for index in 0..parts {
            for (image, output) in worker.compute(part(index)) {
                see(image, output)?;
            }
        }
        return Ok(Team { programs: 1, threads: worker.program.threads() });
    }
    let programs: Vec<Program> =
        (0..threads.get()).map(|_| program(NonZeroUsize::MIN)).collect::<Result<_, _>>()?;
    let team = Team { programs: programs.len(), threads: 1 };
    let next = AtomicUsize::new(0);
    let work = |program, outputs: SyncSender<Outputs>| {
        let mut worker = Worker { program, reader: reader(), input: Vec::new() };
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            // Nobody receives any more once `see` has ended everything.
            if index >= parts || outputs.send(worker.compute(part(index))).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let (sender, outputs) = sync_channel(2 * programs.len());
        let start = |program| {
            let sender = sender.clone();
            std::thread::Builder::new().spawn_scoped(scope, || work(program, sender))
        };
        // Without a thread that the system refuses, the others do its part.
        let refused: Vec<_> = programs.into_iter().filter_map(|program| start(program).err()).collect();
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (image, output) in outputs.iter().flatten() {
            early.insert(image, output);
            while let Some(output) = early.remove(&due) {
                see(due, output)?;
                due += 1;
            }
        }
        match refused.into_iter().next() {
            Some(error) if due < count => Err(anyhow!(error).context("no thread can be started")),
            _ => Ok(()),
        }
    })?;
    Ok(team)
}

type Outputs = Vec<(usize, Output)>;

/// A program and what reads its inputs.
struct Worker<R> {
    program: Program,
    reader: R,
    input: Vec<f32>,
}

impl<R: FnMut(usize, &mut [f32]) -> anyhow::Result<()>> Worker<R> {
    /// The outputs of some images. One that cannot be read does not keep the others from being computed.
    fn compute(&mut self, images: Range<usize>) -> Outputs {
        let [batch, height, width, channels] = self.program.plan().input;
        let image = height * width * channels;
        self.input.clear();
        // A run that is not full is filled up with zeros.
        self.input.resize(batch * image, 0.0);
        let read = images.clone().zip(self.input.chunks_exact_mut(image));
        let read: Vec<_> = read.map(|(index, input)| (self.reader)(index, input)).collect();
        let start = Instant::now();
        let ran = self.program.run(&self.input).map(drop).map_err(|error| error.to_string());
        let time = start.elapsed() / images.len().max(1) as u32;
        let outputs: Vec<&[f32]> = self.program.outputs().map(|(_, values)| values).collect();
        let of_image = |place: usize| -> Vec<Vec<f32>> {
            let part = |values: &&[f32]| {
                let length = values.len() / batch;
                values[place * length..][..length].to_vec()
            };
            outputs.iter().map(part).collect()
        };
        let output = |(place, (index, read)): (usize, (usize, anyhow::Result<()>))| {
            let ran = read.and_then(|()| ran.clone().map_err(|error| anyhow!(error)));
            (index, Output { values: ran.map(|()| of_image(place)), time })
        };
        images.zip(read).enumerate().map(output).collect()
    }
}
