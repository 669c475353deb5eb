//! From an image to labels: classifiers, weights in the program, any number of images.

mod common;

use std::num::NonZeroUsize;

use common::{path, say};
use resnet::runtime::{Description, Guesser};
use resnet::{Classifier, Error, Image, Network};

resnet::resnet! { struct Digits; include "specs/digits.yaml", weights: "models/digits.safetensors" }
resnet::resnet! { struct Digits3; model "digits", batch: 3, weights: "models/digits.safetensors" }
resnet::resnet! { struct Nameless; model "resnet50" }

fn digit(digit: usize) -> Image<'static> {
    Image::open(path("examples/images").join(format!("{digit}-handwritten.png"))).unwrap()
}

fn classify<N: Network + resnet::runtime::Classes>(
    classifier: &mut Classifier<N>,
    image: &Image<'_>,
) -> (usize, String, f32) {
    let scores = classifier.classify(image).unwrap();
    let sum: f32 = scores.probabilities().iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let all = scores.top(usize::MAX);
    assert_eq!(all.len(), scores.probabilities().len());
    assert!(all.is_sorted_by(|a, b| a.probability >= b.probability));
    assert_eq!(scores.top(2), all[..2]);
    let best = &all[0];
    assert_eq!(best.probability, scores.probabilities()[best.class]);
    (best.class, best.label.to_string(), best.probability)
}

/// Weights in the program, an image file, a label; whatever the batch and the threads, to the same bits.
#[test]
fn digits_have_labels() {
    assert_eq!(Digits::LABELS, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let net = Digits::embedded().unwrap();
    let mut classifier = net.classifier();
    let mut one = net.classifier_with(NonZeroUsize::MIN);
    let mut batch = Digits3::embedded().unwrap().classifier();
    for class in 0..10 {
        let image = digit(class);
        let found = classify(&mut classifier, &image);
        assert_eq!((found.0, &*found.1), (class, &*class.to_string()));
        assert_eq!(found, classify(&mut one, &image));
        let (again, _, probability) = classify(&mut batch, &image);
        assert_eq!(again, class);
        assert!((probability - found.2).abs() < 1e-5, "{probability}, alone {}", found.2);
    }
}

/// A phone's EXIF orientation: the photo of a 6 upside down is not a 9.
#[test]
fn a_phones_photo_is_upright() {
    let folder = path("../shared/cases/exif");
    if !folder.exists() {
        return say("skipped: there is no ../shared/cases/exif");
    }
    let mut classifier = Digits::embedded().unwrap().classifier();
    for file in ["six.jpg", "six-phone-upside-down.jpg"] {
        let image = Image::open(folder.join(file)).unwrap();
        assert_eq!(classify(&mut classifier, &image).1, "6", "{file}");
    }
}

#[test]
fn classes_without_names_have_numbers() {
    assert!(Nameless::LABELS.is_empty());
    let mut classifier = Nameless::init(0).classifier();
    let (class, label, _) = classify(&mut classifier, &Image::gray8(&[9; 6], 3, 2).unwrap());
    assert_eq!(label, format!("class {class}"));
}

/// A network that ends in a softmax has probabilities already; one that ends in features has none.
#[test]
fn an_ending_says_what_the_output_is() {
    let description = |head: &str| -> Description {
        let text = format!("name: n\ninput: 4x4x3\nclasses: 2\nlabels: [cat, dog]\nhead: {head}");
        let spec = resnet_dsl::Spec { name: "n", text: &text, overrides: &Default::default() };
        spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan.description
    };
    let top = |head: &str, output: &[f32]| {
        let mut guesser = Guesser::new(&description(head))?;
        let best = guesser.scores(output)?.top(1).remove(0);
        Ok::<_, Error>((best.label.into_owned(), best.probability))
    };
    let dense = "[average_pool: global, flatten, dense]";
    assert_eq!(top(dense, &[0.0, 1e30]).unwrap(), ("dog".to_owned(), 1.0));
    assert_eq!(top(dense, &[0.25, 0.25]).unwrap(), ("cat".to_owned(), 0.5));
    let softmax = "[average_pool: global, flatten, dense, softmax]";
    assert_eq!(top(softmax, &[0.25, 0.75]).unwrap(), ("dog".to_owned(), 0.75));
    let conv = "[conv: {filters: 2, kernel: 1}, average_pool: global]";
    assert_eq!(top(conv, &[0.25, 0.25]).unwrap(), ("cat".to_owned(), 0.5));
    for features in ["[average_pool: global]", "[conv: {filters: 2, kernel: 1}]"] {
        assert!(matches!(top(features, &[0.0; 2]), Err(Error::Features { .. })), "{features}");
    }
    assert!(matches!(top(dense, &[f32::NAN, 0.0]), Err(Error::NotNumbers { .. })));
}

#[test]
fn any_number_of_images_runs() {
    let weights = std::fs::read(path("models/digits.safetensors")).unwrap();
    let mut one = Digits::from_bytes(&weights).unwrap().session();
    let mut three = Digits3::from_bytes(&weights).unwrap().session();
    let images: Vec<f32> = (0..7 * 784).map(|place| ((place * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
    for count in [0, 1, 2, 3, 4, 7] {
        let images = &images[..count * 784];
        let (mut alone, mut together) = (vec![0.0; count * 10], vec![0.0; count * 10]);
        one.run_each(images, &mut alone).unwrap();
        three.run_each(images, &mut together).unwrap();
        for (found, expected) in together.iter().zip(&alone) {
            assert!((found - expected).abs() <= 1e-4, "{count}: {found}, alone {expected}");
        }
    }
    for (values, room) in [(783, 10), (785, 10), (784, 9), (784, 20), (0, 10), (784, 0)] {
        let error = three.run_each(&images[..values], &mut vec![0.0; room]).unwrap_err();
        assert!(matches!(error, Error::Images { image: 784, output: 10, .. }), "{error}");
    }
}
