//! No argument of a safe function leads to memory that is not the caller's: what does not fit panics with its message, or is an
//! error, and nothing is written. Sizes are chosen to wrap around where they are multiplied or added without care.
#![forbid(unsafe_code)]

use std::fmt::Debug;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use resnet_plan::moments::{GroupNorm, Reduce, Reduction};
use resnet_plan::{
    Action, Activation, Algorithm, Algorithms, ConvGeometry, Convolution, CopyGeometry, Cow, Description,
    Element, Elementwise, Ending, Operator, Pixels, PoolGeometry, PoolKind, Precision, Preprocessing,
    Residual, Scales, Split,
};
use resnet_runtime::arena::Place;
use resnet_runtime::elements::{Elements, ElementsMut};
use resnet_runtime::kernels::{self, PackedConv, pack};
use resnet_runtime::threads::Threads;
use resnet_runtime::{
    Arena, Context, Error, Interior, Isa, Layer, Network, Session, Tensor, Views, Weights, bf16,
};

/// Pixels of 16 elements, in rows of one.
const PIXELS: Pixels = Pixels { start: 0, image: 16, row: 16, pixel: 16 };
/// Pixels that begin 16 elements before everything.
const BEFORE: Pixels = Pixels { start: usize::MAX - 15, ..PIXELS };

/// A 1x1 convolution of one pixel from 16 channels to 16.
const CONVOLUTION: Convolution = Convolution {
    geometry: ConvGeometry {
        batch: 1,
        output: [1, 1],
        rows: 1,
        taps: 1,
        run: 16,
        pitch: 16,
        tap: 0,
        blocks: 1,
        channels: 16,
        x: PIXELS,
        y: PIXELS,
    },
    algorithms: Algorithms::all(Algorithm::Direct),
    residual: Residual::None,
    activation: Activation::None,
    scale: 1.0,
    split: Split::Pixels,
    gated: false,
};
const COPY: CopyGeometry = CopyGeometry {
    batch: 1,
    size: [1, 1],
    channels: 16,
    front: 0,
    back: 0,
    times: [1, 1],
    x: PIXELS,
    y: PIXELS,
};
const ADD: Elementwise = Elementwise {
    operator: Operator::Add,
    activation: Activation::None,
    batch: 1,
    size: [1, 1],
    channels: 16,
    x: PIXELS,
    y: PIXELS,
    held: Residual::Same,
    scales: Scales::NONE,
};
const POOL: PoolGeometry = PoolGeometry {
    kind: PoolKind::Max,
    scale: 1.0,
    batch: 1,
    input: [1, 1],
    output: [1, 1],
    channels: 16,
    window: [1, 1],
    stride: [1, 1],
    padding: [0; 4],
    x: PIXELS,
    y: PIXELS,
};

const NORM: GroupNorm = GroupNorm {
    groups: 4,
    range: [0, 16],
    epsilon: 1e-5,
    activation: Activation::None,
    affine: false,
    batch: 1,
    size: [1, 1],
    channels: 16,
    x: PIXELS,
    y: PIXELS,
};
const REDUCE: Reduce = Reduce {
    reduction: Reduction::Gem { epsilon: 1e-6, exponent: Some(3.0) },
    batch: 1,
    parts: 1,
    size: [1, 1],
    channels: 16,
    x: PIXELS,
    y: PIXELS,
};
const OUTSIDE: &str = "pixels lie outside the output, or overlap";

fn team() -> Threads {
    Threads::new(NonZeroUsize::MIN, 0).unwrap()
}

/// What `f` panics with.
fn panic_of(f: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    })
}

/// `f` writes to the middle of an array: it panics with this message, and the array stays as it is.
fn refuses<T: Clone + PartialEq + Debug>(message: &str, fill: T, f: impl FnOnce(&mut [T])) {
    let mut memory = vec![fill.clone(); 192];
    assert_eq!(panic_of(|| f(&mut memory[64..128])).as_deref(), Some(message));
    assert_eq!(memory, vec![fill; 192]);
}

/// 64 zeros that begin with a whole word.
fn zeros(memory: &Arena, element: Element) -> Elements<'_> {
    memory.read(Place { offset: 0, len: 64, element })
}

fn convolve(isa: Isa, convolution: &Convolution, x: Elements<'_>, y: ElementsMut<'_>) {
    let (panels, bias) = (vec![1.0; 64 * 16], vec![0.0; 192]);
    let weights = PackedConv { panels: &panels, bias: &bias };
    let threads = Threads::new(NonZeroUsize::MIN, 1 << 20).unwrap();
    kernels::convolve(isa.kernels(), &threads, convolution, x, weights, &[], y);
}

#[test]
fn a_convolution_whose_output_begins_before_the_slice() {
    let convolution =
        Convolution { geometry: ConvGeometry { y: BEFORE, ..CONVOLUTION.geometry }, ..CONVOLUTION };
    let memory = Arena::zeroed(256).unwrap();
    for isa in Isa::available() {
        refuses(OUTSIDE, 7.0, |y| {
            convolve(isa, &convolution, Elements::F32(&[1.0; 16]), ElementsMut::F32(y))
        });
        refuses(OUTSIDE, 7, |y| {
            convolve(isa, &convolution, zeros(&memory, Element::U8(1.0)), ElementsMut::U8(y));
        });
    }
}

/// Taps and blocks reach as far into the input as rows and runs.
#[test]
fn taps_and_blocks_outside_the_input() {
    let runs = ConvGeometry { run: 8, ..CONVOLUTION.geometry };
    let memory = Arena::zeroed(256).unwrap();
    for (geometry, message) in [
        (ConvGeometry { taps: 2, tap: 9, ..runs }, "windows reach outside the input"),
        (ConvGeometry { taps: usize::MAX, tap: usize::MAX, ..runs }, "windows reach outside the input"),
        (ConvGeometry { taps: 2, tap: usize::MAX - 7, ..runs }, "windows reach outside the input"),
        (ConvGeometry { blocks: 4, ..runs }, "windows reach outside the input"),
        (ConvGeometry { blocks: 2, run: 1 << 63, ..runs }, "windows reach outside the input"),
        (ConvGeometry { blocks: 0, ..runs }, "the channels are not as many blocks"),
        (ConvGeometry { blocks: 3, ..runs }, "the channels are not as many blocks"),
        (ConvGeometry { taps: 1 << 60, tap: 0, ..runs }, "the weights have another shape"),
    ] {
        let convolution = Convolution { geometry, ..CONVOLUTION };
        for isa in Isa::available() {
            refuses(message, 7.0, |y| {
                convolve(isa, &convolution, Elements::F32(&[1.0; 16]), ElementsMut::F32(y));
            });
            let x = memory.read(Place { offset: 0, len: 32, element: Element::Bf16 });
            refuses(message, bf16::ONE, |y| convolve(isa, &convolution, x, ElementsMut::Bf16(y)));
        }
    }
}

/// Only direct sums and Winograd's algorithm compute blocks: the latter of 32 outputs or more, where each position of a window is a run
/// of its own.
#[test]
fn blocks_by_another_algorithm() {
    let strassen = Algorithm::Strassen { block: 4 };
    let winograd = Algorithm::Winograd { output: 4, block: 1, depth: 16, fused: false };
    let x = Pixels { row: 48, ..PIXELS };
    let y = Pixels { image: 64, row: 64, pixel: 64, ..PIXELS };
    let geometry = ConvGeometry { run: 8, blocks: 2, x, ..CONVOLUTION.geometry };
    let windows = ConvGeometry { rows: 3, taps: 3, pitch: 48, tap: 16, ..geometry };
    for (geometry, algorithm) in [
        (geometry, strassen),
        (geometry, winograd),
        (ConvGeometry { taps: 1, run: 24, tap: 0, channels: 64, y, ..windows }, winograd),
        (windows, winograd),
    ] {
        let convolution = Convolution { geometry, algorithms: Algorithms::all(algorithm), ..CONVOLUTION };
        for isa in Isa::available() {
            refuses("the algorithm does not compute this convolution", 7.0, |y| {
                convolve(isa, &convolution, Elements::F32(&[1.0; 256]), ElementsMut::F32(y));
            });
        }
    }
}

/// A gate has an element for each channel of each image, and narrow elements have none.
#[test]
fn a_gate() {
    let convolution = Convolution { gated: true, ..CONVOLUTION };
    for isa in Isa::available() {
        for gate in [&[][..], &[1.0; 15]] {
            refuses("the gate is too short", 7.0, |y| {
                let weights = PackedConv { panels: &[1.0; 16 * 64], bias: &[0.0; 64] };
                let (x, y) = (Elements::F32(&[1.0; 16]), ElementsMut::F32(y));
                kernels::convolve(isa.kernels(), &team(), &convolution, x, weights, gate, y);
            });
        }
        let memory = Arena::zeroed(256).unwrap();
        refuses("there is no kernel that takes a gate", bf16::ONE, |y| {
            convolve(isa, &convolution, zeros(&memory, Element::Bf16), ElementsMut::Bf16(y));
        });
    }
}

/// A PReLU has slopes behind the lists of its bias.
#[test]
fn a_prelu_without_slopes() {
    let convolution = Convolution { activation: Activation::Prelu, ..CONVOLUTION };
    for isa in Isa::available() {
        refuses("the bias has another length", 7.0, |y| {
            let weights = PackedConv { panels: &[1.0; 16 * 64], bias: &[0.0; 16] };
            let (x, y) = (Elements::F32(&[1.0; 16]), ElementsMut::F32(y));
            kernels::convolve(isa.kernels(), &team(), &convolution, x, weights, &[], y);
        });
    }
}

/// Weights that are packed for tiles have panels of their own.
#[test]
fn an_algorithm_that_tiles_do_not_compute() {
    let winograd = Algorithm::Winograd { output: 4, block: 4, depth: 16, fused: false };
    let geometry = ConvGeometry {
        rows: 3,
        taps: 1,
        run: 24,
        pitch: 24,
        tap: 0,
        blocks: 1,
        x: Pixels { start: 0, image: 72, row: 24, pixel: 8 },
        ..CONVOLUTION.geometry
    };
    let convolution = Convolution { geometry, algorithms: Algorithms::all(winograd), ..CONVOLUTION };
    let memory = Arena::zeroed(512).unwrap();
    let x = memory.read(Place { offset: 0, len: 144, element: Element::Bf16 });
    for isa in Isa::available().into_iter().filter(|isa| matches!(isa, Isa::Amx | Isa::AmxEmulated)) {
        refuses("weights that are packed for tiles are for direct sums only", bf16::ZERO, |y| {
            convolve(isa, &convolution, x, ElementsMut::Bf16(y));
        });
    }
}

/// `rows * run` wraps to nothing, so that no weights would be enough.
#[test]
fn a_convolution_of_more_rows_than_there_are_numbers() {
    let geometry = ConvGeometry { rows: 1 << 60, pitch: 0, ..CONVOLUTION.geometry };
    let convolution = Convolution { geometry, ..CONVOLUTION };
    for isa in Isa::available() {
        refuses("the weights have another shape", 7.0, |y| {
            let weights = PackedConv { panels: &[], bias: &[0.0; 64] };
            let (x, y) = (Elements::F32(&[1.0; 16]), ElementsMut::F32(y));
            kernels::convolve(isa.kernels(), &team(), &convolution, x, weights, &[], y);
        });
    }
}

#[test]
fn a_convolution_of_too_many_channels() {
    let geometry = ConvGeometry { channels: usize::MAX, ..CONVOLUTION.geometry };
    let convolution = Convolution { geometry, ..CONVOLUTION };
    for isa in Isa::available() {
        refuses(OUTSIDE, 7.0, |y| {
            convolve(isa, &convolution, Elements::F32(&[1.0; 16]), ElementsMut::F32(y))
        });
        refuses(OUTSIDE, bf16::ONE, |y| {
            convolve(isa, &convolution, Elements::Bf16(&[bf16::ONE; 32]), ElementsMut::Bf16(y));
        });
    }
}

/// How far apart pixels are does not matter where there is only one.
#[test]
fn one_pixel_has_no_neighbours() {
    let far = Pixels { start: 1, image: usize::MAX, row: usize::MAX, pixel: usize::MAX };
    let geometry = ConvGeometry { x: far, y: far, ..CONVOLUTION.geometry };
    let convolution = Convolution { geometry, ..CONVOLUTION };
    let memory = Arena::zeroed(256).unwrap();
    let alone = |number: f32| [&[7.0][..], &[number; 16], &[7.0]].concat();
    for isa in Isa::available() {
        let mut y = [7.0; 18];
        convolve(isa, &convolution, Elements::F32(&[1.0; 17]), ElementsMut::F32(&mut y));
        assert_eq!(y[..], alone(16.0), "{isa}");
        convolve(isa, &convolution, zeros(&memory, Element::Bf16), ElementsMut::F32(&mut y));
        assert_eq!(y[..], alone(0.0), "{isa}");
        let pool = PoolGeometry { x: far, y: far, ..POOL };
        kernels::pool(isa.kernels(), &team(), &pool, Elements::F32(&[3.0; 17]), ElementsMut::F32(&mut y));
        assert_eq!(y[..], alone(3.0), "{isa}");
    }
}

#[test]
fn a_copy_whose_output_begins_before_the_slice() {
    refuses(OUTSIDE, 7.0, |y| kernels::copy(&team(), &CopyGeometry { y: BEFORE, ..COPY }, &[1.0; 16], y));
    for isa in Isa::available() {
        refuses(OUTSIDE, 7, |y| {
            let geometry = CopyGeometry { y: BEFORE, ..COPY };
            kernels::convert(
                isa.kernels(),
                &team(),
                &geometry,
                1.0,
                Elements::F32(&[1.0; 16]),
                ElementsMut::U8(y),
            );
        });
    }
}

/// `front + channels + back` wraps to a few.
#[test]
fn a_copy_of_too_many_zero_channels() {
    let geometry = CopyGeometry { front: usize::MAX, back: 2, ..COPY };
    refuses(OUTSIDE, 7.0, |y| kernels::copy(&team(), &geometry, &[1.0; 16], y));
}

#[test]
fn a_sum_whose_output_begins_before_the_slice() {
    for isa in Isa::available() {
        refuses(OUTSIDE, 7.0, |y| {
            let geometry = Elementwise { y: BEFORE, ..ADD };
            kernels::elementwise(
                isa.kernels(),
                &team(),
                &geometry,
                &[],
                Elements::F32(&[1.0; 16]),
                ElementsMut::F32(y),
            );
        });
    }
}

/// The third window begins at row 2 * 2^63, which wraps to 0, and the second one outside.
#[test]
fn a_pool_whose_windows_wrap_around() {
    let geometry = PoolGeometry { output: [3, 1], stride: [1 << 63, 1], ..POOL };
    for isa in Isa::available() {
        refuses("a window holds nothing of the image", 7, |y| {
            kernels::pool(isa.kernels(), &team(), &geometry, Elements::U8(&[1; 17]), ElementsMut::U8(y));
        });
    }
}

#[test]
fn a_pool_of_an_empty_output_fits() {
    assert_eq!(PoolGeometry { output: [0, 1], ..POOL }.fits(16, 0), Ok(()));
}

/// `depth * channels` wraps to 0.
#[test]
fn a_kernel_of_more_numbers_than_there_are_is_not_packed() {
    let found = panic_of(|| pack::pack(Isa::Scalar.kernels(), Elements::F32(&[]), 1 << 32, 1 << 32, &mut []));
    assert!(found.unwrap().contains("the kernel has another shape"));
}

#[test]
fn a_view_that_begins_before_the_arena() {
    let mut arena = Arena::zeroed(4096).unwrap();
    let views = Views::<(Tensor<f32, 1, 1, 1, 16>,)>::at(&[black_box(usize::MAX - 63)]);
    let found = panic_of(|| arena.views(&views).0.as_mut_slice().fill(7.0));
    assert_eq!(found, Some(format!("a view ends at {} in an arena of 4096", usize::MAX)));
}

#[test]
fn an_arena_larger_than_memory() {
    for bytes in [usize::MAX, usize::MAX - 3, usize::MAX - (2 << 20), isize::MAX as usize] {
        assert!(matches!(Arena::zeroed(bytes), Err(Error::Memory { bytes: found }) if found == bytes));
        let threads = Threads::new(NonZeroUsize::MIN, bytes);
        assert!(matches!(threads, Err(Error::Memory { bytes: found }) if found == bytes));
    }
}

/// `index * LEN` wraps to 0.
#[test]
fn a_part_beyond_all_parts() {
    let mut pixels = [0.0; 12];
    let tensor = Tensor::<f32, 3, 1, 1, 4>::from_mut_slice(&mut pixels).unwrap();
    assert!(panic_of(|| _ = tensor.part::<Tensor<f32, 1, 1, 1, 4>>(1 << 62)).is_some());
    assert!(panic_of(|| _ = tensor.part_mut::<Tensor<f32, 1, 1, 1, 4>>(1 << 62)).is_some());
}

/// A network that somebody wrote by hand; its layer is made at run time, not in a constant.
#[derive(Clone)]
struct ByHand(Weights);

type Pixel = Tensor<f32, 1, 1, 1, 16>;

impl Network for ByHand {
    type Input = Pixel;
    type Output = Pixel;
    const DESCRIPTION: Description = Description {
        name: Cow::Borrowed("by hand"),
        precision: Precision::F32,
        calibrated: None,
        layers: Cow::Borrowed(&[]),
        lists: Cow::Borrowed(&[]),
        ignored: Cow::Borrowed(&[]),
        peak_bytes: 4096,
        scratch_bytes: 0,
        parameters: 0,
        macs: 0,
        weight_bytes: 0,
        ending: Ending::Features,
        preprocessing: Preprocessing::BYTES,
        labels: Cow::Borrowed(&[]),
    };

    fn from_weights(weights: Weights) -> Self {
        ByHand(weights)
    }

    fn weights(&self) -> &Weights {
        &self.0
    }

    fn forward<'a>(context: &Context<'_>, input: &Pixel, arena: &'a mut Arena) -> &'a Pixel {
        const VIEW: Views<(Pixel,)> = Views::at(&[0]);
        let (y,) = arena.views(&VIEW);
        let all = Interior::new([0, 0], [1, 1]);
        let before = Interior::new([black_box(usize::MAX), 0], [1, 1]);
        Layer::<Pixel, Pixel>::new(Action::Copy, all, before).run(context, [0, 0], input, y);
        y
    }
}

#[test]
fn a_layer_made_at_run_time_that_writes_before_its_tensor() {
    let net = ByHand::from_weights(Weights::init(&ByHand::DESCRIPTION, 0));
    let mut session = Session::with_threads(&net, NonZeroUsize::MIN);
    let found = panic_of(|| _ = session.run(Pixel::from_slice(&[1.0; 16]).unwrap()));
    assert_eq!(found.as_deref(), Some("a value reaches outside its tensor"));
}

/// Where the machine lacks an instruction set, nothing runs on it.
#[test]
fn an_instruction_set_that_is_not_there() {
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        let message = format!("this machine has no {isa}");
        let (x, bytes, halves) = (&[1.0; 64], &[1; 64], &[bf16::ONE; 64]);
        let team = team();
        refuses(&message, 7.0, |y| convolve(isa, &CONVOLUTION, Elements::F32(x), ElementsMut::F32(y)));
        refuses(&message, 7.0, |y| convolve(isa, &CONVOLUTION, Elements::Bf16(halves), ElementsMut::F32(y)));
        refuses(&message, 7.0, |y| convolve(isa, &CONVOLUTION, Elements::U8(bytes), ElementsMut::F32(y)));
        refuses(&message, 7.0, |y| {
            kernels::elementwise(isa.kernels(), &team, &ADD, &[], Elements::F32(x), ElementsMut::F32(y))
        });
        refuses(&message, 7.0, |y| {
            kernels::pool(isa.kernels(), &team, &POOL, Elements::F32(x), ElementsMut::F32(y))
        });
        refuses(&message, 7, |y| {
            kernels::convert(isa.kernels(), &team, &COPY, 1.0, Elements::F32(x), ElementsMut::U8(y));
        });
        assert_eq!(panic_of(|| _ = kernels::peak_gflops(isa.kernels())), Some(message.clone()));
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            assert_eq!(panic_of(|| _ = kernels::peak_gops(isa.kernels(), precision)), Some(message.clone()));
        }
        let network = &ByHand::DESCRIPTION;
        assert!(Isa::choose(isa.name()).is_err());
        assert!(matches!(Weights::formula_for(isa, network), Err(Error::Isa(_))));
        assert!(matches!(Weights::from_bytes_for(isa, network, b"\x02\0\0\0\0\0\0\0{}"), Err(Error::Isa(_))));
        assert!(panic_of(|| _ = Weights::init_for(isa, network, 0)).unwrap().contains(isa.name()));
    }
}

#[test]
fn steps_whose_output_begins_before_the_slice() {
    let (x, team) = ([1.0; 16], team());
    for isa in Isa::available() {
        let table = isa.kernels();
        let norm = GroupNorm { y: BEFORE, ..NORM };
        refuses(OUTSIDE, 7.0, |y| kernels::group_norm(table, &team, &norm, &[], &x, y));
        let reduce = Reduce { y: BEFORE, ..REDUCE };
        refuses(OUTSIDE, 7.0, |y| kernels::reduce(table, &team, &reduce, None, &x, y));
        let blur = PoolGeometry { kind: PoolKind::Blur, y: BEFORE, ..POOL };
        refuses(OUTSIDE, 7.0, |y| {
            kernels::pool(table, &team, &blur, Elements::F32(&x), ElementsMut::F32(y));
        });
    }
}

#[test]
fn steps_with_too_few_weights() {
    let message = "there are too few weights";
    let (x, team) = ([1.0; 16], team());
    for isa in Isa::available() {
        let table = isa.kernels();
        let norm = GroupNorm { affine: true, ..NORM };
        refuses(message, 7.0, |y| kernels::group_norm(table, &team, &norm, &[1.0; 31], &x, y));
        for (operator, activation, rows) in
            [(Operator::Affine, Activation::Prelu, 3), (Operator::Add, Activation::Prelu, 1)]
        {
            let step = Elementwise { operator, activation, ..ADD };
            let list = vec![1.0; 16 * rows - 1];
            refuses(message, 7.0, |y| {
                kernels::elementwise(table, &team, &step, &list, Elements::F32(&x), ElementsMut::F32(y));
            });
        }
    }
}

/// What does not divide, is none of the channels, or would be mirrored beyond the image.
#[test]
fn steps_that_are_not_defined() {
    let (x, team) = ([1.0; 16], team());
    for isa in Isa::available() {
        let table = isa.kernels();
        for (groups, range) in [(0, [0, 16]), (3, [0, 16]), (1, [0, 17]), (1, [5, 5]), (1, [9, usize::MAX])] {
            let norm = GroupNorm { groups, range, ..NORM };
            assert!(panic_of(|| kernels::group_norm(table, &team, &norm, &[], &x, &mut [7.0; 16])).is_some());
        }
        let statistics = Reduction::Statistics { epsilon: 0.0 };
        let reduce = Reduce { reduction: statistics, ..REDUCE };
        assert!(panic_of(|| kernels::reduce(table, &team, &reduce, None, &x, &mut [7.0; 32])).is_some());
        for window in [0, 3, 10, usize::MAX] {
            let padding = [window / 2, window / 2, 0, 0];
            let blur = PoolGeometry { kind: PoolKind::Blur, window: [window, 1], padding, ..POOL };
            let mut y = [7.0; 16];
            let found = panic_of(|| {
                kernels::pool(table, &team, &blur, Elements::F32(&x), ElementsMut::F32(&mut y));
            });
            assert!(found.is_some(), "{window}");
        }
    }
    let copy = CopyGeometry { times: [0, 1], ..COPY };
    refuses("pixels are copied not once", 7.0, |y| kernels::copy(&team, &copy, &x, y));
}
