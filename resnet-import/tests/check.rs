//! The check of what was written against the file's own graph.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use resnet_dsl::Spec;
use resnet_import::{
    Bytes, Check, Contents, Element, Error, Format, Imported, Model, Source, Specs, Tensor, check, import,
    read, write,
};

/// A file with a graph, and what it is imported as.
fn file() -> (Contents, Imported) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/activations.onnx");
    let contents = read(&path).unwrap();
    let imported = import(&contents, Specs::Any(&[]), "test", &path).unwrap();
    (contents, imported)
}

/// Checks the weights as they are written in this format.
fn checked(name: &str, contents: &Contents, imported: &Imported, format: Format) -> Result<Check, Error> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}.safetensors"));
    let mut file = std::fs::File::create(&path).unwrap();
    write::weights(&imported.weights, format, &mut file).unwrap();
    check(contents, imported, &path, format, NonZeroUsize::MIN)
}

#[test]
fn weights_of_all_formats_agree() {
    let (contents, imported) = file();
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let check = checked(format.name(), &contents, &imported, format).unwrap();
        assert!(matches!(check, Check::Agrees { size: None, .. }), "{check:?}");
    }
}

#[test]
fn other_weights_do_not_agree() {
    let (contents, mut imported) = file();
    for weight in &mut imported.weights {
        let doubled = weight.source.to_f64().iter().map(|value| value * 2.0).collect();
        weight.source = Source::Computed(doubled);
    }
    for format in [Format::F32, Format::F16, Format::Bf16] {
        let error = checked("other", &contents, &imported, format).unwrap_err().to_string();
        assert!(error.contains("of the largest away from those of the file's own graph"), "{error}");
        assert!(error.contains("--no-check"), "{error}");
    }
}

#[test]
fn a_file_that_gives_no_numbers_does_not_agree() {
    let (mut contents, imported) = file();
    let Contents::Network(model) = &mut contents else { panic!("the file has a graph") };
    for tensor in model.tensors.iter_mut().filter(|tensor| tensor.element == Element::F32) {
        tensor.bytes = Bytes::new(f32::NAN.to_le_bytes().repeat(tensor.bytes.len() / 4));
    }
    let error = checked("nan", &contents, &imported, Format::F32).unwrap_err().to_string();
    assert!(error.contains("that are not finite"), "{error}");
}

/// So many activations of an image.
fn images([height, width]: [usize; 2], layers: usize) -> (Contents, Imported) {
    let stem: String = (0..layers).map(|layer| format!("  - relu: {{name: relu{layer}}}\n")).collect();
    network(&format!("name: test\ninput: {height}x{width}x3\nstem:\n{stem}"), Vec::new())
}

/// A file with the graph of a spec, and what it is imported as.
fn network(text: &str, tensors: Vec<Tensor>) -> (Contents, Imported) {
    let overrides = Default::default();
    let spec = Spec { name: "test", text, overrides: &overrides };
    let parsed = spec.parse(&mut |_| Err("no files".to_owned()));
    let graph = parsed.unwrap_or_else(|errors| panic!("{}", errors.render("test", text))).graph;
    let model =
        Model { format: "test".to_owned(), operators: graph.len(), graph, tensors, notes: Vec::new() };
    let contents = Contents::Network(model);
    let imported = import(&contents, Specs::Any(&[]), "test", Path::new("test.onnx")).unwrap();
    (contents, imported)
}

/// Without this, the first takes gigabytes.
#[test]
fn large_images_are_compared_on_smaller_ones() {
    let (contents, imported) = images([8192, 4096], 2);
    let check = checked("large", &contents, &imported, Format::F32).unwrap();
    assert_eq!(check, Check::Agrees { distance: 0.0, size: Some([2048, 1024]) });
    let (contents, imported) = images([32, 1 << 16], 12);
    assert_eq!(checked("wide", &contents, &imported, Format::F32).unwrap(), Check::TooLarge);
}

/// Weights of a dense layer behind `flatten` are of one size: a smaller image has no use for them.
#[test]
fn dense_layers_of_whole_images_are_compared_at_their_size() {
    let tensor = |name: &str, dims: &[usize]| {
        let bytes = Bytes::new(0.01f32.to_le_bytes().repeat(dims.iter().product()));
        Tensor { name: name.to_owned(), dims: dims.to_vec(), element: Element::F32, bytes }
    };
    let text = |size: &str| {
        format!(
            "name: test\ninput: {size}x3\nnames: torchvision\nstem:\n  - max_pool: {{window: 64, stride: 64}}\n\
             head:\n  - flatten\n  - dense: {{units: 2, name: fc}}\n"
        )
    };
    for (size, inputs, large) in [("8192x4096", 128 * 64 * 3, true), ("256x256", 4 * 4 * 3, false)] {
        let tensors = vec![tensor("fc.weight", &[2, inputs]), tensor("fc.bias", &[2])];
        let (contents, imported) = network(&text(size), tensors);
        let check = checked(size, &contents, &imported, Format::F32).unwrap();
        assert!(if large {
            check == Check::TooLarge
        } else {
            matches!(check, Check::Agrees { size: None, .. })
        });
    }
}
