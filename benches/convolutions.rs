//! Every distinct convolution of torchvision's ResNet-18 and ResNet-50, alone, one thread, on the best instruction set:
//! the geometries and algorithms are those of the compiled plans. The first line is the measured peak; throughput counts
//! the operations of a direct sum, so Winograd's algorithm exceeds it.

use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use resnet::runtime::kernels::{
    self, Algorithm, ConvGeometry, Convolution, PackedConv, Pixels, Residual, Split, pack,
};
use resnet::runtime::numbers::{Numbers, NumbersMut};
use resnet::runtime::threads::Threads;
use resnet::runtime::{Arena, Isa, Precision};
use resnet_dsl::plan::Action;
use resnet_dsl::{Spec, ops};

/// A convolution of a plan: tensors, window and step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    /// Height, width, channels.
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    algorithm: ops::Algorithm,
}

fn shapes(model: &str) -> Vec<Shape> {
    let text = resnet_dsl::shipped::get(model).expect("a shipped model");
    let overrides = Default::default();
    let spec = Spec { name: model, text, overrides: &overrides };
    let plan = spec.compile(&mut |_| Err("no files".to_owned())).expect("a shipped model").plan;
    let shapes = plan.steps.iter().filter_map(|step| match (&step.action, &step.read) {
        (Action::Conv { kernel, stride, algorithm, .. }, Some(read)) => {
            let [_, height, width, channels] = read.dims;
            let ([rows, columns], [.., filters]) = (step.write.size, step.write.dims);
            let (input, output) = ([height, width, channels], [rows, columns, filters]);
            Some(Shape { input, output, kernel: *kernel, stride: *stride, algorithm: *algorithm })
        }
        _ => None,
    });
    let mut distinct = Vec::new();
    for shape in shapes {
        if !distinct.contains(&shape) {
            distinct.push(shape);
        }
    }
    distinct
}

fn convolution(criterion: &mut Criterion, model: &str) {
    let isa = Isa::best();
    let mut group = criterion.benchmark_group(format!("{model}/{isa}"));
    for Shape { input, output, kernel, stride, algorithm } in shapes(model) {
        let window = kernel[0] * kernel[1] * input[2];
        let scratch = algorithm.scratch_bytes(kernel, stride, [input[2], output[2]]);
        let label = algorithm;
        let algorithm = match algorithm {
            ops::Algorithm::Direct => Algorithm::Direct,
            ops::Algorithm::Winograd { output, block, depth, fused } => {
                Algorithm::Winograd { output, block, depth, fused }
            }
            ops::Algorithm::WinogradRows { block } => Algorithm::WinogradRows { block },
            ops::Algorithm::Strassen { block } => Algorithm::Strassen { block },
        };
        // Strassen's algorithm reads seven quarters of the weights of a direct sum, the others as many; here they are zeros.
        let weights = match algorithm {
            Algorithm::Strassen { .. } => kernels::strassen::PRODUCTS,
            _ => 4,
        };
        let threads = Threads::with_scratch(NonZeroUsize::MIN, scratch);
        let pixels = |[_, width, channels]: [usize; 3], [down, right]: [usize; 2]| Pixels {
            start: 0,
            image: 0,
            row: down * width * channels,
            pixel: right * channels,
        };
        let geometry = ConvGeometry {
            batch: 1,
            output: [output[0], output[1]],
            rows: kernel[0],
            run: kernel[1] * input[2],
            pitch: input[1] * input[2],
            channels: output[2],
            x: pixels(input, stride),
            y: pixels(output, [1, 1]),
        };
        let numbers = |count: usize| Arena::zeroed(count * size_of::<f32>());
        let (x, mut y) = (numbers(input.iter().product()), numbers(output.iter().product()));
        let panels = numbers(pack::packed_len(isa, Precision::F32, window, output[2]) / 4 * weights);
        let bias = numbers(pack::padded(isa, Precision::F32, output[2]));
        let packed = PackedConv { panels: panels.as_slice(), bias: bias.as_slice() };
        let convolution =
            Convolution { geometry, algorithm, residual: Residual::None, relu: true, split: Split::Pixels };
        let macs = output.iter().product::<usize>() * window;
        group.throughput(Throughput::Elements(2 * macs as u64));
        let [height, width, channels] = input;
        let name = format!(
            "{}x{}/{} {label} {height}x{width}x{channels} to {}x{}x{}",
            kernel[0], kernel[1], stride[0], output[0], output[1], output[2]
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (x, y) = (Numbers::F32(x.as_slice()), NumbersMut::F32(y.as_mut_slice()));
                kernels::convolve(isa, &threads, &convolution, x, packed, y);
            });
        });
    }
    group.finish();
}

fn convolutions(criterion: &mut Criterion) {
    println!("peak of one core on {}: {:.0} GFLOP/s", Isa::best(), kernels::peak_gflops(Isa::best()));
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
