//! Checkpoints of PyTorch: files of `data/make_tensors.py`, and archives written here.

use std::io::{Cursor, Write};

use resnet_import::{Bytes, Checkpoint, Contents, Element, Error, Tensor, parse};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(file: Vec<u8>) -> Result<Checkpoint, Error> {
    read_with(file, &mut |name| panic!("asked for {name}"))
}

fn read_with(file: Vec<u8>, open: &mut dyn FnMut(&str) -> Result<Bytes, Error>) -> Result<Checkpoint, Error> {
    match parse(&Bytes::new(file), open)? {
        Contents::Tensors(checkpoint) => Ok(checkpoint),
        Contents::Network(_) => panic!("a network"),
    }
}

fn tensor<'a>(checkpoint: &'a Checkpoint, name: &str) -> &'a Tensor {
    let tensor = checkpoint.tensors.iter().find(|tensor| tensor.name == name);
    tensor.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn all_forms_and_protocols_hold_the_same_tensors() {
    for file in ["state.pth", "state_legacy.pth", "state_protocol5.pth"] {
        let checkpoint = read(data(file)).unwrap();
        let has = |name: &str, dims: &[usize], element: Element, values: &[f64]| {
            let tensor = tensor(&checkpoint, name);
            assert_eq!((&*tensor.dims, tensor.element), (dims, element), "{file}: {name}");
            assert_eq!(tensor.to_f64(), values, "{file}: {name}");
        };
        let weight: Vec<f64> = (0..24).map(f64::from).collect();
        let transposed = |[i, j, k, l]: [usize; 4]| (12 * j + 4 * i + 2 * l + k) as f64;
        let transposed: Vec<f64> =
            (0..24).map(|at| transposed([at / 8, at / 4 % 2, at / 2 % 2, at % 2])).collect();
        has("weight", &[2, 3, 2, 2], Element::F32, &weight);
        has("tied", &[2, 3, 2, 2], Element::F32, &weight);
        has("transposed", &[3, 2, 2, 2], Element::F32, &transposed);
        has("last", &[3, 2, 2], Element::F32, &weight[12..]);
        let every_second = [&weight[..4], &weight[8..16], &weight[20..]].concat();
        has("every_second", &[2, 2, 2, 2], Element::F32, &every_second);
        has("expanded", &[2, 3], Element::F32, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        has("half", &[3], Element::F16, &[0.0, 1.0, 2.0]);
        has("bfloat16", &[3], Element::Bf16, &[0.0, 1.0, 2.0]);
        has("double", &[3], Element::F64, &[0.0, 1.0, 2.0]);
        has("parameter", &[2, 2], Element::F32, &weight[..4]);
        has("bool", &[2], Element::U8, &[1.0, 0.0]);
        has("empty", &[0, 3], Element::F32, &[]);
        has("num_batches_tracked", &[], Element::I64, &[7.0]);
        assert_eq!(checkpoint.tensors.len(), 13);
        assert_eq!(checkpoint.notes, ["left out \"complex\", a tensor of complex numbers"], "{file}");
    }
}

#[test]
fn the_model_of_a_training_checkpoint_is_taken() {
    let checkpoint = read(data("training.pth")).unwrap();
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| &*tensor.name).collect();
    let expected =
        ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"];
    assert_eq!(names, expected.map(|name| format!("module.{name}")));
    assert!(checkpoint.tensors.iter().all(|tensor| tensor.to_f64() == [2.0]));
    let note = "took \"model\" of a training checkpoint (\"epoch\", \"optimizer\", \"lr_scheduler\", \"best\", \"args\" left out)";
    assert_eq!(checkpoint.notes, [note]);
}

#[test]
fn programs_and_pickled_models_are_refused_with_advice() {
    for (file, what) in [
        ("module.pth", "`torch.nn.modules.linear.Linear`"),
        ("module_legacy.pth", "`model` asks for `torch.nn.modules.linear.Linear`"),
        ("script.pt", "TorchScript"),
    ] {
        let error = read(data(file)).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(".state_dict(), \"model.pth\")"), "{file}: {error}");
    }
    let error = read(b"\x80\x04}\x94.".to_vec()).unwrap_err().to_string();
    assert!(error.contains("a pickle that `torch.save` did not write"), "{error}");
    let error = read(b"version https://git-lfs.github.com/spec/v1".to_vec()).unwrap_err().to_string();
    assert!(error.contains("Git LFS"), "{error}");
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(read(tar).unwrap_err().to_string().contains("tar archive"));
}

#[test]
fn files_that_end_too_early_are_errors() {
    for file in ["state.pth", "state_legacy.pth"] {
        let whole = data(file);
        for len in 0..whole.len() {
            assert!(read(whole[..len].to_vec()).is_err(), "{file}, {len} bytes");
        }
    }
}

#[test]
fn damaged_files_do_not_panic() {
    for file in ["state.pth", "state_legacy.pth"] {
        let whole = data(file);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let _ = read(damaged);
        }
    }
}

/// An archive with this pickle, and a storage "0" of 16 bytes.
fn archive(pickle: &[u8], more: &[(&str, &[u8])], compression: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(compression);
    for (name, content) in [("model/data.pkl", pickle), ("model/data/0", &[0; 16])].iter().chain(more) {
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A dictionary with a tensor "w" of a storage "0": its offset, shape and strides are these opcodes.
fn pickle(offset: &str, dims: &str, strides: &str) -> Vec<u8> {
    let mut pickle = b"\x80\x02}U\x01w".to_vec();
    pickle.extend(tensor_opcodes(offset, dims, strides));
    pickle.extend(b"s.");
    pickle
}

fn tensor_opcodes(offset: &str, dims: &str, strides: &str) -> Vec<u8> {
    let storage = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ";
    format!("ctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{dims}{strides}I00\nNtR").into_bytes()
}

fn numbers(numbers: &[u64]) -> String {
    let numbers: String = numbers.iter().map(|number| format!("I{number}\n")).collect();
    format!("({numbers}t")
}

#[test]
fn compressed_archives_are_inflated() {
    let pickle = pickle("I1\n", &numbers(&[3]), &numbers(&[1]));
    for compression in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let checkpoint = read(archive(&pickle, &[("model/byteorder", b"little")], compression)).unwrap();
        assert_eq!(tensor(&checkpoint, "w").to_f64(), [0.0; 3]);
    }
    let error =
        read(archive(&pickle, &[("model/byteorder", b"big")], CompressionMethod::Stored)).unwrap_err();
    assert!(error.to_string().contains("big-endian"), "{error}");
}

#[test]
fn tensors_outside_of_their_storage_or_of_too_many_elements_are_errors() {
    let huge = 1 << 60;
    for (offset, dims, strides, problem) in [
        ("I0\n", vec![5], vec![1], "outside of its storage of 16 bytes"),
        ("I2\n", vec![3], vec![1], "outside"),
        ("I0\n", vec![2, 2], vec![3, 1], "outside"),
        ("I4\n", vec![], vec![], "outside"),
        ("I4611686018427387904\n", vec![1], vec![1], "outside"),
        ("I0\n", vec![huge], vec![1], "outside"),
        ("I0\n", vec![huge, huge], vec![0, 0], "outside"),
        ("I0\n", vec![huge], vec![0], "would take 4611686018427387904 bytes"),
        ("I0\n", vec![1 << 25], vec![0], "would take 134217728 bytes"),
        ("I0\n", vec![2], vec![1, 1], "strides"),
        ("I0\n", vec![1; 65], vec![1; 65], "shape"),
        ("I-1\n", vec![2], vec![1], "offset"),
    ] {
        let pickle = pickle(offset, &numbers(&dims), &numbers(&strides));
        let error = read(archive(&pickle, &[], CompressionMethod::Stored)).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("\"w\""), "{dims:?}: {error}");
    }
}

#[test]
fn an_entry_that_inflates_to_far_more_than_the_file_or_than_it_promises_is_refused() {
    let pickle = pickle("I0\n", &numbers(&[3]), &numbers(&[1]));
    let mut honest = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in [("m/data.pkl", &*pickle), ("m/data/0", &[0; 0x1234])] {
        honest.start_file(name, options).unwrap();
        honest.write_all(content).unwrap();
    }
    let honest = honest.finish().unwrap().into_inner();
    assert!(read(honest.clone()).is_ok());
    for (promised, problem) in [
        (100 << 20, "inflated would take 104857600 bytes"),
        (0x1233, "does not hold the 4659 bytes it promises"),
        (0x1235, "does not hold the 4661 bytes it promises"),
    ] {
        let mut file = honest.clone();
        for at in 0..file.len() - 4 {
            if file[at..at + 4] == 0x1234u32.to_le_bytes() {
                file[at..at + 4].copy_from_slice(&u32::to_le_bytes(promised));
            }
        }
        let error = read(file).unwrap_err().to_string();
        assert!(error.contains("\"m/data/0\"") && error.contains(problem), "{error}");
    }
}

#[test]
fn dictionaries_in_dictionaries_are_found_by_their_keys() {
    let tensor = tensor_opcodes("I0\n", &numbers(&[4]), &numbers(&[1]));
    // {KEY: {"w": tensor}, ..}
    let nested = |keys: &[&str]| {
        let mut pickle = b"\x80\x02}".to_vec();
        for key in keys {
            pickle.extend(format!("V{key}\n}}U\x01w").bytes());
            pickle.extend(&tensor);
            pickle.extend(b"ss");
        }
        pickle.push(b'.');
        let checkpoint = read(archive(&pickle, &[], CompressionMethod::Stored)).unwrap();
        checkpoint.tensors.into_iter().map(|tensor| tensor.name).collect::<Vec<_>>()
    };
    assert_eq!(nested(&["ema", "state_dict", "optimizer"]), ["w"]);
    assert_eq!(nested(&["other"]), ["w"]);
    assert_eq!(nested(&["other", "optimizer"]), ["w"]);
    assert_eq!(nested(&["backbone", "head"]), ["backbone.w", "head.w"]);
}

#[test]
fn a_storage_without_an_archive_may_be_a_part_of_another_one() {
    let magic = 0x1950_a86a_20f9_469c_fc6c_u128.to_le_bytes();
    let storage = "(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x03(U\x01vK\x01K\x02ttQ";
    let mut file =
        [&b"\x80\x02\x8a\x0a"[..], &magic[..10], b".\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}U\x01wc"].concat();
    let dims = numbers(&[2]);
    let strides = numbers(&[1]);
    file.extend(format!("torch._utils\n_rebuild_tensor\n({storage}K\x00{dims}{strides}tRs.").bytes());
    file.extend(b"\x80\x02]U\x010a.");
    file.extend(3u64.to_le_bytes());
    file.extend([1.0f32, 2.0, 3.0].map(f32::to_le_bytes).as_flattened());
    assert_eq!(tensor(&read(file).unwrap(), "w").to_f64(), [2.0, 3.0]);
}

#[test]
fn a_dictionary_that_contains_itself_is_read_once() {
    // d = {"w": tensor, "d": d, "e": d}
    let mut pickle = b"\x80\x02}q\x00U\x01w".to_vec();
    pickle.extend(tensor_opcodes("I0\n", &numbers(&[4]), &numbers(&[1])));
    pickle.extend(b"sU\x01dh\0sU\x01eh\0s.");
    let checkpoint = read(archive(&pickle, &[], CompressionMethod::Stored)).unwrap();
    assert_eq!(checkpoint.tensors.len(), 1);
}

#[test]
fn an_index_names_files_of_its_own_folder() {
    let index = br#"{"metadata": {}, "weight_map": {"weight": "a.bin", "half": "a.bin", "1.bias": "b.bin"}}"#;
    let open = |name: &str| Ok(Bytes::new(data(if name == "a.bin" { "state.pth" } else { "training.pth" })));
    let checkpoint = read_with(index.to_vec(), &mut { open }).unwrap();
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| &*tensor.name).collect();
    assert_eq!(names, ["weight", "half"]);
    assert!(
        checkpoint.notes.iter().any(|note| note.starts_with("1 of the 3 tensors")),
        "{:?}",
        checkpoint.notes
    );
}
