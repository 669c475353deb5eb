//! Latency of the shipped networks, a run of `run` each, on every instruction set of this machine, with one thread and
//! with one a core; and the time from a weight file in memory to a network.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use resnet::runtime::weights::fill::Filler;
use resnet::runtime::{Description, Isa, Precision, Shape, Weights};
use resnet::{Network, Session};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

resnet::resnet! { struct ResNet50; include "specs/resnet50.yaml" }
resnet::resnet! { struct TorchvisionResNet18; model "torchvision/resnet18" }
resnet::resnet! { struct TorchvisionResNet34; model "torchvision/resnet34" }
resnet::resnet! { struct TorchvisionResNet50; model "torchvision/resnet50" }
resnet::resnet! { struct TorchvisionResNet101; model "torchvision/resnet101" }
resnet::resnet! { struct TorchvisionResNet152; model "torchvision/resnet152" }
resnet::resnet! { struct CifarResNet20; model "cifar/resnet20" }
resnet::resnet! { struct Digits; model "digits" }

fn network<N: Network>(criterion: &mut Criterion, model: &str) {
    let mut group = criterion.benchmark_group(model);
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let input = vec![0.5; N::Input::LEN];
    let input = N::Input::from_slice(&input).expect("of the input's length");
    // Some add nothing to f32.
    for isa in Isa::available().into_iter().filter(|isa| isa.serving(Precision::F32) == *isa) {
        let network = N::from_weights(Weights::init_for(isa, &N::DESCRIPTION, 0));
        let mut counts = vec![NonZeroUsize::MIN, cores];
        counts.dedup();
        for threads in counts {
            let mut session = Session::with_threads(&network, threads);
            let id = BenchmarkId::new(isa.name(), format!("{threads} threads"));
            group.bench_function(id, |bencher| bencher.iter(|| session.run(input).map(|_| ())));
        }
    }
    group.finish();
}

fn networks(criterion: &mut Criterion) {
    network::<Digits>(criterion, "digits");
    network::<CifarResNet20>(criterion, "cifar/resnet20");
    network::<ResNet50>(criterion, "resnet50");
    network::<TorchvisionResNet18>(criterion, "torchvision/resnet18");
    network::<TorchvisionResNet34>(criterion, "torchvision/resnet34");
    network::<TorchvisionResNet50>(criterion, "torchvision/resnet50");
    network::<TorchvisionResNet101>(criterion, "torchvision/resnet101");
    network::<TorchvisionResNet152>(criterion, "torchvision/resnet152");
}

/// From a plain file (read, folded, transformed, packed), from a packed one (mapped), and writing that.
fn load(criterion: &mut Criterion) {
    let folder = std::env::temp_dir();
    let (plain, packed) = (folder.join("resnet-bench.safetensors"), folder.join("resnet-bench.packed"));
    write_formula_weights(&TorchvisionResNet50::DESCRIPTION, &plain);
    let network = TorchvisionResNet50::load(&plain).expect("the file that was written");
    let save = || network.weights().save(&TorchvisionResNet50::DESCRIPTION, &packed);
    criterion.bench_function("torchvision/resnet50/pack", |bencher| bencher.iter(save));
    criterion.bench_function("torchvision/resnet50/load", |bencher| {
        bencher.iter(|| TorchvisionResNet50::load(&plain).map(|_| ()));
    });
    criterion.bench_function("torchvision/resnet50/map", |bencher| {
        bencher.iter(|| TorchvisionResNet50::map(&packed).map(|_| ()));
    });
    let bytes = include_bytes!("../models/digits.safetensors");
    criterion.bench_function("digits/load", |bencher| bencher.iter(|| Digits::from_bytes(bytes).map(|_| ())));
    for file in [plain, packed] {
        let _ = std::fs::remove_file(file);
    }
}

fn write_formula_weights(network: &Description, file: &Path) {
    let tensors: Vec<_> = network.tensors().collect();
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| Filler::Formula.fill(tensor).into_iter().flat_map(f32::to_le_bytes).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|(tensor, data)| {
        let view = TensorView::new(Dtype::F32, tensor.dims.to_vec(), data).expect("a tensor of its size");
        (tensor.name, view)
    });
    serialize_to_file(views, None, file).expect("a file in the temporary folder");
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = networks, load
}
criterion_main!(all);
