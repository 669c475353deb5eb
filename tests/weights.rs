//! Weight files that are not as they should be: one error that names every fault. The messages are in
//! `tests/data/weights/`; `BLESS=1` writes them anew.

mod common;

use std::collections::BTreeMap;

use common::path;
use resnet::runtime::{Algorithm, Weights};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

resnet::resnet! { struct Digits; model "digits" }
resnet::resnet! { struct Bf16; model "digits", precision: bf16 }
resnet::resnet! { struct Int8; model "digits", precision: int8 }

/// A tensor of a file.
#[derive(Clone)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

fn good() -> Vec<u8> {
    std::fs::read(path("models/digits.safetensors")).unwrap()
}

/// The good file with changes.
fn changed(change: impl Fn(&mut BTreeMap<String, Entry>)) -> Vec<u8> {
    let bytes = good();
    let entry = |view: TensorView<'_>| Entry {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        data: view.data().to_vec(),
    };
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut entries = file.tensors().into_iter().map(|(name, view)| (name, entry(view))).collect();
    change(&mut entries);
    let views = entries.iter().map(|(name, Entry { dtype, shape, data })| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    serialize(views, None).unwrap()
}

fn set(entry: &mut Entry, place: usize, number: f32) {
    entry.data[4 * place..][..4].copy_from_slice(&number.to_le_bytes());
}

fn check(name: &str, bytes: &[u8]) {
    let error =
        Digits::from_bytes(bytes).err().unwrap_or_else(|| panic!("{name} is loaded")).to_string() + "\n";
    let file = path(&format!("tests/data/weights/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &error).unwrap();
    }
    assert_eq!(error, std::fs::read_to_string(&file).unwrap_or_default(), "{}", file.display());
}

#[test]
fn every_fault_is_named() {
    let bytes = changed(|entries| {
        entries.remove("conv1.weight");
        entries.remove("layer2.0.bn1.running_mean");
        let extra = entries["fc.bias"].clone();
        entries.insert("fc2.bias".to_owned(), extra.clone());
        entries.insert("bn1.num_batches_tracked".to_owned(), extra); // PyTorch's counter is no fault
        entries.get_mut("fc.weight").unwrap().shape = vec![64, 10];
        set(entries.get_mut("fc.bias").unwrap(), 3, f32::NAN);
        set(entries.get_mut("bn1.bias").unwrap(), 0, f32::INFINITY);
        set(entries.get_mut("bn1.running_var").unwrap(), 1, -1.0);
        entries.get_mut("layer1.0.conv1.weight").unwrap().dtype = Dtype::I32;
    });
    check("faults", &bytes);
}

#[test]
fn weights_that_fold_to_infinity() {
    let layer = "layer1.0.";
    let batch_norm = |gamma: f32, mean: f32| {
        changed(|entries| {
            for (tensor, number) in [("weight", gamma), ("running_mean", mean), ("running_var", 0.0)] {
                set(entries.get_mut(&format!("{layer}bn1.{tensor}")).unwrap(), 3, number);
            }
        })
    };
    let dense = changed(|entries| set(entries.get_mut("fc.weight").unwrap(), 5, f32::MAX));
    let load = |bytes: &[u8]| {
        let message =
            |result: Result<(), resnet::Error>| result.err().map_or("loaded".to_owned(), |e| e.to_string());
        [
            message(Digits::from_bytes(bytes).map(drop)),
            message(Bf16::from_bytes(bytes).map(drop)),
            message(Int8::from_bytes(bytes).map(drop)),
        ]
    };
    for (bytes, name, fits) in [
        (
            batch_norm(1e38, 0.0),
            "layer1.0.conv1.weight with its batch norm folded in, as {}: look for large elements of layer1.0.bn1.weight",
            [false, false, true],
        ), // the kernel
        (
            batch_norm(1e3, 3e38),
            "layer1.0.conv1.weight with its batch norm folded in, as {}: look for large elements of layer1.0.bn1.weight",
            [false; 3],
        ), // the bias
        (dense, "fc.weight, or its bias, has elements that {} cannot hold", [true, false, true]), // rounding to bf16; int8 have a scale of their own
    ] {
        for ((message, fits), elements) in load(&bytes).iter().zip(fits).zip(["f32", "bf16", "f32"]) {
            if fits {
                assert!(message == "loaded" || message.contains("were calibrated with"), "{message}");
            } else {
                let expected = format!("not finite: {}", name.replace("{}", elements));
                assert!(message.contains(&expected), "{message}");
            }
        }
    }
}

/// Winograd's algorithm transforms a kernel when it is used: elements that f32 holds may have sums that it does not.
#[test]
fn kernels_whose_transform_is_infinite() {
    let text = |settings: &str| {
        format!(
            "name: w\ninput: 56x56x64\n{settings}\nstem:\n  - conv: {{filters: 64, kernel: 3, padding: 1, batch_norm: false}}\n"
        )
    };
    let kernel: Vec<u8> = [f32::MAX; 64 * 64 * 9].into_iter().flat_map(f32::to_le_bytes).collect();
    let load = |settings: &str, kernel: &[u8]| {
        let view = TensorView::new(Dtype::F32, vec![64, 64, 3, 3], kernel).unwrap();
        let bytes = serialize([("conv1.weight", view)], None).unwrap();
        let (text, overrides) = (text(settings), Default::default());
        let spec = resnet_dsl::Spec { name: "w", text: &text, overrides: &overrides };
        let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
        let direct = plan.description.layers[0].algorithm == Algorithm::Direct;
        (direct, Weights::from_bytes(plan.description(), &bytes).map_err(|error| error.to_string()))
    };
    let (direct, loaded) = load("winograd: off", &kernel);
    assert!(direct && loaded.is_ok());
    let (direct, loaded) = load("winograd: on", &kernel);
    assert!(!direct && loaded.unwrap_err().contains("not finite: conv1.weight"));
    // bf16 are transformed as well, on machines without instructions for them: 2^126.
    let kernel: Vec<u8> = [2f32.powi(126); 64 * 64 * 9].into_iter().flat_map(f32::to_le_bytes).collect();
    let (_, loaded) = load("precision: bf16", &kernel);
    assert!(loaded.unwrap_err().contains("not finite: conv1.weight"));
}

fn renamed(entries: &mut BTreeMap<String, Entry>, rename: impl Fn(&str) -> String) {
    *entries = std::mem::take(entries).into_iter().map(|(name, entry)| (rename(&name), entry)).collect();
}

/// A tensor of zeros.
fn zeros(shape: &[usize]) -> Entry {
    Entry { dtype: Dtype::F32, shape: shape.to_vec(), data: vec![0; 4 * shape.iter().product::<usize>()] }
}

/// What the file seems to be comes before what is wrong with it.
#[test]
fn another_networks_file() {
    check("prefix", &changed(|entries| renamed(entries, |name| format!("module.{name}"))));
    // A network trained without labels: a teacher beside it, and no classifier.
    check(
        "two_networks",
        &changed(|entries| {
            entries.retain(|name, _| !name.starts_with("fc"));
            let teacher = entries.clone();
            renamed(entries, |name| format!("module.encoder_q.{name}"));
            entries
                .extend(teacher.into_iter().map(|(name, entry)| (format!("module.encoder_k.{name}"), entry)));
        }),
    );
    check("naming", &changed(|entries| renamed(entries, |name| format!("{}_", name.replace('.', "/")))));
    check(
        "classes",
        &changed(|entries| {
            entries.insert("fc.weight".to_owned(), zeros(&[5, 64]));
            entries.insert("fc.bias".to_owned(), zeros(&[5]));
        }),
    );
    check(
        "stem",
        &changed(|entries| {
            entries.remove("conv1.weight");
            for (name, shape) in [("0", [8, 3, 3, 3]), ("3", [8, 8, 3, 3]), ("6", [16, 8, 3, 3])] {
                entries.insert(format!("conv1.{name}.weight"), zeros(&shape));
            }
        }),
    );
}

/// A message fits a screen, whatever is wrong, and has every fault for programs.
#[test]
fn many_faults_are_a_short_message() {
    let bytes = changed(|entries| {
        renamed(entries, |name| format!("net.{name}"));
        let name = "\n".repeat(100);
        entries.extend((0..10_000).map(|index| (format!("{index}{name}"), zeros(&[]))));
    });
    let error = Digits::from_bytes(&bytes).err().unwrap();
    let message = error.to_string();
    assert!(message.lines().count() <= 20 && message.lines().all(|line| line.len() < 1000), "{message}");
    assert_eq!(format!("{error:?}"), message, "what a program prints whose `main` returns it");
    let resnet::Error::Weights { faults, .. } = error else { panic!("{message}") };
    assert!(faults.len() > 10_000);
}

#[test]
fn bytes_that_are_no_safetensors_file() {
    let good = good();
    check("empty", &[]);
    check("truncated", &good[..good.len() - 1]);
    check("header", &good[..100]);
    check("text", b"this is not a safetensors file at all");
    // Sizes that, with the header's, are beyond all numbers: eight tensors of 2^61 - 1 bytes, one of seven.
    let most = u64::MAX >> 3;
    let tensor = |index: u64| {
        let (start, end) = (index * most, ((index + 1) as u128 * u128::from(most)).min(u64::MAX.into()));
        let count = end - u128::from(start);
        format!(r#""{index}":{{"dtype":"U8","shape":[{count}],"data_offsets":[{start},{end}]}}"#)
    };
    let header = format!("{{{}}}", (0..9).map(tensor).collect::<Vec<_>>().join(","));
    check("overflow", &[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat());
    let mut longer = good;
    longer.push(0);
    check("longer", &longer);
    check("onnx", b"\x08\x0a\x12\x07pytorch\x1a\x062.15.0:\xd4\xf6\x09");
}

/// Files as their authors published them.
#[test]
fn other_frameworks_files_are_recognized() {
    let folder = path("../shared/real/import");
    if !folder.is_dir() {
        eprintln!("SKIPPED: there is no {}", folder.display());
        return;
    }
    for (file, expected) in [("advrob_resnet20.pth", "PyTorch"), ("mlperf_tiny_resnet8.h5", "Keras")] {
        let error = Digits::load(folder.join(file)).err().unwrap();
        assert!(
            matches!(&error, resnet::Error::Format { reason, .. } if reason.contains(expected)),
            "{error}"
        );
        assert!(error.to_string().contains("docs/weights.md"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let error = Digits::load("no/such/file.safetensors").unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/file.safetensors");
    assert!(std::error::Error::source(&error).is_some());
    assert!(format!("{error:?}").starts_with("cannot read no/such/file.safetensors: "), "{error:?}");
}

#[test]
fn a_file_that_cannot_be_read() {
    let error = Digits::load(env!("CARGO_TARGET_TMPDIR")).err().unwrap();
    assert!(matches!(error, resnet::Error::Read { .. }), "{error:?}");
    // It becomes shorter while it is read.
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("shorter.safetensors");
    std::fs::write(&path, good()).unwrap();
    let file = resnet::runtime::weights::File::open(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
    let tensors = <Digits as resnet::Network>::DESCRIPTION;
    let message = tensors.tensors().find_map(|tensor| file.tensor(&tensor).err()).unwrap();
    assert!(message.contains("cannot read") && message.contains("shorter.safetensors"), "{message}");
}

/// Tensors that fit are no proof: where a file says what it is, that is told.
#[test]
fn a_file_that_is_called_another_network() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("called");
    std::fs::create_dir_all(&folder).unwrap();
    let network = <Digits as resnet::Network>::DESCRIPTION;
    let doubts = |file: &str, config: &str| {
        std::fs::write(folder.join(file), good()).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
        resnet::runtime::weights::File::open(&folder.join(file)).unwrap().doubts(&network)
    };
    assert_eq!(doubts("resnet50.safetensors", r#"{"architecture": "resnet50"}"#), [""; 0]);
    assert_eq!(doubts("model.safetensors", "no JSON"), [""; 0]);
    let [doubt] = &*doubts("model.safetensors", r#"{"architecture": "resnetblur50"}"#) else { panic!() };
    assert!(doubt.contains("config.json beside it says resnetblur50") && doubt.contains("blurs"), "{doubt}");
    let [doubt] = &*doubts("resnetaa50.a1h_in1k.safetensors", "{}") else { panic!() };
    assert!(doubt.contains("its name says resnetaa50"), "{doubt}");
}

/// Half precision and double precision give what single precision gives, up to their rounding.
#[test]
fn other_floating_point_types() {
    let widened = changed(|entries| {
        for entry in entries.values_mut() {
            let numbers = entry.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            entry.data = numbers.flat_map(|number| f64::from(number).to_le_bytes()).collect();
            entry.dtype = Dtype::F64;
        }
    });
    let pixels = [0.25; 28 * 28];
    let image = resnet::Tensor::from_slice(&pixels).unwrap();
    let scores = |bytes: &[u8]| {
        let mut session = Digits::from_bytes(bytes).unwrap().session();
        session.run(image).unwrap().as_slice().to_vec()
    };
    assert_eq!(scores(&good()), scores(&widened));
}

#[test]
fn init_is_a_function_of_the_seed() {
    let pixels = [0.25; 28 * 28];
    let image = resnet::Tensor::from_slice(&pixels).unwrap();
    let scores = |seed| Digits::init(seed).session().run(image).unwrap().as_slice().to_vec();
    assert_eq!(scores(0), scores(0));
    assert_ne!(scores(0), scores(1));
}

/// The variable is read by `load` and `init` alike. (In a process of its own, since variables belong to all tests of one.)
#[test]
fn an_instruction_set_that_the_machine_does_not_have() {
    const NAME: &str = "altivec";
    if std::env::var_os("RESNET_ISA").is_none_or(|isa| isa != NAME) {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "an_instruction_set_that_the_machine_does_not_have"]).env("RESNET_ISA", NAME);
        assert!(again.output().unwrap().status.success());
        return;
    }
    let expected = "no instruction set is called \"altivec\"";
    let message = Digits::from_bytes(&good()).err().unwrap().to_string();
    assert!(message.contains(expected), "{message}");
    let message = *std::panic::catch_unwind(|| Digits::init(0)).unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains(expected) && message.contains("RESNET_ISA"), "{message}");
}
