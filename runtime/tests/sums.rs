//! Sums of many terms: means of pixels within 1e-6 of those in double precision, for windows and images of any size, and
//! products of long runs in parts.

mod common;

use std::num::NonZeroUsize;

use common::skip;
use resnet_plan::{
    Activation, Algorithm, Algorithms, Area, ConvGeometry, Convolution, PoolGeometry, PoolKind, Residual,
    Split,
};
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels::{self, PackedConv, pack};
use resnet_runtime::threads::Threads;
use resnet_runtime::{Isa, Precision, bf16};

/// An image's height, width and channels, and the window's height and width.
const CASES: [([usize; 3], [usize; 2]); 9] = [
    ([7, 7, 33], [7, 7]),
    ([8, 8, 64], [8, 8]),
    ([20, 15, 85], [20, 15]),
    ([44, 27, 5], [44, 27]),
    ([512, 512, 1], [512, 512]),
    ([3, 4099, 17], [3, 4099]),
    ([4099, 3, 1], [4099, 3]),
    ([40, 60, 9], [15, 22]),
    ([3000, 3000, 1], [3000, 3000]),
];

/// Elements that sums in a row round badly: all the same, of very different sizes, and any.
fn elements(kind: usize, count: usize) -> Vec<f32> {
    let random = |place: usize| (place as u32).wrapping_mul(2_654_435_761).wrapping_add(kind as u32) >> 8;
    let element = |place: usize| match kind {
        0 => 1.0,
        1 => 0.1,
        2 => random(place) as f32 / (1 << 24) as f32,
        _ => 2f32.powi((random(place) % 24) as i32) * 1.000_000_1,
    };
    (0..count).map(element).collect()
}

/// The mean of each window in double precision, row after row, without padding, with a stride of its size.
fn exact(x: &[f32], [_, width, channels]: [usize; 3], window: [usize; 2], output: [usize; 2]) -> Vec<f64> {
    let mean = |row: usize, column: usize, channel: usize| {
        let rows = row * window[0]..(row + 1) * window[0];
        let columns = || column * window[1]..(column + 1) * window[1];
        let places =
            rows.flat_map(|row| columns().map(move |column| (row * width + column) * channels + channel));
        places.map(|place| f64::from(x[place])).sum::<f64>() / (window[0] * window[1]) as f64
    };
    let places = (0..output[0]).flat_map(|row| (0..output[1]).map(move |column| (row, column)));
    places.flat_map(|(row, column)| (0..channels).map(move |channel| mean(row, column, channel))).collect()
}

#[test]
fn means_are_exact_for_windows_of_any_size() {
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| !skip(*isa, "means")).collect();
    let threads = Threads::new(NonZeroUsize::new(2).unwrap(), 0).unwrap();
    for (image @ [height, width, channels], window) in CASES {
        let output = [height / window[0], width / window[1]];
        let geometry = PoolGeometry {
            kind: PoolKind::Average,
            scale: 1.0,
            batch: 1,
            input: [height, width],
            output,
            channels,
            window,
            stride: window,
            padding: [0; 4],
            x: Area::dense([1, height, width, channels]).interior(),
            y: Area::dense([1, output[0], output[1], channels]).interior(),
        };
        for kind in 0..4 {
            let x = elements(kind, height * width * channels);
            let narrow: Vec<bf16> = x.iter().map(|x| bf16::from_f32(*x)).collect();
            let widened: Vec<f32> = narrow.iter().map(|x| x.to_f32()).collect();
            let [expected, of_narrow] = [&x, &widened].map(|x| exact(x, image, window, output));
            for isa in isas.iter().copied() {
                let mut means = vec![0.0; expected.len()];
                let to = ElementsMut::F32(&mut means);
                kernels::pool(isa.kernels(), &threads, &geometry, Elements::F32(&x), to);
                for (mean, expected) in means.iter().zip(&expected) {
                    let error = (f64::from(*mean) / expected - 1.0).abs();
                    assert!(
                        error <= 1e-6,
                        "{isa}, {image:?} by {window:?}: {mean} is not {expected}: {error:e}"
                    );
                }
                let mut means = vec![bf16::ZERO; expected.len()];
                let to = ElementsMut::Bf16(&mut means);
                kernels::pool(isa.kernels(), &threads, &geometry, Elements::Bf16(&narrow), to);
                for (mean, expected) in means.iter().zip(&of_narrow) {
                    // The rounded value of a mean that is as exact: one of at most two neighbours.
                    let rounded = [1.0 - 1e-6, 1.0 + 1e-6].map(|share| bf16::from_f64(expected * share));
                    assert!(
                        rounded.contains(mean),
                        "{isa}, {image:?} by {window:?}: {mean} is not {expected}"
                    );
                }
            }
        }
    }
}

/// A dense layer of a large image. One sum of all terms, which are equal here, would be wrong by 8e-4.
#[test]
fn long_runs_are_summed_in_parts() {
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| !skip(*isa, "long runs")).collect();
    for rows in [1, 2] {
        long_run(rows, &isas);
    }
}

fn long_run(rows: usize, isas: &[Isa]) {
    const INPUTS: usize = 192_000;
    const OUTPUTS: usize = 3;
    let threads = Threads::new(NonZeroUsize::MIN, 0).unwrap();
    let geometry = ConvGeometry {
        batch: 1,
        output: [1, 1],
        rows,
        taps: 1,
        run: INPUTS / rows,
        pitch: INPUTS / rows,
        tap: 0,
        blocks: 1,
        channels: OUTPUTS,
        x: Area::dense([1, 1, 1, INPUTS]).interior(),
        y: Area::dense([1, 1, 1, OUTPUTS]).interior(),
    };
    let convolution = Convolution {
        geometry,
        algorithms: Algorithms::all(Algorithm::Direct),
        residual: Residual::None,
        activation: Activation::None,
        scale: 1.0,
        split: Split::Channels,
        gated: false,
    };
    for isa in isas.iter().copied() {
        let kernels = isa.kernels();
        let mut panels = vec![0.0; pack::packed_len(kernels, Precision::F32, INPUTS, OUTPUTS)];
        let weights = vec![0.1; INPUTS * OUTPUTS];
        pack::pack(kernels, Elements::F32(&weights), INPUTS, OUTPUTS, &mut panels);
        let bias = vec![0.0; pack::padded(kernels, Precision::F32, OUTPUTS)];
        let weights = PackedConv { panels: &panels, bias: &bias };
        let mut sums = vec![0.0; OUTPUTS];
        let (from, to) = (vec![0.1; INPUTS], ElementsMut::F32(&mut sums));
        kernels::convolve(kernels, &threads, &convolution, Elements::F32(&from), weights, &[], to);
        let expected = f64::from(0.1f32).powi(2) * INPUTS as f64;
        for sum in sums {
            let error = (f64::from(sum) / expected - 1.0).abs();
            assert!(error <= 2e-5, "{isa}, {rows} rows: {sum} is not {expected}: {error:e}");
        }
    }
}
