//! Every distinct convolution of torchvision's ResNet-18 and ResNet-50, alone, one thread, on the best instruction set:
//! the geometries and algorithms are those of the compiled plans. The first line is the measured peak; throughput counts
//! the operations of a direct sum, so Winograd's algorithm exceeds it.

use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use resnet::runtime::elements::{Elements, ElementsMut};
use resnet::runtime::kernels::{self, PackedConv, pack};
use resnet::runtime::threads::Threads;
use resnet::runtime::{Arena, Isa, Precision};
use resnet_dsl::Spec;
use resnet_plan::{Action, Activation, Conv, Convolution, LayerWeights, Plan, Residual, View};

/// The distinct convolutions of a plan: the step's, its views and its layer.
fn distinct(plan: &Plan) -> Vec<(Conv, View, View, &LayerWeights)> {
    let mut distinct: Vec<(Conv, View, View, &LayerWeights)> = Vec::new();
    for step in &plan.steps {
        let (Action::Conv { layer, conv }, Some(read)) = (step.action, step.read) else { continue };
        let conv = Conv { residual: Residual::None, activation: Activation::Relu, ..conv };
        let (read, write) = (View { buffer: 0, ..read }, View { buffer: 0, ..step.write });
        if !distinct.iter().any(|(c, r, w, _)| (*c, *r, *w) == (conv, read, write)) {
            distinct.push((conv, read, write, &plan.description.layers[layer]));
        }
    }
    distinct
}

fn convolution(criterion: &mut Criterion, model: &str) {
    let isa = Isa::best();
    let text = resnet_dsl::shipped::get(model).expect("a shipped model");
    let overrides = Default::default();
    let spec = Spec { name: model, text, overrides: &overrides };
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).expect("a shipped model").plan;
    let mut group = criterion.benchmark_group(format!("{model}/{isa}"));
    for (conv, read, write, layer) in distinct(&plan) {
        let [height, width, inputs, filters] = layer.shape;
        let algorithms = conv.algorithms;
        let scratch = conv.scratch_len(Precision::F32, [inputs, filters]) * size_of::<f32>();
        let threads = Threads::new(NonZeroUsize::MIN, scratch).expect("memory");
        let convolution = Convolution::new(conv, read.area(), Precision::F32, write.area(), 1.0)
            .expect("a step of a checked plan");
        let zeros = |count: usize| Arena::zeroed(count * size_of::<f32>()).expect("memory");
        let (x, mut y) = (zeros(read.area().len()), zeros(write.area().len()));
        let [depth, channels] = layer.packed_shape();
        let panels = zeros(pack::packed_len(isa.kernels(), Precision::F32, depth, channels));
        let bias = zeros(pack::padded(isa.kernels(), Precision::F32, filters));
        let packed = PackedConv { panels: panels.as_slice(), bias: bias.as_slice() };
        let [rows, columns] = write.size;
        let macs = rows * columns * filters * height * width * inputs;
        group.throughput(Throughput::Elements(2 * macs as u64));
        let name = format!(
            "{height}x{width}/{} {} {inputs} channels to {rows}x{columns}x{filters}",
            conv.stride[0], algorithms
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (x, y) = (Elements::F32(x.as_slice()), ElementsMut::F32(y.as_mut_slice()));
                kernels::convolve(isa.kernels(), &threads, &convolution, x, packed, &[], y);
            });
        });
    }
    group.finish();
}

fn convolutions(criterion: &mut Criterion) {
    println!(
        "peak of one core on {}: {:.0} GFLOP/s",
        Isa::best(),
        kernels::peak_gflops(Isa::best().kernels())
    );
    convolution(criterion, "torchvision/resnet18");
    convolution(criterion, "torchvision/resnet50");
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = convolutions
}
criterion_main!(all);
