//! The threads of a session: a fixed team that shares out one layer after another.
//!
//! A network is some fifty layers of 20 to 300 microseconds, cut into equal parts. The caller publishes one job, does part 0 itself and
//! waits for the others. What a job balances, it takes in small pieces, which are counted here.
//!
//! ```text
//! run(work):   publish work, count up the generation, wake who sleeps; work(0); wait until nobody is at it
//! worker i:    watch the generation for a while, let others run, then sleep; when it has changed: work(i), report
//! ```

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::arena::Arena;
use crate::error::Error;

/// A team of threads, the caller's among them.
///
/// A child of `fork` has none of them but its own: sessions and programs look for that before they run, who uses a team directly
/// must not carry it over.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One for each thread, the caller's first.
    scratch: Vec<Scratch>,
    scratch_len: usize,
    /// The process that the workers belong to, and whether this is another one: a child that was forked has no workers.
    process: u32,
    forked: Cell<bool>,
    /// For each thread, what is taken of its part of a job.
    taken: Vec<OwnLine<Taken>>,
    /// Whether there is a job. (The `Cell` also makes the type `!Sync`: it has one caller.)
    running: Cell<bool>,
}

struct Shared {
    /// Counts jobs; [`STOP`] ends the workers.
    generation: OwnLine<AtomicUsize>,
    /// Workers that have not finished the job.
    busy: OwnLine<AtomicUsize>,
    /// The job, while `busy` is not zero.
    job: UnsafeCell<Option<Job>>,
    /// The first panic of a worker in this job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What one thread watches while others write nearby: alone in its cache lines (two are fetched at a time).
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct OwnLine<T>(pub(crate) T);

/// Counts what is taken of a thread's part, by whoever takes it: see [`shares`](crate::kernels::shares).
pub(crate) type Taken = AtomicU64;

/// The work of one `run`; the lifetime is that of the call, which outlasts every use.
type Job = *const (dyn Fn(usize) + Sync + 'static);

// SAFETY: `job` is written only by the caller of `run`, while no worker is busy, and read by workers only between the
// release of `generation` and their own release of `busy`. What it points to is `Sync`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The generation that ends the workers.
const STOP: usize = usize::MAX;

/// How often a thread looks before it lets others run, which may be the one it waits for: some 10 microseconds.
const SPINS: usize = 400;
/// How often it lets others run before it sleeps: some 200 microseconds, longer than what one thread does between two layers.
const YIELDS: usize = 1_000;

/// Memory that a thread works in during a job.
struct Scratch(UnsafeCell<Arena>);

// SAFETY: in a job, each thread takes only its own, and there is one job at a time.
unsafe impl Sync for Scratch {}

/// The cores that the system lets the process use, as far as it says so. One, without the feature `threads`.
pub fn cores() -> NonZeroUsize {
    let cores = cfg!(feature = "threads").then(thread::available_parallelism);
    cores.and_then(Result::ok).unwrap_or(NonZeroUsize::MIN)
}

impl Threads {
    /// A team of `count` threads, of which one is the caller's, each with so many bytes to work in. The team is smaller if the
    /// system refuses some, and has at most [`Threads::most`].
    ///
    /// # Errors
    /// [`Error::Memory`] if the system does not give the memory.
    pub fn new(count: NonZeroUsize, scratch_bytes: usize) -> Result<Threads, Error> {
        let shared = Arc::new(Shared {
            generation: OwnLine(AtomicUsize::new(0)),
            busy: OwnLine(AtomicUsize::new(0)),
            job: UnsafeCell::new(None),
            panic: Mutex::new(None),
        });
        let spawn = |index: usize| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("resnet-{index}")).spawn(move || serve(&shared, index)).ok()
        };
        let scratch = || Arena::zeroed(scratch_bytes).map(|arena| Scratch(UnsafeCell::new(arena)));
        let mut team = Threads {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
            scratch: vec![scratch()?],
            scratch_len: scratch_bytes / size_of::<f32>(),
            taken: vec![OwnLine::default()],
            process: 0,
            forked: Cell::new(false),
            running: Cell::new(false),
        };
        for index in 1..count.get().min(Self::most()) {
            let (memory, worker) = (scratch()?, spawn(index));
            let Some(worker) = worker else { break };
            team.workers.push(worker);
            team.scratch.push(memory);
            team.taken.push(OwnLine::default());
            team.process = std::process::id(); // not on systems without threads, where there is none
        }
        Ok(team)
    }

    /// The most threads of a team: 64, or four times the number of cores if that is more. More only wait for each other. One, without
    /// the feature `threads`.
    pub fn most() -> usize {
        if cfg!(feature = "threads") { cores().get().saturating_mul(4).max(64) } else { 1 }
    }

    /// Looks whether the process was forked since the team was made: then the caller's thread is all that there is of it. To be
    /// called before jobs, where a team may have been carried over. (Not by each job: that would cost a system call a layer.)
    pub(crate) fn notice_fork(&self) {
        if !self.workers.is_empty() {
            self.forked.set(std::process::id() != self.process);
        }
    }

    /// Elements of scratch memory that each thread has.
    pub fn scratch(&self) -> usize {
        self.scratch_len
    }

    /// What is taken of each thread's part of a job.
    pub(crate) fn taken(&self) -> &[OwnLine<Taken>] {
        &self.taken[..self.count()]
    }

    /// How many there are, the caller's included.
    pub fn count(&self) -> usize {
        if self.forked.get() { 1 } else { self.workers.len() + 1 }
    }

    /// Calls `work(0, scratch)` to `work(count - 1, scratch)`, each on its thread with its own memory, and returns when all
    /// have returned. What is in the memory is left over from earlier jobs.
    ///
    /// # Panics
    /// If one of them panics, after the others have returned. If one of them calls this.
    pub fn run(&self, work: impl Fn(usize, &mut [f32]) + Sync) {
        assert!(!self.running.replace(true), "a job cannot start another one in its own team");
        let _running = Running(&self.running);
        let scratch = &self.scratch;
        // SAFETY: this thread's own memory, and there is one job at a time.
        let work = |index: usize| work(index, unsafe { &mut *scratch[index].0.get() }.as_mut_slice());
        if self.count() == 1 {
            return work(0);
        }
        let job: *const (dyn Fn(usize) + Sync + '_) = &work;
        // SAFETY: only the lifetime changes; `work` lives until this function returns, and it does not return or unwind
        // before every worker has reported that it is done with the job.
        let job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(job) };
        // SAFETY: no worker is busy, so none looks at the job; the release below shows it to them.
        unsafe { *self.shared.job.get() = Some(job) };
        self.shared.busy.0.store(self.workers.len(), Ordering::Relaxed);
        let generation = self.shared.generation.0.load(Ordering::Relaxed);
        self.shared.generation.0.store((generation + 1) % STOP, Ordering::Release);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        let mut looked = 0;
        while self.shared.busy.0.load(Ordering::Acquire) != 0 {
            looked += 1;
            if looked < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let theirs = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (own, theirs) {
            (Ok(()), None) => {}
            (Ok(()), Some(panic)) => resume_unwind(panic),
            (Err(panic), theirs) => {
                // Dropped, it could panic in its turn.
                std::mem::forget(theirs);
                resume_unwind(panic)
            }
        }
    }
}

/// A job; when it ends, by return or by panic, there is none.
struct Running<'a>(&'a Cell<bool>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A worker's life.
fn serve(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut looked = 0;
        let generation = loop {
            let generation = shared.generation.0.load(Ordering::Acquire);
            if generation != seen {
                break generation;
            }
            looked += 1;
            if looked < SPINS {
                std::hint::spin_loop();
            } else if looked < SPINS + YIELDS {
                thread::yield_now();
            } else {
                thread::park();
            }
        };
        if generation == STOP {
            return;
        }
        seen = generation;
        // SAFETY: the acquire of the generation shows the job that was written before it; the caller leaves it alone, and
        // what it points to alive, until this worker counts itself out below.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe {
            if let Some(job) = *shared.job.get() {
                (*job)(index);
            }
        }));
        if let Err(panic) = result {
            let mut first = shared.panic.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *first {
                None => *first = Some(panic),
                // Dropped, it could panic in its turn, and this worker never report.
                Some(_) => std::mem::forget(panic),
            }
        }
        shared.busy.0.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.notice_fork();
        if self.forked.get() {
            // Threads of another process cannot be waited for.
            self.workers.drain(..).for_each(std::mem::forget);
            return;
        }
        self.shared.generation.0.store(STOP, Ordering::Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches every panic of the work, so it always ends by itself.
            let _ = worker.join();
        }
    }
}

#[cfg(all(test, feature = "threads"))]
mod tests {
    use super::*;

    fn team(count: usize) -> Threads {
        Threads::new(NonZeroUsize::new(count).unwrap(), 0).unwrap()
    }

    #[test]
    fn every_part_is_done_once_and_again() {
        for count in 1..=4 {
            let threads = team(count);
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..1_000 {
                threads.run(|index, _| {
                    done[index].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1_000));
        }
    }

    #[test]
    fn workers_that_sleep_are_woken() {
        let threads = team(2);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(5));
            let done = AtomicUsize::new(0);
            threads.run(|_, _| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.into_inner(), 2);
        }
    }

    #[test]
    fn a_team_has_at_most_so_many_threads() {
        assert_eq!(team(usize::MAX).count(), Threads::most());
    }

    /// A payload that panics when it is dropped.
    struct Trap(bool);

    impl Drop for Trap {
        fn drop(&mut self) {
            assert!(!self.0, "dropped");
        }
    }

    #[test]
    fn panics_whose_payloads_panic_do_no_harm() {
        let threads = team(4);
        let result = catch_unwind(AssertUnwindSafe(|| {
            threads.run(|_, _| std::panic::panic_any(Trap(true)));
        }));
        result.unwrap_err().downcast::<Trap>().unwrap().0 = false;
        let done = AtomicUsize::new(0);
        threads.run(|_, _| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 4);
    }

    /// In a child of `fork` a team runs on the one thread that is left, and is dropped without waiting for others.
    #[cfg(unix)]
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no fork")]
    fn a_forked_team_is_one_thread() {
        let threads = team(3);
        threads.run(|_, _| {});
        // SAFETY: the child allocates nothing, but what the C library makes safe after a fork, and ends without unwinding.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no fork");
        if child == 0 {
            threads.notice_fork();
            let done = AtomicUsize::new(0);
            threads.run(|index, _| {
                done.fetch_add(index + 1, Ordering::Relaxed);
            });
            let alone = threads.count() == 1 && done.into_inner() == 1;
            drop(threads);
            // SAFETY: nothing of this process is to be cleaned up.
            unsafe { libc::_exit(if alone { 42 } else { 1 }) }
        }
        let mut status = 0;
        for _ in 0..1_000 {
            // SAFETY: `status` is this thread's own.
            if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 42, "status {status:#x}");
                threads.notice_fork();
                assert_eq!(threads.count(), 3);
                return;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        // SAFETY: it is this test's own child.
        unsafe { libc::kill(child, libc::SIGKILL) };
        panic!("the child hangs");
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let threads = team(3);
        for guilty in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                threads.run(|index, _| assert_ne!(index, guilty, "part {index} fails"));
            }));
            assert!(result.is_err());
        }
        let done = AtomicUsize::new(0);
        threads.run(|_, _| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 3);
    }
}
