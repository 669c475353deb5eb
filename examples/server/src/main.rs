//! `server [ADDRESS]`: classifies digits. Everything that you would change is here.

use std::error::Error;
use std::thread::available_parallelism;

use server::{classifiers, pool, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

resnet::resnet! { struct Digits; include "../../specs/digits.yaml", weights: "../../models/digits.safetensors" }

/// Images that may wait for a thread. The last of them waits for so many runs, divided by the threads.
const ROOM: usize = 256;
/// The most bytes of an image file: answered with 413 beyond.
const BODY_BYTES: usize = 10_000_000;
/// The most pixels of an image, which are 4 bytes each in memory: a file of few bytes can claim any number.
const PIXELS: usize = 25_000_000;

// One thread reads and writes; those of the pool compute.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shutdown = async move {
        tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
    };
    let workers = classifiers(&Digits::embedded()?, available_parallelism()?.get(), PIXELS);
    let (queue, threads) = pool::start(workers, ROOM)?;
    let listener = TcpListener::bind(&address).await?;
    eprintln!("http://{}, {} threads", listener.local_addr()?, threads.len());
    serve(listener, queue, BODY_BYTES, shutdown).await?;
    threads.into_iter().try_for_each(|thread| thread.join()).map_err(|_| "a thread panicked")?;
    Ok(())
}
