//! Images become inputs as torchvision and timm make them: compared with their bytes (`tests/data/preprocessing`).

mod common;

use std::fs;
use std::path::Path;

use common::{path, say};
use resnet::runtime::{ChannelOrder, Preprocessing};
use resnet::{Error, Image, Preprocessor};
use resnet_dsl::Spec;
use resnet_dsl::spec::Overrides;

/// The bytes after a setting of the references' README.
fn bytes(image: &Image<'_>, setting: &str, background: [u8; 3]) -> (Vec<u8>, [usize; 3]) {
    let (how, input) = preprocessing(setting, background);
    let mut values = vec![f32::NAN; input.iter().product()];
    let mut preprocessor = Preprocessor::new(&how, [1, input[0], input[1], input[2]]);
    preprocessor.apply(image, &mut values).unwrap();
    (values.into_iter().map(|value| value as u8).collect(), input)
}

/// What a spec says for a setting; and height, width and channels of the input.
fn preprocessing(setting: &str, background: [u8; 3]) -> (Preprocessing, [usize; 3]) {
    let steps = setting.strip_prefix("gray-");
    let (channels, order) = if steps.is_some() { (1, "gray") } else { (3, "rgb") };
    let steps = steps.unwrap_or(setting);
    let (steps, interpolation) = steps.split_once('-').unwrap_or((steps, "bilinear"));
    let (kind, sizes) = steps.split_at(1);
    let (input, how) = match (kind, sizes.split_once(['c', 's'])) {
        ("p", Some((share, input))) => (input.to_owned(), format!("crop_pct: {share}")),
        (_, Some((size, side))) => (format!("{side}x{side}"), format!("resize: {size}, crop: true")),
        ("c", None) => (format!("{sizes}x{sizes}"), "crop: true".to_owned()),
        (_, None) => (sizes.to_owned(), "crop: false".to_owned()),
    };
    let text = format!(
        "{{name: n, input: {input}x{channels}, stem: [conv: {{filters: 1, kernel: 1}}], preprocessing: \
         {{{how}, interpolation: {interpolation}, channels: {order}, background: {background:?}, scale: 1}}}}"
    );
    let spec = Spec { name: "n", text: &text, overrides: &Overrides::default() };
    let parsed =
        spec.parse(&mut |_| unreachable!()).unwrap_or_else(|errors| panic!("{}", errors.render("n", &text)));
    let [_, height, width, channels] = parsed.input;
    (parsed.metadata.preprocessing, [height, width, channels])
}

/// The synthetic images of the references' README.
fn synthetic(kind: &str, width: usize, height: usize) -> Vec<u8> {
    let hash = |index: usize| {
        let mut v = (index as u32).wrapping_mul(2_654_435_761);
        v = v.wrapping_add((width * 65_536 + height) as u32);
        v ^= v >> 15;
        v = v.wrapping_mul(2_246_822_519);
        v ^= v >> 13;
        (v >> 24) as u8
    };
    let smooth = |index: usize| {
        let (x, y, channel) = (index / 3 % width, index / 3 / width, index % 3);
        let v = (3 * x + 5 * y + 85 * channel) % 511;
        if v < 256 { v as u8 } else { (510 - v) as u8 }
    };
    let of = |index| if kind == "hash" { hash(index) } else { smooth(index) };
    (0..width * height * 3).map(of).collect()
}

/// Every byte is torchvision's or timm's, of 40 odd sizes in eleven settings.
#[test]
fn every_size_is_torchvisions() {
    let text = fs::read_to_string(path("tests/data/preprocessing/resize.txt")).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (width, height): (usize, usize) = (words[0].parse().unwrap(), words[1].parse().unwrap());
        let file = path("../shared/cases/centre_crop").join(words[2]);
        let found = match words[2] {
            "hash" | "smooth" => {
                let pixels = synthetic(words[2], width, height);
                bytes(&Image::rgb8(&pixels, width, height).unwrap(), words[3], [255; 3]).0
            }
            _ if file.exists() => bytes(&Image::open(file).unwrap(), words[3], [255; 3]).0,
            _ => {
                say(&format!("skipped: there is no {}", file.display()));
                continue;
            }
        };
        compared += 1;
        let first: String = found[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        if format!("{:016x} {first}", fnv1a(&found)) != words[4..].join(" ") {
            wrong.push(format!("{line}, found {first}"));
        }
    }
    assert!(compared >= 440 && wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Photos: to the bit where the file is lossless. Decoders of JPEG round in other ways: within 2 of 255.
#[test]
fn photos_are_torchvisions() {
    let folder = path("tests/data/preprocessing/photos");
    let mut compared = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some((photo, setting)) = name.split_once('-') else { continue };
        let source = ["png", "jpg"].map(|ending| folder.join(photo).with_extension(ending));
        let source = source.iter().find(|file| file.exists()).unwrap();
        let (found, _) = bytes(&Image::open(source).unwrap(), setting, [255; 3]);
        let expected = Image::open(&file).unwrap();
        let lossy = source.extension().unwrap() == "jpg";
        let (largest, mean) = distance(&found, &rgb(&expected));
        println!("{name}: largest {largest}, mean {mean:.4}");
        let most = if lossy { (2, 0.1) } else { (0, 0.0) };
        assert!((largest, mean) <= most && mean <= most.1, "{name}: largest {largest}, mean {mean}");
        compared += 1;
    }
    assert_eq!(compared, 11);
}

/// EXIF's eight orientations.
#[test]
fn images_are_upright() {
    let folder = path("tests/data/preprocessing/exif");
    let upright = Image::open(folder.join("upright.png")).unwrap();
    for name in ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "7.jpg", "8.jpg", "6.png", "5.webp"] {
        let image = Image::open(folder.join(name)).unwrap();
        assert_eq!((image.width(), image.height()), (upright.width(), upright.height()), "{name}");
        let (largest, _) = distance(&rgb(&image), &rgb(&upright));
        assert!(largest <= u8::from(name.ends_with("jpg")), "{name}: {largest}");
    }
}

/// 16 bits, gray, palettes, CMYK, alpha on white and on black.
#[test]
fn every_kind_of_pixel_is_right() {
    let folder = path("tests/data/preprocessing");
    for line in fs::read_to_string(folder.join("modes.txt")).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let image = Image::open(folder.join("modes").join(words[0])).unwrap();
        let background = if words[1] == "black" { [0; 3] } else { [255; 3] };
        let (found, _) = bytes(&image, "s12x16", background);
        let hex = words[3].as_bytes().chunks(2);
        let expected: Vec<u8> =
            hex.map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 16).unwrap()).collect();
        let (largest, _) = distance(&found, &expected);
        assert!(largest <= words[2].parse().unwrap(), "{} on {}: {largest}", words[0], words[1]);
    }
}

/// What no image can be, and what is too large, is an error; a higher limit helps.
#[test]
fn what_is_no_image_is_an_error() {
    let chelsea = path("tests/data/preprocessing/photos/chelsea.png");
    let whole = fs::read(&chelsea).unwrap();
    for bytes in [&b""[..], b"no image", &whole[..whole.len() / 2], &whole[..20]] {
        let error = Image::decode(bytes).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
    let error = Image::open_with_limit(&chelsea, 451 * 300 - 1).unwrap_err();
    assert!(error.to_string().contains("451 x 300 pixels, more than the limit of 135299"), "{error}");
    assert!(Image::open_with_limit(&chelsea, 451 * 300).is_ok());
    let missing = Image::open("no/such.jpg").unwrap_err();
    assert!(matches!(missing, Error::Read { .. }), "{missing}");
}

/// Sizes at the edge of what there is: nothing panics, and all is written.
#[test]
fn no_size_is_too_odd() {
    let line = vec![200; 3 * 100_000];
    for (width, height) in [(100_000, 1), (1, 100_000)] {
        let image = Image::rgb8(&line, width, height).unwrap();
        let bilinear = ["r256c224", "r1c1", "s3x5", "c7", "gray-r65536c2"];
        let others = ["r256c224-bicubic", "s3x5-bicubic", "gray-r65536c2-nearest", "p0.9s3x5-nearest"];
        for setting in bilinear.into_iter().chain(others) {
            let (found, [h, w, channels]) = bytes(&image, setting, [255; 3]);
            assert_eq!(found.len(), h * w * channels);
        }
    }
    // The intermediate image would have 224 x 3 bytes for each of its rows.
    let column: Vec<u8> = (0..3_000_000).map(|index| (index / 30_000) as u8).collect();
    let (found, _) = bytes(&Image::rgb8(&column, 1, 1_000_000).unwrap(), "s100x224", [255; 3]);
    for (row, bytes) in found.chunks(224 * 3).enumerate() {
        assert!(bytes.iter().all(|byte| byte.abs_diff(row as u8) <= 1), "{row}: {bytes:?}");
    }
    let image = Image::gray8(&[7], 1, 1).unwrap();
    let mut preprocessor = Preprocessor::new(&Preprocessing::default(), [1, 2, 2, 3]);
    let mut input = [0.0; 12];
    preprocessor.apply(&image, &mut input).unwrap();
    assert_eq!(input, [7.0; 12]);
    let error = preprocessor.apply(&image, &mut input[1..]).unwrap_err();
    assert!(matches!(error, Error::Length { expected: 12, found: 11, .. }), "{error}");
    Preprocessor::new(&Preprocessing::default(), [0; 4]).apply(&image, &mut []).unwrap();
}

/// Neither is a channel taken twice, nor one left out.
#[test]
fn an_image_has_the_inputs_channels() {
    let image = Image::rgb8(&[1, 2, 3], 1, 1).unwrap();
    for (order, makes) in
        [(ChannelOrder::Rgb, &[3][..]), (ChannelOrder::Bgr, &[3]), (ChannelOrder::Gray, &[1, 3])]
    {
        let how = Preprocessing { channels: order, ..Preprocessing::default() };
        for channels in 1..6 {
            let made = Preprocessor::new(&how, [1, 1, 1, channels]).apply(&image, &mut vec![0.0; channels]);
            match made {
                Ok(()) => assert!(makes.contains(&channels), "{order} {channels}"),
                Err(Error::Channels { .. }) => assert!(!makes.contains(&channels), "{order} {channels}"),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, hash)
}

/// The bytes of an opaque image as red, green and blue.
fn rgb(image: &Image<'_>) -> Vec<u8> {
    bytes(image, &format!("s{}x{}", image.height(), image.width()), [255; 3]).0
}

/// The largest difference, and the mean one.
fn distance(found: &[u8], expected: &[u8]) -> (u8, f64) {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = apart.clone().map(f64::from).sum();
    (apart.max().unwrap_or(0), sum / found.len() as f64)
}

/// A photo's scores by ResNet-50 with the weights of the formula are those of torchvision's pipeline in float64.
#[test]
fn resnet50_sees_what_torchvision_sees() {
    resnet::resnet! { pub struct Net; model "torchvision/resnet50" }
    use resnet::Network;
    let weights = resnet::runtime::Weights::formula_for(resnet::runtime::Isa::best(), &Net::DESCRIPTION);
    let net = Net::from_weights(weights.unwrap());
    let folder = Path::new("tests/data/preprocessing");
    let photo = Image::open(path("").join(folder).join("photos/chelsea.png")).unwrap();
    let mut input = vec![0.0; 224 * 224 * 3];
    Preprocessor::new(&Net::PREPROCESSING, [1, 224, 224, 3]).apply(&photo, &mut input).unwrap();
    let mut scores = vec![0.0; 1000];
    net.session().run_each(&input, &mut scores).unwrap();
    let file = fs::read(path("").join(folder).join("resnet50-chelsea.npy")).unwrap();
    let expected = npyz::NpyFile::new(&file[..]).unwrap().into_vec::<f32>().unwrap();
    let apart = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("scores are {apart:e} apart");
    assert!(apart <= 1e-4, "{apart}");
    let best = &net.classifier().classify(&photo).unwrap().top(1)[0];
    assert_eq!((best.class, &*best.label), (310, "ant"), "{best:?}");
}
