//! Classifies a folder of images on all cores: `cargo run --release --example pipeline -- examples/images`
//!
//! A classifier of one thread on each core computes more images a second than one classifier of all threads: no thread waits for
//! another at the end of a layer, and one decodes while others compute. (One image alone is ready sooner the other way, by
//! `net.classifier()`.) The classifiers share the weights; a counter gives out the files; results are printed as they come.
#![forbid(unsafe_code)]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use resnet::{Classifier, Guess, Image};

resnet::resnet! { pub struct Digits; include "specs/digits.yaml", weights: "models/digits.safetensors" }

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or("examples/images".into());
    let files = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    let files = files.collect::<std::io::Result<Vec<PathBuf>>>()?;
    let net = Digits::embedded()?;
    let threads = thread::available_parallelism()?;
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let work = |sender: mpsc::Sender<_>| {
        let mut classifier = net.classifier_with(NonZeroUsize::MIN);
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if sender.send((file, classify(&mut classifier, file))).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        for (file, result) in results {
            match result {
                Ok(Guess { label, probability, .. }) => {
                    println!("{}: {label} {:.1} %", file.display(), 100.0 * probability);
                }
                Err(error) => eprintln!("{}: {error}", file.display()),
            }
        }
    });
    println!("{:.0} images/s with {threads} threads", files.len() as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// The best guess. A file that is no image does not keep the others from being classified.
fn classify(classifier: &mut Classifier<Digits>, file: &Path) -> Result<Guess, resnet::Error> {
    let image = Image::open(file)?;
    Ok(classifier.classify(&image)?.top(1).swap_remove(0))
}
