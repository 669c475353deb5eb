//! How an image becomes an input, and what the classes are called.

use resnet_plan::{ChannelOrder, Preprocessing};

use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::shipped;
use crate::spec::ReadFile;
use crate::spec::fields::{Fields, choice, flag, list, single, size, text};
use crate::spec::tree::{Kind, Node};

/// The preprocessing of a network whose input has so many channels; `None`: the spec says nothing.
pub(super) fn preprocessing(node: Option<&Node>, channels: usize, errors: &mut Diagnostics) -> Preprocessing {
    let empty = Node { span: Span::default(), kind: Kind::Map(Vec::new()), written: String::new() };
    let mut fields = Fields::of(node.unwrap_or(&empty), "preprocessing", errors);
    let orders = [("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr), ("gray", ChannelOrder::Gray)];
    let order = fields.read("channels", errors, |node, errors| choice(node, &orders, errors));
    let numbers = |node: &Node, errors: &mut Diagnostics| {
        let before = errors.serious();
        let numbers = list(node, errors, single)?;
        if numbers.len() == channels || errors.serious() > before {
            return Some(numbers);
        }
        let message = format!("{} numbers for {channels} channels", numbers.len());
        errors.push(Diagnostic::new(message, node.span));
        None
    };
    let preprocessing = Preprocessing {
        resize: fields.read("resize", errors, size),
        crop: fields.read("crop", errors, flag).unwrap_or(false),
        channels: order.unwrap_or(if channels == 1 { ChannelOrder::Gray } else { ChannelOrder::Rgb }),
        background: fields.read("background", errors, color).unwrap_or([255; 3]),
        scale: fields.read("scale", errors, single).unwrap_or(1.0 / 255.0),
        mean: fields.read("mean", errors, numbers).unwrap_or_else(|| vec![0.0; channels]).into(),
        std: fields.read("std", errors, numbers).unwrap_or_else(|| vec![1.0; channels]).into(),
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
            let message = format!("cannot read the labels in {file}: {reason}");
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
