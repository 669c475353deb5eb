//! Threads that compute, fed by a bounded queue: first come, first served.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use axum::body::Bytes;
use tokio::sync::oneshot;

/// What a thread of the pool does with the body of a request.
pub type Worker<A> = Box<dyn FnMut(&[u8]) -> A + Send>;

/// Where bodies are handed in. The threads end when the last clone is gone and the queue is empty.
pub struct Queue<A>(SyncSender<Job<A>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full: try again later.
    Full,
    /// The worker panicked.
    Broken,
}

struct Job<A> {
    body: Bytes,
    answer: oneshot::Sender<A>,
}

/// A thread for each worker, and a queue with room for so many bodies that wait for one.
///
/// # Errors
/// What the system says if it refuses a thread.
pub fn start<A: Send + 'static>(
    workers: Vec<Worker<A>>,
    room: usize,
) -> std::io::Result<(Queue<A>, Vec<JoinHandle<()>>)> {
    let (sender, receiver) = sync_channel(room);
    let receiver = Arc::new(Mutex::new(receiver));
    let start = |worker| {
        let receiver = receiver.clone();
        Builder::new().name("classifier".into()).spawn(move || work(worker, &receiver))
    };
    let threads = workers.into_iter().map(start).collect::<Result<_, _>>()?;
    Ok((Queue(sender), threads))
}

impl<A> Queue<A> {
    /// A worker's answer to a body, as soon as one is free.
    ///
    /// # Errors
    /// Without any wait if the queue is full.
    pub async fn ask(&self, body: Bytes) -> Result<A, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Job { body, answer }).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Full,
            TrySendError::Disconnected(_) => Refusal::Broken,
        })?;
        answered.await.map_err(|_| Refusal::Broken)
    }
}

impl<A> Clone for Queue<A> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

fn work<A>(mut worker: Worker<A>, jobs: &Mutex<Receiver<Job<A>>>) {
    // One idle thread waits in `recv`, the others for the lock.
    let next = || jobs.lock().ok()?.recv().ok();
    while let Some(Job { body, answer }) = next() {
        // A client that has left needs no answer.
        if answer.is_closed() {
            continue;
        }
        // A panic (of an image decoder, say) costs its request, not the thread: without an answer, `ask` says `Broken`.
        if let Ok(value) = catch_unwind(AssertUnwindSafe(|| worker(&body))) {
            let _ = answer.send(value);
        }
    }
}
