//! A description that no compiler makes is an error where weights are asked for, whatever its sizes; nothing wraps around, and
//! nothing is allocated for it.
#![forbid(unsafe_code)]

use std::panic::catch_unwind;

use resnet_plan::{
    Algorithm, BatchNorm, Cow, Description, Element, Ending, Kernel, KernelLayout, LayerWeights, Precision,
    Preprocessing,
};
use resnet_runtime::{Error, Isa, Weights};

fn layer(shape: [usize; 4]) -> LayerWeights {
    let norm = |name: &'static str| Cow::Borrowed(name);
    LayerWeights {
        name: "conv".into(),
        shape,
        groups: 1,
        blocks: 1,
        algorithm: Algorithm::Direct,
        elements: [Element::F32; 2],
        input_norm: None,
        kernel: Kernel { name: "weight".into(), layout: KernelLayout::Oihw },
        standardized: None,
        bias: Some("bias".into()),
        batch_norm: Some(BatchNorm {
            gamma: norm("gamma"),
            beta: norm("beta"),
            mean: norm("mean"),
            variance: norm("variance"),
            epsilon: 1e-5,
            channels: None,
        }),
        slope: None,
    }
}

fn network(precision: Precision, layer: LayerWeights) -> Description {
    Description {
        name: "net".into(),
        precision,
        calibrated: None,
        layers: vec![layer].into(),
        lists: Cow::Borrowed(&[]),
        ignored: Cow::Borrowed(&[]),
        peak_bytes: 0,
        scratch_bytes: 0,
        parameters: 0,
        macs: 0,
        weight_bytes: 0,
        ending: Ending::Features,
        preprocessing: Preprocessing::default(),
        labels: Cow::Borrowed(&[]),
    }
}

/// A safetensors file without tensors.
const EMPTY: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

/// Every way to weights is an error, or a panic where there are none.
fn is_refused(network: &Description) {
    for isa in Isa::available() {
        let refused = |made: Result<Weights, Error>| {
            assert!(
                matches!(made, Err(Error::Weights { .. } | Error::Memory { .. })),
                "{made:?}, {network:?}"
            );
        };
        refused(Weights::formula_for(isa, network));
        refused(Weights::from_bytes_for(isa, network, EMPTY));
        assert!(catch_unwind(|| Weights::init_for(isa, network, 0)).is_err(), "{network:?}");
    }
}

const SIZES: [[usize; 4]; 10] = [
    [1 << 40; 4],
    [usize::MAX; 4],
    [1 << 32, 1 << 32, 1, 1],
    [1, 1, 1 << 61, 8],
    [1, 1, 1, usize::MAX],
    [1, 1, usize::MAX, 1],
    [1, 1, 1 << 59, 1],
    [1, 1, 1, 1 << 59],
    [0, 3, 3, 3],
    [3, 3, 3, 0],
];

#[test]
fn sizes_that_no_memory_holds_are_refused() {
    for shape in SIZES {
        is_refused(&network(Precision::F32, layer(shape)));
        let bytes = [Element::I8(0.1), Element::U8(0.1)];
        is_refused(&network(Precision::Int8, LayerWeights { elements: bytes, ..layer(shape) }));
    }
}

#[test]
fn sizes_that_wrap_around_are_the_largest() {
    for layout in [
        KernelLayout::Oihw,
        KernelLayout::Hwio,
        KernelLayout::Ohwi,
        KernelLayout::Io,
        KernelLayout::Oi,
        KernelLayout::OiHwc,
    ] {
        let kernel = Kernel { name: "weight".into(), layout };
        let layer = LayerWeights { kernel, ..layer([1 << 40; 4]) };
        assert_eq!([layer.parameters(), layer.bytes(), layer.packed_shape()[0]], [usize::MAX; 3]);
        assert_eq!(layer.tensors()[0].len(), usize::MAX);
        layout.strides(layer.shape);
    }
}

#[test]
fn algorithms_that_do_not_compute_with_a_kernel_are_refused() {
    let fused = |output, block, depth| Algorithm::Winograd { output, block, depth, fused: true };
    for algorithm in [
        Algorithm::Strassen { block: 48 },
        fused(4, 4, 32),
        fused(2, 4, 32),
        fused(3, 4, 32),
        fused(usize::MAX, usize::MAX, usize::MAX),
    ] {
        is_refused(&network(Precision::F32, LayerWeights { algorithm, ..layer([3, 3, 24, 40]) }));
        is_refused(&network(Precision::F32, LayerWeights { algorithm, ..layer([5, 1, 32, 32]) }));
    }
    let elements = [Element::Bf16; 2];
    let strassen = Algorithm::Strassen { block: 48 };
    is_refused(&network(
        Precision::Bf16,
        LayerWeights { algorithm: strassen, elements, ..layer([1, 1, 64, 64]) },
    ));
}

#[test]
fn layers_of_another_precision_are_refused() {
    let of = |element| LayerWeights { elements: [element; 2], ..layer([3, 3, 8, 8]) };
    is_refused(&network(Precision::F32, of(Element::U8(0.1))));
    is_refused(&network(Precision::Bf16, of(Element::F32)));
    is_refused(&network(Precision::Int8, of(Element::Bf16)));
}

#[test]
fn norms_of_channels_that_there_are_not_are_refused() {
    let layer = layer([1, 1, 8, 16]);
    let norm = |channels| layer.batch_norm.clone().map(|norm| BatchNorm { channels: Some(channels), ..norm });
    for channels in [[0, 9], [8, 9], [3, 3], [4, 2]] {
        let input_norm = norm(channels);
        is_refused(&network(Precision::F32, LayerWeights { input_norm, ..layer.clone() }));
    }
    is_refused(&network(Precision::F32, LayerWeights { batch_norm: norm([0, 17]), ..layer.clone() }));
    let both = LayerWeights { input_norm: norm([2, 8]), ..layer.clone() };
    assert_eq!(both.tensors().len(), 10);
    assert_eq!(both.parameters(), layer.parameters() + 2 * 6);
    assert!(Weights::formula_for(Isa::Scalar, &network(Precision::F32, both)).is_ok());
}

#[test]
fn weights_are_saved_as_what_they_are() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("another.packed");
    let [one, other] = [[3, 3, 8, 16], [3, 3, 16, 8]].map(|shape| network(Precision::F32, layer(shape)));
    let saved = Weights::init_for(Isa::Scalar, &one, 0).save(&other, &path);
    assert!(matches!(saved, Err(Error::OtherWeights { .. })));
    assert!(!path.exists());
}

#[test]
fn groups_and_norms_of_other_channels_are_refused() {
    let of = |groups, blocks| LayerWeights { groups, blocks, ..layer([3, 3, 24, 40]) };
    for (groups, blocks) in [(0, 1), (1, 0), (0, 0), (5, 1), (8, 3), (1, 2), (usize::MAX, 1), (8, usize::MAX)]
    {
        is_refused(&network(Precision::F32, of(groups, blocks)));
    }
    let elements = [Element::Bf16; 2];
    let odd = LayerWeights { elements, shape: [3, 3, 24, 24], ..of(8, 8) };
    is_refused(&network(Precision::Bf16, odd));
    for channels in [[0, 41], [40, 40], [8, 4], [usize::MAX, 0]] {
        let mut layer = of(1, 1);
        layer.batch_norm.iter_mut().for_each(|norm| norm.channels = Some(channels));
        is_refused(&network(Precision::F32, layer));
    }
}
