//! How an image becomes an input, and what the classes are called.

use resnet_plan::{ChannelOrder, Interpolation, Preprocessing, Resize};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::shipped;
use crate::spec::ReadFile;
use crate::spec::fields::{Fields, LARGEST, choice, flag, list, number, pair, single, text};
use crate::spec::tree::{Kind, Node};

/// The preprocessing of a network whose input has this height, width and channels; `None`: the spec says nothing.
pub(super) fn preprocessing(
    node: Option<&Node>,
    input @ [.., channels]: [usize; 3],
    errors: &mut Diagnostics,
) -> Preprocessing {
    let empty = Node { span: Span::default(), kind: Kind::Map(Vec::new()), written: String::new() };
    let mut fields = Fields::of(node.unwrap_or(&empty), "preprocessing", errors);
    let orders = [("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr), ("gray", ChannelOrder::Gray)];
    let order = fields.read("channels", errors, |node, errors| {
        let order = choice(node, &orders, errors)?;
        if !order.makes(channels) {
            let message = format!("`{order}` does not make the {channels} channel(s) of the input");
            let error = Diagnostic::new(message, node.span);
            errors.push(error.help("`rgb` and `bgr` make 3, `gray` makes 1, or 3 that are alike"));
        }
        Some(order)
    });
    let numbers = |key: &'static str| {
        move |node: &Node, errors: &mut Diagnostics| {
            let before = errors.serious();
            let numbers = list(node, errors, single)?;
            if numbers.len() == channels || errors.serious() > before {
                return Some(numbers);
            }
            let message = format!("`{key}` has {} number(s), the input {channels} channel(s)", numbers.len());
            let help = format!(
                "`preprocessing` has one for each, as in `{}`; a spec that is like another for images of other channels says its own",
                example(channels)
            );
            errors.push(Diagnostic::new(message, node.span).help(help));
            None
        }
    };
    let (resize, crop) = size(&mut fields, input, errors);
    let interpolations = [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Nearest]
        .map(|kind| (kind.name(), kind));
    let interpolation =
        fields.read("interpolation", errors, |node, errors| choice(node, &interpolations, errors));
    let preprocessing = Preprocessing {
        resize,
        crop,
        interpolation: interpolation.unwrap_or(Interpolation::Bilinear),
        channels: order.unwrap_or(if channels == 1 { ChannelOrder::Gray } else { ChannelOrder::Rgb }),
        background: fields.read("background", errors, color).unwrap_or([255; 3]),
        scale: fields.read("scale", errors, single).unwrap_or(1.0 / 255.0),
        mean: fields.read("mean", errors, numbers("mean")).unwrap_or_else(|| vec![0.0; channels]).into(),
        std: fields.read("std", errors, numbers("std")).unwrap_or_else(|| vec![1.0; channels]).into(),
    };
    if let Some(node) = node
        && preprocessing.std.contains(&0.0)
    {
        errors.push(Diagnostic::new("a standard deviation of 0 cannot be divided by", node.span));
    } else if let Some(node) = node
        && !fits(&preprocessing)
    {
        let message = "the scale, mean and standard deviation make values of pixels that f32 cannot hold";
        errors.push(Diagnostic::new(message, node.span).help("a value is (byte * scale - mean) / std"));
    }
    fields.finish(errors);
    preprocessing
}

/// `mean` and `std` of so many channels, as they may be written.
fn example(channels: usize) -> String {
    let more = if channels > 3 { ", .." } else { "" };
    let numbers = vec!["0.5"; channels.min(3)].join(", ") + more;
    format!("{{mean: [{numbers}], std: [{numbers}]}}")
}

/// `resize` and `crop`, or `crop_pct` in place of both.
fn size(
    fields: &mut Fields<'_>,
    [height, width, _]: [usize; 3],
    errors: &mut Diagnostics,
) -> (Option<Resize>, bool) {
    let [resize, crop, share] = ["resize", "crop", "crop_pct"].map(|key| fields.take(key));
    let cut = crop.and_then(|node| flag(node, errors));
    let size = resize.and_then(|node| self::resize(node, cut == Some(true), errors));
    let Some(share) = share else { return (size, cut == Some(true)) };
    if let Some(resize) = resize {
        let error = Diagnostic::new("`resize` and `crop_pct` exclude each other", resize.span);
        errors.push(error.help("`crop_pct` says what to resize to: the input's size divided by it"));
    }
    if let (Some(crop), Some(false)) = (crop, cut) {
        let error = Diagnostic::new("with `crop_pct` the middle is cut out", crop.span);
        errors.push(error.help("leave `crop` out, or say `resize` in place of `crop_pct`"));
    }
    (covering(share, [height, width], errors), true)
}

/// Height and width, or one number: of the shorter side if the middle is cut out, else of both.
fn resize(node: &Node, crop: bool, errors: &mut Diagnostics) -> Option<Resize> {
    let sides = pair(node, errors)?;
    Some(match node.kind {
        Kind::Int(_) if crop => Resize::Shorter(sides[0]),
        _ => Resize::To(sides),
    })
}

/// The size of which the input is this share of each side, rounded down, as in timm's `transforms_imagenet_eval`.
fn covering(node: &Node, input: [usize; 2], errors: &mut Diagnostics) -> Option<Resize> {
    let share = number(node, errors)?;
    if share <= 0.0 || share > 1.0 {
        let message = format!("expected a number above 0, at most 1, found {}", node.written);
        let error = Diagnostic::new(message, node.span);
        errors.push(error.help("the share of the shorter side that the input shows, as 0.875"));
        return None;
    }
    let sides = input.map(|side| (side as f64 / share).floor() as usize);
    if let Some(side) = sides.into_iter().find(|side| *side > LARGEST) {
        let message = format!("images would be resized to {side} pixels: at most {LARGEST}");
        errors.push(Diagnostic::new(message, node.span));
        return None;
    }
    Some(if sides[0] == sides[1] { Resize::Shorter(sides[0]) } else { Resize::Cover(sides) })
}

/// `white`, `black` or `[red, green, blue]`
fn color(node: &Node, errors: &mut Diagnostics) -> Option<[u8; 3]> {
    if matches!(node.kind, Kind::Text(_)) {
        return choice(node, &[("white", [255; 3]), ("black", [0; 3])], errors);
    }
    let bytes = list(node, errors, |node, errors| {
        let number = match node.kind {
            Kind::Int(number) => u8::try_from(number).ok(),
            _ => None,
        };
        if number.is_none() {
            errors.push(Diagnostic::new("expected a number from 0 to 255", node.span));
        }
        number
    })?;
    let color = bytes.try_into().ok();
    if color.is_none() {
        errors.push(Diagnostic::new("expected `white`, `black` or `[red, green, blue]`", node.span));
    }
    color
}

/// Whether all values that a pixel can become are finite: the first and the last are the extremes.
fn fits(Preprocessing { scale, mean, std, .. }: &Preprocessing) -> bool {
    let value = |byte: f32, (mean, std): (&f32, &f32)| (byte * scale - mean) / std;
    mean.iter()
        .zip(&**std)
        .all(|channel| value(0.0, channel).is_finite() && value(255.0, channel).is_finite())
}

/// A list of names, a file of one name a line, or the name of a list that ships.
pub(super) fn labels(node: &Node, read: ReadFile<'_>, errors: &mut Diagnostics) -> Option<Vec<String>> {
    let Kind::Text(file) = &node.kind else { return list(node, errors, text) };
    if let Some(text) = shipped::labels(file) {
        return Some(lines(text));
    }
    match read(file) {
        Ok(text) => Some(lines(&text)),
        Err(reason) => {
            let message = format!("cannot read the labels in `{file}`: {reason}");
            let lists = shipped::label_lists().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let help = format!("the path is relative to the spec. Lists that ship: {lists}");
            errors.push(Diagnostic::new(message, node.span).help(help));
            None
        }
    }
}

/// One label a line, without the byte order mark that some editors write.
fn lines(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{FEFF}');
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
