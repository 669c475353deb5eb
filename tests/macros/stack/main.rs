//! Runs networks once, each on a thread with 1 MB of stack, on every instruction set of the machine.
use std::num::NonZeroUsize;

use resnet::runtime::{Isa, Shape, Weights};
use resnet::{Network, Session};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct Bf16; model "digits", precision: bf16 }
resnet::resnet! { struct Int8; model "digits", precision: int8 }
resnet::resnet! { struct Direct; model "digits", winograd: off }
resnet::resnet! { struct Basic; model "torchvision/resnet18", input: 64x64x3 }
resnet::resnet! { struct Bottleneck; model "torchvision/resnet50", input: 64x64x3 }

fn run<N: Network>() {
    for isa in Isa::available() {
        let work = move || {
            let net = N::from_weights(Weights::init_for(isa, &N::DESCRIPTION, 1));
            let pixels = vec![0.5; N::Input::LEN];
            let mut session = Session::with_threads(&net, NonZeroUsize::MIN);
            session.run(N::Input::from_slice(&pixels).unwrap()).unwrap();
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
        println!("{} in {} on {isa}", N::DESCRIPTION.name, N::DESCRIPTION.precision);
    }
}

fn main() {
    run::<Digits>();
    run::<Bf16>();
    run::<Int8>();
    run::<Direct>();
    run::<Basic>();
    run::<Bottleneck>();
}
