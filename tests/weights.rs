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

#[test]
fn another_networks_file() {
    let bytes = changed(|entries| {
        let all = std::mem::take(entries);
        *entries = all.into_iter().map(|(name, entry)| (format!("model.{name}"), entry)).collect();
    });
    check("other", &bytes);
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
}

#[test]
fn a_file_that_is_not_there() {
    let error = Digits::load("no/such/file.safetensors").unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/file.safetensors");
    assert!(std::error::Error::source(&error).is_some());
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
    let expected = "\"altivec\" is not an instruction set of this machine";
    let message = Digits::from_bytes(&good()).err().unwrap().to_string();
    assert!(message.contains(expected), "{message}");
    let message = *std::panic::catch_unwind(|| Digits::init(0)).unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains(expected) && message.contains("RESNET_ISA"), "{message}");
}
