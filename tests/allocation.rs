//! A session allocates when it is made; `run` does not, from the second time on, on any of its threads. Nor do `run_each`, and a
//! classifier after the first image of a size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct Batch; model "digits", batch: 2 }

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test of this file: others would allocate at the same time.
#[test]
fn nothing_is_allocated_after_the_first_time() {
    run_allocates_nothing();
    a_classifier_allocates_nothing();
}

fn a_classifier_allocates_nothing() {
    let mut classifier = Digits::init(0).classifier();
    let (large, small) = (vec![7; 123 * 61 * 4], vec![9; 11 * 7 * 3]);
    let large = resnet::Image::rgba8(&large, 123, 61).unwrap();
    let small = resnet::Image::rgb8(&small, 11, 7).unwrap();
    let mut session = Batch::init(0).session();
    let (images, mut outputs) = (vec![0.5; 3 * 28 * 28], vec![0.0; 3 * 10]);
    let mut all = || {
        for image in [&large, &small] {
            assert_eq!(classifier.classify(image).unwrap().probabilities().len(), 10);
        }
        session.run_each(&images, &mut outputs).unwrap();
    };
    all();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..10).for_each(|_| all());
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
}

fn run_allocates_nothing() {
    let net = Digits::init(0);
    let pixels = vec![0.5; 28 * 28];
    let image = resnet::Tensor::from_slice(&pixels).unwrap();
    for threads in 1..=3 {
        let mut session = net.session_with(NonZeroUsize::new(threads).unwrap());
        session.run(image).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..100 {
            session.run(image).unwrap();
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before, "{threads} threads");
    }
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the counter does not count");
}
